"""2D keypoint networks that see clips (`keypoints/clips/`), on the pictures that other networks see one by one.

A network sees so many cameras of a clip together. Where there are more, it looks several times, so that it answers for
every picture once, and always in the company of as many others: whatever their number, the people are the same.

Shape suffixes: V views, F frames of a clip, J joints.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from vidpose.body.skeletons import Skeleton
from vidpose.evaluation.keypoints.annotated_pictures import Found
from vidpose.evaluation.keypoints.keypoint_metrics import detected
from vidpose.keypoint_data.clips import FilmedClip
from vidpose.keypoint_data.coco_annotations import AnnotatedPerson
from vidpose.keypoints.clips.clip_finder import Appearance, ClipFinder
from vidpose.keypoints.poses import seen_inside


def people_in(clips: Sequence[FilmedClip]) -> list[AnnotatedPerson]:
    """Everyone with a labelled joint, clip by clip, view by view."""
    return [person for clip in clips for view in clip.views for person in view.people if person.labelled.any()]


def find_in_clips(
    clips: Sequence[FilmedClip],
    layout: Skeleton,
    finder: ClipFinder,
    together: int,
    report: Callable[[int, int | None], None] = lambda done, total: None,
) -> Found:
    """Look for the annotated people, told their boxes.

    Args:
        clips: one of them is held in memory.
        layout: of their joints, all of which the finder has.
        together: how many cameras it sees at once, of those that a clip has.
        report: hears of the people done and of all.

    Returns:
        What was found for `people_in(clips)`, in that order.

    Raises:
        VidposeError: a picture cannot be read.
    """
    rows = [finder.layout.index(joint) for joint in layout.joints]
    total = len(people_in(clips))
    entries, matched, seconds, looked_at = [], [], 0.0, 0
    for clip in clips:
        pictures = [[view.picture(frame) for frame in range(len(clip))] for view in clip.views]
        start = time.monotonic()
        keypoints_VFJ2, scores_VFJ, looks = _look(clip, pictures, finder, together)
        seconds += time.monotonic() - start
        looked_at += looks
        people = [person for view in clip.views for person in view.people]
        answers = zip(keypoints_VFJ2.reshape(len(people), -1, 2), scores_VFJ.reshape(len(people), -1), strict=True)
        for person, (keypoints, scores) in zip(people, answers, strict=True):
            if person.labelled.any():
                matched.append(keypoints[rows])
                if np.isfinite(keypoints).all():
                    sure = seen_inside(keypoints, scores, person.size[::-1])[rows]
                    entries.append(detected(len(matched), keypoints[rows], sure, sure.mean()))
        report(len(matched), total)
    return Found(entries, np.stack(matched), 1000 * seconds / max(looked_at, 1))


def _look(
    clip: FilmedClip, pictures: Sequence[Sequence[np.ndarray]], finder: ClipFinder, together: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """(V, F, J, 2) pixels and (V, F, J) scores of a clip whose pictures have been read, and how many it looked at."""
    boxes = np.stack([view.boxes for view in clip.views])
    together = min(together, len(boxes))
    keypoints, scores, looks = [], [], 0
    for first in range(0, len(boxes), together):
        # The last ones look together with some that have been answered for.
        stop = min(first + together, len(boxes))
        group = slice(stop - together, stop)
        moments = enumerate(zip(*pictures[group], strict=True))
        [(found_VFJ2, sure_VFJ)] = finder.follow(moments, [Appearance(0, boxes[group])])
        looks += int(np.isfinite(found_VFJ2).all(axis=(2, 3)).sum())
        keypoints.append(found_VFJ2[first - group.start :])
        scores.append(sure_VFJ[first - group.start :])
    return np.concatenate(keypoints), np.concatenate(scores), looks
