"""What MMPose's inferencers and demos save, and lists of frames as people write what rtmlib gives.

MMPose ("Inference with existing models"): of a video a list of `frame_id` and `instances`, of a picture the instances
alone; the demos put them into `instance_info`, counted from 1, beside `meta_info`, which names the keypoints. rtmlib
gives `keypoints` (people, keypoints, 2) and `scores` (people, keypoints) of a frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.skeletons import COCO_17, MPII_16, Skeleton
from vidpose.common.inputs import reading
from vidpose.keypoint_files.joint_names import joint_of, named_layout
from vidpose.keypoint_files.keypoint_table import (
    LAYOUTS,
    KeypointTable,
    corners,
    first_of,
    floats,
    frame_number,
    layout_of,
    table_of,
    whose,
)

_LAYOUTS = {**LAYOUTS, 16: MPII_16}


def is_mmpose(content: Any) -> bool:
    """Whether a JSON is what mmpose's inferencer writes."""
    if isinstance(content, dict):
        return isinstance(content.get("instance_info"), list)
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        return False
    return "instances" in content[0] or (
        "keypoints" in content[0] and ("keypoint_scores" in content[0] or "scores" in content[0])
    )


def read_mmpose(path: Path, content: Any) -> KeypointTable:
    """Everybody in predictions that MMPose saved, or in a list of what rtmlib gave.

    Raises:
        VidposeError: it is none, or a frame is wrong; says which.
    """
    with reading(path, "predictions of MMPose or rtmlib"):
        frames = content["instance_info"] if isinstance(content, dict) else content
        if not frames or not isinstance(frames[0], dict):
            raise ValueError("nobody is in it")
        if "instances" not in frames[0] and _depth(frames[0].get("keypoints")) == 2:
            frames = [{"frame_id": 0, "instances": frames}]
        rows, boxes, numbers, layout = [], [], [], None
        order: list[int] = []
        for place, frame in enumerate(frames):
            try:
                number = frame_number(
                    next((frame[k] for k in ("frame_id", "frame", "image_id") if k in frame), place), "frame_id"
                )
                numbers.append(number)
                for instance in _instances(frame):
                    points, scores = (
                        floats(instance["keypoints"], "keypoints"),
                        floats(instance["keypoint_scores"], "keypoint_scores"),
                    )
                    if points.ndim != 2 or points.shape[1] != 2 or scores.shape != points.shape[:1]:
                        raise ValueError(
                            f"keypoints of shape {points.shape}, where (keypoints, 2) are due; give its 2D predictions"
                        )
                    if layout is None:
                        layout, order = _layout(content, len(points))
                    if len(points) <= max(order):
                        raise ValueError(f"{len(points)} keypoints, where those before have more")
                    row = np.column_stack([points, scores])[order]
                    row[np.array(order) < 0] = 0
                    rows.append((number, whose(instance.get("track_id")), row))
                    boxes.append(corners(instance.get("bbox")))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError(f"frame {place + 1} of the list: {error}") from None
        first = first_of(numbers)
        return table_of(layout or LAYOUTS[17], rows, boxes=boxes, first=first, num_frames=max(numbers) - first + 1)


def _instances(frame: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The people of a frame, each as MMPose writes them."""
    if "instances" in frame:
        yield from frame["instances"] or ()
        return
    scores = frame["scores"] if "scores" in frame else frame["keypoint_scores"]
    for number, (points, own) in enumerate(zip(frame["keypoints"], scores, strict=True)):
        ids = frame.get("track_ids")
        yield {"keypoints": points, "keypoint_scores": own, "track_id": ids[number] if isinstance(ids, list) else None}


def _layout(content: Any, count: int) -> tuple[Skeleton, list[int]]:
    """The layout of so many keypoints, and where each of its joints is; by their names where those are given.

    Names that begin with COCO's are of a layout that the number tells, with the feet of whole bodies.
    """
    meta = content.get("meta_info") if isinstance(content, dict) else None
    names = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if isinstance(names, dict) and len(names) == count:
        ordered = [str(names.get(str(number), names.get(number, ""))) for number in range(count)]
        if count not in LAYOUTS or tuple(map(joint_of, ordered[:17])) != COCO_17.joints:
            # Human3.6M's joint between thorax and head is the nose in our words.
            return named_layout(["nose" if name == "neck_base" else name for name in ordered])
    layout = layout_of(count, _LAYOUTS)
    return layout, list(range(len(layout)))


def _depth(value: object) -> int:
    return 1 + _depth(value[0]) if isinstance(value, list) and value else 0
