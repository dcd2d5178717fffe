"""What the gateway counts about itself; the stream `$gateway` and the logs read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals since the gateway started."""

    publications: int = 0
    duplicates: int = 0
    deliveries: int = 0
    delivered_bytes: int = 0
    commands: int = 0
    errors: int = 0
    gaps: int = 0
    lost_offsets: int = 0
    evicted_sockets: int = 0
    failed_observers: int = 0
