"""Annotated pictures of people, which 2D keypoint networks learn from: COCO's JSON, and clips in several views.

    people = read_people(Path("annotations/person_keypoints_val2017.json"), COCO_17, images=Path("val2017"))
    clips = open_clips(Path("clips"), H36M_17)

`coco_annotations` is the format, `clips` what several cameras saw in step, `crops` what a network is given,
`picture_augmentation` how that is varied.
"""

from vidpose.keypoint_data.clips import ClipView, FilmedClip, open_clips
from vidpose.keypoint_data.coco_annotations import AnnotatedPerson, read_people

__all__ = ["AnnotatedPerson", "ClipView", "FilmedClip", "open_clips", "read_people"]
