"""What a worker of a batch does: one video after the other, with networks that are loaded once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from vidpose.common.errors import VidposeError, one_line
from vidpose.common.files import FolderInUseError, alone_in
from vidpose.many.records import Record, read_record, write_record
from vidpose.pipeline.choices import Finding
from vidpose.pipeline.job import Job
from vidpose.pipeline.outputs import Writing

if TYPE_CHECKING:
    from vidpose.body.tracks import PoseResult
    from vidpose.pipeline.networks import Networks


@dataclass(frozen=True)
class Task:
    """One video of a batch.

    Attributes:
        video: the file, or folder of images.
        name: of its folder, and beginning of its files' names.
        job: how, without a video.
        writing: what of it; `out` is the batch's folder.
    """

    video: Path
    name: str
    job: Job
    writing: Writing

    @property
    def folder(self) -> Path:
        return self.writing.out / self.name

    @property
    def whole(self) -> Record | None:
        """What became of the video, if it was done before, nothing went wrong, and that can be read."""
        record = None
        with suppress(VidposeError):
            record = read_record(self.folder)
        return record if record and record.failure is None else None

    def failed(self, reason: str) -> Record:
        """That it cannot be done."""
        return Record(str(self.video), self.name, failure=reason)


def do(task: Task) -> Record | None:
    """Do one video and write its files, unless that is done; what goes wrong is in the record.

    Returns:
        None where another process is at it.
    """
    try:
        with alone_in(task.folder):
            record = task.whole
            if record is None:
                record = _done(task)
                write_record(task.folder, record)
            return record
    except FolderInUseError:
        return None
    except VidposeError as error:
        return task.failed(str(error))


def _done(task: Task) -> Record:
    import cv2

    if task.job.finding.threads:
        cv2.setNumThreads(task.job.finding.threads)
    started, cpu = time.monotonic(), time.process_time()
    record = Record(str(task.video), task.name)
    with _warnings() as warnings:
        try:
            result = _result(task)
            times = result.source.times
            usual = float(times[-1] - times[0]) / max(len(times) - 1, 1)
            record = replace(
                record, people=len(result.tracks), frames=len(times), video_seconds=float(times[-1] - times[0]) + usual
            )
        except VidposeError as error:
            record = replace(record, failure=str(error))
        except Exception as error:
            record = replace(record, failure=f"{type(error).__name__}: {one_line(error)}")
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu
    return replace(record, seconds=seconds, cpu_seconds=cpu_seconds, warnings=tuple(dict.fromkeys(warnings)))


def _result(task: Task) -> PoseResult:
    """Run the job of a task, from where it was left, and write its files."""
    from vidpose.common.devices import choose_device

    job, writing = replace(task.job, videos=(task.video,)), replace(task.writing, out=task.folder, resume=True)
    files = writing.outputs(task.name)
    (result,) = job.run(networks=_networks(job.finding, choose_device(job.device)), keeping=[files.keeping])
    files.write(result, task.video, job)
    return result


@lru_cache(maxsize=1)
def _networks(finding: Finding, device: str) -> Networks:
    """The networks that the next video wants, too."""
    return finding.open(device)


class _Heard(logging.Handler):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Keep vidpose's warnings, which nobody reads among those of other workers."""
    heard, logger = _Heard(), logging.getLogger("vidpose")
    logger.addHandler(heard)
    logger.propagate = False
    try:
        yield heard.messages
    finally:
        logger.propagate = True
        logger.removeHandler(heard)
