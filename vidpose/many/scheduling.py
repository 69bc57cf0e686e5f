"""Many videos, one after the other and side by side; what is whole is not done again.

Every video has a folder of its own, which a worker locks while it is at it. The record is written there last, in one
step, so whatever dies, a video is whole or is done again; several batches may work on the same videos into one folder.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Unpack

from vidpose.common.errors import UsageError, VidposeError, one_line
from vidpose.common.files import check_outputs, make_folder, spare_inputs
from vidpose.common.inputs import short
from vidpose.common.tally import ProgressOf, unseen
from vidpose.many.manifest import Listed, list_videos
from vidpose.many.pools import Pool, cores, processes, ray_cluster
from vidpose.many.records import Record, forget, read_settings, write_record, write_settings
from vidpose.many.summary_table import summary_files, write_summary
from vidpose.many.worker import Task
from vidpose.pipeline.inference import Settings
from vidpose.pipeline.job import Job
from vidpose.pipeline.outputs import Writing
from vidpose.video.naming import distinct_names
from vidpose.video.reading import check_readable
from vidpose.video.time_range import parse_length


def batch(
    source: str | Path,
    out: str | Path,
    *,
    formats: Sequence[str] = Writing.formats,
    overlay: str = Writing.overlay,
    overwrite: bool = Writing.overwrite,
    segment: str = Writing.segment,
    workers: int | None = None,
    ray: str | None = None,
    split: str | None = None,
    **settings: Unpack[Settings],
) -> list[Record]:
    """3D skeletons of everyone in many videos, each in a folder of its own, and a summary of all.

    Call it again to go on after an interruption, or with videos that have come since.

    Args:
        source: a folder of videos, or a text file with a video a line.
        out: the folder to write to.
        formats: to write beside the `.npz` (`vidpose.export.FORMATS`).
        overlay: what to draw over the videos: "skeletons", "mesh" or "none".
        overwrite: do all of them anew.
        segment: length of video after which what was found is kept.
        workers: processes of this machine, with a thread each; None: one a core, or one if the networks run on a GPU.
        ray: "auto" or the address of a Ray cluster, whose workers do it.
        split: a length, as in "10m": a longer video is done in parts of it by several workers, and joined again. None:
            a video has one worker.
        settings: as of `vidpose.infer`.

    Returns:
        A record for each video. What failed is in it.

    Raises:
        UsageError, VidposeError: no video, settings that cannot be, or others than those of the results in `out`.
    """
    job, writing = Job.of((), **settings), Writing(Path(out), tuple(formats), overlay, overwrite, segment)
    return run_batch(job, Path(source), writing, workers=workers, ray=ray, split=split)


def run_batch(
    job: Job,
    source: Path,
    writing: Writing,
    *,
    workers: int | None = None,
    ray: str | None = None,
    split: str | None = None,
    progress: ProgressOf = unseen,
    on_record: Callable[[Record], None] = lambda record: None,
) -> list[Record]:
    """As `batch`, of a job without a video.

    Args:
        progress: of the videos.
        on_record: called with each when it has been done, or has failed.
    """
    if workers is not None and ray is not None:
        raise UsageError(f"`workers={workers}`: of this machine, and `ray={ray}` has its own; give one of them")
    job = replace(job, finding=replace(job.finding, threads=job.finding.threads or 1))
    seconds = None if split is None else parse_length(split)
    tasks = _tasks(job, list_videos(source, writing.out), writing, seconds)
    _check_way(tasks, source)
    records = {} if writing.overwrite else {task.name: record for task in tasks if (record := task.whole)}
    left = [task.in_parts() for task in tasks if task.name not in records]
    if left:
        _begin(left)
    try:
        if left:
            steps = sum(len(task.steps) or 1 for task in left)
            with _pool(job, steps, workers, ray) as pool, progress(source.name, "videos") as report:
                report(len(records), len(tasks))
                for record in _outcomes(left, pool):
                    records[record.name] = record
                    on_record(record)
                    report(len(records), len(tasks))
    finally:
        every = [records.get(task.name) or task.failed("not done yet") for task in tasks]
        write_summary(writing.out, every)
    return every


def _tasks(job: Job, listed: Sequence[Listed], writing: Writing, split: float | None) -> list[Task]:
    # A worker may be in another folder, and on another machine.
    videos, writing = [one.video.absolute() for one in listed], replace(writing, out=writing.out.absolute())
    named = zip(videos, distinct_names(videos), listed, strict=True)
    return [Task(video, name, job, writing, split, listed=one.where) for video, name, one in named]


def _check_way(tasks: Sequence[Task], source: Path) -> None:
    """See that the files of a batch of a source can be written.

    Raises:
        UsageError: settings cannot be, or others made the results in the folder.
        VidposeError: files of something else are in the way.
    """
    job, writing = tasks[0].job, tasks[0].writing
    first = replace(job, videos=(tasks[0].video,))
    first.check_settings()
    writing.check(first)
    job.finding.check([task.video for task in tasks])
    files = [replace(writing, out=task.folder).outputs(task.name) for task in tasks]
    every = [path for some in files for path in (*some.in_the_way(), some.keeping.file)]
    read = replace(job, videos=tuple(task.video for task in tasks)).inputs
    spare_inputs([*every, *summary_files(writing.out)], [*read, source])
    make_folder(writing.out)
    settings, before = settings_of(tasks[0]), read_settings(writing.out)
    if before is None:
        check_outputs([path for some in files for path in some.in_the_way()], writing.overwrite)
        return
    # What came after the results were made was then as it is where nothing is said.
    before = settings_of(replace(tasks[0], job=Job(), writing=Writing(writing.out), split=None)) | before
    for name in (*settings, *before):
        theirs, ours = before.get(name), settings.get(name)
        if theirs != ours and not writing.overwrite:
            raise UsageError(
                f"{writing.out}: holds results with `{name:.40}={short(theirs)}`, not {short(ours)}; "
                "choose another `out`, or give `overwrite`"
            )


def settings_of(task: Task) -> dict[str, Any]:
    """What results depend on, as JSON has it."""
    job, writing = task.job, task.writing
    parts = (job.finding, job.filming, job.lifting, job.placing.lens, job.placing)
    settings = {name: value for part in parts for name, value in asdict(part).items()}
    del settings["lens"], settings["threads"]
    settings |= {"formats": ",".join(writing.formats), "overlay": writing.overlay, "split": task.split}
    return {name: value if isinstance(value, int | float | None) else str(value) for name, value in settings.items()}


def _begin(tasks: Sequence[Task]) -> None:
    """See by the first video that can be opened that all can be done, and say in the folder how they are done.

    Raises:
        UsageError, VidposeError: as `Job.check`.
    """
    for task in tasks:
        try:
            check_readable(task.video)
        except VidposeError:
            continue
        replace(task.job, videos=(task.video,)).check()
        break
    writing = tasks[0].writing
    write_settings(writing.out, settings_of(tasks[0]))
    if writing.overwrite:
        for task in tasks:
            for step in (task, *task.steps):
                forget(step.folder)


def _pool(job: Job, tasks: int, workers: int | None, ray: str | None) -> AbstractContextManager[Pool]:
    """Where the tasks are worked on."""
    from vidpose.common.devices import choose_device

    threads, on_gpu = job.finding.threads or 1, choose_device(job.device).startswith("cuda")
    if ray is not None:
        return ray_cluster(ray, threads, gpus=int(on_gpu))
    return processes(min(workers or (1 if on_gpu else cores()), tasks), threads)


def _outcomes(tasks: Sequence[Task], pool: Pool) -> Iterator[Record]:
    """What becomes of each. Those that another batch is at are asked for again until they are done."""
    while tasks:
        elsewhere: list[Task] = []
        for task, record in _once(tasks, pool):
            if record:
                yield record
            else:
                elsewhere.append(task)
        tasks = elsewhere
        if tasks:
            time.sleep(_PATIENCE)


_PATIENCE = 1.0
"""Seconds until videos are asked for again that another batch is at."""


_LOOK = 10.0
"""Seconds without news until the workers are looked after."""


def _once(tasks: Sequence[Task], pool: Pool) -> Iterator[tuple[Task, Record | None]]:
    """Each task with what became of it, or of one of its parts. One whose worker died is tried once more."""
    coming = deque(step for task in tasks for step in task.steps or (task,))
    parts_left = {task.name: len(task.parts) for task in tasks}
    tried: set[Path] = set()
    waiting: dict[Future[Record | None], Task] = {}
    while True:
        pool.check()
        while coming and len(waiting) < pool.at_once:
            task = coming.popleft()
            waiting[pool.submit(task)] = task
        if not waiting:
            return
        for future in wait(waiting, timeout=_LOOK, return_when=FIRST_COMPLETED).done:
            task = waiting.pop(future)
            try:
                record = future.result()
            except pool.deaths as death:
                if task.folder not in tried:
                    tried.add(task.folder)
                    coming.appendleft(task)
                    continue
                record = _given_up(task, death)
            whole = replace(task, part=None)
            if task.part is None:
                yield task, record
            elif record is None or record.failure:
                # The first of its parts that cannot be done ends it; the others are kept for the next time.
                if parts_left.pop(task.name, 0):
                    yield whole, record and whole.failed(f"part {task.part.number}: {record.failure}")
            elif task.name in parts_left:
                parts_left[task.name] -= 1
                if not parts_left[task.name]:
                    coming.appendleft(whole)


def _given_up(task: Task, death: Exception) -> Record:
    """A video that two workers died of."""
    record = task.failed(f"two workers died of it ({one_line(death)}); is the memory full?")
    with suppress(VidposeError):
        write_record(task.folder, record)
    return record
