"""The README and the first documents, word by word: their commands in a shell, their programs as they stand."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.cli.conftest import environment
from tests.documents import ROOT, Block, block, blocks, commands

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


@dataclass
class Reader:
    """Somebody who follows a document in a folder of their own; only the port is not 8080, which may be taken."""

    folder: Path
    port: int = field(default_factory=free_port)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "rivulet").symlink_to(ROOT / "rivulet")

    @property
    def environment(self) -> dict[str, str]:
        more = {
            "RIVULET_PORT": str(self.port),
            "RIVULET_GATEWAY": f"http://127.0.0.1:{self.port}",
            "RIVULET_VENV": sys.prefix,
        }
        clean = environment(**more)
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "PYTHONPATH"):
            clean.pop(name, None)
        return clean

    def save(self, program: Block) -> Path:
        path = self.folder / program.name
        path.write_text(program.text.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}"))
        return path

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done

    def start(self, command: str, ready: str) -> subprocess.Popen[str]:
        """Start what goes on until Ctrl-C, and wait for its line that begins with `ready`."""
        process = self.spawn(command)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(ready):
                return process
        pytest.fail(f"{command} ended with {process.wait()}")

    def spawn(self, command: str) -> subprocess.Popen[str]:
        words = ["/bin/sh", "-c", f"exec {command}"]
        process = subprocess.Popen(words, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True)
        self.started.append(process)
        return process

    def stop(self, process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0

    def leave(self) -> None:
        """Whatever went wrong, nothing goes on running."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.leave()


def test_a_job_of_ones_own_is_short() -> None:
    code = [line for line in block("README.md", "my_job.py").text.splitlines() if line]
    assert len(code) < 20


def test_the_commands_of_the_readme(reader: Reader) -> None:
    reader.save(block("README.md", "my_job.py"))
    gateway = reader.start(block("README.md", "serve").text.strip(), "Ready: ")
    lines = commands("README.md")
    assert lines[:2] == ["./rivulet demo", "./rivulet test"]  # the first is tested below, the second is what runs this
    outputs: dict[str, str] = {}
    for line in lines[2:]:
        if line.startswith("./rivulet stop"):
            check_program(reader)
            check_frames(reader)
        outputs[line] = reader.run(line).stdout
    assert "height" in outputs["./rivulet functions wave"]
    assert outputs["./rivulet run wave"].startswith("wave is ")
    publications = [json.loads(line) for line in outputs["./rivulet tail wave --count 3"].splitlines()]
    assert len(publications) == 3
    assert outputs["./rivulet set wave height=5"].startswith("revision 2 applied at batch ")
    assert "5" in outputs["./rivulet get wave"]
    assert outputs["./rivulet stop wave"] == "wave is cancelled\n"
    reader.stop(gateway)


def check_program(reader: Reader) -> None:
    program = reader.save(block("README.md", "steer.py"))
    ran = reader.run(f"{sys.executable} {program.name}").stdout
    assert ran.startswith("revision 3 holds from batch ")
    assert "'height'" in ran


def check_frames(reader: Reader) -> None:
    (frames,) = [each.text.splitlines() for each in blocks("README.md") if each.language == "json"]
    answers: dict[int, str] = {}
    with connect(f"ws://127.0.0.1:{reader.port}/ws") as websocket:
        for frame in frames:
            websocket.send(frame)
        while len(answers) < len(frames):
            answer = json.loads(websocket.recv(timeout=30))
            if "id" in answer:
                answers[answer["id"]] = answer["type"]
    assert list(dict(sorted(answers.items())).values()) == ["subscribed", "parameters_accepted", "parameters", "jobs"]


def test_the_commands_of_getting_started(reader: Reader) -> None:
    assert commands("README.md")[0] == block("docs/getting-started.md", "demo").text.strip()
    demo = reader.start(commands("README.md")[0], "The dashboard: ")
    for line in commands("docs/getting-started.md"):
        assert reader.run(line).stdout
    check_client(reader)
    check_http(reader)
    reader.stop(demo)


def check_client(reader: Reader) -> None:
    told: dict[str, str] = {}
    for program in blocks("docs/python-client.md"):
        told[program.name] = reader.run(f"{sys.executable} {reader.save(program).name}").stdout
    assert "revision 2 holds from batch" in told["client.py"]
    assert "modulus" in told["client.py"]
    assert "now all columns: [" in told["shape.py"]
    assert told["by_hand.py"].count("the newest, standing for ") == 2
    assert "metric: string" in told["table.py"]


def check_http(reader: Reader) -> None:
    if shutil.which("curl") is None:
        return
    for line in commands("docs/http.md"):
        if "/latest" in line:
            there = line.replace("127.0.0.1:8080", f"127.0.0.1:{reader.port}").replace("curl", "curl -sS --fail", 1)
            assert "cpu0" in reader.run(there).stdout


def test_the_processes_of_the_procfile_find_each_other(reader: Reader) -> None:
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    assert list(lines) == ["web", "worker"]
    worker = reader.spawn(lines["worker"])
    web = reader.start(lines["web"].replace("${PORT:-8080}", str(reader.port)), "Ready: worker ")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0
    reader.stop(web)


def test_ci_runs_what_the_readme_names() -> None:
    assert "./rivulet test" in (ROOT / ".ci/run").read_text()
    assert os.access(ROOT / "rivulet", os.X_OK)
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert shutil.which("sh")
