"""What is known of weights: by their own file where they come with vidpose, by their publisher otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vidpose.weights.catalogue import Entry, Published
from vidpose.weights.header import count_parameters, read_header

_MIB = 1 << 20


@dataclass(frozen=True)
class WeightFacts:
    """Facts of one file of weights; "" or None stands for unknown.

    Attributes:
        layout: of the joints.
        metric: as it was measured at the end of a training of ours, or as the publisher reports it.
        licence: of the weights.
        mib: size of the file in MiB.
        parameters: how many numbers its network learned.
        frames: T of the window that a lifter was trained for.
        mpjpe, p_mpjpe: of a lifter that comes with vidpose: millimetres on the validation split of what it was trained
            on, by imitated keypoints.
    """

    layout: str
    metric: str
    licence: str
    mib: float | None
    parameters: int | None = None
    frames: int | None = None
    mpjpe: float | None = None
    p_mpjpe: float | None = None


def facts_of(entry: Entry) -> WeightFacts:
    """Facts of the weights of an entry. Nothing of the network's paper is among them.

    Raises:
        VidposeError: a file that comes with vidpose cannot be read.
    """
    file = entry.weights
    if file is None or isinstance(file, Published):
        return WeightFacts(entry.layout, entry.metric, entry.licence, file.mib if file else None)
    about = read_header(file.path)
    config, metrics = about.get("config", {}), about.get("metrics", {})
    return WeightFacts(
        layout=about.get("layout") or config.get("layout") or entry.layout,
        metric=_told(metrics) or entry.metric,
        licence=about.get("licence", entry.licence),
        mib=round(file.path.stat().st_size / _MIB, 1),
        parameters=count_parameters(file.path),
        frames=config.get("frames"),
        mpjpe=metrics.get("val_mpjpe_mm"),
        p_mpjpe=metrics.get("val_p_mpjpe_mm"),
    )


def _told(metrics: Mapping[str, float]) -> str:
    if {"val_mpjpe_mm", "val_p_mpjpe_mm"} <= metrics.keys():
        return f"{metrics['val_mpjpe_mm']:.1f} / {metrics['val_p_mpjpe_mm']:.1f} mm"
    return f"{metrics['val_missed']:.1%} missed" if "val_missed" in metrics else ""
