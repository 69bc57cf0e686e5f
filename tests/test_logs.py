"""What a training tells of itself: metrics, TensorBoard, curves, and the bar."""

import io
import json
import resource
import sys
from functools import partial
from types import ModuleType

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from vidpose.cli import progress
from vidpose.common.errors import VidposeError
from vidpose.training.logs import Logs

ROWS = [
    {"step": step, "epoch": step / 40, "lr": 1e-3 / step, "loss": 0.1 / step, "mpjpe_mm": 100 + 1 / 3 / step}
    for step in range(10, 60, 10)
]
ROWS[1] |= {"val_mpjpe_mm": 120.0, "val_p_mpjpe_mm": 80.0}


def written(out) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def log(out, rows, resume_from=0) -> None:
    with Logs(out, "lstm", 80, resume_from) as logs:
        for row in rows:
            logs.write(row)


def test_every_row_is_on_disk_at_once(tmp_path):
    with Logs(tmp_path, "lstm", 80) as logs:
        for count, row in enumerate(ROWS, start=1):
            logs.write(row)
            assert written(tmp_path) == ROWS[:count]


def test_a_killed_run_that_was_resumed_has_the_file_of_one_that_was_not(tmp_path):
    log(tmp_path, ROWS)
    whole = (tmp_path / "metrics.jsonl").read_bytes()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 60, "epo')
    log(tmp_path, ROWS[3:], resume_from=35)
    assert (tmp_path / "metrics.jsonl").read_bytes() == whole
    log(tmp_path, ROWS[:1])
    assert written(tmp_path) == ROWS[:1], "a new run begins a new file"


def test_a_full_disk_is_one_line(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Logs(tmp_path, "lstm", 80) as logs:
        logs.write(ROWS[0])
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
        try:
            with pytest.raises(VidposeError, match=r"metrics\.jsonl: cannot write"):
                logs.write(ROWS[1])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_tensorboard_gets_every_row(tmp_path, monkeypatch):
    calls = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            calls.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            calls.append((name, value, step))

        def flush(self):
            pass

        def close(self):
            calls.append("closed")

    board = ModuleType("torch.utils.tensorboard")
    board.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, board.__name__, board)
    log(tmp_path, ROWS[1:2], resume_from=10)
    assert calls[0] == (str(tmp_path / "tensorboard"), 11)
    assert ("val_mpjpe_mm", 120.0, 20) in calls
    assert len(calls) == len(ROWS[1]) + 2
    assert calls[-1] == "closed"


def test_nothing_is_missed_without_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    log(tmp_path, ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_curves_show_the_rate_and_the_errors_of_all_rows(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: (drawn.append(figure), path.touch()))
    with Logs(tmp_path, "lstm", 80) as logs:
        logs.draw()
        for row in ROWS:
            logs.write(row)
        assert logs.draw() == tmp_path / "curves.png"
    empty, figure = drawn
    assert [len(axes.lines[0].get_xdata()) if axes.lines else 0 for axes in empty.axes] == [0, 0]
    rates, errors = figure.axes
    assert list(rates.lines[0].get_ydata()) == [row["lr"] for row in ROWS]
    epochs = [row["epoch"] for row in ROWS]
    curves = {line.get_label(): dict(zip(*line.get_data(), strict=True)) for line in errors.lines}
    assert curves["training"] == dict(zip(epochs, [row["mpjpe_mm"] for row in ROWS], strict=True))
    assert curves["validation"] == {0.5: 120.0}
    assert curves["validation, P-MPJPE"] == {0.5: 80.0}
    assert errors.get_xlim() == (0, 2), "80 steps of 40 an epoch"


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_plain_line_now_and_then(clock, capsys):
    with progress.training_bar(3000, 1000) as update:
        clock[0] = 5
        update({"step": 1100, "epoch": 1.1, "lr": 1e-3, "loss": 0.7, "val_mpjpe_mm": 50.04})
        assert not capsys.readouterr().err
        clock[0] = 20
        update({"step": 1200, "epoch": 1.2, "lr": 1e-3, "loss": 0.51234, "mpjpe_mm": 40.06, "samples_per_s": 1234.5})
    assert capsys.readouterr().err == (
        "training: 1200 of 3000 steps, loss 0.512, mpjpe 40.1 mm, 1234 samples/s, val mpjpe 50.0 mm, 0:03:00 left\n"
    )


def test_a_job_that_has_not_come_far_does_not_say_when_it_ends(clock, capsys):
    with progress.progress_of("a [b].mp4") as update:
        clock[0] = 11
        update(0, 30)
        clock[0] = 33
        update(11, None)
        clock[0] = 44
        update(66, 60)
    assert capsys.readouterr().err.splitlines() == [
        "a [b].mp4: 0 of 30 frames, 0.0 frames/s",
        "a [b].mp4: 11 frames, 0.5 frames/s",
        "a [b].mp4: 66 of 66 frames, 2.0 frames/s, 0:00:00 left",
    ]


def test_a_bar_on_a_terminal(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(progress, "Console", partial(Console, file=screen, force_terminal=True, width=100))
    with progress.training_bar(3000) as update:
        update({"step": 1200, "epoch": 1.2, "lr": 1e-3, "loss": 0.51234, "mpjpe": 0.03, "samples_per_s": 1.234})
    shown = screen.getvalue()
    assert "1200/3000" in shown
    assert "loss 0.512, mpjpe 0.03, 1.2 samples/s" in shown
