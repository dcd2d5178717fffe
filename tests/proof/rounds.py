"""One round of the proof: a real gateway, jobs on a real worker that is killed again and again, clients that change."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gateway.client import Client, Gap, Publication
from gateway.main import RunningGateway, running
from gateway.protocol.link import stream_key
from gateway.protocol.types import Change, Position
from gateway.settings import load
from tests.proof.commands import Command, Known, some_command, wake
from tests.proof.model import OUTPUTS

JOBS = Path(__file__).with_name("jobs.py")
ROOT = JOBS.parents[2]
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Plan:
    """What a round is made of: each of `aims` ends one life of the worker, `(point, passing)`."""

    changes: int
    aims: tuple[tuple[str, int], ...]
    functions: tuple[str, ...] = ("passing", "counting")
    clients: int = 3
    seed: int = 1
    #: Between the commands of one client, at the mean.
    pause_seconds: float = 0.1
    #: A worker that does not come by its point for so long is killed wherever it is.
    patience_seconds: float = 30.0
    #: After so long it is enough, however many there were.
    most_seconds: float = 3600.0


@dataclass
class Record:
    """What was seen in a round."""

    streams: dict[tuple[str, str], list[Publication | Gap]] = field(default_factory=lambda: defaultdict(list))
    events: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    commands: list[Command] = field(default_factory=list)
    history: dict[str, list[Change]] = field(default_factory=dict)
    handed_over: list[dict[str, Any]] = field(default_factory=list)
    #: The points at which workers were killed.
    kills: list[str] = field(default_factory=list)
    #: Lives of a worker that ended otherwise than they should, and jobs that failed.
    accidents: list[str] = field(default_factory=list)


class Lives:
    """The lives of one worker, each but the last ended at its point."""

    def __init__(self, gateway: RunningGateway, data: Path, plan: Plan, record: Record) -> None:
        self._data, self._plan, self._record = data, plan, record
        self._url = gateway.link_url
        self._secret = (data / "link.secret").read_text().strip()
        self._process: asyncio.subprocess.Process | None = None
        self.begun, self.over = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Live on until cancelled."""
        enough = asyncio.get_running_loop().time() + self._plan.most_seconds
        for point, passing in self._plan.aims:
            if asyncio.get_running_loop().time() > enough:
                break
            told = self._notes("kills.jsonl")
            process = await self._start(f"{point}:{passing}")
            try:
                async with asyncio.timeout(self._plan.patience_seconds):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            code = process.returncode
            new = self._notes("kills.jsonl")[len(told) :]
            self._record.kills.append(new[0]["point"] if new else "anywhere")
            if code != KILLED:
                self._record.accidents.append(f"the worker ended with {code}: see {self._data}/worker.log")
        self.over.set()
        code = await (await self._start("")).wait()
        self._record.accidents.append(f"the last worker ended with {code}")

    async def _start(self, aim: str) -> asyncio.subprocess.Process:
        words = ["-m", "tests.proof.worker", "--gateway", self._url, "--worker", "proof", "--data", str(self._data)]
        more = {"RIVULET_LINK_SECRET": self._secret, "PROOF_AIM": aim, "PROOF_NOTES": str(self._data)}
        with (self._data / "worker.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, *words, "--functions", str(JOBS), "--conf", "spark.master=local[2]"),
                env={**os.environ, **more},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        return self._process

    async def end(self) -> None:
        """End the last one in peace."""
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(30):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
                self._record.accidents.append("the last worker did not end when it was told to")
        self._record.handed_over = self._notes("handed_over.jsonl")

    def _notes(self, name: str) -> list[dict[str, Any]]:
        file = self._data / name
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


class Round:
    """The clients of a round, and what they see."""

    def __init__(self, gateway: RunningGateway, lives: Lives, plan: Plan, record: Record) -> None:
        self._gateway, self._lives, self._plan, self._record = gateway, lives, plan, record
        self._known: dict[str, Known] = {}
        self._up: dict[str, asyncio.Event] = {}
        self._failed = asyncio.Event()
        self._ended: set[str] = set()
        self._issued = 0
        self._enough = asyncio.get_running_loop().time() + plan.most_seconds
        self._news = asyncio.Condition()

    async def run(self) -> None:
        """From the first job's start to the last one's end."""
        async with Client.connect(self._gateway.url, reply_timeout_seconds=60) as client:
            for function in self._plan.functions:
                await self._begin(client, function)
            watching = [asyncio.create_task(self._watch(name)) for name in self._plan.functions]
            chance = random.Random(self._plan.seed)
            async with asyncio.TaskGroup() as clients:
                for function in self._plan.functions:
                    for _ in range(self._plan.clients):
                        clients.create_task(self._steer(function, random.Random(chance.random())))
            for function in self._plan.functions:
                await self._finish(client, function)
            for each in watching:
                each.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            for function in self._plan.functions:
                self._record.history[function] = list(await client.history(function, 1000))

    async def _begin(self, client: Client, function: str) -> None:
        await self._lives.begun.wait()
        job = await client.run(function, name=function)
        in_force = await client.get_parameters(job.id)
        self._known[function] = Known(in_force.revision, in_force.values)
        self._up[function] = asyncio.Event()

    async def _finish(self, client: Client, function: str) -> None:
        """Have a last change applied and seen on every output; then stop."""
        while True:
            await self._up[function].wait()
            last = wake(function)
            last.values |= {"minimum": 0, "maximum": 99, "label": "last"}
            last.options["wait_applied"] = 60
            await self._send(last, client)
            if last.answer == "accepted" and last.state == "applied":
                break
            if last.answer not in ("unavailable", "change_rejected") and last.state != "superseded":
                self._record.accidents.append(f"{function}: the last change was {last.answer} {last.state}")
                break
        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(
                lambda: all(self._has(function, each, last.revision) for each in OUTPUTS[function])
            )
        job = await client.stop(function)
        streams = {each: self._gateway.shell.gateway.hub.get(stream_key(job.id, each)) for each in OUTPUTS[function]}
        held = {output: stream.position for output, stream in streams.items() if stream is not None}
        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(lambda: all(self._at(function, *each) for each in held.items()))
            await self._news.wait_for(lambda: function in self._ended)

    def _at(self, function: str, output: str, position: Position) -> bool:
        last = self._record.streams[function, output][-1]
        return (last.epoch, last.offset) == (position.epoch, position.offset)

    def _has(self, function: str, output: str, revision: int) -> bool:
        seen = self._record.streams[function, output]
        return bool(seen) and isinstance(seen[-1], Publication) and seen[-1].revision >= revision

    # ---- watching ----

    async def _watch(self, function: str) -> None:
        async with Client.connect(self._gateway.url) as client, asyncio.TaskGroup() as tasks:
            for output in OUTPUTS[function]:
                tasks.create_task(self._watch_output(client, function, output))
            tasks.create_task(self._watch_events(client, function))

    async def _watch_output(self, client: Client, function: str, output: str) -> None:
        async with client.subscribe(f"{function}/{output}", since="earliest", overflow="drop_oldest") as events:
            async for event in events:
                async with self._news:
                    self._record.streams[function, output].append(event)
                    self._news.notify_all()

    async def _watch_events(self, client: Client, function: str) -> None:
        async with client.subscribe(f"{function}/$events", since="earliest") as events:
            async for event in events:
                if isinstance(event, Gap):
                    self._record.accidents.append(f"{function}: events are missing: {event}")
                    continue
                for row in event.rows:
                    self._record.events[function].append(row)
                    if row["kind"] == "job":
                        self._job_is(function, row)
                async with self._news:
                    self._news.notify_all()

    def _job_is(self, function: str, row: dict[str, Any]) -> None:
        if row["state"] in ("running", "paused", "starting"):
            self._up[function].set()
        elif row["state"] in ("failed", "finished"):
            self._record.accidents.append(f"{function} has {row['state']}: {row['reason']}")
            self._failed.set()
            self._up[function].set()
        else:
            self._up[function].clear()
        if row["state"] in ("failed", "finished", "cancelled"):
            self._ended.add(function)

    # ---- steering ----

    async def _steer(self, function: str, chance: random.Random) -> None:
        async with Client.connect(self._gateway.url, reply_timeout_seconds=60) as client:
            while not self._lives.over.is_set() or (self._issued < self._plan.changes and not self._late()):
                with suppress(TimeoutError):
                    async with asyncio.timeout(chance.expovariate(1 / self._plan.pause_seconds)):
                        await self._failed.wait()
                await self._up[function].wait()
                if self._failed.is_set():
                    return
                burst = chance.choice([1, 1, 1, 1, 2, 4])
                known = self._known[function]
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(burst):
                        tasks.create_task(self._send(some_command(chance, function, known), client))
                if chance.random() < 0.7:
                    await self._next(function)

    async def _next(self, function: str) -> None:
        """Give the job the time for a micro-batch, where it takes one; changes alone would have it restart for ever."""
        stream = self._record.streams[function, OUTPUTS[function][0]]
        have = len(stream)
        with suppress(TimeoutError):
            async with asyncio.timeout(3), self._news:
                await self._news.wait_for(lambda: len(stream) > have)

    def _late(self) -> bool:
        return asyncio.get_running_loop().time() > self._enough

    async def _send(self, command: Command, client: Client) -> None:
        self._record.commands.append(command)
        await command.send(client)
        self._issued += command.answer not in ("unavailable", "")
        self._known[command.job].learn(command)


def _ignore() -> None:
    """Nobody waits for it."""


async def play(data: Path, plan: Plan) -> Record:
    """Play one round; `data` is empty."""
    record = Record()
    flags = {"port": 0, "data_dir": str(data), "drain_seconds": 0.0, "workers": 0, "history_publications": 20_000}
    told: dict[str, Callable[[], None]] = {}
    async with running(load(flags=flags).settings, on_event=lambda event: told.get(event.kind, _ignore)()) as gateway:
        table = gateway.shell.gateway.table
        table.rules = replace(table.rules, max_restarts=10**6)  # it is killed more often than a worker should die
        lives = Lives(gateway, data, plan, record)
        told["worker_ready"] = lives.begun.set
        living = asyncio.create_task(lives.run())
        try:
            playing = asyncio.create_task(Round(gateway, lives, plan, record).run())
            done, _ = await asyncio.wait({living, playing}, return_when=asyncio.FIRST_COMPLETED)
            if playing not in done:
                playing.cancel()
            await playing
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
            await lives.end()
    return record
