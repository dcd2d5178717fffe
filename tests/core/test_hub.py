"""The hub: streams by key, slices of a batch, streams that the gateway numbers itself (`gateway.core.tables`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from gateway.core.counters import Counters
from gateway.core.hub import Hub, OwnStream
from gateway.core.publication import Publication
from gateway.core.stream import Retention
from gateway.core.tables import EVENTS, JOBS, job_event_row, job_row, parameters_row
from gateway.protocol.frames import Parameters
from gateway.protocol.link import Head
from gateway.protocol.types import Column, Effect, FunctionKind, JobInfo, JobState, RevisionState
from tests.fakes.worker_peer import ipc

AT = datetime(2026, 1, 1, tzinfo=UTC)
BODY = memoryview(ipc(pa.table({"a": [1]})))


@pytest.fixture
def hub() -> Hub:
    return Hub(Retention(), Counters(), pytest.fail)


def head(offset: int, slice_: int = 0, slices: int = 1, job: str = "j") -> Head:
    fields: dict[str, Any] = {"epoch": "e", "revision": 1, "batch": 0, "published_at": AT}
    return Head(job=job, output="o", offset=offset, slice=slice_, slices=slices, **fields)


def held(hub: Hub) -> list[int]:
    stream = hub.open("j/o")
    return [item.offset for item in stream.after(stream.earliest()) if isinstance(item, Publication)]


def receive(hub: Hub, head: Head) -> bool:
    """Whether it was acknowledged."""
    told: list[bool] = []
    hub.receive(head, BODY, 0.0, lambda: told.append(True))
    return bool(told)


def test_a_batch_is_let_out_whole(hub: Hub) -> None:
    assert not receive(hub, head(1, 0, 2))
    assert held(hub) == []
    assert receive(hub, head(2, 1, 2))
    assert held(hub) == [1, 2]
    assert hub.retained_bytes == 2 * len(BODY)


def test_a_batch_that_begins_again_replaces_the_half_that_came(hub: Hub) -> None:
    receive(hub, head(1, 0, 3))
    receive(hub, head(2, 1, 3))
    assert not receive(hub, head(1, 0, 2))
    assert receive(hub, head(2, 1, 2))
    assert held(hub) == [1, 2]


def test_the_slices_of_one_job_are_forgotten_and_no_others(hub: Hub) -> None:
    receive(hub, head(1, 0, 2))
    receive(hub, head(1, 0, 2, job="jj"))
    hub.forget_slices("j")
    assert receive(hub, head(2, 1, 2, job="jj"))
    assert held(hub) == []


def test_own_streams_number_themselves(hub: Hub) -> None:
    info = JobInfo(
        id="1",
        name="n",
        function="f",
        context="c",
        state=JobState.RUNNING,
        kind=FunctionKind.STREAM,
        principal="p",
        tenant="t",
        created_at=AT,
    )
    jobs, events = OwnStream(hub.open("$jobs"), "e", JOBS), OwnStream(hub.open("1/$events"), "e", EVENTS)
    change = Parameters(
        job="n",
        revision=2,
        values={"a": 1},
        changed={"a": 1},
        state=RevisionState.APPLIED,
        effect=Effect.LIVE,
        by="p",
        at=AT,
        batch=3,
    )
    jobs.append([job_row(info, AT)], AT, 0.0)
    events.append([job_event_row(info, AT)], AT, 0.0)
    events.append([parameters_row(change)], AT, 0.0)
    stream = hub.open("1/$events")
    last = [item for item in stream.after(stream.earliest()) if isinstance(item, Publication)][-1]
    row = last.table.to_pylist()[0]
    assert stream.offset == 2
    assert (row["kind"], row["state"], row["batch"], row["changed"]) == ("parameters", "applied", 3, '{"a":1}')
    assert Column("state", "string") in (jobs.stream.columns or ())


def test_closing_ends_those_who_listen(hub: Hub) -> None:
    class Listener:
        ended = ""

        def on_item(self, item: object) -> None: ...

        def on_failure(self, reason: str) -> None: ...

        def on_end(self, reason: str) -> None:
            self.ended = reason

    listener = Listener()
    hub.open("j/o").listen(listener)
    hub.close("j/o", "over")
    hub.close("j/o", "again")
    assert listener.ended == "over"
    assert hub.get("j/o") is None
