"""Demand: windows that follow the consumer, requests by hand, and what is granted on the next socket."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client import AccountViolation, Client, Overflowed, Publication
from gateway.client.demand import WINDOW, WINDOW_REPLACING, Demand, Grants
from gateway.main import RunningGateway
from gateway.protocol.types import Overflow, Position
from tests.client.script import WELCOME, ScriptedGateway, publication
from tests.client.test_subscription import abort_all, offsets, rows, take
from tests.fakes.worker_peer import WorkerPeer

# ---- counting ----


@given(st.integers(1, 20), st.lists(st.sampled_from(["arrive", "take", "grant", "lose", "wider", "narrower"])))
def test_what_is_granted_waits_and_is_owed_comes_to_the_window(window: int, steps: list[str]) -> None:
    demand = Demand(window)
    demand.begin()
    for step in steps:
        if step == "arrive" and demand.outstanding:
            assert demand.arrived()
        elif step == "take" and demand.waiting:
            demand.taken()
        elif step == "grant" and demand.due:
            assert demand.grant() * 2 >= demand.window
        elif step == "lose":
            assert demand.begin() == demand.outstanding
        elif step in ("wider", "narrower"):
            demand.change(max(1, demand.window + (3 if step == "wider" else -3)), Overflow.DROP_OLDEST)
        assert demand.outstanding + demand.waiting + demand.owed == demand.window
        assert demand.outstanding >= 0


def test_it_grants_again_when_half_is_taken() -> None:
    demand = Demand(8)
    assert demand.begin() == 8
    granted = []
    for _ in range(8):
        assert demand.arrived()
        demand.taken()
        if demand.due:
            granted.append(demand.grant())
    assert granted == [4, 4]


def test_a_window_fits_the_policy_unless_it_was_given() -> None:
    fitting = Demand(None)
    assert fitting.begin() == WINDOW_REPLACING  # before the gateway has said which policy it is
    fitting.fit(Overflow.DROP_OLDEST)
    assert (fitting.window, fitting.due, fitting.grant()) == (WINDOW, True, WINDOW - WINDOW_REPLACING)
    fitting.fit(Overflow.LATEST)
    assert (fitting.window, fitting.due) == (WINDOW_REPLACING, False)
    given_one = Demand(5)
    given_one.fit(Overflow.LATEST)
    assert given_one.window == 5


def test_by_hand_nothing_is_granted_but_what_is_requested() -> None:
    demand = Demand(0)
    assert (demand.begin(), demand.due) == (0, False)
    demand.request(2)
    demand.request(1)
    assert (demand.due, demand.grant()) == (True, 3)
    assert demand.arrived()
    demand.taken()
    assert (demand.due, demand.outstanding) == (False, 2)


def test_what_was_not_asked_for_is_told() -> None:
    demand = Demand(1)
    demand.begin()
    assert demand.arrived()
    assert not demand.arrived()


def test_requests_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="credit=0"):
        Demand(4).request(1)
    with pytest.raises(ValueError, match="at least 1"):
        Demand(0).request(0)
    with pytest.raises(ValueError, match="not -1"):
        Client.connect("http://127.0.0.1:1").subscribe("a", credit=-1)


async def test_grants_are_sent_one_for_each_subscription_and_leave_commands_to_others() -> None:
    sent: asyncio.Queue[tuple[int, float]] = asyncio.Queue()
    clock = asyncio.get_running_loop().time

    async def send(sub: int) -> None:
        sent.put_nowait((sub, clock()))

    grants = Grants(send)
    task = asyncio.create_task(grants.run(max_commands_per_second=20))
    await asyncio.sleep(0)  # it begins with nothing due
    for sub in (1, 2, 1, 2):
        grants.due(sub)
    async with asyncio.timeout(10):
        (first, at), (second, later) = await sent.get(), await sent.get()
    assert (first, second, sent.empty()) == (1, 2, True)
    assert later - at > 0.09  # half of 20 a second
    task.cancel()
    await asyncio.wait([task])


# ---- against the real gateway ----


async def test_a_slow_consumer_holds_back_by_credit_and_replies_keep_coming(
    client: Client, worker: WorkerPeer, job: str
) -> None:
    async with client.subscribe("feed", credit=2, overflow="drop_oldest") as subscription:
        for n in range(1, 41):
            await worker.publish_and_wait(job, rows(n))
        assert await client.ping() < 10
        assert len(subscription._events) <= 2
        assert offsets(await take(subscription, 40)) == list(range(1, 41))


async def test_a_slow_consumer_of_the_latest_gets_the_latest(client: Client, worker: WorkerPeer, job: str) -> None:
    async with client.subscribe("feed", credit=1, overflow="latest") as subscription:
        for n in range(1, 21):
            await worker.publish_and_wait(job, rows(n))
        first, second = await take(subscription, 2)
    assert (first.offset, second.first_offset, second.offset) == (1, 2, 20)
    assert isinstance(second, Publication)
    assert (second.rows, second.rows_in) == (rows(20), 19)


async def test_by_hand(client: Client, worker: WorkerPeer, job: str) -> None:
    async with client.subscribe("feed", credit=0, overflow="drop_oldest") as subscription:
        for n in range(1, 6):
            await worker.publish_and_wait(job, rows(n))
        await client.ping()
        assert not subscription._events
        subscription.request(2)
        assert offsets(await take(subscription, 2)) == [1, 2]
        await client.ping()
        assert not subscription._events
        subscription.request(1)
        subscription.request(2)
        assert offsets(await take(subscription, 3)) == [3, 4, 5]


async def test_demand_survives_a_lost_connection(
    gateway: RunningGateway, client: Client, worker: WorkerPeer, job: str
) -> None:
    async with client.subscribe("feed", credit=3, overflow="drop_oldest") as subscription:
        for n in range(1, 11):
            await worker.publish_and_wait(job, rows(n))
        await client.ping()
        abort_all(gateway)
        for n in range(11, 21):
            await worker.publish_and_wait(job, rows(n))
        assert offsets(await take(subscription, 20)) == list(range(1, 21))
        assert len(subscription._events) == 0


async def test_block_makes_the_worker_wait_for_the_consumer(client: Client, worker: WorkerPeer, job: str) -> None:
    async with client.subscribe("feed", credit=2, overflow="block") as subscription:
        for n in range(1, 6):
            await worker.publish(job, rows(n))
        await client.ping()
        assert worker.received.get(job, 0) <= 2
        assert offsets(await take(subscription, 5)) == [1, 2, 3, 4, 5]
        await worker.until(lambda: worker.received.get(job, 0) == 5)


# ---- against one that breaks its promises, or has reason to tell something ----


async def test_more_than_was_granted_is_a_violation(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output", credit=2) as subscription:
        command = await scripted.command("subscribe")
        assert command["credit"] == 2
        await scripted.send(await scripted.socket(), *(publication(n, sub=command["sub"]) for n in (1, 2, 3)))
        assert offsets(await take(subscription, 2)) == [1, 2]
        with pytest.raises(AccountViolation, match="more publications came than were asked for"):
            await take(subscription, 1)


async def test_grants_go_out_as_the_consumer_takes(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output", credit=4) as subscription:
        sub = (await scripted.command("subscribe"))["sub"]
        await scripted.send(await scripted.socket(), *(publication(n, sub=sub) for n in range(1, 5)))
        await take(subscription, 2)
        request = await scripted.command("request")
        assert (request["sub"], request["n"]) == (sub, 2)


async def test_what_was_taken_meanwhile_is_in_the_next_subscribe(scripted: ScriptedGateway) -> None:
    scripted.welcome = {**WELCOME, "limits": {**WELCOME["limits"], "max_commands_per_second": 1}}
    async with Client.connect(scripted.url) as client, client.subscribe("job/output", credit=4) as subscription:
        sub = (await scripted.command("subscribe"))["sub"]
        socket = await scripted.socket()
        await scripted.send(socket, *(publication(n, sub=sub) for n in range(1, 4)))
        await take(subscription, 1)
        await socket.close(1012)
        again = await scripted.command("subscribe")
        assert again["since"] == {"epoch": "e1", "offset": 3}
        assert again["credit"] == 2  # of four, two wait here


async def test_the_policy_end_raises_and_tells_where_it_stood(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output", overflow="end") as subscription:
        command = await scripted.command("subscribe")
        reason = "overflow: 3 publications from 2 on were dropped"
        ended = {"type": "subscription_ended", "sub": command["sub"], "reason": reason, "last_offset": 1}
        await scripted.send(await scripted.socket(), publication(1, sub=command["sub"]), ended)
        assert offsets(await take(subscription, 1)) == [1]
        with pytest.raises(Overflowed, match="3 publications") as overflowed:
            await take(subscription, 1)
        assert overflowed.value.position == Position("e1", 1)


async def test_a_degraded_subscription_says_so_and_stays_so(
    scripted: ScriptedGateway, caplog: pytest.LogCaptureFixture
) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output", overflow="block") as subscription:
        command = await scripted.command("subscribe")
        assert command["overflow"] == "block"
        socket = await scripted.socket()
        why = "it held the job back for 30 s"
        degraded = {"type": "subscription_degraded", "sub": command["sub"], "overflow": "drop_oldest", "reason": why}
        await scripted.send(socket, degraded, publication(1, sub=command["sub"]))
        await take(subscription, 1)
        assert subscription.degraded == why
        assert subscription.subscribed is not None
        assert subscription.subscribed.overflow is Overflow.DROP_OLDEST
        assert why in caplog.text
        await socket.close(1012)
        assert (await scripted.command("subscribe"))["overflow"] == "drop_oldest"
