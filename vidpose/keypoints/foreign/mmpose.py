"""2D keypoints by any of mmpose's networks that looks at one person at a time: its config says which, and how.

mmpose 1.3.2, OpenMMLab Pose Estimation Toolbox and Benchmark, 2020. What has to be done before and after the network,
from the crop to the decoding of what it says, is mmpose's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidpose.body.skeletons import COCO_17, MPII_16, Skeleton
from vidpose.common.errors import VidposeError
from vidpose.keypoints.network_table import KEYPOINTS, MMPOSE_WEIGHTS
from vidpose.keypoints.poses import BoxNetwork, InBoxes
from vidpose.runtimes.openmmlab import check_weights, failing, load_weights, read_config
from vidpose.weights.catalogue import Opening

_BATCH = 64  # people the network sees at a time


class MmPose(BoxNetwork):
    """Joints of the people in boxes."""

    def __init__(self, name: str, weights: Path | None, device: str = "cpu") -> None:
        """Build the network, and load its weights.

        Args:
            name: see `read_config`.
            weights: a checkpoint in mmpose's layout.
            device: to run it on.

        Raises:
            UsageError: see `read_config`; or no weights are given.
            VidposeError: see `read_config` and `load_weights`; or the network does not look at people in boxes, or has
                joints of a layout that is unknown.
        """
        config = read_config("mmpose", name)
        self._name = f"mmpose:{name}"
        kind = config.model.type
        if kind != "TopdownPoseEstimator":
            raise VidposeError(
                f"`keypoints={self._name}`: a {kind}; only networks that look at people in boxes will do"
            )
        weights = check_weights("mmpose", name, config, weights, [*KEYPOINTS.values(), *MMPOSE_WEIGHTS.values()])
        with failing(f"`keypoints={self._name}`: cannot be built"):
            from mmengine.dataset import Compose
            from mmpose.apis import init_model

            self._network = init_model(config, device="cpu")
            self._facts = self._network.dataset_meta
            self._pipeline = Compose(config.test_dataloader.dataset.pipeline)
        self.layout = _layout(self._facts, self._name)
        load_weights(self._network, weights, self._name)
        self._network.to(device)

    @torch.inference_mode()
    def locate_in_all(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """See `BoxNetwork`.

        Raises:
            VidposeError: the network fails on a picture.
        """
        with failing(f"`keypoints={self._name}`: fails on a picture"):
            people = (
                self._pipeline(self._facts | {"img": picture, "bbox": box[None], "bbox_score": np.ones(1, np.float32)})
                # mmpose takes pictures as OpenCV reads them, blue first.
                for picture, some in zip((np.ascontiguousarray(i[..., ::-1]) for i in images), boxes, strict=True)
                for box in np.asarray(some, np.float32)
            )
            found = []
            while some := list(islice(people, _BATCH)):
                found += self._network.test_step({key: [person[key] for person in some] for key in some[0]})
        joints = len(self.layout)
        keypoints = np.concatenate([person.pred_instances.keypoints for person in found])[:, :joints]
        scores = np.concatenate([person.pred_instances.keypoint_scores for person in found])[:, :joints]
        ends = np.cumsum([len(some) for some in boxes])[:-1]
        return list(zip(np.split(keypoints, ends), np.split(scores, ends), strict=True))


def _layout(facts: Mapping[str, Any], name: str) -> Skeleton:
    """The layout that the network's joints are, or begin with: Halpe's and COCO-WholeBody's begin with COCO's 17."""
    names = tuple(facts["keypoint_id2name"][i] for i in range(facts["num_keypoints"]))
    for layout in (COCO_17, MPII_16):
        if names[: len(layout)] == layout.joints:
            return layout
    raise VidposeError(
        f"`keypoints={name}`: its {len(names)} joints ({', '.join(names[:4])}, ...) are neither {COCO_17.name}'s nor "
        f"{MPII_16.name}'s"
    )


def open_mmpose(opening: Opening) -> InBoxes:
    """The network of a config of mmpose."""
    return InBoxes(MmPose(opening.rest, opening.weights, opening.device))
