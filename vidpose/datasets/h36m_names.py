"""What Human3.6M calls its subjects, actions and recordings, and how often it films."""

from __future__ import annotations

import re
from collections.abc import Mapping

SPLITS: Mapping[str, str] = {
    **dict.fromkeys(("S1", "S5", "S6", "S7", "S8"), "train"),
    **dict.fromkeys(("S9", "S11"), "test"),
}
"""The subjects whose motion capture is public, and what every paper uses them for."""

FPS = 50.0

ACTIONS = ("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting",
           "SittingDown", "Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether")  # fmt: skip
"""In the order of the papers' tables."""

# Numbers 2 to 16; number 1 is a calibration.
_NUMBERED = ("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting",
             "SittingDown", "Smoking", "Photo", "Waiting", "Walking", "WalkDog", "WalkTogether")  # fmt: skip

# An action's two recordings are called "Eating 1" and "Eating" in the order of their numbers, except these, by what
# stands after the action (`metadata.xml` of the release).
_SUFFIXES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("S1", "Eating"): (" 2", ""),
    ("S1", "Sitting"): (" 1", " 2"),
    ("S1", "SittingDown"): (" 2", ""),
    ("S5", "Directions"): (" 1", " 2"),
    ("S5", "Discussion"): (" 2", " 3"),
    ("S5", "Greeting"): (" 1", " 2"),
    ("S5", "SittingDown"): ("", " 1"),
    ("S5", "Photo"): ("", " 2"),
    ("S5", "Waiting"): (" 1", " 2"),
    ("S6", "Eating"): (" 1", " 2"),
    ("S6", "Posing"): (" 2", ""),
    ("S6", "Sitting"): (" 1", " 2"),
    ("S6", "Photo"): ("", " 1"),
    ("S6", "Waiting"): (" 3", ""),
    ("S7", "Phoning"): (" 2", ""),
    ("S7", "SittingDown"): ("", " 1"),
    ("S7", "Photo"): ("", " 1"),
    ("S7", "Waiting"): (" 1", " 2"),
    ("S7", "Walking"): (" 1", " 2"),
    ("S8", "SittingDown"): ("", " 1"),
    ("S8", "WalkTogether"): (" 1", " 2"),
    ("S9", "Discussion"): (" 1", " 2"),
    ("S9", "SittingDown"): ("", " 1"),
    ("S11", "Discussion"): (" 1", " 2"),
    ("S11", "Greeting"): (" 2", ""),
    ("S11", "Phoning"): (" 3", " 2"),
    ("S11", "SittingDown"): ("", " 1"),
    ("S11", "Smoking"): (" 2", ""),
}


def canonical(sequence: str) -> str:
    """A recording's name as the papers spell it: S1's files say TakingPhoto and WalkingDog, all others' not."""
    return sequence.replace("TakingPhoto", "Photo").replace("WalkingDog", "WalkDog")


def action_of(sequence: str) -> str:
    """The action of a recording: "Eating" of "Eating 1"."""
    return sequence.split(" ")[0]


def from_numbers(source: str) -> tuple[str, str] | None:
    """Subject and recording of a name in numbers: ("S9", "Greeting") of `s_09_act_05_subact_02_ca_01`.

    Returns:
        None where the name is of another form, or the benchmark has no such recording.
    """
    match = re.fullmatch(r"s_(\d\d)_act_(\d\d)_subact_0([12])_ca_0[1-4]", source)
    if match is None:
        return None
    subject, number, take = f"S{int(match[1])}", int(match[2]) - 2, int(match[3]) - 1
    if subject not in SPLITS or number not in range(len(_NUMBERED)):
        return None
    action = _NUMBERED[number]
    return subject, action + _SUFFIXES.get((subject, action), (" 1", ""))[take]
