"""COCO's keypoint annotations (cocodataset.org, "Data format"): 17 keypoints of each person in each frame.

One JSON that `pycocotools` reads as annotations; its list `annotations` alone is a results file. A frame is an image,
whose number is the frame's, named as if the video had been split into pictures: `STEM_000000000012.jpg`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.pieces import part_of, pieces
from vidpose.body.seen import seen_keypoints
from vidpose.body.skeletons import COCO_17, Skeleton, get_skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.files import replacing


def write_coco(result: PoseResult, path: Path) -> None:
    """Write images, a line of annotation for each person and frame, and the category.

    A keypoint has COCO's visibility 2 where it was seen, else 0, 0, 0. Beyond the format, an annotation has `score`,
    the mean of its keypoints', `keypoint_scores` and `track_id`; an image has the frame's `time` in seconds.

    Raises:
        VidposeError: the file cannot be written.
    """
    source, stem = result.source, path.stem.removesuffix("_coco")
    layout = get_skeleton(result.keypoint_layout)
    images = (
        {"id": frame, "width": source.width, "height": source.height, "file_name": f"{stem}_{frame:012d}.jpg",
         "time": round(float(time), 6)}
        for frame, time in enumerate(source.times)
    )  # fmt: skip
    parts = (part_of(track, rows) for track in result.tracks for rows in pieces(len(track)))
    annotations = (annotation for part in parts for annotation in _annotations(result, part, layout))
    numbered = (annotation | {"id": number} for number, annotation in enumerate(annotations, start=1))
    category = {
        "id": 1, "name": "person", "supercategory": "person", "keypoints": list(COCO_17.joints),
        "skeleton": [[start + 1, end + 1] for start, end in COCO_17.bones],
    }  # fmt: skip
    info = {"description": f"{source.path}, by vidpose {result.provenance.get('vidpose')}"}
    with replacing(path) as partial, open(partial, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write('{"info": ' + _json(info))
        # Entry by entry: as one text, an hour of people would be a dozen times as large as the result.
        for name, entries in (("images", images), ("annotations", numbered), ("categories", [category])):
            file.write(f', "{name}": [')
            file.writelines(", " * bool(number) + _json(entry) for number, entry in enumerate(entries))
            file.write("]")
        file.write("}")


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def _annotations(result: PoseResult, track: Track, layout: Skeleton) -> Iterator[dict[str, Any]]:
    keypoints, scores = np.zeros((len(track), len(COCO_17), 3)), np.zeros((len(track), len(COCO_17)))
    seen = seen_keypoints(result.source, track)
    for place, joint in enumerate(COCO_17.joints):
        if joint in layout.joints:
            keypoints[:, place, :2] = track.keypoints[:, layout.index(joint)]
            scores[:, place] = np.where(seen[:, layout.index(joint)], track.scores[:, layout.index(joint)], 0)
    there = np.isfinite(keypoints).all(axis=2) & (scores > 0)
    keypoints[..., 2] = 2
    keypoints[~there], scores[~there] = 0, 0
    for row in np.flatnonzero(there.any(axis=1) & np.isfinite(track.boxes).all(axis=1)):
        left, top, right, bottom = track.boxes[row].astype(float).round(2).tolist()
        yield {
            "image_id": int(track.frames[row]), "category_id": 1, "iscrowd": 0, "track_id": track.id,
            "bbox": [left, top, right - left, bottom - top], "area": (right - left) * (bottom - top),
            "keypoints": keypoints[row].round(2).ravel().tolist(), "num_keypoints": int(there[row].sum()),
            "score": round(float(scores[row].mean()), 4), "keypoint_scores": scores[row].round(4).tolist(),
        }  # fmt: skip
