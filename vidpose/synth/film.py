"""From a scene to a video file, with the truth beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from vidpose.body.skeletons import H36M_17
from vidpose.common.files import write_npz
from vidpose.synth.frames import extremities
from vidpose.synth.scenes import Scene
from vidpose.synth.studio import Studio
from vidpose.video import VideoWriter


def film(scene: Scene) -> Iterator[np.ndarray]:
    """The frames of a scene, (H, W, 3) uint8 RGB; the same ones every time."""
    studio = Studio(scene.camera)
    looks = [person.look for person in scene.people]
    for joints in scene.joints().swapaxes(0, 1):
        yield studio.shoot(list(zip(joints, looks, strict=True))).image


def save_film(scene: Scene, path: Path, progress: Callable[[int, int | None], None]) -> None:
    """Render a scene to a video; `progress` hears of the frames done and of all.

    Raises:
        VidposeError: the file cannot be written.
    """
    times = scene.times
    with VideoWriter(path, (scene.camera.width, scene.camera.height), scene.fps) as video:
        for i, (image, time) in enumerate(zip(film(scene), times, strict=True)):
            video.write(image, time)
            progress(i + 1, len(times))


def truth(scene: Scene) -> dict[str, np.ndarray]:
    """What is known about a scene of P people and T frames.

    Returns:
        joints: (P, T, 17, 3) float32 metres in the camera's frame: x right, y down, z forward.
        extremities: (P, T, 10, 3) float32 metres, heels, toes, knuckles and thumbs, likewise.
        keypoints: (P, T, 17, 2) float32 pixels, (0, 0) the top left corner of the picture.
        visible: (P, T) bool, at least half of the joints lie inside the picture; they may be behind another person.
        times: (T,) float64 seconds.
        fps: frames a second, a fraction as text.
        camera: (5,) float64 focal length, cx, cy, width, height in pixels.
        world_to_camera: (3, 4) float64; the world is z up with the floor at z = 0.
        layout: the name of the joint layout; that of the extremities is `EXTREMITIES_10`.
    """
    camera, world = scene.camera, scene.joints()
    keypoints = camera.project(world)
    ends = np.array([[extremities(joints) for joints in person] for person in world])
    inside = ((keypoints > 0) & (keypoints < (camera.width, camera.height))).all(axis=-1)
    return {
        "joints": camera.to_camera(world).astype(np.float32),
        "extremities": camera.to_camera(ends).astype(np.float32),
        "keypoints": keypoints.astype(np.float32),
        "visible": inside.mean(axis=-1) >= 0.5,
        "times": scene.times,
        "fps": np.array(str(scene.fps)),
        "camera": np.array([camera.focal, *camera.centre, camera.width, camera.height]),
        "world_to_camera": camera.world_to_camera,
        "layout": np.array(H36M_17.name),
    }


def save_truth(scene: Scene, path: Path) -> None:
    """Write `truth` to a `.npz` without pickles.

    Raises:
        VidposeError: the file cannot be written.
    """
    write_npz(path, **truth(scene))
