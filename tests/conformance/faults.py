"""The faults: each breaks one rule of a real gateway, and names the case that must find it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from gateway.protocol.codec import join_binary
from tests.conformance.wrong_gateway import Fault, Frame, compact

#: Name to case and fault.
FAULTS: dict[str, tuple[str, type[Fault]]] = {}


def breaks(case: str) -> Callable[[type[Fault]], type[Fault]]:
    def declare(fault: type[Fault]) -> type[Fault]:
        FAULTS[f"{case}:{fault.__name__}"] = (case, fault)
        return fault

    return declare


def down(case: str, name: str, change: Callable[[Frame], list[Frame] | None]) -> None:
    """A fault that changes single frames of the gateway; None leaves one as it is."""

    def go(_self: Fault, frame: Frame) -> list[Frame]:
        changed = change(dict(frame))
        return [frame] if changed is None else changed

    FAULTS[f"{case}:{name}"] = (case, type(name, (Fault,), {"down": go}))


def up(case: str, name: str, change: Callable[[Frame], list[Frame] | None]) -> None:
    """A fault that changes single commands."""

    def go(_self: Fault, frame: Frame) -> list[Frame]:
        changed = change(dict(frame))
        return [frame] if changed is None else changed

    FAULTS[f"{case}:{name}"] = (case, type(name, (Fault,), {"up": go}))


def code(case: str, name: str, wrong: dict[int, int]) -> None:
    FAULTS[f"{case}:{name}"] = (case, type(name, (Fault,), {"code": lambda _self, each: wrong.get(each, each)}))


def of(kind: str, frame: Frame, **fields: Any) -> bool:
    return frame["type"] == kind and all(frame.get(name) == value for name, value in fields.items())


def without(frame: Frame, *names: str) -> list[Frame]:
    return [{name: value for name, value in frame.items() if name not in names}]


# ---- handshake ----

down("welcome-first", "no_limits", lambda f: without(f, "limits") if of("welcome", f) else None)
down("welcome-first", "one_session", lambda f: [{**f, "session": "s"}] if of("welcome", f) else None)
down("welcome-first", "chatter", lambda f: [{"type": "job", "job": {}}, f] if of("welcome", f) else None)


@breaks("subprotocol-none")
class AlwaysChosen(Fault):
    def subprotocol(self, chosen: str | None) -> str | None:
        return "rivulet.v1.json"


@breaks("subprotocol-json")
class NeverChosen(Fault):
    def subprotocol(self, chosen: str | None) -> str | None:
        return None


@breaks("subprotocol-unknown")
class AnythingGoes(Fault):
    refuse_unknown = False


# ---- commands ----

down("reply-once", "twice", lambda f: [f, f] if of("pong", f) else None)
down("reply-once", "another_id", lambda f: [{**f, "id": f["id"] + 1000}] if of("pong", f) else None)
down("reply-to-each", "silence", lambda f: [] if of("jobs", f) else None)
down("reply-to-each", "another_kind", lambda f: [{**f, "type": "pong"}] if of("jobs", f) else None)
down("no-id-silent", "an_id", lambda f: [{**f, "id": 77}] if of("error", f) and "id" not in f else None)
down(
    "unknown-type", "another_code", lambda f: [{**f, "code": "not_found"}] if f.get("code") == "unknown_type" else None
)
down("invalid-fields", "no_path", lambda f: without(f, "path") if of("error", f) else None)
down("ping-echo", "text", lambda f: [{**f, "t": str(f.get("t"))}] if of("pong", f) else None)


@breaks("no-id-silent")
class AnswersAll(Fault):
    def __init__(self) -> None:
        self.extra: list[Frame] = []

    def up(self, frame: Frame) -> list[Frame]:
        self.extra += [{"type": "pong", "t": frame.get("t")}] if of("ping", frame) and "id" not in frame else []
        return [frame]

    def down(self, frame: Frame) -> list[Frame]:
        extra, self.extra = self.extra, []
        return [*extra, frame]


@breaks("sockets-apart")
class Neighbours(Fault):
    """What one socket gets, all get."""

    last: Frame | None = None

    def down(self, frame: Frame) -> list[Frame]:
        if of("publication", frame):
            Neighbours.last = frame
        if of("pong", frame) and Neighbours.last:
            return [Neighbours.last, frame]
        return [frame]


# ---- closing ----

code("close-not-json", "policy", {4500: 1008})
code("close-binary", "unsupported", {4500: 1003})
code("token-in-time", "policy", {4501: 4503})
code("close-too-many", "policy", {4429: 1008})


@breaks("close-too-large")
class TakesAll(Fault):
    def up_raw(self, data: str | bytes) -> list[str | bytes]:
        return [] if len(data) > 60_000 else [data]


@breaks("largest-frame")
class Cuts(Fault):
    def down(self, frame: Frame) -> list[Frame]:
        return [{**frame, "t": str(frame.get("t"))[:1000]}] if of("pong", frame) else [frame]


# ---- subscriptions ----

down("subscribed", "no_policy", lambda f: without(f, "overflow") if of("subscribed", f) else None)
down("subscribed", "no_credit", lambda f: without(f, "credit") if of("subscribed", f) else None)
down("subscribe-unknown-stream", "path", lambda f: [{**f, "path": "$"}] if of("error", f) else None)
down("subscribe-sub-in-use", "taken", lambda f: [{**f, "code": "not_found"}] if of("error", f) else None)
down("subscribe-limit", "another_code", lambda f: [{**f, "code": "conflict"}] if of("error", f) else None)
down("resubscribe-unknown", "another_code", lambda f: [{**f, "code": "conflict"}] if of("error", f) else None)
down("subscribe-twice", "only_one", lambda f: [] if of("publication", f, sub=2) else None)
up("resubscribe-in-place", "ignored", lambda f: [{**f, "format": "rows"}] if of("resubscribe", f) else None)
up("resubscribe-refused", "half_done", lambda f: [*without(f, "id", "select"), f] if of("resubscribe", f) else None)
up("since-latest", "since_earliest", lambda f: [{**f, "since": "earliest"}] if f.get("since") == "latest" else None)
up("since-earliest", "since_latest", lambda f: [{**f, "since": "latest"}] if f.get("since") == "earliest" else None)
down("since-position", "never_recovered", lambda f: [{**f, "recovered": False}] if "recovered" in f else None)
down("since-other-epoch", "no_gap", lambda f: [] if of("gap", f) else None)


@breaks("unsubscribe")
class Echo(Fault):
    """The last publication comes again, after the end."""

    last: Frame | None = None

    def down(self, frame: Frame) -> list[Frame]:
        if of("publication", frame, sub=2):
            self.last = frame
        return [frame, self.last] if of("unsubscribed", frame) and self.last else [frame]


class Shifted(Fault):
    """Goes on from elsewhere than it says."""

    by = 0

    def __init__(self) -> None:
        self.asked: dict[int, Frame] = {}

    def up(self, frame: Frame) -> list[Frame]:
        since = frame.get("since")
        if not isinstance(since, dict):
            return [frame]
        self.asked[frame["sub"]] = since
        return [{**frame, "since": {**since, "offset": max(0, since["offset"] + self.by)}}]

    def down(self, frame: Frame) -> list[Frame]:
        asked = self.asked.get(frame.get("sub", 0)) if of("subscribed", frame) else None
        return [{**frame, **asked}] if asked else [frame]


@breaks("resume")
class Repeats(Shifted):
    by = -1


@breaks("since-position")
class Skips(Shifted):
    by = 1


class Missing(Fault):
    """Every third publication is lost without a word."""

    count = 0

    def down(self, frame: Frame) -> list[Frame]:
        self.count += of("publication", frame, sub=1)
        return [] if of("publication", frame, sub=1) and self.count % 3 == 0 else [frame]


class Repeated(Fault):
    """Every publication comes twice."""

    def down(self, frame: Frame) -> list[Frame]:
        return [frame, frame] if of("publication", frame) else [frame]


for policy in ("drop-oldest", "latest", "conflate", "end", "block"):
    breaks(f"account-{policy}")(Missing)
    breaks(f"account-{policy}")(Repeated)

# ---- demand ----


@breaks("credit-bounds")
@breaks("credit-zero")
class Generous(Fault):
    """One more than was granted."""

    def up(self, frame: Frame) -> list[Frame]:
        return [{**frame, "credit": frame["credit"] + 1}] if frame.get("credit") is not None else [frame]

    def down(self, frame: Frame) -> list[Frame]:
        told = of("subscribed", frame) and frame.get("credit") is not None
        return [{**frame, "credit": frame["credit"] - 1}] if told else [frame]


@breaks("control-overtakes")
class Queue(Fault):
    """Replies wait behind all that was asked for before."""

    #: The newest that any socket has got: the case looks at the whole stream on another one before.
    newest: ClassVar[int] = 0

    def __init__(self) -> None:
        self.subs: set[int] = set()
        self.got: dict[int, int] = {}
        self.held: list[Frame] = []

    def up(self, frame: Frame) -> list[Frame]:
        if of("subscribe", frame):
            self.subs.add(frame["sub"])
        return [frame]

    def down(self, frame: Frame) -> list[Frame]:
        if of("pong", frame):
            self.held.append(frame)
            return []
        if of("publication", frame):
            self.got[frame["sub"]] = frame["offset"]
            Queue.newest = max(Queue.newest, frame["offset"])
        if any(self.got.get(sub, 0) < Queue.newest for sub in self.subs):
            return [frame]
        held, self.held = self.held, []
        return [frame, *held]


up("credit-adds-up", "only_one", lambda f: [{**f, "n": 1}] if of("request", f) else None)
down("credit-unlimited", "a_number", lambda f: [{**f, "credit": 5}] if of("requested", f) else None)
down("request-unknown", "path", lambda f: [{**f, "path": "$.n"}] if of("error", f) else None)
up("request-invalid", "corrected", lambda f: [{**f, "n": 1}] if of("request", f) else None)
up("credit-replaced", "kept", lambda f: without(f, "credit") if of("resubscribe", f) else None)

# ---- merging ----


class Otherwise(Fault):
    """Has another policy than it says."""

    instead: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self.said: dict[int, str] = {}

    def up(self, frame: Frame) -> list[Frame]:
        asked = frame.get("overflow")
        if of("subscribe", frame) and asked in self.instead and frame["sub"] != 1:
            self.said[frame["id"]] = asked
            return [{**frame, "overflow": self.instead[asked]}]
        return [frame]

    def down(self, frame: Frame) -> list[Frame]:
        said = self.said.get(frame.get("id", 0))
        return [{**frame, "overflow": said}] if said else [frame]


@breaks("latest")
class NotTheLatest(Otherwise):
    instead: ClassVar[dict[str, str]] = {"latest": "drop_oldest"}


@breaks("conflate")
class OnlyTheLatest(Otherwise):
    instead: ClassVar[dict[str, str]] = {"conflate": "latest"}


@breaks("drop-oldest-one-by-one")
class AllAtOnce(Otherwise):
    instead: ClassVar[dict[str, str]] = {"drop_oldest": "latest"}


@breaks("every-ms-latest")
class AllInBetween(Otherwise):
    instead: ClassVar[dict[str, str]] = {"latest": "drop_oldest"}


down("latest", "no_rows_in", lambda f: without(f, "rows_in") if of("publication", f) else None)
down("latest", "old_revision", lambda f: [{**f, "revision": 0}] if "from" in f and of("publication", f) else None)
up("conflate-needs-a-key", "not_needed", lambda f: without(f, "overflow", "key") if of("subscribe", f) else None)
up("block-needs-permission", "not_needed", lambda f: without(f, "overflow") if of("subscribe", f) else None)
up("every-ms", "unpaced", lambda f: without(f, "every_ms") if of("subscribe", f) else None)

# ---- parameters ----


def _history(frame: Frame, change: Callable[[list[Frame]], list[Frame]]) -> list[Frame] | None:
    return [{**frame, "history": change(frame["history"])}] if frame.get("history") else None


down("parameters-in-force", "older", lambda f: [{**f, "revision": 0}] if of("parameters", f) and "id" in f else None)
down("parameters-in-force", "no_schema", lambda f: without(f, "schema") if of("parameters", f) else None)
up("parameters-in-force", "all", lambda f: without(f, "schema") if of("get_parameters", f) else None)
down("parameters-history", "oldest_first", lambda f: _history(f, lambda changes: changes[::-1]))
down("parameters-history", "nobody", lambda f: _history(f, lambda changes: [{**each, "by": ""} for each in changes]))
down("parameters-history", "no_batch", lambda f: _history(f, lambda each: [without(one, "batch")[0] for one in each]))
down("parameters-history", "behind", lambda f: _history(f, lambda changes: changes[1:]))
up("parameters-history", "all", lambda f: [{**f, "history": 1000}] if f.get("history") == 1 else None)
up("dry-run", "made", lambda f: [{**f, "dry_run": False, "wait": "accepted"}] if "dry_run" in f else None)
up("if-revision", "let_by", lambda f: without(f, "if_revision") if "if_revision" in f else None)
down("if-revision", "another_code", lambda f: [{**f, "code": "conflict"}] if of("error", f) else None)

# ---- shape ----


def _looser(frame: Frame) -> list[Frame] | None:
    swap = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
    where = frame.get("where") if of("subscribe", frame) else None
    return [{**frame, "where": [[name, swap.get(how, how), value] for name, how, value in where]}] if where else None


up("where", "unfiltered", lambda f: without(f, "where") if of("subscribe", f) else None)
up("where", "boundaries", _looser)
up("where-all", "first_only", lambda f: [{**f, "where": f["where"][:1]}] if f.get("where") else None)
down("where-nothing", "never_closed", lambda f: [] if of("publication", f) and not f.get("rows") else None)
up("where-changed", "kept", lambda f: without(f, "where") if of("resubscribe", f) else None)
down("where-invalid", "one_at_a_time", lambda f: without(f, "errors") if of("error", f) else None)
up("select", "all", lambda f: without(f, "select") if of("subscribe", f) else None)
down("select-invalid", "path", lambda f: [{**f, "path": "$"}] if of("error", f) else None)
up("columns", "rows", lambda f: without(f, "format") if of("subscribe", f) else None)
up("shape-together", "unfiltered", lambda f: without(f, "where") if of("subscribe", f) else None)

# ---- Arrow ----


@breaks("arrow-frames")
class LittleEndian(Fault):
    def head(self, frame: Frame, body: bytes) -> bytes:
        data = join_binary(compact(frame).encode(), body)
        return data[3::-1] + data[4:]


@breaks("arrow-frames")
class CutShort(Fault):
    def head(self, frame: Frame, body: bytes) -> bytes:
        return join_binary(compact(frame).encode(), body[: len(body) // 2])


down("arrow-same-data", "batch", lambda f: [{**f, "batch": 0}] if of("publication", f) and "rows" not in f else None)
up("arrow-no-columns", "let_by", lambda f: without(f, "format") if of("subscribe", f) else None)
up("arrow-select", "sorted", lambda f: [{**f, "select": sorted(f["select"])}] if "select" in f else None)

# ---- tokens ----


@breaks("token-wrong-header")
class Overlooked(Fault):
    def token(self, authorization: str | None) -> str | None:
        return None


down("token-wrong-command", "not_found", lambda f: [{**f, "code": "not_found"}] if of("error", f) else None)
down("token-by-command", "unwelcome", lambda f: [] if of("welcome", f) else None)
down("token-before-commands", "answered", lambda f: [{"type": "pong", "id": f["id"]}] if of("error", f) else None)
down("token-by-header", "unwelcome", lambda f: [] if of("welcome", f) else None)


@breaks("token-by-subprotocol")
class SentBack(Fault):
    def subprotocol(self, chosen: str | None) -> str | None:
        return None
