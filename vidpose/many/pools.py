"""Where the videos of a batch are worked on: processes of this machine, or a Ray cluster.

A pool takes tasks and gives futures. Where a worker dies, the future says so by an exception of `deaths`, and another
worker takes its place.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from typing import Protocol

from vidpose.common.errors import VidposeError, one_line
from vidpose.many.records import Record
from vidpose.many.worker import Task, do

Work = Callable[[Task], Record | None]


class Pool(Protocol):
    """Workers that do tasks.

    Attributes:
        at_once: so many tasks are enough to keep all workers busy.
        deaths: what a future raises whose worker died.
    """

    deaths: tuple[type[Exception], ...]

    @property
    def at_once(self) -> int: ...

    def submit(self, task: Task) -> Future[Record | None]: ...

    def check(self) -> None:
        """See, once in a while, that there still are workers. Raises VidposeError where they cannot be reached."""


class Processes:
    """Processes of this machine, a video each at a time.

    Args:
        workers: how many.
        work: what they do with a task.
    """

    def __init__(self, workers: int, work: Work = do) -> None:
        from pebble import ProcessExpired, ProcessPool

        self.at_once, self._work = 2 * workers, work
        self.deaths: tuple[type[Exception], ...] = (ProcessExpired,)
        self.pool = ProcessPool(workers, initializer=_leave_ctrl_c, context=get_context("spawn"))

    def submit(self, task: Task) -> Future[Record | None]:
        with _out_of_earshot():  # the first task starts the threads that start processes
            return self.pool.schedule(self._work, args=[task])

    def check(self) -> None:
        """The pool itself sees to it."""


_ASKED, _PATIENCE = 4, 5.0
"""How often the head of a cluster is asked before it counts as lost, and seconds between."""


class RayCluster:
    """A Ray cluster, which has a worker a processor, or a GPU if the networks run there.

    Attributes:
        lost: its head no longer answers.
    """

    def __init__(self, address: str, threads: int, gpus: int) -> None:
        try:
            import ray
        except ImportError:
            raise VidposeError("Ray is not installed; install it with pip install 'vidpose[cluster]'") from None
        try:
            ray.init(address=address, log_to_driver=False, logging_level="error")
        except (ConnectionError, ValueError) as error:
            raise VidposeError(f"`ray={address}`: no cluster answers ({one_line(error)})") from None
        self._ray, self.lost = ray, False
        self.deaths: tuple[type[Exception], ...] = (ray.exceptions.RayError,)
        self._do = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=0)(do)

    @property
    def at_once(self) -> int:
        """A cluster may grow."""
        return 2 * max(int(self._ray.cluster_resources().get("CPU", 1)), 1)

    def submit(self, task: Task) -> Future[Record | None]:
        return self._do.remote(task).future()

    def check(self) -> None:
        """Ask the head, without which all that is asked of Ray waits, until it ends the program a minute later."""
        host, _, port = self._ray.get_runtime_context().gcs_address.rpartition(":")
        for _ in range(_ASKED):
            with suppress(OSError), socket.create_connection((host, int(port)), timeout=_PATIENCE):
                return
            time.sleep(_PATIENCE)
        self.lost = True
        raise VidposeError(
            f"the head of the Ray cluster, {host}:{port}, no longer answers; give the command again once it is back, "
            "and the batch goes on"
        )


@contextmanager
def processes(workers: int, threads: int, work: Work = do) -> Iterator[Pool]:
    """So many processes of this machine, that end with the block.

    Raises:
        VidposeError: they die before they are at a video.
    """
    with _few_threads(threads):
        opened = Processes(workers, work)
        try:
            yield opened
            opened.pool.close()
        except BrokenProcessPool:
            opened.pool.stop()
            raise VidposeError(
                "the workers die before they are at a video; where the memory is full, have fewer `workers`; "
                'in a program of your own, call `batch` below a line `if __name__ == "__main__":`'
            ) from None
        except BaseException:
            opened.pool.stop()
            raise
        finally:
            opened.pool.join()


@contextmanager
def ray_cluster(address: str, threads: int, gpus: int) -> Iterator[Pool]:
    """The cluster at an address; "auto" is the one that this machine belongs to.

    Raises:
        VidposeError: Ray is not installed, or no cluster answers.
    """
    opened = RayCluster(address, threads, gpus)
    try:
        yield opened
    finally:
        if not opened.lost:  # taking leave of a head that is gone takes a minute, and ends the program
            opened._ray.shutdown()


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _out_of_earshot() -> Iterator[None]:
    """What is started in the block does not hear Ctrl-C, not even while it is still loading.

    Ctrl-C reaches every process of a terminal; the first one answers it, and ends the others.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where `_leave_ctrl_c` has to do
        yield
        return
    # It starts with the first process otherwise, and lets that hear again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _few_threads(threads: int) -> Iterator[None]:
    """Have libraries that start in new processes use so many threads: they read it when they are loaded."""
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = str(threads)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = before


_THREADS = "OMP_NUM_THREADS"
