"""`streams.jobs` and `streams.runner` in this process, on the run's Spark: what needs no worker of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from gateway.protocol.codec import decode_from_worker
from gateway.protocol.link import (
    Done,
    Failed,
    FromWorker,
    JobChanged,
    ParametersChanged,
    SetJobParameters,
    StartJob,
    StopJob,
)
from gateway.protocol.types import JobState, StopMode
from streams.discovery import discover
from streams.jobs import KEPT_ENDED_JOBS, Jobs
from streams.live import ParameterServer
from streams.outbox import Outbox
from streams.runner import Surroundings

pytestmark = pytest.mark.spark
FUNCTIONS = discover([str(Path(__file__).with_name("jobs.py"))])


class Desk:
    """Jobs, and the control frames that they send."""

    def __init__(self, spark: SparkSession, server: ParameterServer, data: Path) -> None:
        self.news = threading.Condition()
        self.frames: list[FromWorker] = []
        self.driver_is_lost = threading.Event()
        self.asked_for_driver = threading.Event()
        self.outbox = Outbox(self._wake)
        self.outbox.connected()
        around = Surroundings(spark, self.outbox, server, lambda call, after_seconds: None, self._driver_lost)
        self.jobs = Jobs(FUNCTIONS, data, around, self.outbox)

    def _driver_lost(self) -> bool:
        self.asked_for_driver.set()
        return self.driver_is_lost.is_set()

    def _wake(self) -> None:
        with self.news:
            while (upcoming := self.outbox.next()) is not None:
                frame, text = upcoming
                if text:
                    self.frames.append(decode_from_worker(frame))
            self.news.notify_all()

    def start(self, function: str, job: str = "j") -> FromWorker:
        at = datetime.now(UTC)
        self.jobs.serve(
            StartJob(
                request=1,
                job=job,
                name=job,
                function=function,
                values={},
                principal="p",
                tenant="t",
                created_at=at,
            )
        )
        return self.frames[-1]

    def until(self, found: Callable[[FromWorker], bool]) -> FromWorker:
        with self.news:
            assert self.news.wait_for(lambda: any(map(found, self.frames)), 60)
            return next(frame for frame in self.frames if found(frame))

    def ended(self, job: str) -> JobChanged:
        frame = self.until(
            lambda frame: isinstance(frame, JobChanged) and frame.job == job and frame.state != "running"
        )
        assert isinstance(frame, JobChanged)
        return frame


@pytest.fixture
def desk(spark: SparkSession, parameter_server: ParameterServer, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(spark, parameter_server, tmp_path)
    yield desk
    desk.jobs.shutdown()


def test_what_cannot_be_started(desk: Desk) -> None:
    for function, job, code, said in (
        ("nothing_like_it", "j", "not_found", "there are: "),
        ("totl", "j", "not_found", "did you mean 'total'?"),
        ("total", "../j", "internal", "a job's id has letters"),
    ):
        refused = desk.start(function, job)
        assert isinstance(refused, Failed)
        assert (refused.code, said in refused.detail) == (code, True)
    assert desk.jobs.reports() == ()


def test_requests_for_a_job_that_is_not_there(desk: Desk) -> None:
    for request in (
        StopJob(request=2, job="gone", mode=StopMode.NOW),
        SetJobParameters(request=3, job="gone", values={}, by="p"),
    ):
        desk.jobs.serve(request)
        refused = desk.frames[-1]
        assert isinstance(refused, Failed)
        assert (refused.request, refused.code) == (request.request, "not_found")


def test_a_batch_job_that_starts_again_has_the_same_numbers(desk: Desk) -> None:
    first = desk.start("total")
    assert isinstance(first, Done)
    assert desk.ended("j").state is JobState.FINISHED
    (report,) = desk.jobs.reports()
    epoch = next(stream.epoch for stream in report.streams if stream.output == "output")
    desk.frames.clear()
    desk.start("total")
    assert desk.ended("j").state is JobState.FINISHED
    stream = next(stream for stream in desk.jobs.reports()[0].streams if stream.output == "output")
    assert (stream.epoch, stream.first_offset, stream.offset) == (epoch, 1, 1)


def test_a_failure_is_reported_with_its_reason(desk: Desk) -> None:
    desk.start("broken_build")
    failed = desk.ended("j")
    assert failed.state is JobState.FAILED
    assert failed.reason is not None
    assert failed.reason.startswith("LookupError: no such table")
    assert desk.jobs.reports()[0].reason == failed.reason


def test_a_lost_driver_is_no_failure_of_the_job(desk: Desk) -> None:
    desk.driver_is_lost.set()
    desk.start("broken_build")
    assert desk.asked_for_driver.wait(60)
    assert [report.state for report in desk.jobs.reports()] == [JobState.STARTING]
    assert not [frame for frame in desk.frames if isinstance(frame, JobChanged)]
    left = desk.jobs._jobs["j"]  # its files would be closed by the worker's end, which is no part of this
    left._thread.join(60)
    left._end("failed", None)


def test_ended_jobs_are_forgotten_in_time(desk: Desk) -> None:
    for number in range(KEPT_ENDED_JOBS + 3):
        desk.start("broken_build", f"j{number}")
        desk.ended(f"j{number}")
    kept = [report.job for report in desk.jobs.reports()]
    assert len(kept) <= KEPT_ENDED_JOBS + 1
    assert kept[-1] == f"j{KEPT_ENDED_JOBS + 2}"


class WatchedLock:
    """A lock that tells when somebody wants it."""

    def __init__(self) -> None:
        self.wanted = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.wanted.set()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_a_reset_waits_for_whoever_copies_the_checkpoint(desk: Desk) -> None:
    def applied(revision: int) -> Callable[[FromWorker], bool]:
        return lambda frame: (
            isinstance(frame, ParametersChanged) and (frame.revision, frame.state) == (revision, "applied")
        )

    desk.start("grouped")
    desk.until(applied(1))
    job = desk.jobs._jobs["j"]
    job._moving = moving = WatchedLock()  # type: ignore[assignment]
    with job.at_rest(60) as (directory, _):
        in_use = directory.checkpoint
        moving.wanted.clear()
        desk.jobs.serve(SetJobParameters(request=2, job="j", values={"size": 2}, by="p", reset=True))
        assert moving.wanted.wait(60)
        assert directory.checkpoint == in_use
        assert directory.last_commit() >= 0
    desk.until(applied(2))
    assert directory.checkpoint != in_use
