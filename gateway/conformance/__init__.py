"""The conformance suite of `rivulet.v1`: what docs/protocol.md promises, tried on a gateway at an address.

It speaks to the gateway as any program would, over raw sockets, and knows nothing of how it is made.
"""
