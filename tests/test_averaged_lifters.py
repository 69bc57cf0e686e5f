"""Several lifters whose answers are averaged: `--lifter a+b`."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from vidpose.body.skeletons import BLAZEPOSE_33, get_conversion
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.cli import cli
from vidpose.common.errors import UsageError, VidposeError
from vidpose.lifters import create_lifter
from vidpose.lifters.lifter_table import ZOO
from vidpose.lifters.zoo import open_lifter, save_lifter
from vidpose.pipeline.lifting import lift_people
from vidpose.refine.smoothing import Smoothing

NO_SMOOTHING = Smoothing("none", 0.0)


@pytest.fixture
def found() -> PoseResult:
    """Somebody whose keypoints wander for two seconds."""
    rng, frames = np.random.default_rng(3), 60
    start = rng.uniform(100, 300, (1, 33, 2))
    keypoints = (start + rng.normal(0, 1, (frames, 33, 2)).cumsum(axis=0)).astype(np.float32)
    times = np.arange(frames) / 30
    track = Track.of_keypoints(
        1, np.arange(frames), times, np.zeros((frames, 4), np.float32), keypoints, np.full((frames, 33), 0.9)
    )
    return PoseResult(Source("walk.mp4", 400, 400, times, None), (track,), BLAZEPOSE_33.name, "")


def lifted(found: PoseResult, name: str) -> PoseResult:
    return lift_people(found, open_lifter(name, "cpu"), NO_SMOOTHING)


def test_joints_and_doubts_are_the_means_of_each_lifters_own(found):
    together = lifted(found, "single-branch+martinez")
    apart = [lifted(found, name) for name in ("single-branch", "martinez")]
    for name in ("joints", "doubts"):
        first, second = (getattr(result.tracks[0], name) for result in apart)
        assert np.abs(first - second).max() > 0.01, "they do not agree anyway"
        np.testing.assert_allclose(getattr(together.tracks[0], name), (first + second) / 2, atol=1e-6)
    assert together.provenance["lifter"] == together.provenance["arch"] == "single-branch+martinez"
    assert together.provenance["weights_sha256"] == "+".join(
        ZOO[name].shipped.sha256 for name in ("single-branch", "martinez")
    )


def test_one_that_does_not_say_how_sure_it_is_leaves_the_average_without_doubts(found, tmp_path):
    plain = create_lifter("martinez", channels=3, normalisation="person", width=16, depth=1)
    save_lifter(plain, tmp_path / "plain.safetensors", {})
    together = lifted(found, f"martinez+{tmp_path / 'plain.safetensors'}")
    assert together.tracks[0].doubts.shape == (60, 0, 2)
    assert np.isfinite(together.tracks[0].joints).all()


def test_a_file_may_have_a_plus_in_its_name(found, tmp_path):
    file = tmp_path / "a+b.safetensors"
    shutil.copy(ZOO["martinez"].shipped.checked(), file)
    np.testing.assert_allclose(
        lifted(found, str(file)).tracks[0].joints, lifted(found, "martinez").tracks[0].joints, atol=1e-5
    )


def test_what_cannot_be_averaged_is_refused(tmp_path):
    in_camera = create_lifter("martinez", channels=3, normalisation="screen", width=16, depth=1)
    save_lifter(in_camera, tmp_path / "screen.safetensors", {})
    with pytest.raises(UsageError, match=r"martinez and .*screen.safetensors cannot be averaged.*in_ray_frame"):
        open_lifter(f"martinez+{tmp_path / 'screen.safetensors'}", "cpu")
    with pytest.raises(VidposeError, match="unknown lifter 'martinex'"):
        open_lifter("single-branch+martinex", "cpu")
    with pytest.raises(VidposeError, match="unknown lifter ''"):
        open_lifter("single-branch+", "cpu")


def test_keypoints_that_neither_knows_are_told_of_once(found, caplog):
    coco = get_conversion("blazepose33", "coco17")
    track = found.tracks[0]
    keypoints, scores = coco(track.keypoints, track.scores)
    of_coco = Track.of_keypoints(1, track.frames, track.times, track.boxes, keypoints, scores)
    lifted(replace(found, tracks=(of_coco,), keypoint_layout="coco17"), "single-branch+martinez")
    (told,) = [record for record in caplog.records if "expect larger errors" in record.message]
    assert told.message.startswith("single-branch+martinez was trained on keypoints from blazepose33-h36m17-crown")


def test_live_takes_one_lifter(walk_sample):
    done = CliRunner().invoke(cli, ["live", str(walk_sample), "--lifter", "martinez+seq2seq"])
    assert isinstance(done.exception, UsageError)
    assert "--lifter martinez+seq2seq: an average is for whole videos; take one lifter" in str(done.exception)
