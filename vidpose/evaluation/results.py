"""A benchmark's figures, gathered clip after clip: sums only, so that memory does not grow with the frames.

Shape suffixes: M measures, J joints, B bins of the histogram.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidpose.body.skeletons import Skeleton
from vidpose.common.errors import VidposeError
from vidpose.datasets.protocol import Protocol
from vidpose.datasets.store import StoredClip
from vidpose.evaluation import metrics
from vidpose.evaluation.metrics import METRICS

_FAR = 1e6
"""Metres that no joint is from the root."""

BIN_WIDTH = 5
"""Millimetres."""

_BINS = 101
"""To half a metre; the last one takes what is above."""

_MEASURES: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mpjpe": metrics.mpjpe,
    "p_mpjpe": metrics.p_mpjpe,
    "n_mpjpe": metrics.n_mpjpe,
    "mpjve": metrics.mpjve,
    "acceleration": metrics.acceleration_error,
    "pck": metrics.pck,
    "auc": metrics.auc,
}

_SPANS = {"mpjve": 2, "acceleration": 3}
"""Neighbouring frames that a value is made of; all must count."""

_LABELS = {
    "actions": "mean of {} actions, each the mean of its frames",
    "sequences": "mean of {} recordings, each the mean of its frames",
    "frames": "mean of all frames",
}


@dataclass
class _Sums:
    """What is known of some frames: the sums of the measures, and how many values are in them."""

    total_MJ: np.ndarray
    count_M: np.ndarray
    histogram_B: np.ndarray
    clips: int = 0

    def __iadd__(self, other: _Sums) -> _Sums:
        self.total_MJ += other.total_MJ
        self.count_M += other.count_M
        self.histogram_B += other.histogram_B
        self.clips += other.clips
        return self

    @property
    def mean_MJ(self) -> np.ndarray:
        """NaN where there is no value."""
        with np.errstate(invalid="ignore"):
            return self.total_MJ / self.count_M[:, None]


class Results:
    """Errors of a lifter on a benchmark, under one protocol.

    Args:
        protocol: says what counts, and how it is averaged.
        layout: of the joints.
        dataset, input_name: what was evaluated, for the tables.
        lacking: what the prepared benchmark was made without, for the tables.
    """

    def __init__(self, protocol: Protocol, layout: Skeleton, dataset: str, input_name: str, lacking: str = ""):
        self.protocol, self.layout, self.dataset, self.input_name = protocol, layout, dataset, input_name
        self.lacking = lacking
        self.measures = tuple(name for name in _MEASURES if name not in ("pck", "auc") or protocol.pck_joints)
        self._root = layout.parents.index(-1)
        self._joints = list(protocol.joints or range(len(layout)))
        self._fps: set[float] = set()
        self._recordings: dict[tuple[str, str, str], _Sums] = {}

    def add(self, clip: StoredClip, predicted: np.ndarray, target: np.ndarray, valid: np.ndarray) -> None:
        """Take a clip in; one without a frame that counts leaves no trace.

        Args:
            clip: one that the protocol counts.
            predicted: (F, J, 3) metres relative to the root.
            target: (F, J, 3) metres; where the root is does not matter.
            valid: (F,) bool, the frames that count, in which every target joint is known.

        Raises:
            VidposeError: the prediction is not finite in a frame that counts, or further away than anything can be.
        """
        assert self.protocol.counts(clip), clip
        assert predicted.shape == target.shape == (len(valid), len(self.layout), 3), (predicted.shape, target.shape)
        broken = np.flatnonzero(valid & ~(np.abs(predicted) <= _FAR).all(axis=(-1, -2)))
        if len(broken):
            raise VidposeError(
                f"{' '.join(filter(None, (clip.subject, clip.action, clip.sequence, clip.camera)))}: the lifter's "
                f"answer for frame {broken[0]} is not finite, or not of this world; its weights are damaged, "
                "or its training diverged"
            )
        if not valid.any():
            return
        assert np.isfinite(target[valid]).all(), clip
        predicted = predicted.astype(np.float64)
        target = target.astype(np.float64)
        target -= target[:, [self._root]]
        sums = self._empty()
        for i, name in enumerate(self.measures):
            values = _counted(name, predicted, target, valid)
            sums.total_MJ[i], sums.count_M[i] = values.sum(axis=0), len(values)
            if name == "mpjpe":
                bins = (values[:, self._joints].mean(axis=-1) * 1000 // BIN_WIDTH).astype(np.int64)
                sums.histogram_B += np.bincount(bins.clip(max=_BINS - 1), minlength=_BINS)
        sums.clips = 1
        self._fps.add(clip.fps)
        key = (clip.subject, clip.action, clip.sequence)
        self._recordings.setdefault(key, self._empty())
        self._recordings[key] += sums

    def summary(self) -> dict[str, Any]:
        """All figures, fit for JSON.

        Errors are in millimetres, velocities in millimetres a frame (and a second, where all clips have one frame
        rate), PCK and AUC in per cent; None where there is no value. A variance is that of the rows' figures, divided
        by their number: over actions the VAR. of MixSTE's section 4.1, over joints ten times that of its Figure 4.

        Returns:
            dataset, input, layout, protocol, `lacking`, clips, frames, units; `averages`, the protocol's first, each
            with `over` and `label`; rows `actions`, `subjects`, `sequences`, `subject_actions`, `joints`;
            `missing_actions` that the protocol names; `variance` over actions and joints; `histogram` of poses by
            their MPJPE.

        Raises:
            VidposeError: nothing was added.
        """
        if not self._recordings:
            raise VidposeError(
                f"{self.dataset}: no clip that protocol {self.protocol.name!r} counts; prepare the "
                f"{self.protocol.split} set too, or choose another protocol"
            )
        everything = self._merged(self._recordings.values())
        actions = sorted(self._keys(1), key=lambda key: self._order(key[0]))
        rows = {
            "actions": [{"action": action} | self._row(action=action) for (action,) in actions],
            "subjects": [{"subject": subject} | self._row(subject) for (subject,) in self._keys(0)],
            "sequences": [
                {"subject": subject, "action": action, "sequence": sequence} | self._figures(sums)
                for (subject, action, sequence), sums in self._recordings.items()
            ],
            "subject_actions": [
                {"subject": subject, "action": action} | self._row(subject, action)
                for subject, action in sorted(self._keys(0, 1), key=lambda key: self._order(key[1]))
            ],
            "joints": [{"joint": joint} | self._figures(everything, [i]) for i, joint in enumerate(self.layout.joints)],
        }
        counted = [row for i, row in enumerate(rows["joints"]) if i in self._joints]
        return {
            "dataset": self.dataset,
            "input": self.input_name,
            "layout": self.layout.name,
            "protocol": {
                "name": self.protocol.name,
                "description": self.protocol.description,
                "split": self.protocol.split,
                "excluded": [list(pair) for pair in self.protocol.excluded],
            },
            "lacking": self.lacking,
            "clips": everything.clips,
            "frames": int(everything.count_M[0]),
            "units": {name: METRICS[name].unit for name in self._names},
            "averages": self._averages(rows, everything),
            **rows,
            "missing_actions": [action for action in self.protocol.actions if (action,) not in actions],
            "variance": {"actions": self._variance(rows["actions"]), "joints": self._variance(counted)},
            "histogram": {"bin_width": BIN_WIDTH, "poses": np.trim_zeros(everything.histogram_B, "b").tolist()},
        }

    @property
    def _names(self) -> tuple[str, ...]:
        """What a row has: the measures, and the velocity a second."""
        return (*self.measures, *(["mpjve_per_second"] if len(self._fps) == 1 else []))

    def _empty(self) -> _Sums:
        shape = len(self.measures), len(self.layout)
        return _Sums(np.zeros(shape), np.zeros(shape[0], np.int64), np.zeros(_BINS, np.int64))

    def _merged(self, parts: Iterable[_Sums]) -> _Sums:
        whole = self._empty()
        for part in parts:
            whole += part
        return whole

    def _row(self, subject: str | None = None, action: str | None = None) -> dict[str, Any]:
        """Of one subject, one action, or both; under a protocol that averages recordings, the mean of theirs."""
        own = [sums for key, sums in self._recordings.items() if subject in (None, key[0]) and action in (None, key[1])]
        whole = self._figures(self._merged(own))
        if self.protocol.average != "sequences":
            return whole
        recordings = [self._figures(sums) for sums in own]
        return whole | {name: _mean(row[name] for row in recordings) for name in self._names}

    def _keys(self, *fields: int) -> list[tuple[str, ...]]:
        """What occurs of (subject, action, sequence), in order of appearance."""
        return list(dict.fromkeys(tuple(key[field] for field in fields) for key in self._recordings))

    def _order(self, action: str) -> int:
        return self.protocol.actions.index(action) if self.protocol.actions else 0

    def _figures(self, sums: _Sums, joints: Sequence[int] | None = None) -> dict[str, Any]:
        """A row of a table: frames, and each measure averaged over the protocol's joints or those given."""
        row: dict[str, Any] = {"frames": int(sums.count_M[0])}
        for name, mean_J in zip(self.measures, sums.mean_MJ, strict=True):
            chosen = joints or (list(self.protocol.pck_joints) if name in ("pck", "auc") else self._joints)
            mean = float(mean_J[chosen].mean()) * METRICS[name].factor
            row[name] = None if np.isnan(mean) else mean
        if "mpjve_per_second" in self._names:
            row["mpjve_per_second"] = None if row["mpjve"] is None else row["mpjve"] * next(iter(self._fps))
        return row

    def _averages(self, rows: Mapping[str, list[dict[str, Any]]], everything: _Sums) -> list[dict[str, Any]]:
        """The protocol's average, then the one over frames where that is another."""
        frames = {"over": "frames", "label": _LABELS["frames"]} | self._figures(everything)
        over = self.protocol.average
        if over == "frames":
            return [frames]
        means = {name: _mean(row[name] for row in rows[over]) for name in self._names}
        return [
            {"over": over, "label": _LABELS[over].format(len(rows[over])), "frames": frames["frames"]} | means,
            frames,
        ]

    def _variance(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
        variances = {}
        for name in self._names:
            values = [row[name] for row in rows if row[name] is not None]
            variances[name] = float(np.var(values)) if values else None
        return variances


def _counted(name: str, predicted: np.ndarray, target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(values, J): a measure of the frames that count, or of neighbours that all do."""
    span = _SPANS.get(name, 1)
    if span == 1:
        return _MEASURES[name](predicted[valid], target[valid])
    length = len(valid) - span + 1
    if length < 1:
        return np.zeros((0, predicted.shape[1]))
    together = np.all([valid[i : i + length] for i in range(span)], axis=0)
    return _MEASURES[name](predicted, target)[together]


def _mean(values: Iterable[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None
