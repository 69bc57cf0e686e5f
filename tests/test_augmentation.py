from dataclasses import replace

import numpy as np
import pytest
import torch
from training_data import T_POSE, write_cmu17

from vidpose.body.skeletons import BLAZEPOSE_TO_H36M, H36M_17
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.cmu import CapturedMotion, load_cmu
from vidpose.training.invented_poses import fold_legs
from vidpose.training.motion_augmentation import MotionAugmentation, MotionSampler, detect, new_bodies, view

CLEAN = MotionAugmentation(
    landmark_bias=0.0, jitter=0.0, white=0.0, occluded=0.0, dropped=0.0, unscored=1.0, recombine=0.0, perturb=0.0,
    reverse=0.0,
    bone_scale=0.0, limb_scale=0.0, body_scale=0.0,
)  # fmt: skip


@pytest.fixture
def cmu(tmp_path):
    return write_cmu17(tmp_path)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def posed(batch: int = 8, frames: int = 5) -> torch.Tensor:
    return torch.from_numpy(T_POSE).expand(batch, frames, 17, 3).clone()


def bone_lengths(joints: torch.Tensor) -> torch.Tensor:
    return (joints[:, :, 1:] - joints[:, :, list(H36M_17.parents[1:])]).norm(dim=-1)


def test_reader_gives_metres_and_sequences(cmu):
    motion = load_cmu(cmu, "train")
    assert motion.positions.shape == (210, 17, 3)
    assert motion.offsets.tolist() == [0, 120, 210]
    assert np.abs(motion.positions[0, 10, 2] - 1.7) < 0.5


def test_missing_and_broken_data_are_one_line(tmp_path):
    with pytest.raises(VidposeError, match="no cmu17_train"):
        load_cmu(tmp_path, "train")
    np.savez(
        tmp_path / "cmu17_train_00.npz", positions=np.zeros((5, 16, 3), np.int16), offsets=[0, 5], subject=[1], fps=50
    )
    with pytest.raises(VidposeError, match=r"positions is \(5, 16, 3\).*any x 17 x 3"):
        load_cmu(tmp_path, "train")
    with pytest.raises(UsageError, match="unknown CMU split"):
        load_cmu(tmp_path, "all")


def test_cameras_are_rigid_and_upright():
    camera, distance = view(posed(64), CLEAN, generator())
    torch.testing.assert_close(bone_lengths(camera), bone_lengths(posed(64)), rtol=1e-4, atol=1e-4)
    assert (camera[..., 2] > 0.5).all()
    assert (distance >= 1.8).all()
    head_above_feet = camera[:, :, H36M_17.index("left_ankle"), 1] - camera[:, :, H36M_17.index("head_top"), 1]
    assert (head_above_feet > 0.5).all(), "y points down"


def test_left_stays_left_in_every_view():
    camera, _ = view(posed(64), CLEAN, generator())
    # In a frame with x right, y down, z forward: forward = up x left, for a mirrored person too.
    up = -(camera[:, :, 0] - camera[:, :, 8])
    left = camera[:, :, 11] - camera[:, :, 14]
    nose = camera[:, :, 9] - camera[:, :, 8]
    facing = torch.linalg.cross(left, up)
    assert ((facing * nose).sum(-1) > 0).all()


def test_a_clean_detector_sees_the_projection():
    camera, distance = view(posed(16), CLEAN, generator())
    seen = detect(camera, distance, torch.full((16,), 0.02), CLEAN, generator())
    wrist = H36M_17.index("left_wrist")
    expected = camera[..., wrist, :2] / camera[..., wrist, 2:] * distance[:, None, None]
    torch.testing.assert_close(seen[:, :, wrist, :2], expected)
    assert (seen[..., 2] == 1).all()


def test_derived_joints_are_made_as_at_inference():
    noisy = MotionAugmentation(dropped=0.0)
    camera, distance = view(posed(16), noisy, generator())
    seen = detect(camera, distance, torch.full((16,), 0.02), noisy, generator(4)).numpy()
    by_name = {joint: seen[..., H36M_17.index(joint), :] for joint in H36M_17.joints}
    blazepose = np.zeros((*seen.shape[:2], 33, 3), np.float32)
    for i, joint in enumerate(BLAZEPOSE_TO_H36M.source.joints):
        if joint in by_name:
            blazepose[..., i, :] = by_name[joint]
    xy, scores = BLAZEPOSE_TO_H36M(blazepose[..., :2], blazepose[..., 2])
    for joint in ("pelvis", "spine", "thorax"):
        np.testing.assert_allclose(xy[..., H36M_17.index(joint), :], by_name[joint][..., :2], atol=1e-5)
        np.testing.assert_allclose(scores[..., H36M_17.index(joint)], by_name[joint][..., 2], atol=1e-6)


def test_new_bodies_keep_bones_constant_in_time_and_borrow_limbs():
    moving = posed(6, 4) + 0.05 * torch.randn(6, 1, 17, 3, generator=generator(2))
    bodies = new_bodies(moving, MotionAugmentation(recombine=1.0), generator())
    lengths = bone_lengths(bodies)
    torch.testing.assert_close(lengths, lengths[:, :1].expand_as(lengths), rtol=1e-4, atol=1e-4)


def test_limbs_have_peoples_proportions_whatever_was_recorded():
    short_arms = posed(200, 3) * torch.linspace(0.7, 1.3, 200)[:, None, None, None]
    short_arms[:, :, [13, 16]] = (short_arms[:, :, [13, 16]] + short_arms[:, :, [12, 15]]) / 2
    plain = replace(CLEAN, recombine=0.0, perturb=0.0)
    for limb_scale, spread in ((0.0, 0.01), (0.06, 0.061)):
        bodies = new_bodies(short_arms, replace(plain, limb_scale=limb_scale), generator())
        lengths = bone_lengths(bodies)[:, 0]
        trunk = 0.926 * (lengths[:, H36M_17.index("spine") - 1] + lengths[:, H36M_17.index("thorax") - 1])
        for joint, share in (("knee", 0.75), ("ankle", 0.725), ("elbow", 0.525), ("wrist", 0.49)):
            ratio = lengths[:, H36M_17.index(f"left_{joint}") - 1] / trunk
            assert ratio.mean() == pytest.approx(share, rel=0.015)
            assert ratio.std() / share == pytest.approx(spread, abs=0.012)


def flexions(bones: torch.Tensor) -> torch.Tensor:
    """(2, batch) degrees that left and right knee are bent in the first frame."""
    thighs, shins = (bones[:, 0, [H36M_17.index(f"{side}_{end}") for side in ("left", "right")]] for end in LEG)
    return torch.rad2deg(torch.nn.functional.cosine_similarity(thighs, shins, dim=-1).clamp(-1, 1).acos()).T


LEG = ("knee", "ankle")


def standing(batch: int) -> torch.Tensor:
    return torch.from_numpy(T_POSE - T_POSE[[max(parent, 0) for parent in H36M_17.parents]]).repeat(batch, 3, 1, 1)


def test_who_crouches_bends_both_knees_forward_and_keeps_the_feet_below():
    bones = standing(400)
    bent = fold_legs(bones, 1.0, 0.0, generator())
    torch.testing.assert_close(bent.norm(dim=-1), bones.norm(dim=-1))
    before, (left, right) = flexions(bones), flexions(bent)
    assert before.max() < 7
    assert 35 < left.median() < 55
    assert left.max() < 125
    assert 3 < (left - right).abs().median() < 15
    # T_POSE looks along -y. Between 0.35 and 0.65 of the bend are the hip's, so ankles stay within 0.15 x 115 degrees.
    thighs, shins = (bent[:, 0, H36M_17.index(f"left_{end}")] for end in LEG)
    assert (thighs[:, 1] <= 0).all()
    assert (shins[:, 1] >= 0).all()
    assert (torch.rad2deg(torch.atan2((thighs + shins)[:, 1], -(thighs + shins)[:, 2])).abs() < 0.15 * 115 + 3).all()
    torch.testing.assert_close(fold_legs(bones, 0.0, 0.0, generator()), bones, rtol=0, atol=0)
    share = (flexions(fold_legs(bones, 0.3, 0.0, generator()))[0] > 7.5).float().mean()
    assert share == pytest.approx(0.3 * 0.95, abs=0.07)


def test_a_leg_folds_for_itself_and_leaves_the_rest_as_it_is():
    bones = standing(400)
    folded = fold_legs(bones, 0.0, 0.25, generator())
    left, right = flexions(folded) > 7
    assert left.float().mean() == pytest.approx(0.25 * 0.94, abs=0.07)
    assert (left & right).float().mean() == pytest.approx(0.0625 * 0.88, abs=0.04)
    legs = [H36M_17.index(f"{side}_{end}") for side in ("left", "right") for end in LEG]
    others = [joint for joint in range(17) if joint not in legs]
    torch.testing.assert_close(folded[:, :, others], bones[:, :, others], rtol=0, atol=0)
    assert 35 < flexions(folded)[0][left].median() < 65


def test_no_knee_is_folded_further_than_knees_go():
    bones = standing(200)
    for side in ("left", "right"):
        bones[:, :, H36M_17.index(f"{side}_ankle")] = -0.9 * bones[:, :, H36M_17.index(f"{side}_knee")]
    legs = [H36M_17.index(f"{side}_{end}") for side in ("left", "right") for end in LEG]
    torch.testing.assert_close(
        fold_legs(bones, 1.0, 1.0, generator())[:, :, legs], bones[:, :, legs], rtol=0, atol=1e-6
    )
    assert flexions(fold_legs(standing(200), 1.0, 1.0, generator())).max() <= 140.1


def test_sampler_imitates_frame_rates_and_respects_sequences(cmu):
    sampler = MotionSampler(load_cmu(cmu, "train"), 27, MotionAugmentation(fps=(25, 25.001), reverse=0.0), generator())
    windows, seconds = sampler.windows(64)
    assert seconds.numpy() == pytest.approx(0.04, rel=1e-3)
    # The walk goes 0.5 m/s in x: 2 cm a frame at 25 fps, unless it stands at an end of its sequence.
    step = windows[:, :, :, 0].mean(dim=2).diff(dim=1)
    assert step.max() < 0.06
    assert step.median() == pytest.approx(0.02, abs=0.005)


def test_windows_move_evenly_however_much_motion_there_is():
    """At 1 m/s, in the last of a million frames: float32 counts those in sixteenths."""
    frames, fps = 1000, 50.0
    positions = np.zeros((1_000_000, 1, 3), np.float32)
    positions[:, 0, 0] = np.arange(len(positions)) % frames / fps
    offsets = np.arange(0, len(positions) + 1, frames)
    shares = np.zeros(len(offsets) - 1)
    shares[-1] = 1
    motion = CapturedMotion(positions, offsets, np.ones(len(shares), int), fps, shares)
    sampler = MotionSampler(motion, 9, MotionAugmentation(fps=(20, 21), reverse=0.0), generator())
    windows, seconds = sampler.windows(64)
    steps = windows[:, :, 0, 0].diff(dim=1)
    inside = (windows[:, :1, 0, 0] > 0) & (windows[:, -1:, 0, 0] < (frames - 1) / fps - 0.001)
    assert inside.sum() > 50
    torch.testing.assert_close(steps[inside[:, 0]], seconds[inside[:, 0], None].expand(-1, 8), rtol=0, atol=1e-4)


def test_what_lies_below_the_picture_is_guessed_and_doubted():
    cut = replace(CLEAN, cut=1.0, unscored=0.0)
    camera, distance = view(posed(200), CLEAN, generator())
    seen = detect(camera, distance, torch.full((200,), 0.02), cut, generator(3))
    exact = camera[..., :2] / camera[..., 2:] * distance[:, None, None, None]
    away = (seen[..., :2] - exact).norm(dim=-1)
    ankles = [H36M_17.index(f"{side}_ankle") for side in ("left", "right")]
    head = H36M_17.index("head_top")
    assert away[:, :, head].max() < 1e-4
    assert (away[:, :, ankles] > 0.02).float().mean() > 0.9
    # The deeper in the picture, the likelier it is guessed; and what is guessed scores less.
    knees = [H36M_17.index(f"{side}_knee") for side in ("left", "right")]
    assert 0.3 < (away[:, :, knees] > 0.02).float().mean() < 0.9
    assert seen[:, :, ankles, 2].mean() < 0.7 < 0.9 < seen[:, :, head, 2].mean()
