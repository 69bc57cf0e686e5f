"""Human3.6M (Ionescu et al., PAMI 2014): from the forms in which it is passed around to the layout of `store`.

    store = prepare(Path("downloads"), StoreWriter(Path("prepared/h36m"), "h36m", "h36m17"), print)

What is read is what lies in the folder: motion capture as the benchmark's own archives or as VideoPose3D's
`data_3d_h36m.npz`, beside either any of VideoPose3D's `data_2d_h36m_*.npz`; or MotionBERT's pickle, which has it all.
"""

from __future__ import annotations

import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from vidpose.body.geometry import project, world_to_camera
from vidpose.body.skeletons import COCO_17, COCO_TO_H36M, H36M_17
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets import h36m_motionbert
from vidpose.datasets.h36m_cameras import CAMERAS
from vidpose.datasets.h36m_names import ACTIONS, FPS, SPLITS, action_of, canonical
from vidpose.datasets.protocol import Protocol
from vidpose.datasets.restricted_pickle import load_object_npz
from vidpose.datasets.store import Recording, Store, StoredClip, StoreWriter

LAYOUT = "h36m17"

_WEBSITE = "http://vision.imar.ro/human3.6m"
_MOCAP_NPZ = "data_3d_h36m.npz"
_INPUT_NAMES = {"cpn_ft_h36m_dbb": "cpn"}
_POSES = PurePosixPath("MyPoseFeatures/D3_Positions")
_RECORDINGS = 30

_KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""H36M-17 among the 32 joints of the files; the others repeat one of these or do not move."""

# One of its four videos is damaged, so the public detections leave the recording out.
_DAMAGED = ("S11", "Directions")

PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "videopose3d",
            "S9 and S11, every frame of four cameras, without S11 Directions; 17 joints; frames averaged by action, "
            "then 15 actions",
            excluded=(_DAMAGED,),
            actions=ACTIONS,
        ),
        Protocol(
            "motionbert",
            "S9 and S11, every frame of four cameras, without S9 Greeting, SittingDown 1 and Waiting 1, whose truth is "
            "displaced; 17 joints; frames averaged by action, then 15 actions",
            excluded=(("S9", "Greeting"), ("S9", "SittingDown 1"), ("S9", "Waiting 1")),
            actions=ACTIONS,
        ),
        Protocol(
            "martinez",
            "S9 and S11, every frame of four cameras; 17 joints; frames averaged by action, then 15 actions",
            actions=ACTIONS,
        ),
        Protocol(
            "hossain",
            "S9 and S11, every frame of four cameras; 17 joints; frames averaged by recording, then recordings",
            actions=ACTIONS,
            average="sequences",
        ),
    )
}
"""Ways to evaluate, by name; the first is the usual one."""

Mocap = Callable[[str], dict[str, np.ndarray]]
"""A subject's recordings by name: (F, 17, 3) metres in the world's frame."""


def prepare(source: Path, writer: StoreWriter, report: Callable[[str], None]) -> Store:
    """Bring the benchmark into the one layout, a part a subject; parts that are there already are kept.

    Joints are in the camera frame, the root's path included. Input "gt" is the truth in the picture; the others are
    called "cpn" (`cpn_ft_h36m_dbb`), "sh" (MotionBERT's), or as the middle of the file's name. Where detections and
    motion capture differ in length, both are cut to the shorter.

    Args:
        source: folder of what was downloaded.
        report: called with a line for people, a subject at a time.

    Raises:
        UsageError: there is nothing of Human3.6M in the folder, or two forms of it.
        VidposeError: a file is missing, damaged, incomplete or of something else; or nothing can be written.
    """
    pickled = source / h36m_motionbert.FILE
    has_npz = (source / _MOCAP_NPZ).is_file()
    has_cdf = any(_where(source, subject) for subject in SPLITS)
    if (found := has_npz + has_cdf + pickled.is_file()) != 1:
        raise UsageError(
            f"{source}: {'several forms' if found else 'nothing'} of Human3.6M here; there must be one of: "
            f"Poses_D3_Positions_S1.tgz to S11.tgz from {_WEBSITE}; {_MOCAP_NPZ} as VideoPose3D's DATASETS.md makes "
            f"it; {pickled.name} as MotionBERT's docs/pose3d.md links it"
        )
    if pickled.is_file():
        recordings_of, facts, inputs = h36m_motionbert.open_pickle(pickled)
    else:
        recordings_of, facts, inputs = _open_videopose3d(source, _mocap_npz(source) if has_npz else _mocap_cdf(source))
    for subject in SPLITS:
        if writer.has(subject, inputs):
            report(f"{subject}: prepared already")
            continue
        recordings = list(recordings_of(subject))
        writer.write(subject, recordings)
        report(f"{subject}: {len(recordings)} clips, {sum(len(r.joints) for r in recordings)} frames")
    return writer.finish(facts, inputs)


def _open_videopose3d(
    source: Path, mocap: Mocap
) -> tuple[Callable[[str], Iterable[Recording]], dict[str, Any], dict[str, Any]]:
    """Recordings by subject, facts, inputs."""
    detections = {}
    for path in sorted(source.glob("data_2d_h36m_*.npz")):
        name = path.stem.removeprefix("data_2d_h36m_")
        detections[_INPUT_NAMES.get(name, name)] = _Detections(path)
    facts = {"joints": "motion capture in the camera frame"}
    if detections:
        facts["left out"] = " ".join(_DAMAGED) + ", which the detections lack"
    inputs = {"gt": {"detector": "none: motion capture projected through the cameras"}} | {
        name: {"detector": name, "file": d.path.name, "layout": d.layout.name} for name, d in detections.items()
    }
    return lambda subject: _recordings(subject, mocap(subject), detections), facts, inputs


def _recordings(
    subject: str, mocap: Mapping[str, np.ndarray], detections: Mapping[str, _Detections]
) -> Iterator[Recording]:
    for sequence, world in sorted(mocap.items()):
        if detections and (subject, sequence) == _DAMAGED:
            continue
        views = {name: found.views(subject, sequence) for name, found in detections.items()}
        for index, camera in enumerate(CAMERAS[subject]):
            joints = world_to_camera(world, camera.orientation, camera.position)
            truth = project(joints, camera.focal, camera.centre, camera.radial, camera.tangential)
            keypoints = {"gt": truth} | {name: views[name][index] for name in views}
            frames = min(len(joints), *map(len, keypoints.values()))
            yield Recording(
                joints=joints[:frames],
                keypoints={name: k[:frames] for name, k in keypoints.items()},
                split=SPLITS[subject],
                subject=subject,
                action=action_of(sequence),
                camera=camera.name,
                sequence=sequence,
                width=camera.width,
                height=camera.height,
                fps=FPS,
            )


def _mocap_npz(source: Path) -> Mocap:
    path = source / _MOCAP_NPZ
    advice = "make it again as VideoPose3D's DATASETS.md says"
    subjects = _by_subject(path, load_object_npz(path, ["positions_3d"], advice)["positions_3d"], advice)
    if missing := SPLITS.keys() - subjects.keys():
        raise VidposeError(f"{path}: lacks {', '.join(sorted(missing))}; {advice}")

    def mocap(subject: str) -> dict[str, np.ndarray]:
        found = {}
        for sequence, positions in subjects[subject].items():
            where = f"{path}: {subject} {sequence}"
            _check_action(sequence, where, advice)
            found[sequence] = _checked(positions, [(32, 3)], where, advice)[:, _KEPT]
        return found

    return mocap


def _mocap_cdf(source: Path) -> Mocap:
    for subject in SPLITS:
        if _where(source, subject) is None:
            raise VidposeError(
                f"{source}: neither Poses_D3_Positions_{subject}.tgz nor {subject}/{_POSES}; download the archive "
                f"from {_WEBSITE} (Poses, D3 Positions, by subject) and put it there"
            )

    def mocap(subject: str) -> dict[str, np.ndarray]:
        place = _where(source, subject)
        assert place is not None
        advice = f"download Poses_D3_Positions_{subject}.tgz again from {_WEBSITE}"
        found = {}
        for name, path in _cdf_files(place, advice):
            where = f"{place}: {name}"
            _check_action(canonical(name), where, advice)
            found[canonical(name)] = _read_cdf(path, where, advice)
        if len(found) != _RECORDINGS:
            raise VidposeError(f"{place}: {len(found)} recordings, where {_RECORDINGS} were expected; {advice}")
        return found

    return mocap


def _where(source: Path, subject: str) -> Path | None:
    """The folder of a subject's positions, or the archive of them."""
    for place in (source / subject / _POSES, source / f"Poses_D3_Positions_{subject}.tgz"):
        if place.exists():
            return place
    return None


def _cdf_files(place: Path, advice: str) -> Iterator[tuple[str, Path]]:
    """Name and file of each recording; files out of an archive exist until the next is asked for."""
    if place.is_dir():
        yield from ((path.stem, path) for path in sorted(place.glob("*.cdf")))
        return
    try:
        with tarfile.open(place) as archive, tempfile.TemporaryDirectory() as folder:
            extracted = Path(folder) / "recording.cdf"
            for member in archive:
                path = PurePosixPath(member.name)
                if path.suffix == ".cdf" and path.parent.name == _POSES.name and (file := archive.extractfile(member)):
                    extracted.write_bytes(file.read())
                    yield path.stem, extracted
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise VidposeError(f"{place}: cannot be unpacked ({error}); {advice}") from None


def _read_cdf(path: Path, where: str, advice: str) -> np.ndarray:
    """(F, 17, 3) metres."""
    import cdflib

    try:
        pose = cdflib.CDF(path).varget("Pose")
    except Exception as error:  # cdflib does not foresee damaged files: they fail in any way at all.
        raise VidposeError(f"{where} cannot be read ({error}); {advice}") from None
    pose = np.asarray(pose)
    if pose.ndim != 3 or pose.shape[0] != 1 or pose.shape[2] != 96:
        raise VidposeError(f"{where} is {pose.shape}, where (1, frames, 96) was expected; {advice}")
    return pose.reshape(-1, 32, 3)[:, _KEPT] / 1000


class _Detections:
    """One of VideoPose3D's `data_2d_h36m_*.npz`.

    Raises:
        VidposeError: the file cannot be read, or its joints are not known.
    """

    def __init__(self, path: Path):
        self.path = path
        self.advice = "download it again as VideoPose3D's DATASETS.md says, or move it away"
        content = load_object_npz(path, ["positions_2d", "metadata"], self.advice)
        self.positions = _by_subject(path, content["positions_2d"], self.advice)
        try:
            sides = [sorted(map(int, side)) for side in content["metadata"]["keypoints_symmetry"]]
        except (KeyError, TypeError, ValueError, IndexError):
            sides = []
        # The files do not always name their layout; which joints are left and right tells it.
        for layout in (H36M_17, COCO_17):
            if sides == [sorted(layout.left), sorted(layout.right)]:
                self.layout = layout
                return
        raise VidposeError(f"{path}: its joints are neither Human3.6M's 17 nor COCO's 17; move it away")

    def views(self, subject: str, sequence: str) -> list[np.ndarray]:
        """(F, 17, 2) or (F, 17, 3) pixels and scores of H36M-17, for each camera."""
        where = f"{self.path}: {subject} {sequence}"
        views = self.positions.get(subject, {}).get(sequence, [])
        if len(views) != len(CAMERAS[subject]):
            raise VidposeError(f"{where} has {len(views)} views of {len(CAMERAS[subject])}; {self.advice}")
        return [self._as_h36m(_checked(view, [(17, 2), (17, 3)], where, self.advice)) for view in views]

    def _as_h36m(self, keypoints: np.ndarray) -> np.ndarray:
        if self.layout is H36M_17:
            return keypoints
        scores = keypoints[..., 2] if keypoints.shape[-1] == 3 else np.ones(keypoints.shape[:-1])
        pixels, scores = COCO_TO_H36M(keypoints[..., :2], scores)
        return np.concatenate([pixels, scores[..., None]], axis=-1)[..., : keypoints.shape[-1]]


def _by_subject(path: Path, content: Any, advice: str) -> dict[str, dict[str, Any]]:
    """Subject -> recording, by its canonical name -> whatever the file has of it."""
    if not isinstance(content, dict) or not all(isinstance(recordings, dict) for recordings in content.values()):
        raise VidposeError(f"{path}: not by subject and action, as VideoPose3D's files are; {advice}")
    return {
        subject: {canonical(str(sequence)): value for sequence, value in recordings.items()}
        for subject, recordings in content.items()
    }


def _check_action(sequence: str, where: str, advice: str) -> None:
    if action_of(sequence) not in ACTIONS:
        raise VidposeError(f"{where} is no recording of Human3.6M; {advice}")


def _checked(array: Any, shapes: Sequence[tuple[int, ...]], where: str, advice: str) -> np.ndarray:
    """The array, if it has frames, each of one of the shapes."""
    array = np.asarray(array)
    if array.shape[1:] not in shapes or not len(array):
        expected = " or ".join(f"(frames, {', '.join(map(str, shape))})" for shape in shapes)
        raise VidposeError(f"{where} is {array.shape}, where {expected} was expected; {advice}")
    return array


def video_names(clip: StoredClip) -> list[str]:
    """Where a clip's video may be, below the folder of the benchmark's videos."""
    former = {"Photo": "TakingPhoto", "WalkDog": "WalkingDog"}
    sequences = [clip.sequence, clip.sequence.replace(clip.action, former.get(clip.action, clip.action))]
    return [f"{clip.subject}/Videos/{sequence}.{clip.camera}.mp4" for sequence in dict.fromkeys(sequences)]
