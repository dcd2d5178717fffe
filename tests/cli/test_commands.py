"""The commands of `gateway.cli.jobs` and its neighbours, word by word, against a real gateway with real Spark."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.cli.exits import Exit
from tests.cli.conftest import Demo, command, environment, rivulet

pytestmark = pytest.mark.spark


def test_functions(demo: Demo) -> None:
    listed = demo.rivulet("functions")
    assert listed.returncode == Exit.OK
    assert "host_metrics" in listed.stdout
    one = demo.rivulet("functions", "host_metrics")
    assert "threshold" in one.stdout
    found = json.loads(demo.rivulet("functions", "--json").stdout)
    assert {"host_metrics", "word_count"} <= {function["name"] for function in found}
    missing = demo.rivulet("functions", "host")
    assert missing.returncode == Exit.FAILED
    assert "host_metrics" in missing.stderr


def test_jobs(demo: Demo) -> None:
    listed = demo.rivulet("jobs", "--state", "starting", "--state", "running")
    assert listed.returncode == Exit.OK
    assert "word_count" in listed.stdout
    found = json.loads(demo.rivulet("jobs", "--json", "--function", "host_metrics").stdout)
    assert [job["name"] for job in found] == ["host_metrics"]
    wrong = demo.rivulet("jobs", "--state", "sleeping")
    assert wrong.returncode == Exit.USAGE
    assert "running" in wrong.stderr


def test_set_waits_until_the_change_is_applied(demo: Demo) -> None:
    before = json.loads(demo.rivulet("get", "host_metrics", "--json").stdout)
    set_ = demo.rivulet("set", "host_metrics", "threshold=2.5", "--json", "--if-revision", str(before["revision"]))
    assert set_.returncode == Exit.OK, set_.stderr
    change = json.loads(set_.stdout)
    assert change["revision"] == before["revision"] + 1
    assert demo.rivulet("get", "host_metrics", "threshold").stdout == "2.5\n"

    # The stream itself tells the same: the batch named is the first one computed under the revision.
    words = ("--since", "earliest", "--overflow", "drop_oldest", "--count", str(change["batch"] + 1))
    tailed = demo.rivulet("tail", "host_metrics/metrics", *words)
    revisions = {line["batch"]: line["revision"] for line in map(json.loads, tailed.stdout.splitlines())}
    assert revisions[change["batch"]] == change["revision"]
    assert all(revision < change["revision"] for batch, revision in revisions.items() if batch < change["batch"])

    same = demo.rivulet("set", "host_metrics", "threshold=2.5")
    assert same.stdout == f"revision {change['revision']} applied at batch {change['batch']}\n"


def test_set_that_is_refused_names_every_fault(demo: Demo) -> None:
    refused = demo.rivulet("set", "host_metrics", "threshold=99", "treshold=1", "metrics=cpu,moon")
    assert refused.returncode == Exit.FAILED
    assert "3 faults" in refused.stderr
    for name in ("threshold: ", "treshold: ", "metrics[1]: "):
        assert f"\n  {name}" in refused.stderr
    stale = demo.rivulet("set", "host_metrics", "threshold=2", "--if-revision", "0")
    assert stale.returncode == Exit.FAILED
    assert "revision" in stale.stderr


def test_set_without_waiting(demo: Demo) -> None:
    set_ = demo.rivulet("set", "word_count", "top=5", "--no-wait")
    assert set_.returncode == Exit.OK
    assert set_.stdout == "revision 2 accepted\n"


def test_set_on_trial_and_for_a_time(demo: Demo) -> None:
    before = json.loads(demo.rivulet("get", "word_count", "--json").stdout)
    tried = demo.rivulet("set", "word_count", "top=6", "--dry-run")
    assert tried.stdout == "would change top=6, effect: live\n"
    assert demo.rivulet("set", "word_count", "tpo=6", "--dry-run").returncode == Exit.FAILED
    assert json.loads(demo.rivulet("get", "word_count", "--json").stdout) == before
    held = demo.rivulet("set", "word_count", "top=6", "--ttl", "3600", "--json")
    assert json.loads(held.stdout)["revision"] == before["revision"] + 1
    # A change for a time, and only that, can be made to stay.
    kept = demo.rivulet("set", "word_count", "top=6", "--json")
    assert json.loads(kept.stdout)["revision"] == before["revision"] + 2
    again = demo.rivulet("set", "word_count", "top=6", "--json")
    assert json.loads(again.stdout)["revision"] == before["revision"] + 2


def test_get(demo: Demo) -> None:
    listed = demo.rivulet("get", "host_metrics")
    assert "threshold" in listed.stdout
    assert "0.5 to 8" in listed.stdout
    assert "6 to 3600 s" in listed.stdout
    effects = {words[0]: words for words in map(str.split, listed.stdout.splitlines()) if words}
    assert "live" in effects["threshold"]
    assert "restart" in effects["$paused"]
    missing = demo.rivulet("get", "host_metrics", "nothing")
    assert missing.returncode == Exit.FAILED
    assert "there is: threshold" in missing.stderr
    assert demo.rivulet("get", "nobody").returncode == Exit.FAILED


def test_tail_gives_a_json_line_for_each_publication(demo: Demo) -> None:
    tailed = demo.rivulet("tail", "host_metrics/metrics", "--count", "2", "--jsonl")
    assert tailed.returncode == Exit.OK
    first, second = map(json.loads, tailed.stdout.splitlines())
    assert second["offset"] == first["offset"] + 1
    assert "memory" in {row["kind"] for row in first["rows"]}
    # From a position, what followed it comes first.
    since = f"{first['epoch']}:{first['offset']}"
    one_by_one = ("--overflow", "drop_oldest")
    again = demo.rivulet("tail", "host_metrics/metrics", "--count", "1", "--since", since, *one_by_one)
    assert json.loads(again.stdout) == second
    # By default what waited comes as one: in update mode the newest row for every key.
    merged = json.loads(demo.rivulet("tail", "host_metrics/metrics", "--count", "1", "--since", since).stdout)
    assert merged.get("from", merged["offset"]) == second["offset"]


def test_tail_takes_conditions_columns_and_a_pace(demo: Demo) -> None:
    words = ("--where", "kind=memory", "--select", "metric,kind", "--every", "200ms", "--overflow", "drop_oldest")
    tailed = demo.rivulet("tail", "host_metrics/metrics", "--since", "earliest", "--count", "2", *words)
    assert tailed.returncode == Exit.OK, tailed.stderr
    lines = [json.loads(line) for line in tailed.stdout.splitlines()]
    assert {row["kind"] for line in lines for row in line["rows"]} == {"memory"}
    assert all(list(row) == ["metric", "kind"] for line in lines for row in line["rows"])
    assert lines[0]["rows_in"] > len(lines[0]["rows"])
    unknown = demo.rivulet("tail", "host_metrics/metrics", "--where", "kynd=memory")
    assert unknown.returncode == Exit.FAILED
    assert "where[0][0]" in unknown.stderr
    wrong = demo.rivulet("tail", "host_metrics/metrics", "--where", "memory")
    assert wrong.returncode == Exit.USAGE
    assert "cpu>90" in wrong.stderr


def test_conformance_of_a_gateway_with_spark(demo: Demo) -> None:
    """gateway.cli.conformance, and what it leaves as it was."""
    before = demo.rivulet("jobs", "--json").stdout
    tried = demo.rivulet("conformance", demo.url, timeout=180)
    assert tried.returncode == Exit.OK, tried.stdout + tried.stderr
    assert "welcome-first" in tried.stdout
    assert " pass" in tried.stderr
    assert [job["id"] for job in json.loads(before)] == [
        job["id"] for job in json.loads(demo.rivulet("jobs", "--json").stdout)
    ]
    some = demo.rivulet("conformance", demo.url, "--only", "credit-adds", "--json")
    assert [(each["id"], each["result"]) for each in json.loads(some.stdout)] == [("credit-adds-up", "pass")]
    failed = demo.rivulet("conformance", demo.url, "--stream", "nothing/of-this-name", "--only", "credit-zero")
    assert failed.returncode == Exit.FAILED
    assert "was refused" in failed.stdout
    wrong = demo.rivulet("conformance", demo.url, "--only", "nothing")
    assert wrong.returncode == Exit.USAGE
    assert "credit-zero" in wrong.stderr


def test_tail_on_a_terminal_is_a_table(demo: Demo) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        words = command(["tail", "host_metrics/metrics", "--count", "1"])
        with subprocess.Popen(words, env=environment(RIVULET_GATEWAY=demo.url), stdout=theirs, stderr=theirs) as tail:
            os.close(theirs)
            painted = b""
            with suppress(OSError):  # what a terminal gives when nobody writes to it any more (EIO)
                while data := terminal.read(4096):
                    painted += data
    assert tail.returncode == Exit.OK
    for part in (b"waiting for host_metrics/metrics", b"metric", b"memory", "· revision ".encode()):
        assert part in painted


def test_tail_that_cannot_be(demo: Demo) -> None:
    assert demo.rivulet("tail", "host_metrics/nothing").returncode == Exit.FAILED
    wrong = demo.rivulet("tail", "host_metrics/metrics", "--since", "yesterday")
    assert wrong.returncode == Exit.USAGE
    assert "EPOCH:OFFSET" in wrong.stderr


def test_ctrl_c_leaves_tail_without_a_fuss(demo: Demo) -> None:
    words = command(["tail", "host_metrics/metrics"])
    with subprocess.Popen(
        words, env=environment(RIVULET_GATEWAY=demo.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tail:
        assert tail.stdout is not None
        assert json.loads(tail.stdout.readline())["type"] == "publication"
        tail.send_signal(signal.SIGINT)
        _, told = tail.communicate(timeout=20)
    assert (tail.returncode, told) == (Exit.OK, "")


def test_run_and_stop(demo: Demo) -> None:
    started = demo.rivulet("run", "rate", "rows_per_second=10", "--name", "slow", "--external-id", "x", "--json")
    assert started.returncode == Exit.OK, started.stderr
    assert json.loads(started.stdout)["values"]["rows_per_second"] == 10
    assert demo.rivulet("tail", "slow", "--since", "earliest", "--count", "1").returncode == Exit.OK
    stopped = demo.rivulet("stop", "slow")
    assert (stopped.returncode, stopped.stdout) == (Exit.OK, "slow is cancelled\n")
    # What a job has published can still be seen, and its end is told.
    for stream in ("slow", "slow/$events"):
        tailed = demo.rivulet("tail", stream, "--since", "earliest")
        assert tailed.returncode == Exit.FAILED
        assert tailed.stdout
        assert tailed.stderr.endswith("slow is cancelled\n")
    assert demo.rivulet("tail", "slow").stdout == ""


def test_ctrl_c_leaves_what_was_followed_running(demo: Demo) -> None:
    words = command(["run", "rate", "--name", "stays", "--follow"])
    with subprocess.Popen(
        words, env=environment(RIVULET_GATEWAY=demo.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert json.loads(run.stdout.readline())["type"] == "publication"
        run.send_signal(signal.SIGINT)
        _, told = run.communicate(timeout=20)
    assert (run.returncode, told) == (Exit.OK, "stays goes on; stop it with: rivulet stop stays\n")
    assert demo.rivulet("stop", "stays").returncode == Exit.OK


def test_ctrl_c_while_waiting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        words = command(["jobs", "--gateway", f"http://127.0.0.1:{silent.getsockname()[1]}"])
        waiting = subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, text=True)
        with waiting, silent.accept()[0] as accepted:
            accepted.recv(1)  # it has sent its handshake, and will get no answer
            waiting.send_signal(signal.SIGINT)
            _, told = waiting.communicate(timeout=20)
    assert (waiting.returncode, told) == (Exit.INTERRUPTED, "")


def test_run_that_is_refused(demo: Demo) -> None:
    refused = demo.rivulet("run", "word_count", "folder=/nowhere/at/all")
    assert refused.returncode == Exit.FAILED
    assert refused.stderr.startswith("rivulet: folder: there is no folder")
    assert demo.rivulet("run", "nothing").returncode == Exit.FAILED


def test_run_follow_shows_the_result_of_a_batch_job(demo: Demo) -> None:
    followed = demo.rivulet("run", "pi", "--follow")
    assert followed.returncode == Exit.OK, followed.stderr
    publications = [json.loads(line) for line in followed.stdout.splitlines()]
    assert len(publications) == 1
    assert followed.stderr.endswith("pi is finished\n")


@pytest.mark.parametrize("words", [("jobs",), ("functions",), ("tail", "a/b"), ("set", "a", "b=1"), ("run", "pi")])
def test_nobody_answers(words: tuple[str, ...]) -> None:
    refused = rivulet(*words, "--gateway", "http://127.0.0.1:1")
    assert refused.returncode == Exit.UNREACHABLE
    assert "no gateway answers at http://127.0.0.1:1" in refused.stderr
    assert "rivulet serve" in refused.stderr


def test_an_address_that_is_none() -> None:
    refused = rivulet("jobs", "--gateway", "ftp://x")
    assert refused.returncode == Exit.FAILED
    assert "no address of a gateway" in refused.stderr


def test_a_second_gateway_on_the_same_port_is_refused(demo: Demo, tmp_path: Path) -> None:
    port = demo.url.rpartition(":")[2]
    refused = rivulet("serve", "--port", port, "--data-dir", str(tmp_path))
    assert refused.returncode == Exit.USAGE
    assert "choose another --port" in refused.stderr
