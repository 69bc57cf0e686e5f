"""Figures gathered clip after clip, against the same figures from all frames at once."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import procrustes

from vidpose.body.skeletons import H36M_17, MPI_INF_3DHP_17
from vidpose.common.errors import VidposeError
from vidpose.datasets.protocol import Protocol
from vidpose.datasets.store import StoredClip
from vidpose.evaluation.results import Results

PCK_JOINTS = tuple(range(14))
PROTOCOL = Protocol(
    "test", "two actions", excluded=(("S11", "Sitting 2"),), actions=("Walking", "Sitting"), pck_joints=PCK_JOINTS
)


def clip(subject="S9", action="Walking", sequence="Walking 1", camera="a", frames=6, fps=50) -> StoredClip:
    return StoredClip("part", 0, frames, "test", subject, action, camera, sequence, 1000, 1000, fps)


@pytest.fixture(scope="module")
def taken():
    """(clip, predicted, target, valid) of two subjects and actions; frame counts and errors differ between them."""
    rng = np.random.default_rng(4)
    taken = []
    for i, (subject, action, sequence, camera, frames) in enumerate(
        [
            ("S9", "Sitting", "Sitting 1", "a", 9),
            ("S9", "Walking", "Walking 1", "a", 5),
            ("S9", "Walking", "Walking 1", "b", 5),
            ("S11", "Walking", "Walking 1", "a", 12),
            ("S11", "Sitting", "Sitting 1", "a", 1),
        ]
    ):
        target = rng.normal([0, 0, 4], 0.4, size=(frames, 17, 3))
        predicted = target - target[:, :1] + rng.normal(scale=0.03 * (i + 1), size=target.shape)
        valid = np.ones(frames, bool)
        if subject == "S11" and frames > 1:
            valid[[2, 7]] = False
        taken.append((clip(subject, action, sequence, camera, frames), predicted, target, valid))
    return taken


def gathered(taken, protocol=PROTOCOL, layout=H36M_17) -> Results:
    results = Results(protocol, layout, "h36m", "gt")
    for each in taken:
        results.add(*each)
    return results


@pytest.fixture(scope="module")
def summary(taken):
    return gathered(taken).summary()


def distances(taken, chosen=lambda clip: True) -> np.ndarray:
    """(frames, 17) millimetres of the frames that count."""
    return 1000 * np.concatenate(
        [
            np.sqrt(((p - (t - t[:, :1])) ** 2).sum(axis=-1))[valid]
            for c, p, t, valid in taken
            if chosen(c)
        ]
    )  # fmt: skip


def test_rows_are_means_of_their_frames(taken, summary):
    for row in summary["actions"]:
        of = distances(taken, lambda c, row=row: c.action == row["action"])
        assert (row["frames"], row["mpjpe"]) == (len(of), pytest.approx(of.mean()))
    for row in summary["subjects"]:
        of = distances(taken, lambda c, row=row: c.subject == row["subject"])
        assert (row["frames"], row["mpjpe"]) == (len(of), pytest.approx(of.mean()))
    for row in summary["subject_actions"]:
        of = distances(taken, lambda c, row=row: (c.subject, c.action) == (row["subject"], row["action"]))
        assert row["mpjpe"] == pytest.approx(of.mean())
    assert [row["mpjpe"] for row in summary["joints"]] == pytest.approx(distances(taken).mean(axis=0))
    assert summary["joints"][3]["joint"] == "right_ankle"
    assert len(summary["sequences"]) == 4  # two cameras are one recording
    assert (summary["clips"], summary["frames"]) == (5, 30)


def test_actions_stand_in_the_protocols_order(summary):
    assert [row["action"] for row in summary["actions"]] == ["Walking", "Sitting"]


def test_average_over_actions_and_over_frames_are_both_there(taken, summary):
    over_actions, over_frames = summary["averages"]
    means = [distances(taken, lambda c, a=action: c.action == a).mean() for action in ("Walking", "Sitting")]
    assert over_actions["over"] == "actions"
    assert over_actions["label"] == "mean of 2 actions, each the mean of its frames"
    assert over_actions["mpjpe"] == pytest.approx(np.mean(means))
    assert over_frames["label"] == "mean of all frames"
    assert over_frames["mpjpe"] == pytest.approx(distances(taken).mean())
    assert over_actions["mpjpe"] != pytest.approx(over_frames["mpjpe"], rel=1e-3)


def test_average_over_recordings_and_frames_only(taken):
    recordings = gathered(taken, replace(PROTOCOL, average="sequences")).summary()["averages"]
    keys = {(c.subject, c.sequence) for c, *_ in taken}
    means = [distances(taken, lambda c, k=key: (c.subject, c.sequence) == k).mean() for key in keys]
    assert [average["over"] for average in recordings] == ["sequences", "frames"]
    assert recordings[0]["mpjpe"] == pytest.approx(np.mean(means))
    rows = gathered(taken, replace(PROTOCOL, average="sequences")).summary()["actions"]
    for row in rows:
        own = [(c.subject, c.sequence) for c, *_ in taken if c.action == row["action"]]
        of_each = [distances(taken, lambda c, k=key: (c.subject, c.sequence) == k).mean() for key in set(own)]
        assert row["mpjpe"] == pytest.approx(np.mean(of_each))
    (frames,) = gathered(taken, replace(PROTOCOL, average="frames")).summary()["averages"]
    assert frames["over"] == "frames"


def test_aligned_measures(taken, summary):
    """P-MPJPE by scipy's Procrustes, which scales both shapes to a unit norm; N-MPJPE by its normal equation."""
    aligned, scaled = [], []
    for _, predicted, target, valid in taken:
        for p, t in zip(predicted[valid], target[valid], strict=True):
            fixed, moved, _ = procrustes(t, p)
            aligned.append(np.linalg.norm(t - t.mean(axis=0)) * np.linalg.norm(fixed - moved, axis=-1).mean())
            t = t - t[0]
            scaled.append(np.linalg.norm((p * t).sum() / (p * p).sum() * p - t, axis=-1).mean())
    assert summary["averages"][1]["p_mpjpe"] == pytest.approx(1000 * np.mean(aligned))
    assert summary["averages"][1]["n_mpjpe"] == pytest.approx(1000 * np.mean(scaled))


def test_velocity_and_acceleration_need_neighbours_that_count(taken, summary):
    speeds, accelerations = [], []
    for _, predicted, target, valid in taken:
        error = predicted - (target - target[:, :1])
        for n in range(1, len(valid)):
            if valid[n - 1] and valid[n]:
                speeds.append(np.linalg.norm(error[n] - error[n - 1], axis=-1).mean())
                if n > 1 and valid[n - 2]:
                    change = error[n] - 2 * error[n - 1] + error[n - 2]
                    accelerations.append(np.linalg.norm(change, axis=-1).mean())
    frames = summary["averages"][1]
    assert frames["mpjve"] == pytest.approx(1000 * np.mean(speeds))
    assert frames["mpjve_per_second"] == pytest.approx(50 * 1000 * np.mean(speeds))
    assert frames["acceleration"] == pytest.approx(1000 * np.mean(accelerations))
    assert summary["units"]["mpjve"] == "mm/frame"
    (single,) = (row for row in summary["subject_actions"] if (row["subject"], row["action"]) == ("S11", "Sitting"))
    assert (single["frames"], single["mpjve"], single["acceleration"]) == (1, None, None)


def test_frames_that_do_not_count_may_be_anything(taken, summary):
    spoilt = []
    for c, predicted, target, valid in taken:
        predicted = predicted.copy()
        predicted[~valid] = np.nan
        spoilt.append((c, predicted, target, valid))
    assert gathered(spoilt).summary() == summary


def test_pck_and_auc_of_the_protocols_joints(taken, summary):
    errors = distances(taken)[:, :14]
    assert summary["averages"][1]["pck"] == pytest.approx(100 * (errors < 150).mean())
    assert summary["averages"][1]["auc"] == pytest.approx(100 * np.mean([errors < t for t in range(0, 151, 5)]))
    assert "pck" not in gathered(taken, replace(PROTOCOL, pck_joints=())).summary()["averages"][0]


def test_mpjpe_of_the_protocols_joints(taken):
    some = gathered(taken, replace(PROTOCOL, joints=(1, 4, 16))).summary()
    assert some["averages"][1]["mpjpe"] == pytest.approx(distances(taken)[:, [1, 4, 16]].mean())
    variance = np.var(distances(taken).mean(axis=0)[[1, 4, 16]])
    assert some["variance"]["joints"]["mpjpe"] == pytest.approx(variance)


def test_variance_over_actions(summary):
    walking, sitting = (row["mpjpe"] for row in summary["actions"])
    assert summary["variance"]["actions"]["mpjpe"] == pytest.approx(((walking - sitting) / 2) ** 2)


def test_histogram_counts_every_pose_once(taken, summary):
    poses = distances(taken).mean(axis=1)
    expected = [((poses >= low) & (poses < low + 5)).sum() for low in range(0, int(poses.max()) + 1, 5)]
    assert summary["histogram"] == {"bin_width": 5, "poses": expected}
    assert sum(expected) == summary["frames"]


def test_histogram_ends_with_what_is_above(taken):
    c, predicted, target, valid = taken[0]
    assert len(gathered([(c, predicted + 5, target, valid)]).summary()["histogram"]["poses"]) == 101


def test_the_root_is_the_layouts(taken):
    """A target's place in the camera frame does not matter, whichever joint is the root."""
    c, _, target, valid = taken[1]
    summary = gathered([(c, target - target[:, [14]], target + 3, valid)], layout=MPI_INF_3DHP_17).summary()
    assert summary["averages"][0]["mpjpe"] == pytest.approx(0, abs=1e-9)


def test_frame_rates_that_differ_give_no_velocity_a_second(taken):
    c, *rest = taken[0]
    summary = gathered([*taken, (replace(c, fps=25), *rest)]).summary()
    assert "mpjve_per_second" not in summary["units"]
    assert "mpjve_per_second" not in summary["actions"][0]


def test_actions_without_a_frame_are_named(taken):
    assert gathered(taken[1:3]).summary()["missing_actions"] == ["Sitting"]


def test_a_clip_without_frames_that_count_leaves_no_trace(taken, summary):
    c, predicted, target, valid = taken[0]
    assert gathered([*taken, (replace(c, subject="S5"), predicted, target, ~valid)]).summary() == summary


def test_summary_is_json(summary):
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert (summary["dataset"], summary["input"], summary["protocol"]["name"]) == ("h36m", "gt", "test")
    assert summary["protocol"]["excluded"] == [["S11", "Sitting 2"]]


def test_memory_does_not_grow_with_the_frames():
    results = Results(PROTOCOL, H36M_17, "h36m", "gt")
    target = np.random.default_rng(0).normal(size=(400, 17, 3))
    valid = np.ones(400, bool)
    results.add(clip(frames=400), target, target, valid)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        results.add(clip(frames=400), target, target, valid)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 50_000  # the frames themselves are 3.3 MB


@pytest.mark.parametrize("odd", [np.inf, np.nan, -1e30])
def test_an_answer_that_cannot_be_is_an_error(odd, taken):
    c, predicted, target, valid = taken[0]
    predicted = predicted.copy()
    predicted[4, 2, 1] = odd
    with pytest.raises(VidposeError, match=r"^S9 Sitting Sitting 1 a: the lifter's answer for frame 4 is not finite"):
        gathered([(c, predicted, target, valid)])


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(VidposeError, match=r"^h36m: no clip that protocol 'test' counts"):
        Results(PROTOCOL, H36M_17, "h36m", "gt").summary()
