"""The Python client: subscribe to streams, start and steer jobs, over one WebSocket that mends itself.

async with Client.connect("http://127.0.0.1:8080") as client:
    async with client.subscribe("host_metrics/metrics", since="earliest") as subscription:
        async for event in subscription:
            print(event)
"""

from gateway.client.account import AccountViolation
from gateway.client.changes import Applied, Change, ChangeFailed
from gateway.client.client import Client
from gateway.client.connection import ConnectionState
from gateway.client.dial import Unreachable
from gateway.client.events import Gap, Publication
from gateway.client.subscription import Overflowed, Subscription
from gateway.protocol.types import Position

__all__ = [
    "AccountViolation",
    "Applied",
    "Change",
    "ChangeFailed",
    "Client",
    "ConnectionState",
    "Gap",
    "Overflowed",
    "Position",
    "Publication",
    "Subscription",
    "Unreachable",
]
