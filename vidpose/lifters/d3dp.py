"""Diffusion-Based 3D Human Pose Estimation with Multi-Hypothesis Aggregation (D3DP).

Shan, Liu, Zhang, Wang, Han, Wang, Ma, Gao, ICCV 2023. Poses are drawn from noise: MixSTE sees the keypoints, the noisy
pose and how noisy it is, and tells the pose behind the noise, in one step or in several of DDIM (section 3.2). Another
draw of noise is another hypothesis; the paper's ways to make one answer of many (section 3.3) are in
`evaluation/hypotheses.py`. T = 243, width 512, depth 8, 34.8 M parameters, 1000 steps of noise on a cosine schedule.

Where paper and released network differ we follow the network: noisy poses and answers are cut off at 1.1 times the
scale. The mirrored input is denoised beside the other in every step, and the two are averaged there.

Hypothesis number h starts from the same noise in every window and every run, so an answer can be had again.

Shape suffixes: B batch, T frames, J joints, C channels, D width, H hypotheses, K steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import torch
from torch import nn

from vidpose.common.errors import UsageError
from vidpose.common.settings import Count, Ratio
from vidpose.lifters.lifter import HypothesisLifter
from vidpose.lifters.mixste import MixSTE

_CUT = 1.1
"""Times the scale: no coordinate of a noisy pose or an answer is larger."""

_BUFFERS = (
    "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance",
    "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2",
)  # fmt: skip
"""What the authors' files hold of the schedule, which follows from its length."""


def kept_signal(timesteps: Count) -> torch.Tensor:
    """(timesteps,) float64: what is left of a pose's variance after so much noise, alpha bar of a cosine schedule.

    Nichol and Dhariwal, "Improved denoising diffusion probabilistic models", ICML 2021, eq. 17, with s = 0.008, and no
    step that takes more than 0.999 of it.
    """
    s = 0.008
    left = torch.cos(
        (torch.linspace(0, 1, timesteps + 1, dtype=torch.float64, device="cpu") + s) / (1 + s) * math.pi / 2
    ).square()
    return (1 - (1 - left[1:] / left[:-1]).clamp(0, 0.999)).cumprod(0)


class Step(NamedTuple):
    """A step of drawing: what a noisy pose is made of, and what the next is to be made of.

    Attributes:
        number: of the step of noise.
        signal, noise: of the noisy pose, how much is pose and how much noise.
        pose, old, fresh: of the next one, how much is the pose found, the noise found, and new noise.
    """

    number: int
    signal: float
    noise: float
    pose: float
    old: float
    fresh: float


def schedule(timesteps: Count, steps: int) -> list[Step]:
    """DDIM's steps from most noise to none, evenly apart (Song, Meng and Ermon, ICLR 2021, eq. 12 and 16, eta = 1)."""
    numbers = torch.linspace(-1, timesteps - 1, steps + 1, device="cpu").int().flip(0).tolist()
    kept = [*kept_signal(timesteps).tolist(), 1.0]  # at -1, without noise, all
    found = []
    for number, following in pairwise(numbers):
        now, then = kept[number], kept[following]
        fresh = (1 - now / then) * (1 - then) / (1 - now)
        parts = now, 1 - now, then, max(0.0, 1 - then - fresh), fresh
        found.append(Step(number, *map(math.sqrt, parts)))
    return found


class NoiseLevel(nn.Sequential):
    """How noisy a pose is, for its tokens: (B,) steps -> (B, D); sines and cosines, then an MLP."""

    frequencies: torch.Tensor

    def __init__(self, width: int):
        super().__init__(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        half = width // 2
        frequencies = torch.exp(torch.arange(half) * (-math.log(10000) / max(1, half - 1)))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, step_B: torch.Tensor) -> torch.Tensor:
        phases = step_B[:, None] * self.frequencies
        return super().forward(torch.cat([phases.sin(), phases.cos()], dim=-1))


class D3DP(MixSTE, HypothesisLifter):
    """Poses drawn by a denoiser (section 3): (B, T, J, C) -> (B, T, J, 3), the mean of the hypotheses."""

    name = "d3dp"

    @dataclass(frozen=True)
    class Config(MixSTE.Config):
        """As MixSTE's, and: `timesteps` of the noise, `scale` of a pose in it, `hypotheses` H, `steps` K of a draw."""

        timesteps: Count = 1000
        scale: Ratio = 1.0
        hypotheses: Count = 1
        steps: Count = 1

    config: Config
    noise_HKTJ3: torch.Tensor
    kept: torch.Tensor
    variants = {"20-hypotheses": {"hypotheses": 20, "steps": 10}}  # noqa: RUF012
    tiny: ClassVar[dict[str, Any]] = {**MixSTE.tiny, "hypotheses": 2, "steps": 2}
    authors_keys = (
        ("pose_estimator.", ""),
        ("time_mlp.1.", "noise_level.0."),
        ("time_mlp.3.", "noise_level.2."),
        *MixSTE.authors_keys,
    )

    def __init__(self, config: Config):
        super().__init__(config)
        if not (config.alternating and config.joint_separation):
            raise UsageError("d3dp: its denoiser is MixSTE as it is, without the switches of that paper's Table 5")
        self.embed = nn.Linear(config.channels + 3, config.width)
        self.noise_level = NoiseLevel(config.width)
        self.register_buffer("kept", kept_signal(config.timesteps).float(), persistent=False)
        self.sampling(config.hypotheses, config.steps)

    @property
    def drawn(self) -> tuple[int, int]:
        return self.config.hypotheses, self.config.steps

    def sampling(self, hypotheses: Count, steps: int) -> None:
        if hypotheses < 1 or not 1 <= steps <= self.config.timesteps:
            raise UsageError(
                f"d3dp: {hypotheses} hypotheses of {steps} steps; give 1 or more, in 1 to {self.config.timesteps} steps"
            )
        self.config = replace(self.config, hypotheses=hypotheses, steps=steps)
        draws = []
        for number in range(hypotheses):
            generator = torch.Generator().manual_seed(number)
            shape = steps, self.config.frames, len(self.layout), 3
            draws.append(torch.randn(shape, generator=generator, device="cpu"))
        self.schedule = schedule(self.config.timesteps, steps)
        device = self.embed.weight.device
        self.register_buffer("noise_HKTJ3", torch.stack(draws).to(device), persistent=False)

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        drawn = [self.hypothesis(keypoints_BTJC, number) for number in range(self.config.hypotheses)]
        return torch.stack(drawn).mean(dim=0)

    def denoise(self, keypoints_BTJC: torch.Tensor, noisy_BTJ3: torch.Tensor, step_B: torch.Tensor) -> torch.Tensor:
        """The pose behind a noisy one (section 3.2, the denoiser): (B, T, J, 3) -> (B, T, J, 3).

        Args:
            step_B: of the noise, 0 to `timesteps` - 1.
        """
        tokens_BTJD = self.embed(torch.cat([keypoints_BTJC, noisy_BTJ3], dim=-1))
        return self.relate(tokens_BTJD + self.noise_level(step_B)[:, None, None])

    def hypothesis(
        self, keypoints_BTJC: torch.Tensor, number: int, mirrored_BTJC: torch.Tensor | None = None
    ) -> torch.Tensor:
        self.check_input(keypoints_BTJC)
        batch, frames = keypoints_BTJC.shape[:2]
        noise_KTJ3 = self.noise_HKTJ3[number, :, :frames]
        limit = _CUT * self.config.scale
        noisy_BTJ3 = noise_KTJ3[0].expand(batch, -1, -1, -1)
        for index, step in enumerate(self.schedule):
            step_B = torch.full((batch,), step.number, device=keypoints_BTJC.device)
            seen_BTJ3 = noisy_BTJ3.clamp(-limit, limit) / self.config.scale
            pose_BTJ3 = self.denoise(keypoints_BTJC, seen_BTJ3, step_B)
            if mirrored_BTJC is not None:
                turned_BTJ3 = self.denoise(mirrored_BTJC, self.mirror(seen_BTJ3), step_B)
                pose_BTJ3 = (pose_BTJ3 + self.mirror(turned_BTJ3)) / 2
            pose_BTJ3 = (pose_BTJ3 * self.config.scale).clamp(-limit, limit)
            if index == len(self.schedule) - 1:
                break
            noise_BTJ3 = (noisy_BTJ3 - step.signal * pose_BTJ3) / step.noise
            noisy_BTJ3 = step.pose * pose_BTJ3 + step.old * noise_BTJ3 + step.fresh * noise_KTJ3[index + 1]
        return pose_BTJ3

    def mirror(self, pose_BTJ3: torch.Tensor) -> torch.Tensor:
        """A pose as a mirror shows it."""
        return (pose_BTJ3 * pose_BTJ3.new_tensor([-1, 1, 1]))[:, :, list(self.layout.mirror)]

    def predictions(
        self, keypoints_BTJC: torch.Tensor, joints_BTJD: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """Of true joints: the poses behind them after noise was added, of a random step each (section 3.2)."""
        if joints_BTJD is None:
            return (self(keypoints_BTJC),)
        self.check_input(keypoints_BTJC)
        step_B = torch.randint(self.config.timesteps, (len(joints_BTJD),), device=joints_BTJD.device)
        kept_B111 = self.kept[step_B, None, None, None]
        clean_BTJ3 = joints_BTJD * self.config.scale
        noisy_BTJ3 = kept_B111.sqrt() * clean_BTJ3 + (1 - kept_B111).sqrt() * torch.randn_like(clean_BTJ3)
        limit = _CUT * self.config.scale
        return (self.denoise(keypoints_BTJC, noisy_BTJ3.clamp(-limit, limit) / self.config.scale, step_B),)

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        settings = super().infer_config(tensors)
        settings["channels"] -= 3
        return settings | ({"timesteps": len(tensors["betas"])} if "betas" in tensors else {})

    @classmethod
    def from_authors(cls, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Without the schedule."""
        return {key: tensor for key, tensor in tensors.items() if key not in _BUFFERS}
