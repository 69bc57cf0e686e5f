"""2D keypoint networks side by side, those that see pictures and those that see clips, on the same people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidpose.body.skeletons import Skeleton
from vidpose.common.errors import UsageError, VidposeError
from vidpose.evaluation.keypoints.annotated_pictures import common_joints, figures, find_annotated
from vidpose.evaluation.keypoints.clip_pictures import find_in_clips, people_in
from vidpose.keypoint_data.clips import FilmedClip, clip_folder, open_clips
from vidpose.keypoint_data.coco_annotations import ANNOTATIONS, AnnotatedPerson, read_people
from vidpose.keypoints.clips.clip_finder import ClipFinder
from vidpose.keypoints.clips.clip_weights import read_clip_network
from vidpose.keypoints.network_table import CLIP_NETWORKS
from vidpose.keypoints.poses import KeypointFinder
from vidpose.people.detections import PersonDetector
from vidpose.pipeline.networks import open_keypoints, open_networks
from vidpose.weights.header import read_header


@dataclass(frozen=True)
class Annotated:
    """What networks are compared on.

    Attributes:
        people: in the order of their pictures.
        layout: the joints that they and all networks have.
        clips: whose people they are; none where the pictures are not of clips.
    """

    people: Sequence[AnnotatedPerson]
    layout: Skeleton
    clips: Sequence[FilmedClip] = ()

    @property
    def cameras(self) -> int:
        """Of a clip, at most."""
        return max((len(clip.views) for clip in self.clips), default=0)


@dataclass(frozen=True)
class Compared:
    """A network with its weights.

    Attributes:
        name: of the network.
        finder: of joints in pictures, or in clips.
        detector: finds people for it; None: it is told their boxes.
        facts: columns of the table that are known beforehand: frames, epoch_seconds.
        views: how many cameras it can see together; 0: it sees pictures.
        config: of the network, as far as its weights say.
    """

    name: str
    finder: KeypointFinder | ClipFinder
    detector: PersonDetector | None
    facts: Mapping[str, Any]
    views: int
    config: Any

    def views_together(self, limits: Iterable[int], cameras: int) -> list[int]:
        """How many cameras it sees together under each of several limits, each number once."""
        return sorted({min(limit, self.views, cameras) for limit in limits}) if self.views else [0]

    def figures(self, annotated: Annotated, together: int, report: Callable[[int, int | None], None]) -> dict[str, Any]:
        """Its row of the table: `pictures.figures` and the facts.

        Args:
            together: how many cameras it shall see together; 0 for one that sees pictures.
            report: hears of the people done and of all.
        """
        people, layout = annotated.people, annotated.layout
        if isinstance(self.finder, ClipFinder):
            found = find_in_clips(annotated.clips, layout, self.finder, together, report)
            return {**figures(people, layout, found), **self.facts, "views": together}
        found = find_annotated(people, layout, self.finder, self.detector, report)
        return {**figures(people, layout, found), **self.facts}


def open_compared(
    name: str, files: Sequence[Path | None], detector: str | None, device: str, stack: ExitStack
) -> list[Compared]:
    """A keypoint network, with each of several files of weights.

    Args:
        name: as of `open_networks`.
        files: None: the published one.
        detector: that finds people; None: their boxes are given.
        stack: closes them.

    Raises:
        UsageError: as of `open_networks`, or the files are not of one configuration.
        VidposeError: likewise.
    """
    group = [_open(name, file, detector, device, stack) for file in files]
    for network, file in zip(group, files, strict=True):
        if network.config != group[0].config:
            raise UsageError(
                f"`keypoints={name}`: {file} is of another configuration than {files[0]}; give each a row of its own"
            )
    return group


def _open(name: str, file: Path | None, detector: str | None, device: str, stack: ExitStack) -> Compared:
    if name not in CLIP_NETWORKS:
        if detector:
            networks = stack.enter_context(open_networks(detector, name, keypoints_weights=file, device=device))
            finder, found_by = networks.keypoints, networks.detector
        else:
            finder, found_by = stack.enter_context(open_keypoints(name, file, device=device)), None
        about: Mapping[str, Any] = read_header(file) if file and file.suffix == ".safetensors" else {}
        return Compared(name, finder, found_by, _time(about), 0, about.get("config"))
    if detector:
        raise UsageError(
            f"`detector={detector}`: {name}, which sees people over time, is told their boxes; leave it out"
        )
    if file is None:
        raise UsageError(f"`keypoints={name}`: no address of its weights is known; give {name}=FILE")
    network, about = read_clip_network(file, name)
    facts = {"frames": network.frames, **_time(about)}
    return Compared(name, ClipFinder(network, device=device), None, facts, network.views, about["config"])


def _time(about: Mapping[str, Any]) -> dict[str, float]:
    return {"epoch_seconds": float(about["epoch_seconds"])} if "epoch_seconds" in about else {}


def read_annotated(data: Path, networks: Sequence[Compared], images: Path | None = None, every: int = 1) -> Annotated:
    """People to compare networks on.

    Args:
        data: a COCO keypoint file, a folder of such files, or one of clips.
        images: folder that file names are relative to; None: that of the file.
        every: N, for every Nth picture or clip.

    Raises:
        UsageError: the networks have no joint in common, or one of them sees clips and these are none.
        VidposeError: a file cannot be read, or a clip is shorter than a network's window.
    """
    layouts = [network.finder.layout for network in networks]
    layout = common_joints(layouts, lambda some: read_people(data, some, images))
    seeing_clips = [network for network in networks if network.views]
    if not any(data.glob(f"clip-*/{ANNOTATIONS}")):
        if seeing_clips:
            name = seeing_clips[0].name
            raise UsageError(f"{data}: no folder of clips, which {name} looks at; `vidpose synth` makes some")
        return Annotated(_every(read_people(data, layout, images), every), layout)
    if images:
        raise UsageError(f"`images={images}`: clips have pictures of their own; leave it out")
    clips = open_clips(data, layout)[::every]
    people = people_in(clips)
    if not people:
        raise VidposeError(f"{data}: nobody has a labelled joint in one of {every} clips; give a smaller `every`")
    for network in seeing_clips:
        assert isinstance(network.finder, ClipFinder)
        for clip in clips:
            network.finder.check_clip(str(clip_folder(data, clip.number)), 1, len(clip))
    return Annotated(people, layout, clips)


def _every(people: Sequence[AnnotatedPerson], every: int) -> list[AnnotatedPerson]:
    """People of every Nth picture, picture by picture."""
    pictures = list(dict.fromkeys(person.picture for person in people))[::every]
    place = {picture: number for number, picture in enumerate(pictures)}
    return sorted((person for person in people if person.picture in place), key=lambda person: place[person.picture])
