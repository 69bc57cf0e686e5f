"""Person detection by any of mmdet's networks that finds people: its config says which it is and what it takes.

mmdet 3.3.0, Chen et al., MMDetection: Open MMLab Detection Toolbox and Benchmark, arXiv 1906.07155.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidpose.common.errors import VidposeError
from vidpose.people.detections import Detections, PersonDetector, in_picture
from vidpose.people.detector_table import DETECTORS, OTHER_DETECTOR_WEIGHTS
from vidpose.runtimes.openmmlab import check_weights, failing, load_weights, read_config
from vidpose.weights.catalogue import Opening

log = logging.getLogger(__name__)


class MmDet(PersonDetector):
    """Finds people."""

    def __init__(self, name: str, weights: Path | None, device: str = "cpu", min_score: float = 0.5) -> None:
        """Build the network, and load its weights.

        Args:
            name: see `read_config`.
            weights: a checkpoint in mmdet's layout.
            device: to run it on; the CPU where mmcv was compiled without CUDA, on which most networks end.
            min_score: people it is less sure of are left out.

        Raises:
            UsageError: see `read_config`; or no weights are given.
            VidposeError: see `read_config` and `load_weights`; or the network knows no people.
        """
        config = read_config("mmdet", name)
        weights = check_weights("mmdet", name, config, weights, [*DETECTORS.values(), *OTHER_DETECTOR_WEIGHTS.values()])
        self._name, self._min_score = f"mmdet:{name}", min_score
        with failing(f"`detector={self._name}`: cannot be built"):
            from mmcv.ops import get_compiling_cuda_version
            from mmcv.transforms import Compose
            from mmdet.apis import init_detector
            from mmdet.utils import get_test_pipeline_cfg

            self._network = init_detector(config, device="cpu")
            classes = _classes(config)
            steps = get_test_pipeline_cfg(config.copy())
            steps[0].type = "mmdet.LoadImageFromNDArray"
            self._pipeline = Compose(steps)
            has_cuda = get_compiling_cuda_version() != "not available"
        if "person" not in classes:
            raise VidposeError(f"`detector={self._name}`: finds {', '.join(classes)[:100]}, but no person")
        self._person = classes.index("person")
        load_weights(self._network, weights, self._name)
        if device != "cpu" and not has_cuda:
            log.warning("%s runs on the CPU, as mmcv was compiled without CUDA", self._name)
            device = "cpu"
        self._network.to(device)

    def detect(self, image: np.ndarray, thorough: bool = True, index: int = 0) -> Detections:
        """As every detector does."""
        return self.detect_all([image], [index])[0]

    @torch.inference_mode()
    def detect_all(self, images: Sequence[np.ndarray], indices: Sequence[int]) -> list[Detections]:
        """As every detector does, all in one run.

        Raises:
            VidposeError: the network fails on a picture, or gives no boxes.
        """
        with failing(f"`detector={self._name}`: fails on a picture"):
            # mmdet takes pictures as OpenCV reads them, blue first.
            items = [self._pipeline({"img": np.ascontiguousarray(i[..., ::-1]), "img_id": 0}) for i in images]
            answers = self._network.test_step({key: [item[key] for item in items] for key in items[0]})
            return [self._people(a.pred_instances, i.shape) for a, i in zip(answers, images, strict=True)]

    def _people(self, found: Any, shape: tuple[int, ...]) -> Detections:
        is_person = (found.labels == self._person) & (found.scores >= self._min_score)
        return in_picture(found.bboxes[is_person].cpu().numpy(), found.scores[is_person].cpu().numpy(), shape)


def _classes(config: Any) -> list[str]:
    """What the network was trained to find, in the order of its labels."""
    from mmdet.registry import DATASETS

    dataset = config.test_dataloader.dataset.copy()
    dataset["lazy_init"] = True  # its pictures are not there
    return [name.lower() for name in DATASETS.build(dataset).metainfo["classes"]]


def open_mmdet(opening: Opening) -> MmDet:
    """The network of a config of mmdet."""
    return MmDet(opening.rest, opening.weights, opening.device)
