"""The bodies of a page: made piece by piece, since an hour's would fill the memory."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from exports import result_of, track_of, turned, world_joints

from vidpose.body import pieces
from vidpose.body_models import embodying
from vidpose.body_models.anny_model import anny
from vidpose.common.tally import Progress
from vidpose.export.html import write_html
from vidpose.export.page_bodies import PageBody, RigidParts, page_body
from vidpose.export.placing import placed_joints


def test_whoever_waits_is_told_how_many_poses_have_bodies(monkeypatch, tmp_path):
    told: list[tuple[int, int | None]] = []

    @contextmanager
    def progress(label: str, unit: str) -> Iterator[Progress]:
        assert (label, unit) == ("bodies", "poses")
        yield lambda done, total: told.append((done, total))

    monkeypatch.setattr(embodying, "_AT_ONCE", 7)
    nobody = track_of(world_joints(15, 1), 2)
    write_html(result_of(turned(track_of(world_joints(20))), nobody), tmp_path / "p.html", progress=progress)
    assert told == sorted(told)
    assert len(set(told)) > 7
    assert told[-1] == (20, 20)


def body_of(rows: int) -> PageBody:
    """Somebody who turns round and round, of a page."""
    result = result_of(turned(track_of(world_joints(rows))))
    (track,), model = result.tracks, anny()
    body = page_body(
        result, track, placed_joints(result, track, "z", guessed=True), model, RigidParts.of(model), lambda poses: None
    )
    assert body is not None
    return body


def test_bodies_are_alike_however_many_frames_are_turned_together(monkeypatch):
    together = body_of(90)
    monkeypatch.setattr(pieces, "_AT_ONCE", 7)
    np.testing.assert_array_equal(body_of(90).turns, together.turns)


def test_a_long_body_needs_little_memory_on_the_way(monkeypatch):
    """Its page holds a kilobyte a frame, and the film of an hour has 54,000."""
    for module in (embodying, pieces):
        monkeypatch.setattr(module, "_AT_ONCE", 64)
    body_of(64)
    peaks = []
    for rows in (256, 768):
        tracemalloc.start()
        body_of(rows)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 512 < 8_000
