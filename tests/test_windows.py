"""Windows of prepared benchmarks and of virtual cameras, against the arrays they are cut from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_data import recording, write_cmu17, write_store

from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.cmu import load_cmu
from vidpose.lifters import create_lifter
from vidpose.lifters.normalisation import turned
from vidpose.training.recipe import Data, Recipe
from vidpose.training.windows import CameraWindows, StoreWindows, open_windows

CPU = torch.device("cpu")
DATA = Data(dataset="h36m", input="gt", stride=0, flip="none", noise=0.0, actions=(), validation="test")
FRAMES = 9


def mixste(**settings):
    return create_lifter("mixste", frames=FRAMES, width=16, depth=1, **settings)


def poseformer(**settings):
    return create_lifter("poseformer", frames=FRAMES, **settings)


def as_lifted(joints: np.ndarray) -> np.ndarray:
    return joints - joints[:, :1]


@pytest.fixture
def clips():
    return [recording(0, 31), recording(1, 4, size=(640, 480)), recording(2, 18, size=(1000, 1002))]


@pytest.fixture
def store(clips, tmp_path):
    return write_store(tmp_path / "h36m", [*clips, recording(3, 40, "test")])


def windows(store, lifter, **settings) -> StoreWindows:
    return StoreWindows(store, "train", lifter, replace(DATA, **settings), 1, CPU)


def all_of(windows: StoreWindows):
    return windows.cut(torch.arange(len(windows.windows_W4)))


def test_windows_end_to_end_are_the_chunks_of_videopose3d(store, clips):
    batch = all_of(windows(store, mixste()))
    expected = []
    for clip in clips:
        number = -(-len(clip.joints) // FRAMES)
        before = (number * FRAMES - len(clip.joints)) // 2
        padding = ((before, number * FRAMES - len(clip.joints) - before), (0, 0), (0, 0))
        expected.append(np.pad(as_lifted(clip.joints), padding, mode="edge").reshape(number, FRAMES, 17, 3))
    np.testing.assert_allclose(batch.joints_BTJD, np.concatenate(expected), atol=1e-6)
    assert (batch.metres_BT == 1).all()


def test_a_lifter_of_one_frame_gets_a_window_about_every_frame(store, clips):
    batch = all_of(windows(store, poseformer(), stride=1))
    half = FRAMES // 2
    padded = [np.pad(as_lifted(clip.joints), ((half, half), (0, 0), (0, 0)), mode="edge") for clip in clips]
    expected = [part[i : i + FRAMES] for part in padded for i in range(len(part) - FRAMES + 1)]
    np.testing.assert_allclose(batch.joints_BTJD, np.stack(expected), atol=1e-6)


def test_overlapping_windows_and_strided_frames(store, clips):
    # (31 - 9) / 4 is 5.5: seven windows over 33 frames, one before the clip and one behind it.
    starts = windows(store, mixste(), stride=4).windows_W4[:7, 0]
    assert starts.tolist() == [-1, 3, 7, 11, 15, 19, 23]
    batch = all_of(windows(store, poseformer(frame_stride=3), stride=2))
    truth = as_lifted(clips[0].joints)
    # Sixteen answers two frames apart over 31 frames; the fifth is of frame 8.
    rows = (8 + 3 * (np.arange(FRAMES) - FRAMES // 2)).clip(0, 30)
    np.testing.assert_allclose(batch.joints_BTJD[4], truth[rows], atol=1e-6)
    # Windows far apart lie inside the clip.
    assert windows(store, poseformer(), stride=20).windows_W4[:2, 0].tolist() == [5, 25]


def test_longer_windows_of_a_convolutional_lifter_have_all_the_frames_it_answers(store, clips):
    lifter = create_lifter("videopose3d", frames=FRAMES, filter_widths=[3, 3], width=16)
    batch = all_of(windows(store, lifter, window=FRAMES + 9, stride=10))
    answered = lifter.targets(batch.joints_BTJD, lifter(batch.keypoints_BTJC).shape[1])
    assert answered.shape[1] == 10
    # Four windows of ten frames over 31: five too many before, four behind.
    rows = (np.arange(40) - 4).clip(0, 30)
    np.testing.assert_allclose(answered[:4].flatten(0, 1), as_lifted(clips[0].joints)[rows], atol=1e-6)
    with pytest.raises(VidposeError, match="mixste: a window of 18 frames, where 1 to 9 are due"):
        windows(store, mixste(), window=FRAMES + 9)


@pytest.mark.parametrize("normalisation", ["screen", "person"])
def test_the_input_is_what_lift_would_give(store, clips, normalisation):
    lifter = mixste(normalisation=normalisation, channels=3)
    batch = all_of(windows(store, lifter, input="found"))
    # The first of each clip: four windows of 31 frames with two repeated before, one of 4 with two before.
    for window, clip, before in ((0, clips[0], 2), (4, clips[1], 2), (5, clips[2], 0)):
        rows = (np.arange(FRAMES) - before).clip(0, len(clip.joints) - 1)
        pixels = torch.from_numpy(clip.keypoints["found"][rows])[None]
        upright = turned(pixels - torch.tensor([clip.width / 2, clip.height / 2, 0]), -lifter.upright(pixels))
        upright += torch.tensor([clip.width / 2, clip.height / 2, 0])
        expected = lifter.normalise(upright, (clip.width, clip.height))[0]
        torch.testing.assert_close(batch.keypoints_BTJC[window], expected, atol=2e-6, rtol=1e-4)


def test_absent_keypoints_are_zeros(clips, tmp_path):
    clips[0].keypoints["gt"][3, 5] = np.nan
    batch = all_of(windows(write_store(tmp_path / "gaps", clips), mixste(channels=3)))
    assert (batch.keypoints_BTJC[0, 5, 5] == 0).all(), "frame 3, which two repeated ones come before"
    assert (batch.keypoints_BTJC[0, 4, 5] != 0).all()
    assert batch.keypoints_BTJC.isfinite().all()


def test_an_epoch_has_every_window_and_its_mirror_image(store, clips):
    lifter = mixste()
    doubled = windows(store, lifter, flip="duplicate")
    plain = all_of(windows(store, lifter))
    assert len(doubled) == 2 * len(plain.joints_BTJD) == 14
    batch = doubled.batch(0, 14)
    mirrored = []
    for clip in clips:
        pixels = clip.keypoints["gt"] * [-1, 1] + [clip.width, 0]
        clip.keypoints["gt"] = pixels[:, list(lifter.layout.mirror)]
        clip.joints = (clip.joints * [-1, 1, 1])[:, list(lifter.layout.mirror)]
    other = all_of(windows(write_store(store.folder.parent / "mirrored", clips), lifter))
    mirrored = (
        torch.cat([plain.keypoints_BTJC, other.keypoints_BTJC]),
        torch.cat([plain.joints_BTJD, other.joints_BTJD]),
    )
    for ours, expected in zip(batch[:2], mirrored, strict=True):
        distance = torch.cdist(ours.flatten(1), expected.flatten(1))
        assert distance.amin(dim=1).max() < 1e-4
        assert sorted(distance.argmin(dim=1).tolist()) == list(range(14))


def test_random_flips_are_half_of_the_windows(store):
    some = windows(store, mixste(), flip="random")
    assert len(some) == 7
    pelvis_to_hip = [some.batch(step, 7).joints_BTJD for step in range(60)]
    plain = all_of(some).joints_BTJD
    same = sum((torch.cdist(joints.flatten(1), plain.flatten(1)).amin(dim=1) < 1e-4).sum() for joints in pelvis_to_hip)
    assert 0.4 < same / 420 < 0.6


def test_order_follows_from_seed_and_epoch(store):
    ordered, again = windows(store, mixste()), windows(store, mixste())
    assert ordered.steps_per_epoch(4) == 2
    first, second, third = (ordered.batch(step, 4) for step in (0, 1, 2))
    # Asked for out of turn, as after a resumption.
    for step, batch in ((2, third), (0, first)):
        for ours, theirs in zip(again.batch(step, 4), batch, strict=True):
            assert torch.equal(ours, theirs)
    epoch = torch.cat([first.joints_BTJD, second.joints_BTJD])
    numbers = torch.cdist(epoch.flatten(1), all_of(ordered).joints_BTJD.flatten(1)).argmin(dim=1).tolist()
    assert sorted(numbers[:7]) == list(range(7))
    assert numbers[7] == numbers[0], "the last batch is filled from the beginning"
    assert not torch.equal(third.joints_BTJD, first.joints_BTJD)


def test_noise_is_in_pixels(store):
    lifter = mixste(channels=3)
    noisy = windows(store, lifter, noise=5.0)
    clean = windows(store, lifter)
    difference = torch.cat([(noisy.batch(s, 7).keypoints_BTJC - clean.batch(s, 7).keypoints_BTJC) for s in range(40)])
    assert (difference[..., 2] == 0).all()
    # In units of half a width: 5 pixels of 1000, and of 640 in one window of seven.
    per_window = difference[..., :2].std(dim=(1, 2, 3))
    assert per_window.quantile(0.4).item() == pytest.approx(5 / 500, rel=0.05)
    assert per_window.quantile(0.95).item() == pytest.approx(5 / 320, rel=0.05)


def test_image_units_come_with_their_length(store, clips):
    batch = all_of(windows(store, mixste(units="image")))
    metres = batch.joints_BTJD * batch.metres_BT[..., None, None]
    torch.testing.assert_close(metres, all_of(windows(store, mixste())).joints_BTJD, atol=1e-5, rtol=1e-4)
    # A pinhole of focal length 1000: half a width of 500 pixels, at 4 m, is about 2 m.
    assert batch.metres_BT[0].mean().item() == pytest.approx(2, rel=0.1)


def test_frames_that_do_not_count_are_no_targets(clips, tmp_path):
    valid = np.zeros(31, bool)
    valid[[3, 12]] = True
    store = write_store(tmp_path / "valid", [replace(clips[0], valid=valid), clips[2]])
    batch = all_of(windows(store, mixste()))
    # Two of the first clip's four windows have none that counts.
    assert len(batch.metres_BT) == 2 + 2
    assert batch.metres_BT[0].nonzero().flatten().tolist() == [5]
    assert len(windows(store, poseformer(), stride=1)) == 2 + 18
    nothing = write_store(tmp_path / "nothing", [replace(clips[0], valid=np.zeros(31, bool))])
    with pytest.raises(UsageError, match="no frame for train counts"):
        windows(nothing, mixste())


def test_actions_are_chosen(store):
    assert len(windows(store, mixste(), actions=("Walk",))) == 1
    with pytest.raises(UsageError, match=r"no clips for train of Swim; there are test Walk, train Sit, train Walk"):
        windows(store, mixste(), actions=("Swim",))


def test_the_survey_sees_every_frame_about_once(store, clips):
    survey = windows(store, poseformer(), stride=1).survey()
    seen = survey.joints_BTJD.flatten(0, 1)
    distance = torch.cdist(torch.from_numpy(as_lifted(clips[0].joints)).flatten(1), seen.flatten(1))
    assert (distance.amin(dim=1)[4:-4] < 1e-5).all()
    assert len(seen) < 2 * 53


def test_what_does_not_go_together_is_said(store, tmp_path):
    recipe = Recipe(arch="mixste", data=DATA, steps=1)
    with pytest.raises(UsageError, match=r"layout humaneva15, where h36m has h36m17; set model.layout=h36m17"):
        windows(store, mixste(layout="humaneva15"))
    with pytest.raises(UsageError, match="no input 'sh'; there are gt, found"):
        windows(store, mixste(), input="sh")
    with pytest.raises(UsageError, match="no clips for val; there are"):
        open_windows(replace(recipe, data=replace(DATA, validation="val")), store.folder, mixste(), CPU)
    with pytest.raises(UsageError, match="holds h36m, where the recipe trains on humaneva"):
        open_windows(replace(recipe, data=replace(DATA, dataset="humaneva")), store.folder, mixste(), CPU)
    with pytest.raises(UsageError, match="no prepared benchmark"):
        open_windows(recipe, tmp_path / "nowhere", mixste(), CPU)


def test_validation_is_spread_over_its_split(store):
    training, held_out = open_windows(Recipe(arch="mixste", data=DATA, steps=1), store.folder, mixste(), CPU)
    assert len(held_out.joints_BTJD) == 5
    assert training.about["data"] == "h36m, training split, input gt"


@pytest.fixture
def cmu(tmp_path):
    return write_cmu17(tmp_path)


def cameras(folder, lifter, **augmentation) -> CameraWindows:
    recipe = Recipe(arch="mixste", data=replace(DATA, dataset="cmu17", validation="val"), steps=1)
    recipe = replace(recipe, augmentation=augmentation)
    return open_windows(recipe, folder, lifter, CPU)[0]


def test_the_same_step_sees_the_same_cameras(cmu):
    lifter = mixste(channels=3, normalisation="person")
    one, other = cameras(cmu, lifter), cameras(cmu, lifter)
    for ours, theirs in zip(one.batch(5, 4), other.batch(5, 4), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(one.batch(5, 4).joints_BTJD, one.batch(6, 4).joints_BTJD)
    assert load_cmu(cmu, "train").positions.shape[1:] == one.batch(0, 1).joints_BTJD.shape[2:]


def test_every_second_frame_is_twice_as_far_away(cmu):
    at_50 = cameras(cmu, mixste(normalisation="person"), fps=(50, 50.001), reverse=0.0)
    at_25 = cameras(cmu, mixste(normalisation="person", frame_stride=2), fps=(50, 50.001), reverse=0.0)
    for seen, seconds in ((at_50, 0.02), (at_25, 0.04)):
        assert seen.sampler.windows(4)[1].numpy() == pytest.approx(seconds, rel=1e-3)


@pytest.mark.parametrize("setting", [{"normalisation": "screen"}, {"layout": "humaneva15"}, {"units": "image"}])
def test_virtual_pictures_have_no_pixels(cmu, setting):
    lifter = mixste(**({"normalisation": "person"} | setting))
    with pytest.raises(UsageError, match=f"cannot learn from cmu17; set model.{next(iter(setting))}="):
        cameras(cmu, lifter)
