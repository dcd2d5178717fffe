"""What the gateway decides, without sockets, event loop or clock: plain calls in, frames out."""
