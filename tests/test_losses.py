"""Losses and learning rates against recorded outputs of released code, the papers' equations, and PyTorch's schedulers.

`data/reference_losses.npz` holds inputs and outputs of MixSTE's common/loss.py and run.py (`mix_`), of MotionBERT's
lib/model/loss.py (`mb_`, of the same inputs), and of VideoPose3D's weighted_mpjpe, whose inputs are `gt` and `pred` of
`data/reference_functions.npz`.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from vidpose.body.skeletons import H36M_17, HUMANEVA_15, MPI_INF_3DHP_17
from vidpose.common.errors import UsageError
from vidpose.training import losses, schedules
from vidpose.training.losses import joint_weights

DATA = Path(__file__).parent / "data"
MIXSTE = joint_weights("mixste-code", H36M_17)
HOSSAIN = joint_weights("hossain", H36M_17)

ALL_LOSSES = {
    "mpjpe": losses.mpjpe,
    "mpjve": losses.mpjve,
    "weighted_mpjpe": lambda predicted, target: losses.weighted_mpjpe(predicted, target, MIXSTE),
    "n_mpjpe": losses.n_mpjpe,
    "mean_squared_error": losses.mean_squared_error,
    "temporal_consistency": lambda predicted, target: losses.temporal_consistency(predicted, HOSSAIN),
    "position_sum": losses.position_sum,
    "velocity_sum": losses.velocity_sum,
    "motion": lambda predicted, target: losses.motion(predicted, target, intervals=(1, 3)),
}


@pytest.fixture(scope="module")
def reference():
    return {name: torch.from_numpy(array) for name, array in np.load(DATA / "reference_losses.npz").items()}


@pytest.fixture(scope="module")
def poses():
    """Prediction and target, (2, 5, 17, 3) in double precision."""
    return torch.from_numpy(np.random.default_rng(0).normal(0, 0.3, (2, 2, 5, 17, 3)))


def test_mixste_as_released(reference):
    predicted, target = reference["mix_pred"], reference["mix_gt"]
    position = losses.weighted_mpjpe(predicted, target, MIXSTE)
    smoothness = losses.temporal_consistency(predicted, MIXSTE)
    velocity = losses.mpjve(predicted, target)
    torch.testing.assert_close(position, reference["mix_wmpjpe"])
    torch.testing.assert_close(smoothness, reference["mix_tcloss_raw"])
    torch.testing.assert_close(velocity, reference["mix_mpjve"])
    torch.testing.assert_close(position + 0.5 * smoothness + 2 * velocity, reference["mix_total"])


def test_motionbert_as_released(reference):
    predicted, target = reference["mix_pred"], reference["mix_gt"]
    position = losses.mpjpe(predicted, target)
    normalised = losses.n_mpjpe(predicted, target)
    velocity = losses.mpjve(predicted, target)
    torch.testing.assert_close(position, reference["mb_loss_mpjpe"])
    torch.testing.assert_close(normalised, reference["mb_n_mpjpe"])
    torch.testing.assert_close(velocity, reference["mb_loss_velocity"])
    torch.testing.assert_close(position + 0.5 * normalised + 20 * velocity, reference["mb_total_default"])


def test_weights_by_frame_as_videopose3d(reference):
    functions = np.load(DATA / "reference_functions.npz")
    predicted, target = (torch.from_numpy(functions[name])[None] for name in ("pred", "gt"))
    ours = losses.weighted_mpjpe(predicted, target, reference["w"])
    torch.testing.assert_close(ours, reference["weighted_mpjpe"])


def test_weights_of_the_released_mixste():
    assert MIXSTE.tolist() == [1, 1, 2.5, 2.5, 1, 2.5, 2.5, 1, 1, 1, 1.5, 1.5, 4, 4, 1.5, 4, 4]


def test_weights_of_the_released_hossain():
    """Its list has no pelvis, for which the network has no output."""
    released = [1, 2.5, 2.5, 1, 2.5, 2.5, 1, 1, 1, 1, 1, 4, 4, 1, 4, 4]
    assert joint_weights("hossain-code", H36M_17)[1:].tolist() == released


@pytest.mark.parametrize("layout", [H36M_17, HUMANEVA_15, MPI_INF_3DHP_17])
def test_papers_weights_go_by_joint_group(layout):
    groups = {
        "torso": ("pelvis", "spine", "thorax", "left_shoulder", "right_shoulder", "left_hip", "right_hip"),
        "head": ("nose", "head", "head_top"),
        "middle": ("left_knee", "right_knee", "left_elbow", "right_elbow"),
        "end": ("left_ankle", "right_ankle", "left_wrist", "right_wrist"),
    }
    group_of = {joint: group for group, joints in groups.items() for joint in joints}
    for name, head in (("hossain", 1), ("mixste", 1.5)):
        of_group = {"torso": 1, "head": head, "middle": 2.5, "end": 4}
        assert joint_weights(name, layout).tolist() == [of_group[group_of[joint]] for joint in layout.joints]


def test_uniform_weights_are_mpjpe(poses):
    uniform = joint_weights("uniform", H36M_17)
    torch.testing.assert_close(losses.weighted_mpjpe(*poses, uniform), losses.mpjpe(*poses))


def test_unknown_weights_are_a_users_error():
    with pytest.raises(UsageError, match=r"'ntu'.*mixste-code"):
        joint_weights("ntu", H36M_17)


def test_hossain_equations_1_to_3(poses):
    """The paper sums over a pose's coordinates, and the loss takes their mean: 3 J = 51 times less."""
    predicted, target = poses.numpy()
    windows, frames = predicted.shape[:2]
    eta_rho_tau = {1: [0, 1, 4, 7, 8, 9, 10, 11, 14], 2.5: [2, 5, 12, 15], 4: [3, 6, 13, 16]}
    squared = change = 0.0
    for n in range(windows):
        for t in range(frames):
            squared += np.linalg.norm(predicted[n, t] - target[n, t]) ** 2 / (windows * frames)
        for t in range(1, frames):
            for weight, joints in eta_rho_tau.items():
                step = predicted[n, t, joints] - predicted[n, t - 1, joints]
                change += weight * np.linalg.norm(step) ** 2 / (windows * (frames - 1))
    ours = losses.mean_squared_error(*poses) + 5 * losses.temporal_consistency(poses[0], HOSSAIN)
    assert 51 * ours.item() == pytest.approx(1 * squared + 5 * change, rel=1e-6)


def test_ssr_stf_equations_12_and_13(poses):
    predicted, target = poses.numpy()
    error = predicted - target
    windows, frames, joints, _ = error.shape
    position = velocity = 0.0
    for n in range(windows):
        for j in range(joints):
            position += sum(math.dist(error[n, t, j], (0, 0, 0)) for t in range(frames)) / windows
            velocity += sum(math.dist(error[n, t, j], error[n, t - 1, j]) for t in range(1, frames)) / windows
    assert losses.position_sum(*poses).item() == pytest.approx(position)
    assert losses.velocity_sum(*poses).item() == pytest.approx(velocity)
    means = losses.mpjpe(*poses) + 0.7 * (frames - 1) / frames * losses.mpjve(*poses)
    assert frames * joints * means.item() == pytest.approx(position + 0.7 * velocity)


def test_motion_loss_by_hand():
    """Cross products of each joint's positions that lie an interval apart, coordinate by coordinate."""
    predicted, target = np.random.default_rng(1).normal(0, 0.3, (2, 2, 20, 17, 3))
    by_interval = []
    for interval in (8, 12, 16):
        differences = []
        for t in range(20 - interval):
            for y, z in ((1, 2), (2, 0), (0, 1)):
                of_target, of_predicted = (
                    poses[:, t, :, y] * poses[:, t + interval, :, z] - poses[:, t, :, z] * poses[:, t + interval, :, y]
                    for poses in (target, predicted)
                )
                differences.append(np.abs(of_predicted - of_target))
        by_interval.append(np.mean(differences))
    ours = losses.motion(torch.from_numpy(predicted), torch.from_numpy(target))
    assert ours.item() == pytest.approx(np.mean(by_interval))


def test_motion_loss_of_a_short_window_is_nothing(poses):
    assert losses.motion(*poses).item() == 0
    assert losses.motion(*poses, intervals=(1,)).item() > 0


def test_one_joint_that_is_off():
    """In one of two frames the left wrist is (3, 4, 0) off: 5 of 34 distances, 25 of 102 squares."""
    target = torch.zeros(1, 2, 17, 3)
    predicted = target.clone()
    predicted[0, 1, H36M_17.index("left_wrist")] = torch.tensor([3.0, 4.0, 0.0])
    assert losses.mpjpe(predicted, target).item() == pytest.approx(5 / 34)
    assert losses.mpjve(predicted, target).item() == pytest.approx(5 / 17)
    assert losses.weighted_mpjpe(predicted, target, HOSSAIN).item() == pytest.approx(4 * 5 / 34)
    assert losses.mean_squared_error(predicted, target).item() == pytest.approx(25 / 102)
    assert losses.temporal_consistency(predicted, HOSSAIN).item() == pytest.approx(4 * 25 / 51)
    assert losses.position_sum(predicted, target).item() == pytest.approx(5)
    assert losses.velocity_sum(predicted, target).item() == pytest.approx(5)


def test_n_mpjpe_forgives_the_size_of_each_frame(poses):
    _, target = poses
    sizes = torch.tensor([0.2, 0.5, 1.0, 2.0, 7.0], dtype=target.dtype)[:, None, None]
    assert losses.n_mpjpe(sizes * target, target).item() == pytest.approx(0, abs=1e-12)
    assert losses.mpjpe(sizes * target, target).item() > 0.1


def test_temporal_consistency_is_blind_to_the_target():
    """A person who moves by 1 a frame along x, exactly as predicted, is pulled back all the same."""
    moving = torch.zeros(1, 4, 17, 3)
    moving[..., 0] = torch.arange(4.0)[:, None]
    expected = (9 * 1 + 4 * 2.5 + 4 * 4) / (3 * 17)
    assert losses.temporal_consistency(moving, HOSSAIN).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", ALL_LOSSES.values(), ids=ALL_LOSSES)
def test_gradients_are_the_losses(loss, poses):
    predicted, target = poses[:, :1, :3]
    assert torch.autograd.gradcheck(lambda p: loss(p, target), (predicted.clone().requires_grad_(),), fast_mode=True)


@pytest.mark.parametrize("loss", ALL_LOSSES.values(), ids=ALL_LOSSES)
@pytest.mark.parametrize("case", ["no error", "prediction of zeros", "all zeros"])
def test_gradients_are_finite_where_norms_are_not_smooth(loss, case, poses):
    target = torch.zeros(2, 5, 17, 3) if case == "all zeros" else poses[1].float()
    predicted = (target.clone() if case == "no error" else torch.zeros_like(target)).requires_grad_()
    value = loss(predicted, target)
    value.backward()
    assert value.isfinite()
    assert predicted.grad.isfinite().all()


PER_EPOCH, EPOCHS = 7, 12
STEPS = PER_EPOCH * EPOCHS


def factors(name: str) -> list[float]:
    return [schedules.SCHEDULES[name](step, PER_EPOCH, STEPS) for step in range(STEPS)]


def scheduler_factors(build) -> list[float]:
    """What a PyTorch scheduler that is stepped after every epoch gives each step, from a rate of 1."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = build(optimiser)
    rates = []
    for _ in range(EPOCHS):
        rates += PER_EPOCH * [optimiser.param_groups[0]["lr"]]
        optimiser.step()
        scheduler.step()
    return rates


def test_exponential_by_epoch_as_pytorchs():
    expected = scheduler_factors(lambda optimiser: torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.99))
    assert factors("exponential-by-epoch") == pytest.approx(expected)


def test_cosine_as_pytorchs():
    """GLA-GCN's minimum of 1e-5 is a thousandth of its rate."""
    expected = scheduler_factors(
        lambda optimiser: torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=EPOCHS, eta_min=1e-3)
    )
    assert factors("cosine") == pytest.approx(expected)


def test_linear_as_pytorchs():
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimiser, start_factor=1.0, end_factor=0.0, total_iters=STEPS)
    for factor in factors("linear"):
        assert factor == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()


def test_stepped_halves_after_every_fifth_epoch():
    rate, expected = 1.0, []
    for epoch in range(1, EPOCHS + 1):
        expected += PER_EPOCH * [rate]
        rate *= 0.5 if epoch % 5 == 0 else 0.95
    assert factors("stepped") == pytest.approx(expected)


def test_exponential_by_step_goes_on_within_epochs():
    by_step = schedules.exponential_by_step
    assert by_step(0, 1000, 10**6) == 1
    assert by_step(50_000, 1000, 10**6) == pytest.approx(0.96**0.5)
    assert by_step(100_000, 1000, 10**6) == pytest.approx(0.96)
    assert by_step(200_000, 1000, 10**6) == pytest.approx(0.9216)


def test_warmup_plateau_and_linear_decay():
    rates = [schedules.warmup_linear(step, 10, 100, warmup=4, decay=0.2) for step in range(100)]
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1, 1])
    assert set(rates[4:80]) == {1.0}
    assert rates[80:] == pytest.approx([left / 20 for left in range(20, 0, -1)])
