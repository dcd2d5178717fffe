"""The cases, by what of docs/protocol.md they try. Importing them declares them."""

from gateway.conformance.cases import (
    account,
    arrow,
    authentication,
    closing,
    commands,
    demand,
    handshake,
    merging,
    parameters,
    resuming,
    shape,
    subscriptions,
    twins,
)

__all__ = [
    "account",
    "arrow",
    "authentication",
    "closing",
    "commands",
    "demand",
    "handshake",
    "merging",
    "parameters",
    "resuming",
    "shape",
    "subscriptions",
    "twins",
]
