"""Rivulet's gateway: it multiplexes live Spark streams to WebSocket subscribers."""
