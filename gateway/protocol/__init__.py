"""The contract: frames, codes, errors and states, declared once. A leaf: it imports nothing else of Rivulet."""

PROTOCOL = "rivulet.v1"
