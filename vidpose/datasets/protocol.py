"""What a benchmark's figure means: which frames and joints count, and how they are averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vidpose.datasets.store import StoredClip


@dataclass(frozen=True)
class Protocol:
    """A way to evaluate on a benchmark, as some codebase or paper does it.

    Attributes:
        name: for the command line, "videopose3d" say.
        description: one line that is printed beside every figure: exclusions, averages, joints.
        excluded: (subject, sequence) pairs that do not count; an empty string stands for any.
        split: that is evaluated.
        actions: the rows of the table, in the papers' order; () for whatever occurs.
        average: "actions": frames are averaged in an action, then actions; "sequences": the same by recording;
            "frames": all frames at once.
        joints: indices that MPJPE and its kin are averaged over; () for all.
        pck_joints: indices that PCK and AUC are averaged over; () where the protocol reports neither.
    """

    name: str
    description: str
    excluded: tuple[tuple[str, str], ...] = ()
    split: str = "test"
    actions: tuple[str, ...] = ()
    average: Literal["actions", "sequences", "frames"] = "actions"
    joints: tuple[int, ...] = ()
    pck_joints: tuple[int, ...] = ()

    def counts(self, clip: StoredClip) -> bool:
        """Whether a clip is evaluated."""
        if clip.split != self.split or (self.actions and clip.action not in self.actions):
            return False
        return not any(
            subject in ("", clip.subject) and sequence in ("", clip.sequence) for subject, sequence in self.excluded
        )
