"""The shell around the core: sockets, HTTP, the clock."""
