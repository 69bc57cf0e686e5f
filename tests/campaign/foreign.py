"""Sound small files that other programs write, and what a search that was broken off leaves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import foreign_keypoints
import mocap_files
import numpy as np
import onnx_files
import smpl_files
import test_calibration
import test_h36m
import test_humaneva
import test_landmark_files
import torch
from exports import result_of, track_of, world_joints

from vidpose.export import FORMATS
from vidpose.pipeline.choices import Finding
from vidpose.pipeline.finding import find_people
from vidpose.pipeline.keeping import Keeping
from vidpose.pipeline.networks import open_networks
from vidpose.video import VideoReader
from vidpose.video.writing import VideoWriter
from vidpose.weights.shipped import shipped

FRAMES = 8
WALKED = 12


def write(folder: Path) -> None:
    """All of them, into the folder of the campaign's own files."""
    _write_keypoints(folder)
    _write_motion(folder)
    _write_cameras(folder)
    _write_networks(folder)
    _write_sources(folder)
    _begin_search(folder)


def _write_keypoints(folder: Path) -> None:
    walker = result_of(track_of(world_joints(FRAMES)))
    for name in ("trc", "c3d", "bvh", "gltf", "coco"):
        [path] = FORMATS[name].write(walker, folder / "j")
        path.rename(folder / f"j{'.coco.json' if name == 'coco' else path.suffix}")
    foreign_keypoints.openpose(folder / "op", foreign_keypoints.people(25, FRAMES))
    values = foreign_keypoints.people(17, FRAMES)
    frames = [{"frame_id": number, "instances": _instances(row)} for number, row in enumerate(values)]
    foreign_keypoints.write(folder / "mm.json", {"meta_info": {}, "instance_info": frames})
    shares = foreign_keypoints.people(33, FRAMES)[:, 0] / [640, 480, 1]
    landmarks = [[{"x": x, "y": y, "z": 0.1, "visibility": score} for x, y, score in row] for row in shares.tolist()]
    foreign_keypoints.write(folder / "mp.json", {"frames": [{"landmarks": [one]} for one in landmarks]})
    np.save(folder / "mp.npy", np.concatenate([shares[..., :2], 0 * shares[..., :1], shares[..., 2:]], axis=-1))
    names = [f"{axis}{joint}" for joint in range(33) for axis in "xyv"]
    rows = [",".join(map(str, row.ravel())) for row in shares]
    (folder / "mp.csv").write_text("\n".join([",".join(names), *rows]) + "\n")
    test_landmark_files.deeplabcut_csv(folder / "dlc.csv", values, True)
    test_landmark_files.deeplabcut_h5(folder / "dlc.h5", values)


def _instances(row: np.ndarray) -> list[dict]:
    return [
        {"keypoints": one[:, :2].tolist(), "keypoint_scores": one[:, 2].tolist(), "bbox": [[1, 2, 300, 400]]}
        for one in row
    ]


def _write_motion(folder: Path) -> None:
    np.savez(folder / "SMPL_MALE.npz", **smpl_files.arrays())
    walker = result_of(track_of(world_joints(60)))
    for name in ("trc", "c3d"):
        [path] = FORMATS[name].write(walker, folder / f"motion-{name}" / "j")
        path.rename(path.with_name(f"j.{name}"))
    (folder / "motion-bvh").mkdir()
    names = mocap_files.MOTIONBUILDER | {"lfemur": "Bein links"}
    mocap_files.write_bvh(folder / "motion-bvh" / "a.bvh", mocap_files.movement(150), names=names, scale=2.54 / 0.45)
    (folder / "map.toml").write_text('up = "y"\nunit = "cm"\n[joints]\nleft_hip = "Bein links"\n')


def _write_cameras(folder: Path) -> None:
    test_calibration.write_qualisys(folder / "c.qca.txt")
    test_calibration.write_opencv(folder / "c.xml")
    test_calibration.write_caliscope(folder / "caliscope.toml")
    (folder / "c.xcp").write_text(test_calibration.vicon_xcp())
    (folder / "cuts.txt").write_text("3\n0:00.2\n")
    (folder / "mot.txt").write_text("".join(f"{frame},1,20,10,60,80,0.9,-1,-1,-1\n" for frame in range(1, 9)))


def _write_networks(folder: Path) -> None:
    onnx_files.write_rtmdet(folder / "d.onnx", [(5, 6, 50, 40, 0)], [0])
    onnx_files.write_rtmpose(folder / "p.onnx")
    # As torch wrote checkpoints before its 1.6: no archive, but one pickle after another.
    state = torch.load(folder / "p.pt", weights_only=True)
    torch.save(state, folder / "old.bin", _use_new_zipfile_serialization=False)


def _write_sources(folder: Path) -> None:
    for name in ("h36m-arrays", "humaneva-arrays"):
        (folder / name).mkdir()
    test_h36m.write_mocap(folder / "h36m-arrays")
    test_humaneva.write(folder / "humaneva-arrays", test_humaneva.arrays())


class _BrokenOffError(Exception):
    """What ends a search between two frames."""


def _at(last: int) -> Callable[[int, int | None], None]:
    def progress(done: int, total: int | None) -> None:
        if done == last:
            raise _BrokenOffError

    return progress


def _begin_search(folder: Path) -> None:
    """A walker, and what a search for her leaves that is broken off in its third segment."""
    with VideoReader(shipped("samples") / "walk-wave.mp4", end=(WALKED - 0.5) / 25) as video:
        frames = [frame.image for frame in video]
        with VideoWriter(folder / "walk.mp4", (video.width, video.height), video.fps) as writer:
            for number, image in enumerate(frames):
                writer.write(image, number / 25)
    keeping = Keeping(folder / "begun" / "walk_keypoints.npz", seconds=0.09)
    finding = Finding(detector="blazepose", keypoints="blazepose-lite")
    with open_networks("blazepose", "blazepose-lite") as networks, suppress(_BrokenOffError):
        find_people(folder / "walk.mp4", finding, networks=networks, keeping=keeping, progress=_at(WALKED - 1))
    assert len(list(keeping.folder.iterdir())) == 2
