"""The state machines: whole, with ends that can be reached, and an error that tells what happened."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol import states
from gateway.protocol.generate.javascript import STATES
from gateway.protocol.states import ImpossibleTransition, Machine, is_final
from gateway.protocol.types import JobState, RevisionState, SessionState, SubscriptionState, WorkerState

FINALS = {
    "SESSION_STATES": {SessionState.CLOSED},
    "SUBSCRIPTION_STATES": {SubscriptionState.ENDED},
    "JOB_STATES": {
        JobState.FINISHED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.TIMED_OUT,
        JobState.LOST,
    },
    "WORKER_STATES": {WorkerState.STOPPED},
    "REVISION_STATES": {RevisionState.REJECTED, RevisionState.SUPERSEDED, RevisionState.REVERTED},
}


def reached(table: states.Table[Any], start: Any) -> set[Any]:
    found, todo = {start}, [start]
    while todo:
        new = set(table[todo.pop()].values()) - found
        found |= new
        todo.extend(new)
    return found


@pytest.mark.parametrize("name", STATES)
def test_every_state_has_its_row_and_can_be_reached_from_the_first(name: str) -> None:
    table = STATES[name]
    first = next(iter(table))
    assert set(table) == set(type(first))
    assert reached(table, first) == set(table)


@pytest.mark.parametrize("name", STATES)
def test_the_ends_are_those_and_can_be_reached_from_everywhere(name: str) -> None:
    table = STATES[name]
    finals = {state for state in table if is_final(table, state)}
    assert finals == FINALS[name]
    # An applied revision stays in force: it need not end.
    assert all(reached(table, state) & finals for state in table)


@given(st.sampled_from(sorted(STATES)), st.lists(st.integers(0, 20), max_size=30))
def test_a_machine_goes_where_the_table_says(name: str, choices: list[int]) -> None:
    table = STATES[name]
    machine = Machine("it", table, next(iter(table)))
    for choice in choices:
        exits = list(table[machine.state].items())
        if not exits:
            break
        event, target = exits[choice % len(exits)]
        assert machine.can(event)
        assert machine.advance(event) is machine.state is target
    assert machine.final == is_final(table, machine.state)


def test_an_impossible_transition_tells_the_story() -> None:
    job = Machine("job 7", states.JOB, JobState.QUEUED)
    for event in ("placed", "started"):
        job.advance(event)
    assert not job.can("placed")
    with pytest.raises(ImpossibleTransition) as caught:
        job.advance("placed")
    story = str(caught.value)
    assert "job 7: 'placed' cannot happen in state" in story
    assert "possible: restart, paused, ended, failed, cancel" in story
    assert "queued --placed--> starting; starting --started--> running" in story
    assert job.state is JobState.RUNNING


def test_at_the_start_and_at_the_end_it_says_so() -> None:
    job = Machine("job 8", states.JOB, JobState.FINISHED)
    assert job.final
    with pytest.raises(ImpossibleTransition, match=r"none, it is final.*nothing yet"):
        job.advance("started")


def test_the_story_is_bounded() -> None:
    session = Machine("session", states.SESSION, SessionState.CONNECTED)
    for _ in range(1000):
        session.advance("authenticate")
    with pytest.raises(ImpossibleTransition) as caught:
        session.advance("fly")
    assert str(caught.value).count("-->") == 8
