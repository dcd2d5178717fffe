"""Commands at random: every kind of change, good, bad and fatal, and what the gateway answered."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from gateway.client import Client
from gateway.protocol.errors import RivuletError

KINDS = {
    "live": 60,
    "live for a time": 10,
    "restart": 4,
    "restart for a time": 1,
    "control": 4,
    "pause": 1.5,
    "reset": 1.5,
    "revert": 5,
    "breaks": 2,
    "bricks": 1,
    "invalid": 6,
    "stale": 4,
}
#: What each of these is refused with; anything else may meet a change that came a moment before.
REFUSED = {"invalid": {"invalid_parameters", "not_found", "reset_required"}, "stale": {"revision_conflict"}}
INVALID: list[dict[str, Any]] = [
    {"values": {"minimum": 101}},
    {"values": {"minimum": 60, "maximum": 40}},
    {"values": {"minimun": 1, "rows": 0}},
    {"values": {"rules": [{"digit": 10}]}},
    {"values": {"$trigger_ms": "soon"}},
    {"values": {"$max_files": 3}},
    {"values": {"salt": -1}},
    {"restore": 10**9},
]


@dataclass
class Command:
    """One command of one client: what it asked for, and the one answer that it got."""

    job: str
    kind: str
    values: dict[str, Any] = field(default_factory=dict)
    restore: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    #: The code of the refusal, or "accepted"; empty while there is none.
    answer: str = ""
    revision: int = 0
    effect: str = ""
    state: str = ""
    result: dict[str, Any] = field(default_factory=dict)

    async def send(self, client: Client) -> None:
        """Have it done."""
        try:
            if self.restore is not None:
                change = await client.revert(self.job, self.restore, **self.options)
            else:
                change = await client.set_parameters(self.job, self.values, **self.options)
        except RivuletError as error:
            self.answer = error.code.wire
            return
        self.answer, self.revision, self.effect = "accepted", change.revision, str(change.effect)
        self.state, self.result = str(change.state), change.values


@dataclass
class Known:
    """What the clients of a job know of it together."""

    revision: int = 1
    values: dict[str, Any] = field(default_factory=dict)

    def learn(self, command: Command) -> None:
        if command.revision > self.revision:
            self.revision, self.values = command.revision, command.result


def some_command(chance: random.Random, job: str, known: Known) -> Command:
    """The next one; a job that rests is woken before long."""
    if known.values.get("$paused") and chance.random() < 0.5:
        return wake(job)
    (kind,) = chance.choices([*KINDS], [*KINDS.values()])
    command = Command(job, kind)
    _fill(command, chance, known)
    if kind == "stale":
        command.options["if_revision"] = max(0, known.revision - chance.randint(1, 5)) or 10**6
        return command
    if kind == "invalid":
        return command
    if chance.random() < 0.15:
        command.options["if_revision"] = known.revision
    if chance.random() < 0.15:
        command.options["wait_applied"] = 20
    return command


def wake(job: str) -> Command:
    """What brings a job back, whatever was done to it."""
    return Command(job, "wake", {"$paused": False, "breaks": False, "bricks": False})


def _fill(command: Command, chance: random.Random, known: Known) -> None:
    kind = command.kind
    if kind.startswith("live") or kind == "stale":
        command.values = _live(chance)
    elif kind.startswith("restart"):
        command.values = chance.choice([{"rows": chance.randint(1, 50)}, {"label": chance.choice("abcdef")}])
    elif kind == "control":
        rows = chance.choice([None, chance.randint(1, 40)])
        command.values = chance.choice([{"$trigger_ms": chance.randint(0, 120)}, {"$max_rows": rows}])
    elif kind == "pause":
        command.values = {"$paused": True}
    elif kind == "reset":
        command.values = chance.choice([{}, {"salt": chance.randint(0, 99)}, {"salt": 7, "minimum": 0, "rows": 20}])
        command.options["reset"] = True
    elif kind == "revert":
        command.restore = chance.randint(max(1, known.revision - 6), known.revision)
        command.options["reset"] = chance.random() < 0.3
    elif kind in ("breaks", "bricks"):
        command.values = {kind: True} | chance.choice([{}, _live(chance)])
    elif kind == "invalid":
        bad = chance.choice(INVALID)
        command.values, command.restore = bad.get("values", {}), bad.get("restore")
        if "salt" in command.values:
            command.values = {"salt": known.values.get("salt", 0) + 1000}
    if kind.endswith("for a time"):
        command.options["ttl_seconds"] = round(chance.uniform(0.1, 1.0), 2)


def _live(chance: random.Random) -> dict[str, Any]:
    low, high = sorted((chance.randint(0, 100), chance.randint(0, 100)))
    digits = chance.sample(range(10), chance.randint(0, 5))
    rules = [{"digit": digit, "weight": chance.randint(1, 99)} for digit in digits]
    return chance.choice([{"minimum": low, "maximum": high}, {"rules": rules}, {"minimum": 0, "rules": rules}])
