"""What every lifter is, and how one is made by its name in `lifter_table.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from vidpose.body.skeletons import Skeleton, get_skeleton
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.registry import Registry
from vidpose.lifters.doubt import Doubt
from vidpose.lifters.lifter_config import LifterConfig, Predicts
from vidpose.lifters.lifter_table import LIFTERS
from vidpose.lifters.normalisation import NORMALISATIONS, quarter_turns
from vidpose.weights.catalogue import classes


class Lifter(nn.Module):
    """2D keypoints in, 3D joints out: (B, T, J, C) -> (B, T', J, 3) root-relative metres in the camera's frame, or in
    that of the ray to the root (`in_ray_frame`).

    `forward` raises VidposeError for input of another shape than the lifter takes, and for coordinates that are not
    finite (absent joints come as zeros, `NORMALISATIONS` puts them there).

    A subclass has a `name`, that of its entry in `lifter_table.py`, and a `Config`, of which it takes one. What else it
    may say of itself:

    Attributes:
        layouts: names of the joint layouts that the network is defined on; none: any.
        layout, input_layout: joints of its output and of its input.
        separate_input: the input may be of other joints than the output.
        predicts: frames of the window its answer is used for. "sequence" lifters answer for all T frames; "centre" and
            "last" ones for that one, either as T' = 1 or as one of T' = T.
        learns_all: it learns from its answers for all T frames, whichever of them its paper uses.
        convolutional: takes windows longer than `config.frames` too, and answers T - frames + 1 of their frames.
        authors_keys: pairs (the authors' part of a parameter's name, ours), applied in order when a checkpoint of
            theirs is imported.
        other_keys: pairs (part of a name in earlier code of theirs or in mmpose, in their code), applied before those.
        tiny: settings of the smallest sensible network, for tests.
        variants: settings of the paper's other configurations, by name.
        unused_keys: beginnings of our keys of parts that a network need not have, though authors' files hold them.
        half_products: matrix products are in bfloat16 when it is run over clips (`use_bfloat16`).
    """

    name: ClassVar[str]
    Config: ClassVar[type[LifterConfig]] = LifterConfig
    layouts: ClassVar[Sequence[str]] = ()
    separate_input: ClassVar[bool] = False
    convolutional: ClassVar[bool] = False
    learns_all: ClassVar[bool] = False
    authors_keys: ClassVar[Sequence[tuple[str, str]]] = ()
    other_keys: ClassVar[Sequence[tuple[str, str]]] = ()
    tiny: ClassVar[Mapping[str, Any]] = {}
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    unused_keys: ClassVar[tuple[str, ...]] = ()

    predicts: Predicts = "sequence"
    half_products: bool = False

    def __init__(self, config: LifterConfig):
        super().__init__()
        self.config = config
        self.layout: Skeleton = get_skeleton(config.layout)
        self.input_layout: Skeleton = get_skeleton(config.input_layout or config.layout)
        if self.input_layout != self.layout and not self.separate_input:
            raise UsageError(
                f"{self.name}: takes the joints that it answers for, so input_layout={config.layout} is due"
            )
        if config.normalisation not in NORMALISATIONS or config.channels not in (2, 3):
            known = ", ".join(NORMALISATIONS)
            raise UsageError(f"{self.name}: channels must be 2 or 3, and normalisation one of {known}")
        if self.layouts and config.layout not in self.layouts:
            raise UsageError(f"{self.name}: defined on {', '.join(self.layouts)} joints, not on {config.layout}")
        if config.doubt and config.units != "metres":
            raise UsageError(f"{self.name}: doubts are metres, and an answer in units {config.units!r} has none")
        coordinates = len(self.input_layout) * config.channels
        self.doubt = Doubt(coordinates, len(self.layout), config.doubt) if config.doubt else None
        self.register_forward_pre_hook(_check_input, with_kwargs=True)

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def normalise(self, pixels_BTJC: torch.Tensor, image_size: tuple[int, int]) -> torch.Tensor:
        """Keypoints as `forward` takes them, from (B, T, J, 3) pixels and scores in a picture (width, height)."""
        root = self.input_layout.parents.index(-1)
        return NORMALISATIONS[self.config.normalisation](pixels_BTJC, image_size, root)[..., : self.config.channels]

    @property
    def in_ray_frame(self) -> bool:
        """As `LifterConfig.in_ray_frame`."""
        return self.config.in_ray_frame

    def upright(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        """(B,) quarter turns clockwise that each window's person is from upright, if the lifter may take them turned.

        Only who forgets the place may: the picture has no size then, and no up.
        """
        trunk = [self.layout.joints.index(joint) for joint in ("pelvis", "thorax") if joint in self.layout.joints]
        if not self.in_ray_frame or len(trunk) < 2:
            return torch.zeros(len(keypoints_BTJC), dtype=torch.long, device=keypoints_BTJC.device)
        return quarter_turns(keypoints_BTJC, *trunk)

    def predictions(self, keypoints_BTJC: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """All outputs that training puts a loss on, each (B, T', J, 3); the last is what `forward` gives."""
        return (self(keypoints_BTJC),)

    def targets(self, joints_BTJD: torch.Tensor, answered: int) -> torch.Tensor:
        """Of a window's true joints, (B, T, J, 3), those that a prediction of `answered` frames is for."""
        missing = joints_BTJD.shape[1] - answered
        before = missing if self.predicts == "last" else missing // 2
        return joints_BTJD[:, before : before + answered]

    @property
    def frame_range(self) -> tuple[int, int | None]:
        """Shortest and longest window that `forward` takes; None: any length."""
        return 1, self.config.frames

    @property
    def joint_counts(self) -> tuple[int, ...]:
        """J that `forward` takes."""
        return (len(self.input_layout),)

    @property
    def receptive_field(self) -> int:
        """Frames of video that decide one frame of output."""
        return (self.config.frames - 1) * self.config.frame_stride + 1

    def check_input(self, keypoints_BTJC: torch.Tensor) -> None:
        """Raises VidposeError for input that this lifter cannot take, saying what is wrong with it."""
        shape = tuple(keypoints_BTJC.shape)
        if len(shape) != 4:
            raise VidposeError(
                f"{self.name}: keypoints of shape {shape}, where (batch, frames, joints, channels) is due"
            )
        _, frames, joints, channels = shape
        if joints not in self.joint_counts:
            due = " or ".join(map(str, self.joint_counts))
            raise VidposeError(
                f"{self.name}: keypoints of {joints} joints, where {due} are due ({self.input_layout.name})"
            )
        if channels != self.config.channels:
            meaning = "x, y and score" if self.config.channels == 3 else "x and y"
            raise VidposeError(
                f"{self.name}: keypoints of {channels} channels, where {self.config.channels} are due ({meaning})"
            )
        self.check_frames(frames)
        # Neither a traced network nor one on the meta device has values to look at. Training on a GPU is not to wait
        # for an answer in each step: its loss will tell.
        if torch.compiler.is_compiling() or keypoints_BTJC.is_meta or (self.training and keypoints_BTJC.is_cuda):
            return
        if not keypoints_BTJC.isfinite().all():
            raise VidposeError(f"{self.name}: keypoints that are NaN or infinite; give absent joints as zeros")

    def check_frames(self, frames: int) -> None:
        """Raises VidposeError for a window of a length that this lifter cannot take."""
        low, high = self.frame_range
        if frames < low or (high is not None and frames > high):
            due = f"{low}" if low == high else f"{low} to {high}" if high is not None else f"{low} or more"
            raise VidposeError(f"{self.name}: a window of {frames} frames, where {due} are due")

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """The settings that the shapes of an authors' checkpoint tell, its keys already renamed to ours.

        Of layouts they tell the number of joints only: see `layouts_of`.

        Raises:
            KeyError: a tensor that every such checkpoint has is missing.
        """
        raise NotImplementedError

    @classmethod
    def from_authors(cls, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Our state from an authors' one, keys already renamed: what is kept in another shape or order there."""
        return tensors


def layouts_of(joints: int, input_joints: int | None = None) -> dict[str, str]:
    """The layouts that networks of the literature have with so many joints, as settings; none for other numbers.

    Args:
        joints: of the output.
        input_joints: of the input; None: the same.
    """
    names = {"layout": _OF_THE_LITERATURE.get(joints)}
    if input_joints not in (None, joints):
        # HumanEva's networks see what a detector of COCO's joints found.
        from_coco = (input_joints, joints) == (17, 15)
        names["input_layout"] = "coco17" if from_coco else _OF_THE_LITERATURE.get(input_joints)
    return {key: name for key, name in names.items() if name}


_OF_THE_LITERATURE = {28: "mpi-inf-3dhp28", 17: "h36m17", 16: "h36m16", 15: "humaneva15"}


def input_shape(coordinates: int, joints: int) -> tuple[int, int]:
    """Joints and channels of an input of so many numbers a frame: two channels, unless three suit the output."""
    channels = 3 if coordinates == 3 * joints else 2
    return coordinates // channels, channels


class HypothesisLifter(Lifter):
    """A lifter that draws poses; `forward` gives the mean of as many as it draws."""

    @property
    def drawn(self) -> tuple[int, int]:
        """How many hypotheses it draws, and in how many steps each."""
        raise NotImplementedError

    def sampling(self, hypotheses: int, steps: int) -> None:
        """From now on draw so many hypotheses, each in so many steps. Raises UsageError where that cannot be."""
        raise NotImplementedError

    def hypothesis(
        self, keypoints_BTJC: torch.Tensor, number: int, mirrored_BTJC: torch.Tensor | None = None
    ) -> torch.Tensor:
        """One drawn pose, the same whenever it is asked for: (B, T, J, C) -> (B, T, J, 3).

        Args:
            number: of the hypothesis, from 0.
            mirrored_BTJC: the same keypoints as a mirror shows them; the answer is then averaged with theirs.
        """
        raise NotImplementedError

    def predictions(
        self, keypoints_BTJC: torch.Tensor, joints_BTJD: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """As every lifter's; or, given the true joints, what training puts a loss on."""
        raise NotImplementedError


class FrameEncoder(Lifter):
    """A lifter that first looks at each frame on its own, which overlapping windows can share."""

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(keypoints_BTJC))

    def encode(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        """(B, T, J, C) -> (B, T, D): features of every frame, that do not depend on the others, nor on T."""
        raise NotImplementedError

    def decode(self, features_BTD: torch.Tensor) -> torch.Tensor:
        """(B, T, D) -> (B, T', J, 3)."""
        raise NotImplementedError


def _check_input(lifter: Lifter, args: tuple, kwargs: dict[str, Any]) -> None:
    lifter.check_input(*args, **kwargs)


LIFTER_CLASSES: Registry[Lifter] = Registry("lifter", classes(LIFTERS))
lifter_names, lifter_class, create_lifter = LIFTER_CLASSES.names, LIFTER_CLASSES.find, LIFTER_CLASSES.create
