"""Local workers are real processes: started, watched, found again by another gateway, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from gateway.workers.local import LocalStarter, command
from gateway.workers.starter import WorkerSpec

SPEC = WorkerSpec("default-1", "default", "ws+unix:///nowhere", "the secret", "data", ("f.py",), {"spark.a": "b"}, 5.0)
#: Says that it is there and whether it knows the secret, then waits to be ended.
WAITING = "import os, signal, sys; print(os.environ['RIVULET_LINK_SECRET'], flush=True); signal.pause()"


def starter(data: Path, code: str) -> LocalStarter:
    return LocalStarter(data, lambda _spec: [sys.executable, "-c", code])


def test_the_command_line_says_all_but_the_secret() -> None:
    words = command(SPEC)
    assert words[:3] == [sys.executable, "-m", "streams.worker"]
    assert "the secret" not in " ".join(words)
    for expected in (
        ["--functions", "f.py"],
        ["--conf", "spark.a=b"],
        ["--worker", "default-1"],
        ["--grace-seconds", "5"],
    ):
        at = words.index(expected[0])
        assert words[at : at + 2] == expected


async def test_a_worker_is_started_with_the_secret_and_ended(tmp_path: Path) -> None:
    starting = starter(tmp_path, f"import sys; {WAITING}")
    worker = await starting.start(SPEC)
    worker.terminate()
    ended = await worker.exited()
    assert (ended.code, ended.will_not_help) == (-signal.SIGTERM, False)
    assert ended.reason == "killed by SIGTERM"
    worker.kill()  # of one that has ended: nothing happens


async def test_the_last_lines_tell_why_it_ended(tmp_path: Path) -> None:
    worker = await starter(tmp_path, "import sys; print('no Java here'); sys.exit(3)").start(SPEC)
    ended = await worker.exited()
    assert (ended.code, ended.will_not_help) == (3, True)
    assert ended.reason.endswith("no Java here")


async def test_a_real_worker_that_is_called_wrongly_says_so(tmp_path: Path) -> None:
    worker = await LocalStarter(tmp_path, lambda spec: [*command(spec), "--conf", "nonsense"]).start(SPEC)
    ended = await worker.exited()
    assert ended.will_not_help
    assert "nonsense" in ended.reason


async def test_a_worker_that_outlived_its_gateway_is_found_and_watched(tmp_path: Path) -> None:
    started = await starter(tmp_path, WAITING).start(SPEC)
    log = LocalStarter(tmp_path).log_of(SPEC.name)
    while not log.read_text():
        await asyncio.wait([asyncio.ensure_future(asyncio.to_thread(os.stat, log))])
    assert log.read_text().strip() == "the secret"
    found = LocalStarter(tmp_path).find(SPEC)
    assert found is not None
    assert found.pid == started.pid
    found.kill()
    assert (await found.exited()).code == -1
    assert (await started.exited()).code == -signal.SIGKILL
    assert LocalStarter(tmp_path).find(SPEC) is None


async def test_another_process_with_the_same_pid_is_not_taken_for_the_worker(tmp_path: Path) -> None:
    assert LocalStarter(tmp_path).find(SPEC) is None
    workers = tmp_path / "workers"
    workers.mkdir()
    for noted in (f'{{"pid":{os.getpid()},"started":1}}', "{}", "nonsense"):
        (workers / "default-1.json").write_text(noted)
        assert LocalStarter(tmp_path).find(SPEC) is None
