"""A real gateway; the load generator is its worker, and publishes over the real link."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from gateway.protocol.codec import encode
from gateway.protocol.frames import Publication
from gateway.protocol.link import LINK_PATH, Hello, JobReport, StreamReport
from gateway.protocol.types import FunctionInfo, FunctionKind, JobState, OutputInfo
from streams.publications import ipc
from tests.bench.servers.process import Running, free_port, start

ROOT = Path(__file__).parents[3]
JOB = "bench"
FIRST_OFFSET = 100_000
SIZES = (200, 2000)
SUBSCRIBE = '{"type":"subscribe","id":1,"sub":1,"stream":"bench"}'


def body(size: int) -> bytes:
    """One row in Arrow IPC, such that the `publication` frame that a subscriber gets has `size` bytes."""

    bare = Publication(
        sub=1,
        epoch="e1",
        offset=FIRST_OFFSET,
        revision=1,
        batch=FIRST_OFFSET,
        published_at=datetime(2026, 1, 1, 1, 1, 1, 123456, UTC),
        rows=[{"d": ""}],
    )
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"
    seed, text = 1, ""
    while len(text) < size - len(encode(bare)):
        seed = (seed * 1103515245 + 12345) % (1 << 32)
        text += letters[seed >> 16 & 63]
    return ipc(pa.table({"d": [text]}))


def hello() -> bytes:
    """What the worker says of itself: it runs one job with one output, at `FIRST_OFFSET`."""
    outputs = (OutputInfo("rows"),)
    now = datetime.now(UTC)
    report = JobReport(
        job=JOB,
        name=JOB,
        function=JOB,
        state=JobState.RUNNING,
        kind=FunctionKind.STREAM,
        outputs=outputs,
        revision=1,
        values={},
        schema={"type": "object"},
        streams=(StreamReport("rows", "e1", FIRST_OFFSET, FIRST_OFFSET + 1),),
        principal="bench",
        tenant="default",
        created_at=now,
        started_at=now,
    )
    return encode(
        Hello(
            worker="bench-1",
            context="default",
            pid=1,
            host="here",
            python_version="3",
            spark_version="none",
            java_version="none",
            functions=(FunctionInfo(name=JOB, kind=FunctionKind.STREAM, outputs=outputs, parameters={}),),
            jobs=(report,),
        )
    )


def rivulet(folder: Path, cpu: int) -> Running:
    """A gateway without workers of its own, at its default settings."""
    port = free_port()
    command = [sys.executable, "-m", "gateway.cli", "serve", "--workers", 0, "--port", port, "--data-dir", folder]
    running = start(
        [*command, "--log-level", "warning"], folder, cpu=cpu, ports=(port,), PYTHONPATH=str(ROOT), PYTHONSAFEPATH="1"
    )
    (folder / "hello.json").write_bytes(hello())
    bodies = {size: folder / f"body-{size}" for size in SIZES}
    for size, file in bodies.items():
        file.write_bytes(body(size))
    running.generator = {
        "port": port,
        "path": "/ws",
        "kind": "rivulet",
        "subprotocol": "rivulet.v1.json",
        "subscribe": SUBSCRIBE,
        "door": "link",
        "door_unix": folder / "link.sock",
        "door_path": LINK_PATH,
        "secret": (folder / "link.secret").read_text().strip(),
        "hello": folder / "hello.json",
        "job": JOB,
        "body": bodies,
    }
    return running
