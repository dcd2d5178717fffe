"""A gateway that goes away and comes back under its clients: `gateway.client.connection` and the account hold."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.client import Client, ConnectionState
from gateway.client import connection as connection_module
from gateway.main import running
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.settings import Settings, load
from tests.client.test_subscription import offsets, rows, take
from tests.fakes.worker_peer import WorkerPeer


def settings_for(folder: Path, port: int = 0) -> Settings:
    flags = {"port": port, "workers": 0, "data_dir": str(folder / "d"), "drain_seconds": 0.0}
    return load(flags=flags).settings


async def test_a_restarted_gateway_is_found_again_and_the_stream_goes_on(tmp_path: Path) -> None:
    states: asyncio.Queue[ConnectionState] = asyncio.Queue()
    async with running(settings_for(tmp_path)) as first:
        port, link, secret = first.port, first.link_url, first.shell.link_secret
        worker = WorkerPeer(link, secret)
        await worker.dial()
        client = await Client.connect(first.url, on_state=lambda state, _: states.put_nowait(state)).__aenter__()
        job = (await client.run("feed")).id
        subscription = await client.subscribe("feed").__aenter__()
        await worker.publish_and_wait(job, rows(1))
        assert offsets(await take(subscription, 1)) == [1]
        await worker.hang_up()
    async with running(settings_for(tmp_path, port)):
        async with asyncio.timeout(20):
            while await states.get() is not ConnectionState.RECONNECTING:
                pass
            while await states.get() is not ConnectionState.LIVE:
                pass
        # The gateway does not know the job's outputs until its worker has dialled in; the client asks until it does.
        assert [info.state for info in await client.list_jobs()] == ["restarting"]
        await worker.dial()
        await worker.publish_and_wait(job, rows(2))
        assert offsets(await take(subscription, 1)) == [2]
        await client.__aexit__(None, None, None)
        await worker.hang_up()


async def test_a_job_that_does_not_come_back_ends_its_subscriptions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "RESUBSCRIBE_SECONDS", 0.1)
    async with running(settings_for(tmp_path)) as first:
        port = first.port
        worker = WorkerPeer(first.link_url, first.shell.link_secret)
        await worker.dial()
        client = await Client.connect(first.url).__aenter__()
        await client.run("feed")
        subscription = await client.subscribe("feed").__aenter__()
        await worker.hang_up()
    async with running(settings_for(tmp_path / "other", port)):  # a gateway that does not know of it
        with pytest.raises(RivuletError) as gone:
            await take(subscription, 1)
        assert gone.value.code is ErrorCode.NOT_FOUND
        await client.__aexit__(None, None, None)
