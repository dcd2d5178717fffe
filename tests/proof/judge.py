"""What must hold of a round: PROTOCOL.md, "What the client may rely on", 1 to 3, and the trail of what was changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from msgspec import UNSET

from gateway.client import Gap, Publication
from gateway.protocol.types import Change, GapReason
from tests.proof.commands import REFUSED, Command
from tests.proof.model import OUTPUTS, Model, in_order
from tests.proof.rounds import Record

#: Of a command whose answer does not tell what became of it.
UNKNOWN = ("unavailable", "change_rejected")
#: What a change may be refused with, besides what its kind is: others change meanwhile, and restarts are under way.
MAY_MEET = {"unavailable", "change_rejected", "revision_conflict", "reset_required"}


class Verdict:
    """Every difference that was found, and what was looked at."""

    def __init__(self, record: Record) -> None:
        self.differences: list[str] = list(record.accidents)
        self.counts: Counter[str] = Counter()
        self._record = record
        for function, history in record.history.items():
            changes = {change.revision: change for change in history}
            publications = self._account(function)
            self._recomputed(function, changes, publications)
            self._in_order(function, publications)
            self._trail(function, changes, publications)
            self._told(function, changes)
            self._answers(function, changes)
        self._replays()

    def _wrong(self, what: str) -> None:
        self.differences.append(what)

    # ---- the streams ----

    def _account(self, function: str) -> dict[str, list[Publication]]:
        """Offsets lie end to end from the first on; only a new epoch interrupts them."""
        found: dict[str, list[Publication]] = {}
        for output in OUTPUTS[function]:
            publications = found[output] = []
            epoch, offset = "", 0
            for event in self._record.streams[function, output]:
                if isinstance(event, Gap):
                    if event.reason is not GapReason.EPOCH or (event.first_offset, event.offset) != (1, 0):
                        self._wrong(f"{function}/{output}: {event}")
                    epoch, offset = event.epoch, event.offset
                    self.counts["epochs"] += 1
                    continue
                epoch = epoch or event.epoch
                if (event.epoch, event.first_offset) != (epoch, offset + 1) or event.offset != event.first_offset:
                    self._wrong(f"{function}/{output}: after {epoch} {offset} comes {_named(event)}")
                if event.batch != event.offset - 1:
                    self._wrong(f"{function}/{output}: {_named(event)} is not at its offset")
                offset = event.offset
                publications.append(event)
            self.counts["publications"] += len(publications)
        return found

    def _recomputed(
        self, function: str, changes: dict[int, Change], publications: dict[str, list[Publication]]
    ) -> None:
        """Not one row differs from what the input gives under the revision that is claimed."""
        for output, seen in publications.items():
            models: dict[str, Model] = defaultdict(lambda: Model(function))
            for one in seen:
                change = changes.get(one.revision)
                if change is None:
                    self._wrong(f"{function}/{output}: {_named(one)} has a revision that the history lacks")
                    continue
                expected = models[one.epoch].batch(change.values)[output]
                self.counts["rows compared"] += len(expected)
                if in_order(one.rows) != expected:
                    self._wrong(f"{function}/{output}: {_named(one)} is {one.rows}, not {expected}: {change.values}")

    def _in_order(self, function: str, publications: dict[str, list[Publication]]) -> None:
        """Revisions never fall; all outputs of a batch have one."""
        of_batch: dict[tuple[str, int], int] = {}
        for output, seen in publications.items():
            newest = 0
            for one in seen:
                if one.revision < newest:
                    self._wrong(f"{function}/{output}: {_named(one)} comes after revision {newest}")
                newest = max(newest, one.revision)
                if of_batch.setdefault((one.epoch, one.batch), one.revision) != one.revision:
                    self._wrong(f"{function}/{output}: {_named(one)} has two revisions")

    def _replays(self) -> None:
        """What is handed over again has the revision and the rows that it had the first time, and was seen so."""
        first: dict[tuple[Any, ...], dict[str, Any]] = {}
        for one in self._record.handed_over:
            key = one["job"], one["output"], one["epoch"], one["offset"]
            known = first.setdefault(key, one)
            if known is not one:
                self.counts["publications handed over again"] += 1
                if known | {"rows": in_order(known["rows"])} != one | {"rows": in_order(one["rows"])}:
                    self._wrong(f"handed over twice, and not the same: {known} and {one}")
        seen = {
            (output, one.epoch, one.offset): (one.revision, one.batch)
            for (_, output), events in self._record.streams.items()
            for one in events
            if isinstance(one, Publication)
        }
        for (_, *place), one in first.items():
            if seen.get(tuple(place), (one["revision"], one["batch"])) != (one["revision"], one["batch"]):  # type: ignore[arg-type]
                self._wrong(f"handed over as {one}, seen as {seen[tuple(place)]}")  # type: ignore[index]

    # ---- the changes ----

    def _trail(self, function: str, changes: dict[int, Change], publications: dict[str, list[Publication]]) -> None:
        """The outcome of every change agrees with what was published; its values follow from those before it."""
        if sorted(changes) != list(range(1, 1 + len(changes))):
            self._wrong(f"{function}: the history has the revisions {sorted(changes)}")
        for seen in publications.values():
            firsts: dict[int, Publication] = {}
            for one in seen:
                firsts.setdefault(one.revision, one)
            newest = max(firsts, default=0)
            for revision, change in sorted(changes.items()):
                self._outcome(function, change, firsts.get(revision), newest, seen)
        for revision, change in changes.items():
            self.counts[f"changes that were {change.state}"] += 1
            if revision > 1 and not any(_follows(change, before) for before in _before(change, changes)):
                self._wrong(f"{function}: revision {revision} does not follow from what was in force: {change}")

    def _outcome(
        self, function: str, change: Change, first: Publication | None, newest: int, seen: list[Publication]
    ) -> None:
        name = f"{function}: revision {change.revision} is {change.state} (batch {change.batch})"
        was_applied = change.state in ("applied", "reverted")
        if first is not None and not was_applied:
            self._wrong(f"{name}, and {_named(first)} was computed under it")
        if change.state == "accepted" and change.revision < newest:
            self._wrong(f"{name} for ever, and {newest} has come")
        if first is not None and change.batch != first.batch:
            self._wrong(f"{name}, and the first under it is {_named(first)}")
        if was_applied and first is None:
            if not change.values["$paused"]:
                self._wrong(f"{name}, and nothing was computed under it")
            later = next((one for one in seen if one.revision > change.revision), None)
            if later is not None and later.batch not in (change.batch, 0):
                self._wrong(f"{name} at rest, and the next is {_named(later)}")

    def _told(self, function: str, changes: dict[int, Change]) -> None:
        """Who watched was told of every change, and last of how it ended."""
        last: dict[int, str] = {}
        for row in self._record.events[function]:
            if row["kind"] == "parameters":
                last[row["revision"]] = row["state"]
                self.counts["events of parameters"] += 1
        for revision, change in changes.items():
            if revision > 1 and last.get(revision) != change.state:
                self._wrong(f"{function}: revision {revision} is {change.state}, last told {last.get(revision)}")

    # ---- the answers ----

    def _answers(self, function: str, changes: dict[int, Change]) -> None:
        """Every command has had one answer, which the history bears out; every revision is somebody's."""
        commands = [command for command in self._record.commands if command.job == function]
        known = {command.revision for command in commands if command.answer == "accepted"}
        unsure = sum(command.answer in UNKNOWN for command in commands)
        orphans = [each for each in changes if each > 1 and each not in known and changes[each].origin != "worker"]
        if len(orphans) > unsure:
            self._wrong(f"{function}: nobody asked for {orphans}; {unsure} commands do not know what became of them")
        for command in commands:
            self.counts[f"{command.kind}: {command.answer or 'no answer'}"] += 1
            for wrong in _wrong_answer(command, changes):
                self._wrong(f"{function}: {wrong}: {command}")


def _wrong_answer(command: Command, changes: dict[int, Change]) -> Iterator[str]:
    refusals = REFUSED.get(command.kind)
    if command.answer != "accepted":
        allowed = MAY_MEET if refusals is None else refusals | {"unavailable"}
        if command.kind == "revert":
            allowed = allowed | {"not_found"}
        if command.answer not in allowed:
            yield "an answer that does not fit"
        return
    if refusals is not None:
        yield "accepted, which it should not be"
        return
    change = changes.get(command.revision)
    if change is None:
        yield "accepted, and the history lacks it"
        return
    if change.values != command.result:
        yield f"answered with other values than the history has: {change}"
    if command.restore is not None and changes[command.restore].values != change.values:
        yield f"does not bring back revision {command.restore}"
    if any(change.values[name] != value for name, value in command.values.items()):
        yield "the values are not those that were asked for"
    if command.state not in ("accepted", str(change.state)) and (command.state, change.state) != (
        "applied",
        "reverted",
    ):
        yield f"answered {command.state}, and was {change.state}"
    over = command.options.get("if_revision")
    if over is not None and not all(changes[each].state == "rejected" for each in range(over + 1, change.revision)):
        yield "has overtaken a change that its condition did not know"


def _before(change: Change, changes: dict[int, Change]) -> Iterator[Change]:
    """What may have been in force when a change was accepted: the one before it, or before those that were rejected."""
    for revision in range(change.revision - 1, 0, -1):
        yield changes[revision]
        if changes[revision].state not in ("rejected", "superseded"):
            return


def _follows(change: Change, before: Change) -> bool:
    old = {name: before.values[name] for name in change.changed}
    return change.values == before.values | change.changed and (change.before == old or change.before is UNSET)


def _named(one: Publication) -> str:
    return f"{one.stream} {one.epoch} offset {one.offset} batch {one.batch} revision {one.revision}"
