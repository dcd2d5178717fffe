"""What a job's batches and publications are numbered in, and how that begins anew where the saved state is given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from streams.jobdir import JobDirectory, JobFile, describe
from streams.own import new_epoch
from streams.pipes import PipedOutput
from streams.sink import Numbering, Sink
from streams.tail import Tail


@dataclass(frozen=True)
class _Trial:
    """A new numbering of which nobody has seen anything yet, and the `job.json` that will tell of it."""

    numbering: Numbering
    described: JobFile


class Numberings:
    """The numbering of a stream job, and the one that a reset puts in its place once the first batch under it is out.

    Until then the old checkpoint and journal stay as they are, and so does `job.json`: a change that fails, or a worker
    that dies, leaves the job where it was. `kept` is called when the new one counts.
    """

    def __init__(
        self,
        directory: JobDirectory,
        described: JobFile,
        numbering: Numbering,
        sink: Sink[Any],
        new_pipes: Callable[[], Mapping[str, PipedOutput]],
        kept: Callable[[Numbering], None],
    ) -> None:
        self.current = numbering
        self._directory = directory
        self._described = described
        self._sink = sink
        self._new_pipes = new_pipes
        self._kept = kept
        self._trial: _Trial | None = None
        self._untidy = False

    def go_back(self) -> None:
        """Give up a reset of which nobody has seen anything. No query may be running."""
        if self._trial is not None:
            self._trial.numbering.close()
            self._trial = None
            self._directory.go_back()
            self._sink.use(self.current)

    def next_batch(self, base: int) -> int:
        """The number of the next batch, under a revision that belongs to the checkpoint of revision `base`."""
        return self.current.journal.last_batch + 1 if base == self._described.base else 0

    def choose(self, base: int) -> None:
        """The query is about to be started under a revision that belongs to the checkpoint of revision `base`.

        Raises what the author's pipes raise when they are made.
        """
        if base == self._described.base:
            return
        pipes = self._new_pipes()
        names = list(self.current.tails)
        epoch = new_epoch()
        journal = self._directory.begin_anew(names)
        numbering = Numbering(journal, {name: Tail(epoch, 1) for name in names}, pipes)
        described = msgspec.structs.replace(
            self._described, epoch=epoch, generation=self._directory.generation, base=base
        )
        self._trial = _Trial(numbering, described)
        self._sink.use(numbering, self._keep)

    def tidy(self) -> None:
        """Remove what a reset has left, once a batch is out."""
        if self._untidy:
            self._untidy = False
            self._directory.remove_others()

    def close(self) -> None:
        """Let go of the files."""
        if self._trial is not None:
            self._trial.numbering.close()
        self.current.close()

    def _keep(self) -> None:
        assert self._trial is not None, "it is what the sink uses"
        trial, self._trial = self._trial, None
        describe(self._directory.path, trial.described)
        before, self.current, self._described = self.current, trial.numbering, trial.described
        before.close()
        self._untidy = True
        self._kept(trial.numbering)
