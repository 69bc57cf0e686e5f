"""A job as Python builds it: what it refuses before the first frame, and that every way in gives the same."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest

import vidpose
from vidpose.body.tracks import PoseResult
from vidpose.cli.spelling import spelled
from vidpose.common.errors import UsageError, VidposeError
from vidpose.pipeline.choices import Finding, Lifting, Placing
from vidpose.pipeline.job import Job
from vidpose.pipeline.keeping import Keeping
from vidpose.pipeline.outputs import Writing
from vidpose.refine.focal import Lens

SHORT = {"end": 0.4, "device": "cpu"}


@pytest.fixture(scope="module")
def result(walk_sample: Path) -> PoseResult:
    return vidpose.infer(walk_sample, **SHORT)


def same(one: PoseResult, other: PoseResult) -> bool:
    """Whether two results have the same people, to the last bit."""
    names = ("frames", "times", "boxes", "keypoints", "scores", "joints", "joint_scores", "roots", "rotations")
    return len(one.tracks) == len(other.tracks) > 0 and all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True)
        for a, b in zip(one.tracks, other.tracks, strict=True)
        for name in names
    )


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"fov": 0}, "`fov=0`"),
        ({"fov": 60, "focal": 900}, "one of them"),
        ({"height": 175}, "did you mean 1.75"),
        ({"height": "1:tall"}, "tall"),
        ({"smooth": "butterworth:500"}, "butterworth"),
        ({"smooth": "fast"}, "no such filter"),
        ({"min_score": 1.5}, "`min_score=1.5`"),
        ({"max_people": 0}, "`max_people=0`"),
        ({"detect_every": 0}, "`detect_every=0`"),
        ({"max_gap": -1}, "`max_gap=-1`"),
        ({"max_gap": float("inf")}, "`max_gap=inf`"),
        ({"start": 3, "end": 2}, "`end=2`"),
        ({"lifter": "nobody"}, "nobody"),
        ({"precision": "int8"}, "`precision=int8`"),
        ({"detector": "nobody"}, "nobody"),
        ({"keypoints": "nobody"}, "nobody"),
        ({"device": "abacus"}, "abacus"),
        ({"heigth": 1.8}, "did you mean height?"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_the_first_frame(settings, named, walk_sample, monkeypatch):
    monkeypatch.setattr("vidpose.pipeline.finding.find_people", None)
    with pytest.raises(UsageError, match=named.replace("?", r"\?")):
        vidpose.infer(walk_sample, **settings)


def test_a_check_needs_no_frame_and_says_what_is_missing(walk_sample, tmp_path):
    Job((walk_sample,)).check()
    with pytest.raises(VidposeError, match=r"gone\.mp4: no such file"):
        Job((tmp_path / "gone.mp4",)).check()
    with pytest.raises(UsageError, match="give a video"):
        Job().check()
    with pytest.raises(UsageError, match="2 videos are views of one scene only with `calibration` or `in_step`"):
        Job((walk_sample, walk_sample)).check()


def test_plain_settings_find_their_part():
    job = Job.of(["a.mp4"], max_people=1, smooth="none", fov=70, ground=True, device="cpu", calibration="c.toml")
    assert job == Job(
        (Path("a.mp4"),),
        finding=Finding(max_people=1),
        lifting=Lifting(smooth="none"),
        placing=Placing(Lens(fov=70), ground=True),
        calibration=Path("c.toml"),
        device="cpu",
    )


@pytest.mark.parametrize(
    ("job", "named"),
    [
        (Job(saved=(Path("r.npz"),), finding=Finding(min_score=0.5)), "`min_score=0.5` says how people are looked for"),
        (Job(saved=(Path("r.npz"),), finding=Finding(end=2.0)), "`end=2.0` says how people are looked for"),
        (
            Job((Path("a.mp4"), Path("b.mp4")), calibration=Path("c.toml"), placing=Placing(ground=True)),
            "`ground=True` is for one camera",
        ),
    ],
)
def test_a_setting_that_nothing_would_look_at_is_refused(job, named):
    with pytest.raises(UsageError, match=named):
        job.check_settings()


def test_saved_keypoints_give_what_the_video_gave(result, tmp_path):
    result.save(tmp_path / "r.npz")
    assert same(vidpose.infer(from_keypoints=tmp_path / "r.npz", device="cpu"), result)
    assert same(vidpose.infer(from_keypoints=result, device="cpu"), result)


def test_keypoints_are_kept_before_they_are_lifted(result, walk_sample, tmp_path, monkeypatch):
    keeping = Keeping(tmp_path / "k_keypoints.npz")

    def fails(*_: object, **__: object) -> None:
        raise VidposeError("no more memory")

    job = Job.of([walk_sample], **SHORT)
    with monkeypatch.context() as patched:
        patched.setattr("vidpose.pipeline.lifting.lift_people", fails)
        with pytest.raises(VidposeError, match="no more memory"):
            job.run(keeping=[keeping])
    (again,) = replace(job, videos=(), saved=(keeping.file,), finding=Finding()).run()
    assert same(again, result)


def test_a_failure_after_the_search_says_how_to_go_on(run, walk_sample, tmp_path, monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise VidposeError("no more memory")

    with monkeypatch.context() as patched:
        patched.setattr("vidpose.pipeline.lifting.lift_people", fails)
        code, _, err = run("infer", walk_sample, "--end", "0.4", "--no-overlay")
    kept = tmp_path / "out" / "walk-wave_keypoints.npz"
    assert code == 1
    assert "no more memory; the 2D keypoints are kept: go on with --from-keypoints" in err
    assert run("infer", "--from-keypoints", kept, "--no-overlay")[0] == 0
    assert kept.exists()
    assert run("infer", walk_sample, "--end", "0.4", "--no-overlay", "--overwrite")[0] == 0
    assert not kept.exists()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--from-keypoints", "r.npz", "--min-score", "0.3"), "--min-score says how people are looked for"),
        (("--from-keypoints", "r.npz", "--time", "0:10"), "--time says how people are looked for"),
    ],
)
def test_an_option_that_is_given_and_useless_is_an_error_even_at_its_default(run, options, part):
    code, _, err = run("infer", *options)
    assert code == 2
    assert part in err


def test_messages_name_parameters_as_python_does_and_the_command_line_spells_them():
    @click.command()
    @click.option("--min-score")
    @click.option("--overlay/--no-overlay")
    def command() -> None: ...

    assert spelled("`min_score=2`: give `no_overlay`", command) == "--min-score 2: give --no-overlay"
    assert spelled("`fov=2` and `vidpose synth`", command) == "fov 2 and `vidpose synth`"


def test_every_stage_tells_how_far_it_is(walk_sample, tmp_path):
    told: dict[str, list[tuple[int, int]]] = {}

    @contextmanager
    def watched(label: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        calls = told.setdefault(f"{label}, {unit}", [])
        yield lambda done, total: calls.append((done, total))

    job = Job.of((walk_sample,), end=3, device="cpu")
    (result,) = job.run(watched)
    Writing(tmp_path, ("trc,csv",)).outputs("walk").write(result, walk_sample, job, watched)
    name, rows = walk_sample.name, sum(map(len, result.tracks))
    stages = ["", " to 3D", " bodies", " to files", " overlay"]
    units = ["frames", "poses", "poses", "formats", "frames"]
    assert list(told) == [f"{name}{stage}, {unit}" for stage, unit in zip(stages, units, strict=True)]
    for calls in told.values():
        done = [one for one, _ in calls]
        assert done == sorted(done)
    assert told[f"{name}, frames"][-1][0] == told[f"{name} overlay, frames"][-1][0] == 75
    assert told[f"{name} to files, formats"] == [(0, 2), (1, 2)]
    for stage in ("to 3D", "bodies"):
        calls = told[f"{name} {stage}, poses"]
        assert calls[-1] == (rows, rows)
        assert 0 < calls[0][0] < rows
