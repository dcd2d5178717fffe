"""What the tests of changes look at."""

from __future__ import annotations

from gateway.protocol.link import Done, JobChanged, ParametersChanged
from gateway.protocol.types import Values
from tests.fakes.gateway_peer import GatewayPeer, Publication


def assert_end_to_end(publications: list[Publication]) -> None:
    """One epoch, offsets and batches without a hole or a repeat, revisions that only grow."""
    assert len({one.head.epoch for one in publications}) == 1
    assert [one.head.offset for one in publications] == list(range(1, len(publications) + 1))
    assert [one.head.batch for one in publications] == list(range(len(publications)))
    revisions = [one.head.revision for one in publications]
    assert revisions == sorted(revisions)


def states(peer: GatewayPeer, revision: int) -> list[str]:
    return [str(change.state) for change in peer.all(ParametersChanged, revision=revision)]


def job_states(peer: GatewayPeer) -> list[str]:
    return [str(change.state) for change in peer.all(JobChanged)]


async def more(peer: GatewayPeer, output: str, count: int = 1) -> list[Publication]:
    have = len(peer.streams[f"job-1/{output}"])
    return await peer.published("job-1", output, lambda got: len(got) >= have + count)


async def under(peer: GatewayPeer, output: str, revision: int) -> list[Publication]:
    return await peer.published("job-1", output, lambda got: got and got[-1].head.revision >= revision)


async def started(peer: GatewayPeer, function: str, values: Values | None = None) -> Values:
    done = await peer.start_job(function, values=values)
    assert isinstance(done, Done), done
    assert done.job is not None
    return done.job.values
