"""Tables and marks of `tests.bench.fanout`, in Markdown, from the figures of all rounds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

Figures = dict[str, Any]
Record = dict[str, Any]
#: At 50 publications a second the next one comes after so long.
BEHIND_MS = 20.0
NOTE = f"\n\n† p50 above {BEHIND_MS:g} ms: it was behind, and what waits is sent together. Not a figure of this pace."
FLOOR, NATS, OURS = "floor", "nats", "rivulet"


class Rounds:
    """What the rounds say of any figure."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self.servers = list(dict.fromkeys(each["server"] for each in records))

    def median(self, server: str, measure: str, size: int, figure: str) -> float | None:
        """None where it was not measured."""
        found = self._all(server, measure, size, figure)
        return statistics.median(found) if found else None

    def least(self, server: str, measure: str, size: int, figure: str) -> float | None:
        """Of the quietest window instead: latency is what the machine's other load moves most, and only upwards."""
        return min(self._all(server, measure, size, figure), default=None)

    def sizes(self, measure: str) -> list[int]:
        """In which sizes it was measured."""
        return sorted({each["size"] for each in self._records if each["measure"] == measure})

    def total(self, server: str, measure: str, size: int, figure: str) -> float:
        """Of all rounds."""
        return sum(self._all(server, measure, size, figure))

    def _all(self, server: str, measure: str, size: int, figure: str) -> list[float]:
        wanted = (server, measure, size)
        return [
            each[figure]
            for each in self._records
            if (each["server"], each["measure"], each["size"]) == wanted and figure in each
        ]


def tables(records: Sequence[Record], subscribers: int, idle: int) -> str:
    """All tables for which there are figures, and the marks."""
    rounds = Rounds(records)
    parts = [
        _traffic(rounds, measure, size, subscribers) for measure in ("sat", "paced") for size in rounds.sizes(measure)
    ]
    parts += [_idle(rounds, idle), _deflate(rounds), _stalled(rounds), _marks(rounds)]
    return "\n\n".join(part for part in parts if part)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"### {title}", "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _ratio(value: float | None, base: float | None) -> str:
    return "" if value is None or not base else f"{value / base:.2f}"


def _traffic(rounds: Rounds, measure: str, size: int, subscribers: int) -> str:
    def of(server: str, figure: str) -> float | None:
        return rounds.median(server, measure, size, figure)

    def behind(server: str) -> bool:
        return measure == "paced" and (of(server, "p50_ms") or 0) > BEHIND_MS

    rows = [
        [
            server,
            f"{_number(cpu)} ({_number(of(server, 'user_us'))}){' †' if behind(server) else ''}",
            _ratio(cpu, of(FLOOR, "cpu_us")),
            _ratio(cpu, of(NATS, "cpu_us")),
            f"{_number(of(server, 'p50_ms'))} / {_number(of(server, 'p99_ms'))}",
            f"{(of(server, 'deliveries') or 0) / (of(server, 'seconds') or 1) / 1000:.0f}k",
            f"{(of(server, 'cores') or 0):.2f}",
            f"{rounds.total(server, measure, size, 'lost'):.0f}",
        ]
        for server in rounds.servers
        if (cpu := of(server, "cpu_us")) is not None
    ]
    heads = ["server", "CPU µs per delivery (user)", "to the floor", "to nats", "p50 / p99 ms"]
    title = f"{measure}, {size} B, {subscribers} subscribers"
    note = NOTE if any(behind(server) for server in rounds.servers) else ""
    return _table(title, [*heads, "deliveries/s seen", "cores", "lost"], rows) + note if rows else ""


def _idle(rounds: Rounds, idle: int) -> str:
    rows = [
        [
            server,
            _number(rss / 1024, 1),
            _number(rounds.median(server, "idle", 0, "cpu_us"), 0),
            " / ".join(_number(rounds.median(server, "idle", 0, figure)) for figure in ("p50_ms", "p99_ms")),
        ]
        for server in rounds.servers
        if (rss := rounds.median(server, "idle", 0, "rss_bytes")) is not None
    ]
    heads = ["server", "KiB RSS each", "CPU µs to accept", "connect to subscribed, p50 / p99 ms"]
    return _table(f"{idle} idle subscribers", heads, rows) if rows else ""


def _deflate(rounds: Rounds) -> str:
    rows = []
    for measure in ("sat", "paced"):
        for size in rounds.sizes(f"deflate {measure}"):
            on = rounds.median(OURS, f"deflate {measure}", size, "cpu_us")
            off = rounds.median(OURS, f"blind {measure}", size, "cpu_us")
            wire = rounds.median(OURS, f"deflate {measure}", size, "bytes")
            rows.append([measure, str(size), _number(off), _number(on), _ratio(on, off), _number(wire, 0)])
    heads = ["", "B", "CPU µs off", "on", "ratio", "B on the wire"]
    return _table("Rivulet with permessage-deflate", heads, rows) if rows else ""


def _stalled(rounds: Rounds) -> str:
    rows = []
    for server in rounds.servers:
        for measure in ("sat", "paced"):
            for size in rounds.sizes(f"stalled {measure}"):
                before, after = (
                    [rounds.least(server, f"{when} {measure}", size, figure) for figure in ("p50_ms", "p99_ms")]
                    for when in ("before", "stalled")
                )
                if before[0] is not None:
                    shown = [" / ".join(map(_number, each)) for each in (before, after)]
                    rows.append([server, measure, *shown, _ratio(after[1], before[1])])
    heads = ["server", "", "p50 / p99 ms without", "with 1 % that do not read", "p99 ratio"]
    return _table("The others' latency where 1 % do not read, in the quietest window", heads, rows) if rows else ""


def _marks(rounds: Rounds) -> str:
    lines: list[str] = []

    def mark(text: str, value: float | None, most: float | None, digits: int = 2) -> None:
        if value is not None and most is not None:
            met = "met" if value <= most else "**not met**"
            lines.append(f"- {text}: {value:.{digits}f}, at most {most:.{digits}f}: {met}")

    def scaled(value: float | None, factor: float) -> float | None:
        return None if value is None else value * factor

    cpu: Callable[[str, str], float | None] = lambda server, measure: rounds.median(server, measure, 200, "cpu_us")  # noqa: E731
    mark("sat, 200 B, CPU µs per delivery", cpu(OURS, "sat"), 1.6)
    mark("sat, 200 B, against 0.75 of nats", cpu(OURS, "sat"), scaled(cpu(NATS, "sat"), 0.75))
    mark("paced, 200 B, against 1.35 of the floor", cpu(OURS, "paced"), scaled(cpu(FLOOR, "paced"), 1.35))
    for other in ("nats", "mosquitto", "socket.io", "ws", "starlette"):
        mark(f"paced, 200 B, against {other}", cpu(OURS, "paced"), cpu(other, "paced"))
    mark("KiB RSS per idle subscriber", scaled(rounds.median(OURS, "idle", 0, "rss_bytes"), 1 / 1024), 16, 1)
    mark("CPU µs to accept", rounds.median(OURS, "idle", 0, "cpu_us"), 400, 0)
    for measure in ("sat", "paced"):
        off = scaled(cpu(OURS, f"blind {measure}"), 1.15)
        mark(f"{measure}, 200 B, deflate on", cpu(OURS, f"deflate {measure}"), off)
        before = rounds.least(OURS, f"before {measure}", 200, "p99_ms")
        after = rounds.least(OURS, f"stalled {measure}", 200, "p99_ms")
        mark(f"{measure}, 200 B, p99 ms of the others where 1 % do not read", after, scaled(before, 1.25))
    return "\n".join(["### Marks", "", *lines]) if lines else ""
