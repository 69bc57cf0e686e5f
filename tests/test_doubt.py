"""What a lifter says of how sure it is: that it learns to, that nothing else changes by it, and what becomes of it."""

from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import laplace
from training_data import write_cmu17

from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.common.errors import UsageError
from vidpose.lifters import create_lifter
from vidpose.lifters.doubt import Doubt, surprise
from vidpose.lifters.running import doubts_of, lift
from vidpose.lifters.window_network import TorchWindows
from vidpose.lifters.zoo import load_weights, save_lifter
from vidpose.pipeline.lifting import lift_people
from vidpose.refine.smoothing import Smoothing
from vidpose.training.loop import train
from vidpose.training.recipe import read_recipe

TINY = {"width": 16, "channels": 3, "normalisation": "person"}
SIZE = (640, 480)


@pytest.fixture
def weights(tmp_path):
    """A lifter that nobody has trained, with a doubt."""
    torch.manual_seed(0)
    save_lifter(create_lifter("martinez", **TINY, doubt=8), tmp_path / "doubting.safetensors", {})
    return load_weights(tmp_path / "doubting.safetensors")


def trained(folder: Path, *settings: str) -> None:
    """Give the lifter of `own.safetensors` a doubt."""
    given = [*(f"model.{key}={value}" for key, value in TINY.items()), "model.depth=2", "model.dropout=0.5", *settings]
    recipe = replace(read_recipe("cmu17/doubt", given), init=str(folder / "own.safetensors"))
    train(recipe, write_cmu17(folder), folder / "run", device="cpu")


def walker(frames: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints of someone upright, and their scores."""
    rng = np.random.default_rng(3)
    height = {"head_top": -180, "thorax": -130, "pelvis": 0, "left_ankle": 200, "right_ankle": 200}
    upright = np.array([[0.0, height.get(joint, 0.0)] for joint in H36M_17.joints])
    return 300 + upright + rng.normal(0, 20, (frames, 17, 2)), rng.uniform(0.3, 1, (frames, 17))


def test_surprise_is_the_likelihood_of_laplace():
    rng = np.random.default_rng(0)
    doubts, off = rng.uniform(0.01, 0.2, (4, 17, 2)), rng.normal(0, 0.1, (4, 17, 3))
    found = surprise(torch.from_numpy(doubts), torch.from_numpy(off)).numpy()
    # Laplace's scale is its standard deviation over the root of 2.
    likelihood = laplace.logpdf(off, scale=doubts[..., [0, 0, 1]] / np.sqrt(2)).sum(axis=-1)
    np.testing.assert_allclose(found, -likelihood - 1.5 * np.log(2), rtol=1e-9)


def test_a_doubt_learns_how_far_errors_go_and_where():
    """Errors along the ray are ten times as large where a joint lies to the left, which the keypoints show."""
    torch.manual_seed(0)
    doubt, generator = Doubt(51, 17, 32), torch.Generator().manual_seed(1)
    optimiser = torch.optim.Adam(doubt.parameters(), lr=5e-3)

    def batch(size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        keypoints = torch.randn((size, 17, 3), generator=generator)
        keypoints[:, 0, :2], keypoints[..., 2] = 0, 1
        along = torch.where(keypoints[:, :, 0] < 0, 0.1, 0.01)
        spreads = torch.stack([torch.full_like(along, 0.02), torch.full_like(along, 0.02), along], dim=-1)
        signs = torch.rand((size, 17, 3), generator=generator) - 0.5
        off = -signs.sign() * torch.log1p(-2 * signs.abs()) * spreads / 2**0.5
        return keypoints, off, spreads

    for _ in range(600):
        keypoints, off, _ = batch(256)
        loss = surprise(doubt(keypoints, torch.zeros(256, 17, 3)), off).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    keypoints, _, spreads = batch(2000)
    said = doubt(keypoints, torch.zeros(2000, 17, 3)).detach()[:, 1:]
    true = spreads[:, 1:]
    assert said[..., 0].mean() == pytest.approx(0.02, rel=0.15)
    assert said[..., 1][true[..., 2] > 0.05].median() == pytest.approx(0.1, rel=0.25)
    assert said[..., 1][true[..., 2] < 0.05].median() < 0.025


def test_a_doubt_changes_no_answer_and_papers_have_none():
    torch.manual_seed(0)
    plain = create_lifter("martinez", **TINY).eval()
    doubting = create_lifter("martinez", **TINY, doubt=8).eval()
    added = doubting.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert {key.split(".")[0] for key in added} == {"doubt"}
    keypoints = torch.randn(3, 4, 17, 3)
    torch.testing.assert_close(doubting(keypoints), plain(keypoints), rtol=0, atol=0)
    assert plain.doubt is None


def test_a_lifter_in_the_pictures_units_has_no_doubt():
    with pytest.raises(UsageError, match="doubts are metres"):
        create_lifter("martinez", **TINY, doubt=8, units="image")


def test_a_mirrored_person_is_doubted_alike(weights):
    keypoints, scores = walker()
    joints = lift(weights.lifter, keypoints, scores, SIZE)
    mirror = list(H36M_17.mirror)
    mirrored = (keypoints * (-1, 1) + (SIZE[0], 0))[:, mirror]
    there = doubts_of(weights.lifter, keypoints, scores, SIZE, joints)
    others = lift(weights.lifter, mirrored, scores[:, mirror], SIZE)
    np.testing.assert_allclose(others, (joints * (-1, 1, 1))[:, mirror], atol=1e-5)
    back = doubts_of(weights.lifter, mirrored, scores[:, mirror], SIZE, others)
    np.testing.assert_allclose(back[:, mirror], there, rtol=1e-4)
    assert there.shape == (5, 17, 2)
    assert (there[:, 1:] > 0).all()
    assert (there[:, 0] == 0).all()


def test_a_person_upside_down_is_doubted_as_upright(weights):
    keypoints, scores = walker()
    joints = lift(weights.lifter, keypoints, scores, SIZE)
    turned = np.array(SIZE) - keypoints
    others = lift(weights.lifter, turned, scores, SIZE)
    np.testing.assert_allclose(others, joints * (-1, -1, 1), atol=1e-5)
    there, back = (
        doubts_of(weights.lifter, seen, scores, SIZE, of) for seen, of in ((keypoints, joints), (turned, others))
    )
    np.testing.assert_allclose(back, there, rtol=1e-4)


def test_people_carry_what_their_lifter_said(weights, tmp_path):
    keypoints, scores = walker(20)
    scores[8:11] = 0
    keypoints[8:11] = np.nan
    times = np.arange(20) / 25
    track = Track.of_keypoints(
        1, np.arange(20), times, np.zeros((20, 4), np.float32), keypoints.astype(np.float32), scores.astype(np.float32)
    )
    found = PoseResult(Source("a.mp4", *SIZE, times, Fraction(25)), (track,), "h36m17", "")
    lifted = lift_people(found, weights, Smoothing.parse("none"))
    doubts = lifted.tracks[0].doubts
    assert doubts.shape == (20, 17, 2)
    assert np.isfinite(doubts).all()
    lifted.save(tmp_path / "a.npz")
    assert PoseResult.load(tmp_path / "a.npz").tracks[0].doubts.tobytes() == doubts.tobytes()
    silent = replace(weights, lifter=create_lifter("martinez", **TINY).eval())
    assert lift_people(found, silent, Smoothing.parse("none")).tracks[0].doubts.shape == (20, 0, 2)


def test_training_a_doubt_leaves_the_lifter_as_it_is(tmp_path):
    torch.manual_seed(0)
    lifter = create_lifter("martinez", **TINY)
    save_lifter(lifter, tmp_path / "own.safetensors", {"data": "mine", "licence": "mine, too"})
    trained(tmp_path, "steps=10", "batch=8", "model.doubt=8")
    doubting = load_weights(tmp_path / "run" / "weights.safetensors")
    state = doubting.lifter.state_dict()
    for key, tensor in lifter.state_dict().items():
        torch.testing.assert_close(state[key], tensor, rtol=0, atol=0)
    assert asdict(doubting.lifter.config) == asdict(lifter.config) | {"doubt": 8}
    assert doubting.about["data"] == "mine"
    assert doubting.about["licence"] == "mine, too"
    assert doubting.about["doubt"]["step"] == 10
    assert 0 <= doubting.about["doubt"]["metrics"]["val_within_along"] <= 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [(["arch=martinez-mean"], "where the recipe is of martinez-mean"), (["model.width=8"], "has not its width=16")],
)
def test_a_doubt_is_of_the_lifter_that_there_is(tmp_path, settings, told):
    save_lifter(create_lifter("martinez", **TINY), tmp_path / "own.safetensors", {})
    with pytest.raises(UsageError, match=told):
        trained(tmp_path, *settings)


def test_doubts_of_a_long_clip_are_computed_in_bounded_pieces(weights, monkeypatch):
    keypoints, scores = walker(20)
    joints = np.random.default_rng(0).normal(0, 0.3, (20, 17, 3)).astype(np.float32)
    whole = doubts_of(weights.lifter, keypoints, scores, SIZE, joints)
    computed, at_once = TorchWindows.doubts, []

    def doubts(self: TorchWindows, pixels: np.ndarray, posed: np.ndarray) -> np.ndarray:
        at_once.append(len(posed))
        return computed(self, pixels, posed)

    monkeypatch.setattr(TorchWindows, "doubts", doubts)
    monkeypatch.setattr("vidpose.lifters.running._BATCH_FRAMES", 7 * weights.lifter.config.frames)
    np.testing.assert_allclose(doubts_of(weights.lifter, keypoints, scores, SIZE, joints), whole, atol=1e-6)
    assert at_once == [7, 7, 6]
