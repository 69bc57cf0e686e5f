"""D3DP: poses drawn, and one answer made of them. Its denoiser is compared in test_published_sizes.py."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.spatial.transform import Rotation

from vidpose.cli import cli
from vidpose.common.errors import UsageError
from vidpose.evaluation import evaluate
from vidpose.evaluation.hypotheses import AGGREGATIONS, pinhole
from vidpose.lifters import create_lifter
from vidpose.lifters.d3dp import kept_signal, schedule
from vidpose.lifters.running import lift, lift_hypotheses
from vidpose.lifters.zoo import load_weights, save_lifter

TINY = {"frames": 9, "width": 16, "depth": 2}


def lifter(**settings):
    torch.manual_seed(0)
    return create_lifter("d3dp", **TINY, **settings).eval()


def test_the_cosine_schedule_is_the_published_formula():
    def left(step: float) -> float:
        return math.cos((step / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    kept = kept_signal(1000)
    for step in (1, 2, 500, 990):
        assert kept[step - 1].item() == pytest.approx(left(step) / left(0), rel=1e-9)
    # The last step would take all; it takes 0.999 of what is left.
    assert (kept[-1] / kept[-2]).item() == pytest.approx(0.001, rel=1e-6)


@pytest.mark.parametrize(
    ("steps", "numbers"), [(1, [999]), (2, [999, 499]), (10, [999, 899, 799, 699, 599, 499, 399, 299, 199, 99])]
)
def test_steps_lie_evenly_apart(steps, numbers):
    assert [step.number for step in schedule(1000, steps)] == numbers


def test_drawing_is_the_posterior_of_the_noise_process():
    """With eta = 1, DDIM draws from q(x_s | x_t, x_0) (Ho et al. 2020, eq. 7, for steps that lie further apart)."""
    kept = kept_signal(1000).tolist()
    step, following = schedule(1000, 2)
    now, then = kept[step.number], kept[following.number]
    ratio = now / then
    variance = (1 - then) / (1 - now) * (1 - ratio)
    of_pose, of_noisy = math.sqrt(then) * (1 - ratio) / (1 - now), math.sqrt(ratio) * (1 - then) / (1 - now)
    # A noisy pose is signal x_0 + noise e; the step makes of it pose x_0 + old e + fresh z.
    assert step.fresh**2 == pytest.approx(variance, rel=1e-9)
    assert step.old / step.noise == pytest.approx(of_noisy, rel=1e-6)
    assert step.pose - step.old * step.signal / step.noise == pytest.approx(of_pose, rel=1e-6)


def test_one_step_is_one_look_at_noise():
    drawing = lifter(hypotheses=2)
    keypoints = torch.randn(1, 9, 17, 2, generator=torch.Generator().manual_seed(1))
    noise = torch.stack([torch.randn(1, 9, 17, 3, generator=torch.Generator().manual_seed(n))[0] for n in range(2)])
    seen = drawing.denoise(keypoints.repeat(2, 1, 1, 1), noise.clamp(-1.1, 1.1), torch.full((2,), 999)).clamp(-1.1, 1.1)
    torch.testing.assert_close(drawing(keypoints)[0], seen.mean(dim=0))


def test_hypotheses_differ_and_come_again():
    drawing = lifter(hypotheses=3, steps=4)
    keypoints = torch.randn(2, 9, 17, 2)
    drawn = [drawing.hypothesis(keypoints, number) for number in range(3)]
    assert torch.equal(drawn[1], drawing.hypothesis(keypoints, 1))
    assert (drawn[0] - drawn[1]).abs().max() > 1e-3
    drawing.sampling(1, 4)
    assert torch.equal(drawing(keypoints), drawn[0])
    with pytest.raises(UsageError, match="0 hypotheses of 1 steps; give 1 or more"):
        drawing.sampling(0, 1)


def test_the_mirrored_input_is_denoised_beside_the_other():
    drawing = lifter(steps=2)
    keypoints = torch.randn(1, 9, 17, 2)
    mirrored = (keypoints * torch.tensor([-1.0, 1.0]))[:, :, list(drawing.layout.mirror)]
    # A denoiser that sees mirrored things mirrored is not changed by looking twice.
    plain = drawing.denoise
    drawing.denoise = lambda k, x, t: 0.3 * x
    torch.testing.assert_close(drawing.hypothesis(keypoints, 0, mirrored), drawing.hypothesis(keypoints, 0))
    drawing.denoise = plain
    assert (drawing.hypothesis(keypoints, 0, mirrored) - drawing.hypothesis(keypoints, 0)).abs().max() > 1e-4


def test_training_sees_true_poses_with_noise():
    drawing = lifter().train()
    seen = []
    drawing.denoise = lambda keypoints, noisy, step: seen.append((noisy, step)) or noisy
    joints = torch.full((4000, 9, 17, 3), 0.5)
    drawing.predictions(torch.zeros(4000, 9, 17, 2), joints)
    ((noisy, step),) = seen
    kept = kept_signal(1000)[step]
    early = kept > 0.9  # little noise: next to nothing is cut off
    assert step.min() < 20
    assert step.max() > 980
    means = noisy[early].mean(dim=(1, 2, 3)).double()
    spread = noisy[early].std(dim=(1, 2, 3)).double()
    torch.testing.assert_close(means, kept[early].sqrt() * 0.5, atol=0.06, rtol=0)
    torch.testing.assert_close(spread, (1 - kept[early]).sqrt(), atol=0.05, rtol=0.05)


class Recorded:
    """A store of one clip, as aggregation sees it."""

    def __init__(self):
        from vidpose.body.skeletons import H36M_17

        rng = np.random.default_rng(0)
        self.layout = H36M_17
        self.true = rng.normal([0, 0, 4], 0.3, (5, 17, 3))
        self.pixels = self.true[..., :2] / self.true[..., 2:] * [1100, 1150] + [500, 480]

    def joints(self, clip):
        return self.true

    def keypoints(self, clip, name):
        return self.pixels


def test_aggregation_by_hand():
    store, rng = Recorded(), np.random.default_rng(1)
    root_relative = store.true - store.true[:, :1]
    drawn = root_relative + rng.normal(0, 0.05, (6, 5, 17, 3))
    focal, centre = pinhole(store.true, store.pixels)
    np.testing.assert_allclose([*focal, *centre], [1100, 1150, 500, 480])
    answers = {name: aggregate(drawn, store, None, store.pixels) for name, aggregate in AGGREGATIONS.items()}
    np.testing.assert_allclose(answers["p-agg"], drawn.mean(axis=0))
    for frame in range(5):
        errors = np.linalg.norm(drawn[:, frame] - root_relative[frame], axis=-1)
        np.testing.assert_array_equal(answers["p-best"][frame], drawn[errors.sum(axis=1).argmin(), frame])
        for joint in range(17):
            np.testing.assert_array_equal(
                answers["j-best"][frame, joint], drawn[errors[:, joint].argmin(), frame, joint]
            )
            placed = drawn[:, frame, joint] + store.true[frame, 0]
            pixels = placed[:, :2] / placed[:, 2:] * [1100, 1150] + [500, 480]
            nearest = np.linalg.norm(pixels - store.pixels[frame, joint], axis=-1).argmin()
            np.testing.assert_array_equal(answers["j-agg"][frame, joint], drawn[nearest, frame, joint])


@pytest.mark.parametrize("normalisation", ["screen", "person"])
@pytest.mark.parametrize("aggregate", ["p-best", "j-best", "j-agg"])
def test_aggregation_is_the_same_in_whatever_frame_the_lifter_answers(monkeypatch, aggregate, normalisation):
    store, rng = Recorded(), np.random.default_rng(1)
    store.true[..., 0] += 2  # far from the middle of the picture
    store.pixels = store.true[..., :2] / store.true[..., 2:] * [1100, 1150] + [500, 480]
    in_camera = store.true - store.true[:, :1] + rng.normal(0, 0.05, (6, 5, 17, 3))
    drawing = lifter(normalisation=normalisation)
    clip = SimpleNamespace(width=1000, height=1000, fps=50, frames=5)
    turns = [shortest_turn(root) for root in store.true[:, 0]] if normalisation == "person" else [np.eye(3)] * 5
    answered = np.stack([in_camera[:, frame] @ turn.T for frame, turn in enumerate(turns)], axis=1)
    monkeypatch.setattr(evaluate, "lift_hypotheses", lambda *args, **settings: answered)
    monkeypatch.setattr(evaluate, "keypoints_in", lambda *args: (store.pixels, np.ones((5, 17))))
    expected = AGGREGATIONS[aggregate](in_camera, store, clip, store.pixels)
    found = evaluate.lift_clip(store, clip, drawing, "gt", aggregate=aggregate)
    np.testing.assert_allclose(np.stack([one @ turn for one, turn in zip(found, turns, strict=True)]), expected)


def shortest_turn(point: np.ndarray) -> np.ndarray:
    """(3, 3) that takes a point on the ray to the optical axis, by scipy."""
    axis = np.cross(point, [0, 0, 1])
    angle = math.acos(point[2] / np.linalg.norm(point))
    return Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()


def test_lifting_gives_the_mean_of_the_hypotheses(tmp_path):
    drawing = lifter(hypotheses=3)
    points = np.random.default_rng(0).uniform(0, 400, (14, 17, 2))
    drawn = lift_hypotheses(drawing, points, np.ones((14, 17)), (400, 300))
    assert drawn.shape == (3, 14, 17, 3)
    shares = []
    lifted = lift(drawing, points, np.ones((14, 17)), (400, 300), advance=shares.append)
    np.testing.assert_allclose(lifted, drawn.mean(axis=0))
    assert len(shares) >= 3
    assert sum(shares) == pytest.approx(1)


def test_the_number_of_hypotheses_is_an_option(tmp_path):
    save_lifter(lifter(), tmp_path / "d3dp.safetensors", {})
    weights = load_weights(tmp_path / "d3dp.safetensors")
    weights.draw(5, None)
    assert (weights.lifter.config.hypotheses, weights.lifter.config.steps) == (5, 1)
    save_lifter(create_lifter("mixste", **TINY), tmp_path / "mixste.safetensors", {})
    with pytest.raises(UsageError, match="mixste gives one answer; `hypotheses` and `draw_steps` are for d3dp"):
        load_weights(tmp_path / "mixste.safetensors").draw(None, 2)


def test_infer_and_eval_offer_it():
    for command in ("infer", "eval"):
        assert "--hypotheses" in CliRunner().invoke(cli, [command, "--help"], terminal_width=200).output
