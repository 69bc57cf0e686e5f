"""Prepared benchmarks: whole or not there, and what is wrong with a damaged one."""

from pathlib import Path

import numpy as np
import pytest
from training_data import recording, write_store

from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.store import Store, StoreWriter, fresh_folder

FRAMES = 30


def test_a_benchmark_is_there_until_there_is_another(tmp_path):
    writer = StoreWriter(tmp_path, "cmu", "h36m17")
    writer.write("a", [recording(0, FRAMES)])
    writer.finish({}, {"gt": {"scores": False}})
    with fresh_folder(tmp_path) as fresh:
        StoreWriter(fresh, "cmu", "h36m17").write("b", [recording(1, FRAMES)])  # and then the new source is damaged
    assert [clip.part for clip in Store(tmp_path).clips] == ["a"]
    with fresh_folder(tmp_path) as fresh:
        again = StoreWriter(fresh, "cmu", "h36m17")
        again.write("b", [recording(1, FRAMES)])
        store = again.finish({}, {"gt": {"scores": False}}).moved_to(tmp_path)
    assert [clip.part for clip in store.clips] == ["b"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "parts"]


@pytest.mark.parametrize(("file", "name"), [("index.json", "cmu"), ("parts/a/clips.json", "Walking")])
def test_endless_names_in_a_benchmark_are_a_short_line(file, name, tmp_path):
    writer = StoreWriter(tmp_path, "cmu", "h36m17")
    walk = recording(0, FRAMES)
    walk.action = "Walking"
    writer.write("a", [walk])
    writer.finish({}, {"gt": {"scores": False}})
    text = (tmp_path / file).read_text()
    (tmp_path / file).write_text(text.replace(f'"{name}"', '"' + 5000 * "a" + '"'))
    with pytest.raises(
        VidposeError, match=rf"{Path(file).name}: .*length <= 200.*prepare the benchmark again"
    ) as caught:
        _ = Store(tmp_path).clips
    assert len(str(caught.value)) < 1000


def test_joints_in_the_camera_itself_are_refused(tmp_path):
    writer = StoreWriter(tmp_path, "cmu", "h36m17")
    writer.write("a", [recording(0, FRAMES)])
    store = writer.finish({}, {"gt": {"scores": False}})
    [path] = tmp_path.rglob("joints.npy")
    np.save(path, np.zeros_like(np.load(path)))
    with pytest.raises(VidposeError, match=r"joints\.npy: has joints that cannot be; prepare the benchmark again"):
        Store(tmp_path).joints(store.clips[0])


def test_an_interrupted_preparation_goes_on(tmp_path):
    writer = StoreWriter(tmp_path, "cmu", "h36m17")
    writer.write("a", [recording(0, FRAMES)])

    def fails():
        yield recording(1, FRAMES)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writer.write("b", fails())
    again = StoreWriter(tmp_path, "cmu", "h36m17")
    assert again.has("a")
    assert not again.has("b")
    with pytest.raises(UsageError, match="its preparation was broken off; the same `vidpose data prepare` goes on"):
        Store(tmp_path)
    again.write("b", [recording(1, FRAMES)])
    store = again.finish({}, {"gt": {}})
    assert [clip.part for clip in store.clips] == ["a", "b"]
    np.testing.assert_allclose(store.joints(store.clips[1]), recording(1, FRAMES).joints, atol=1e-6)


def test_arrays_are_mapped_not_read(tmp_path):
    store = write_store(tmp_path, [recording(0, FRAMES)])
    assert isinstance(store.joints(store.clips[0]).base, np.memmap)
