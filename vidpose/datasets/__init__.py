"""The benchmarks: one file each, with a reader (`prepare`) and the ways to evaluate on it (`PROTOCOLS`)."""

from __future__ import annotations

import importlib
from types import ModuleType

from vidpose.common.errors import UsageError

DATASETS = {
    "h36m": "vidpose.datasets.h36m",
    "mpi-inf-3dhp": "vidpose.datasets.mpi_inf_3dhp",
    "humaneva": "vidpose.datasets.humaneva",
    "cmu": "vidpose.datasets.cmu",
}
"""Name -> module; its first protocol is the default one."""

MOTION_SETS = ("cmu17", "motion")
"""Motion capture without pictures, which training films with virtual cameras: CMU's, and anyone's."""


def get_dataset(name: str) -> ModuleType:
    """The module of a benchmark.

    Raises:
        UsageError: no benchmark has that name.
    """
    if name not in DATASETS:
        known = f"known are {', '.join(DATASETS)}, and to train on {' and '.join(MOTION_SETS)}"
        raise UsageError(f"unknown benchmark {name!r}; {known}")
    return importlib.import_module(DATASETS[name])
