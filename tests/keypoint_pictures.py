"""Small annotated pictures: people who are a coloured dot for each joint."""

import json
from pathlib import Path

import cv2
import numpy as np

from vidpose.body.skeletons import Skeleton
from vidpose.keypoint_data.clips import Shot, write_clip

SIZE = (120, 100)


def colours_of(layout: Skeleton) -> np.ndarray:
    """(J, 3) uint8, far apart, no two of a mirrored pair alike."""
    return np.random.default_rng(0).permutation(np.linspace(60, 255, 3 * len(layout))).reshape(-1, 3).astype(np.uint8)


def pose(layout: Skeleton, seed: int) -> np.ndarray:
    """(J, 2) pixels, no two joints near each other."""
    rng = np.random.default_rng(seed)
    columns = int(np.ceil(np.sqrt(len(layout))))
    grid = np.stack(np.divmod(np.arange(len(layout)), columns), axis=-1) * [13.0, 13.0]
    return grid + rng.uniform(0, 3, grid.shape) + rng.uniform(15, 30, 2)


def draw(image: np.ndarray, layout: Skeleton, joints: np.ndarray) -> None:
    """A dot of its colour for each joint (J, 2)."""
    for (x, y), colour in zip(joints, colours_of(layout), strict=True):
        # OpenCV's pixels have their coordinates at their middle.
        centre = round(8 * (x - 0.5)), round(8 * (y - 0.5))
        cv2.circle(image, centre, 8 * 4, colour.tolist(), -1, cv2.LINE_AA, shift=3)


def write_clips(folder: Path, layout: Skeleton, count: int, views: int = 2, frames: int = 6) -> Path:
    """Clips of people who drift to the right, by another pixel a frame in each view; gives the folder."""
    for number in range(count):
        shots = []
        for view in range(views):
            joints = pose(layout, 10 * number + view)
            for frame in range(frames):
                # No two pictures are alike, even where they show the same.
                image, mask = np.full((SIZE[1], SIZE[0], 3), 3 * frame, np.uint8), np.zeros(SIZE[::-1], bool)
                moved = joints + np.array([view * frame, 0])
                draw(image, layout, moved)
                (left, top), (right, bottom) = np.floor(moved.min(axis=0) - 6), np.ceil(moved.max(axis=0) + 6)
                mask[max(int(top), 0) : int(bottom), max(int(left), 0) : int(right)] = True
                camera = {"focal": 100.0, "centre": [60.0, 50.0], "world_to_camera": np.eye(3, 4).tolist()}
                shots.append(Shot(view, frame, frame / 25, image, mask, moved, camera))
        write_clip(folder, number, layout.joints, shots)
    return folder


def write_pictures(folder: Path, layout: Skeleton, count: int, people: int = 1, **changes: object) -> Path:
    """A COCO keypoint file of pictures with a person each, or several in rows; gives its path.

    Args:
        changes: to the first annotation.
    """
    images, annotations = [], []
    for number in range(count):
        image = np.zeros((SIZE[1], SIZE[0] * people, 3), np.uint8)
        for person in range(people):
            joints = pose(layout, 100 * person + number) + np.array([SIZE[0] * person, 0])
            draw(image, layout, joints)
            low, high = joints.min(axis=0) - 6, joints.max(axis=0) + 6
            annotations.append({
                "id": len(annotations) + 1, "image_id": number + 1, "category_id": 1, "iscrowd": 0,
                "bbox": [*low, *(high - low)], "area": float(np.prod(high - low) / 2), "num_keypoints": len(layout),
                "keypoints": np.concatenate([joints, np.full((len(layout), 1), 2)], axis=1).ravel().tolist(),
            })  # fmt: skip
        cv2.imwrite(str(folder / f"{number}.png"), image[..., ::-1])
        images.append({"id": number + 1, "file_name": f"{number}.png", "width": image.shape[1], "height": SIZE[1]})
    annotations[0] |= changes
    path = folder / "annotations.json"
    content = {"images": images, "annotations": annotations,
               "categories": [{"id": 1, "name": "person", "keypoints": list(layout.joints)}]}  # fmt: skip
    path.write_text(json.dumps(content))
    return path
