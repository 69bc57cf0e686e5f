"""What a worker of a batch does: one video after the other, with networks that are loaded once."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from vidpose.common.errors import VidposeError, one_line
from vidpose.common.files import FolderInUseError, alone_in
from vidpose.many.parts import VideoPart, join_parts, parts_of
from vidpose.many.records import Record, forget, read_record, write_record
from vidpose.pipeline.choices import Filming, Finding
from vidpose.pipeline.job import Job
from vidpose.pipeline.keeping import search_of
from vidpose.pipeline.outputs import Outputs, Writing
from vidpose.video.reading import NoFrameError

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
        split: seconds from which on a video is done in parts of so many; None: as a whole.
        parts: that it is done in, each by a task of its own before this one, which joins them.
        part: of these, the one that this task is.
        listed: where a list names the video, as `Listed.where`.
    """

    video: Path
    name: str
    job: Job
    writing: Writing
    split: float | None = None
    parts: tuple[VideoPart, ...] = ()
    part: VideoPart | None = None
    listed: str = ""

    @property
    def folder(self) -> Path:
        """That the record is in."""
        whole = self.writing.out / self.name
        return whole / f"part_{self.part.number:03}" if self.part else whole

    def in_parts(self) -> Task:
        """The same task with the parts that its video is to be done in, if it is."""
        if self.split is None:
            return self
        with suppress(VidposeError):  # what cannot be read is told by who does it
            finding = self.job.finding
            return replace(self, parts=parts_of(self.video, self.job.filming, self.split, finding.start, finding.end))
        return self

    @property
    def steps(self) -> tuple[Task, ...]:
        """The tasks of its parts; none if it is of one itself."""
        return () if self.part else tuple(replace(self, part=part) for part in self.parts)

    @property
    def whole(self) -> Record | None:
        """What became of the video as it is now, if it was done before, nothing went wrong, and that can be read."""
        with suppress(VidposeError):
            record = read_record(self.folder)
            return record if record and record.failure is None and record.is_of(self.video) else None
        return None

    def check_folder(self) -> None:
        """See that the folder holds no result but of this video, perhaps as it was before it was changed.

        Raises:
            VidposeError: it holds another video's, which would be lost.
        """
        record = None
        with suppress(VidposeError):
            record = read_record(self.folder)
        if record and record.failure is None and not (record.is_of(self.video) or record.names(self.video)):
            raise VidposeError(
                f"{self.folder}: holds the result of another video, {record.video}; choose another `out`, or give the "
                "videos different names"
            )

    @property
    def finding(self) -> Finding:
        """Who is looked for, and when."""
        finding, part = self.job.finding, self.part
        if part is None:
            return finding
        starts = [seconds for seconds in (finding.start, part.start) if seconds is not None]
        ends = [seconds for seconds in (finding.end, part.ends) if seconds is not None]
        return replace(finding, start=max(starts, default=None), end=min(ends, default=None))

    @property
    def outputs(self) -> Outputs:
        """Its files."""
        return replace(self.writing, out=self.folder, resume=True).outputs(self.name)

    def failed(self, reason: str) -> Record:
        """That it cannot be done."""
        return Record(str(self.video), self.name, failure=reason)


def do(task: Task) -> Record | None:
    """Do one video and write its files, unless that is done; what goes wrong is in the record.

    Returns:
        None where another process is at it.
    """
    try:
        # Another batch that shares the work may have joined all parts, and removed them, since this task was made.
        if task.part:
            video = replace(task, part=None)
            video.check_folder()
            if record := video.whole:
                return record
        with alone_in(task.folder):
            task.check_folder()
            record = task.whole
            if record is None:
                record = _done(task)
                write_record(task.folder, record)
                if record.failure is None:
                    _clear(task.steps)
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
    record = Record.begun(task.video, task.name)
    with _warnings() as warnings:
        try:
            record = _about(record, _found(task) if task.part else _result(task))
        except VidposeError as error:
            is_gone = task.listed and not os.path.exists(task.video)
            record = replace(record, failure=f"{error}; {task.listed} names it" if is_gone else str(error))
        except Exception as error:
            record = replace(record, failure=f"{type(error).__name__}: {one_line(error)}")
    before = [known for step in task.steps if (known := step.whole)]
    warned = dict.fromkeys([*(line for part in before for line in part.warnings), *warnings])
    seconds = time.monotonic() - started + sum(part.seconds for part in before)
    cpu_seconds = time.process_time() - cpu + sum(part.cpu_seconds for part in before)
    return replace(record, seconds=seconds, cpu_seconds=cpu_seconds, warnings=tuple(warned))


def _about(record: Record, result: PoseResult | None) -> Record:
    """What a record says of a result."""
    if result is None:
        return record
    times = result.source.times
    length = float(times[-1] - times[0]) * len(times) / max(len(times) - 1, 1)
    return replace(record, people=len(result.tracks), frames=len(times), video_seconds=length)


def _result(task: Task) -> PoseResult:
    """Run the job of a task, from where it was left, and write its files."""
    files, job = task.outputs, replace(_joined(task) if task.parts else task.job, videos=(task.video,))
    (result,) = job.run(networks=None if task.parts else _networks_of(task), keeping=[files.keeping])
    # Saved keypoints have a time of their own; the overlay is of the time that was asked for.
    looked = replace(job.finding, start=task.finding.start, end=task.finding.end)
    files.write(result, task.video, replace(job, finding=looked))
    return result


def _found(task: Task) -> PoseResult | None:
    """Look for people in a part of a video, and keep what is found; None where the video ends before."""
    from vidpose.pipeline.finding import find_people

    keeping, filming = task.outputs.keeping, task.job.filming
    try:
        found = find_people(task.video, task.finding, filming=filming, networks=_networks_of(task), keeping=keeping)
    except NoFrameError:
        if not task.finding.start:
            raise
        return None
    keeping.keep(found)
    return found


def _joined(task: Task) -> Job:
    """The job that goes on with what was found in all parts."""
    parts, results = [], []
    for part, step in zip(task.parts, task.steps, strict=True):
        found = step.outputs.keeping.found(search_of(step.video, step.finding, step.job.filming))
        if found is None and (step.whole is None or step.whole.frames):
            raise VidposeError(f"{step.folder}: what was found in this part is gone; remove the folder, and try again")
        if found:  # in a pause there is no frame, and frames may come again behind it
            parts.append(part)
            results.append(found)
    if not results:
        raise VidposeError(f"{task.video}: no frame between `start` and `end`; ask for another time")
    saved = (join_parts(results, parts),)
    looked = task.job.finding
    finding = Finding(threads=looked.threads, hwaccel=looked.hwaccel)
    return replace(task.job, saved=saved, finding=finding, filming=Filming())


def _clear(steps: Sequence[Task]) -> None:
    """Remove what the parts of a video leave, once its result is there."""
    for step in steps:
        step.outputs.keeping.clear()
        forget(step.folder)
        with suppress(OSError):  # what somebody else put there stays
            step.folder.rmdir()


def _networks_of(task: Task) -> Networks:
    from vidpose.common.devices import choose_device

    return _networks(task.job.finding, choose_device(task.job.device))


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
