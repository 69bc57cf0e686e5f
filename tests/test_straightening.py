"""Knees and elbows of motion capture whose bones are too long for where their ends are."""

import numpy as np
import pytest
from training_data import T_POSE

from vidpose.body.skeletons import H36M_17
from vidpose.datasets.cmu import load_cmu
from vidpose.datasets.mocap.straightening import ARMS, LEGS, quiet_standing, straighten

FPS = 50.0
MIDDLES = [limb.middle for limb in (*LEGS, *ARMS)]
OTHERS = [joint for joint in range(len(H36M_17)) if joint not in MIDDLES]


def lengthened(positions, limb, share):
    """The same ends, and both bones longer by a share: the middle joint is pushed out, in the limb's plane."""
    faulty = positions.copy()
    root, middle, end = (positions[:, joint] for joint in (limb.root, limb.middle, limb.end))
    upper, lower = (np.linalg.norm(a - b, axis=-1) * (1 + share) for a, b in ((middle, root), (end, middle)))
    reach = np.linalg.norm(end - root, axis=-1)
    angle = np.arccos((upper**2 + reach**2 - lower**2) / (2 * upper * reach))
    along = (end - root) / reach[:, None]
    out = middle - root - ((middle - root) * along).sum(axis=-1, keepdims=True) * along
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    faulty[:, limb.middle] = root + upper[:, None] * (np.cos(angle)[:, None] * along + np.sin(angle)[:, None] * out)
    return faulty


def bent(positions, limb, degrees, towards):
    """A limb whose bones keep their lengths, bent by so many degrees a frame; its end is drawn near the root."""
    posed = positions.copy()
    root, middle, end = (positions[:, joint] for joint in (limb.root, limb.middle, limb.end))
    upper, lower = (np.linalg.norm(a - b, axis=-1) for a, b in ((middle, root), (end, middle)))
    turn = np.radians(degrees)
    along = (end - root) / np.linalg.norm(end - root, axis=-1, keepdims=True)
    out = np.asarray(towards, float) - (along @ np.asarray(towards, float))[:, None] * along
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    ahead = np.arctan2(lower * np.sin(turn), upper + lower * np.cos(turn))
    posed[:, limb.middle] = root + upper[:, None] * (np.cos(ahead)[:, None] * along + np.sin(ahead)[:, None] * out)
    reach = np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(turn))
    posed[:, limb.end] = root + reach[:, None] * along
    return posed


def person(standing=4.0):
    """Who stands still for two seconds, then squats twice, and bends and stretches the arms throughout."""
    t = np.arange(400) / FPS
    down = np.where(t > 2, 45 * (1 - np.cos(2 * np.pi * (t - 2) / 3)), 0)
    positions = np.repeat(T_POSE[None].astype(float), len(t), axis=0)
    for leg in LEGS:
        positions = bent(positions, leg, standing + down, (0, -1, 0))
    # The feet stay; the body comes down as far as they have risen.
    risen = positions[:, LEGS[0].end, 2] - positions[0, LEGS[0].end, 2]
    positions[..., 2] -= risen[:, None]
    for arm in ARMS:
        # Nobody who stands still moves the elbow by more than a little.
        positions = bent(positions, arm, 4.0 + 2 * np.minimum(t, 2) + down, (0, -1, 0.2))
    return positions


def test_what_was_lengthened_is_shortened_again():
    true = person()
    faulty = true
    for limb, share in zip((*LEGS, *ARMS), (0.03, 0.04, 0.02, 0.015), strict=True):
        faulty = lengthened(faulty, limb, share)
    standing = quiet_standing(faulty, FPS)
    assert standing.sum() > 80
    assert min(np.median(leg.flexion(faulty[standing])) for leg in LEGS) > 25
    [mended] = straighten([faulty.astype(np.float32)], [1], FPS)
    assert np.linalg.norm(mended - true, axis=-1).max() < 0.012
    for limb in (*LEGS, *ARMS):
        assert np.abs(limb.flexion(mended) - limb.flexion(true)).max() < 4
    np.testing.assert_array_equal(mended[:, OTHERS], faulty.astype(np.float32)[:, OTHERS])


def test_quiet_standing_is_straight_and_bones_are_rigid():
    faulty = [lengthened(lengthened(person(4 + i), LEGS[0], 0.04), LEGS[1], 0.025 + 0.005 * i) for i in range(3)]
    for sequence in straighten(faulty, [1, 2, 3], FPS):
        standing = quiet_standing(sequence, FPS)
        for leg in LEGS:
            assert np.median(leg.flexion(sequence[standing])) < 8
            for bone in leg.bones(sequence):
                assert np.ptp(bone) < 0.02 * bone.mean()


def test_a_limb_is_stretched_only_where_its_ends_are_too_far_apart():
    faulty = lengthened(person(5.0), LEGS[0], 0.03)
    # For a moment the ankle is as far away as the wrong bones reach.
    leg = LEGS[0]
    away = faulty[210, leg.end] - faulty[210, leg.root]
    reach = sum(bone[210] for bone in leg.bones(faulty))
    faulty[210, leg.end] = faulty[210, leg.root] + away / np.linalg.norm(away) * reach
    faulty[210, leg.middle] = faulty[210, leg.root] + 0.48 * (faulty[210, leg.end] - faulty[210, leg.root])
    [mended] = straighten([faulty], [1], FPS)
    assert leg.flexion(mended)[210] < 0.1
    bones = sum(leg.bones(mended))
    rest = np.delete(bones, 210)
    assert np.ptp(rest) < 1e-5
    assert bones[210] == pytest.approx(reach, abs=1e-5)


def test_limbs_that_straighten_stay_as_they_are():
    true = person().astype(np.float32)
    [mended] = straighten([true], [1], FPS)
    np.testing.assert_array_equal(mended, true)


def test_a_bend_of_ninety_degrees_hardly_changes():
    faulty = lengthened(person(), LEGS[0], 0.04)
    [mended] = straighten([faulty], [1], FPS)
    before, after = LEGS[0].flexion(faulty), LEGS[0].flexion(mended)
    near = np.abs(before - 90) < 5
    assert near.any()
    assert (before - after)[near].min() > 0
    assert (before - after)[near].max() < 6


def test_people_and_their_skeletons_are_told_apart():
    long, right = lengthened(person(), LEGS[0], 0.04), person()
    larger = 1.1 * long
    for others in ([1, 1, 2], [2, 1, 1]):
        mended = straighten([long, right, larger], others, FPS)
        np.testing.assert_array_equal(mended[1], right.astype(np.float32))
        for sequence in (mended[0], mended[2]):
            assert np.median(LEGS[0].flexion(sequence[:80])) < 8


def test_who_never_stands_still_is_mended_by_the_gait():
    t = np.arange(500) / FPS
    positions = np.repeat(T_POSE[None].astype(float), len(t), axis=0)
    for phase, leg in enumerate(LEGS):
        positions = bent(positions, leg, 4 + 28 * (1 - np.cos(2 * np.pi * t + np.pi * phase)), (0, -1, 0))
    positions += t[:, None, None] * [0, -1.2, 0]
    faulty = positions
    for leg in LEGS:
        faulty = lengthened(faulty, leg, 0.03)
    assert not quiet_standing(faulty, FPS).any()
    [mended] = straighten([faulty], [1], FPS)
    for leg in LEGS:
        assert np.percentile(leg.flexion(mended), 5) < 8
        assert np.percentile(leg.flexion(faulty), 5) > 25


def test_shards_come_mended_and_no_source_takes_over(tmp_path):
    faulty = lengthened(person(), LEGS[0], 0.04)
    many = [faulty, *[person()] * 9]
    lengths = [len(sequence) for sequence in many]
    np.savez(
        tmp_path / "cmu17_train_00.npz",
        positions=np.round(1000 * np.concatenate(many)).astype(np.int16),
        offsets=np.cumsum([0, *lengths]), subject=np.arange(10, dtype=np.int16), fps=np.float32(50),
        source=np.array(["asf/amc"] + ["ui-prmd"] * 9),
    )  # fmt: skip
    motion = load_cmu(tmp_path, "train")
    assert np.median(LEGS[0].flexion(motion.positions[:80])) < 8
    frames = np.diff(motion.offsets) * motion.shares
    assert frames[1:].sum() / frames.sum() == pytest.approx(1 / 3)
    assert motion.shares[0] == 1
