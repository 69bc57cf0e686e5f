"""Pickles of data are read, and whatever else is in a pickle is not run."""

import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from test_h36m import PICKLE, prepared, write_mocap

from vidpose.common.errors import VidposeError
from vidpose.datasets.restricted_pickle import load_object_npz, load_pickle

CONTENT = {
    "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
    "big-endian": np.arange(3, dtype=">i4"),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(6)[::2],
    "words": np.array(["s_01", "s_011"]),
    "objects": np.array([np.zeros(2), "x", None], object),
    "flags": np.array([True, False]),
    "scalar": np.float64(2.5),
    "word": np.str_("x"),
    "bytes": b"\xff\x00",
    "nested": [{"a": (1, 2.0, "b")}],
}


def assert_same(ours, theirs):
    assert np.asarray(ours).dtype == np.asarray(theirs).dtype
    for one, other in zip(np.ravel(ours), np.ravel(theirs), strict=True):
        assert np.array_equal(one, other) if isinstance(other, np.ndarray) else one == other
    assert np.shape(ours) == np.shape(theirs)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_pickles_of_data_are_read(tmp_path, protocol, core):
    content = pickle.dumps(CONTENT, protocol=protocol)
    here = np.zeros(0).__reduce__()[0].__module__.rpartition(".")[0]
    if protocol < 4:
        # The names are lines, so what another numpy would have written can be put in their place.
        content = content.replace(f"c{here}.".encode(), f"c{core}.".encode())
    (tmp_path / "data.pkl").write_bytes(content)
    read, plain = load_pickle(tmp_path / "data.pkl"), pickle.loads(content)
    assert read.keys() == CONTENT.keys()
    for key, value in plain.items():
        if isinstance(value, np.ndarray):
            assert_same(read[key], value)
        else:
            assert read[key] == value


def test_arrays_beside_objects_in_an_npz(tmp_path):
    path = tmp_path / "both.npz"
    np.savez(path, plain=np.arange(4), boxed=CONTENT, many=np.array([{"a": 1}, None], object))
    read = load_object_npz(path, ["plain", "boxed", "many"])
    np.testing.assert_array_equal(read["plain"], np.arange(4))
    assert_same(read["boxed"]["floats"], CONTENT["floats"])
    assert read["many"].tolist() == [{"a": 1}, None]


class Trap:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["pickle", "npz"])
def test_foreign_names_are_not_called(tmp_path, form):
    sprung = tmp_path / "sprung"
    if form == "pickle":
        (tmp_path / PICKLE).write_bytes(pickle.dumps({"train": Trap(sprung)}))
    else:
        np.savez(tmp_path / "data_3d_h36m.npz", positions_3d={"S1": Trap(sprung)})
    match = re.escape(f"holds {os.mkdir.__module__}.mkdir, which is no data and could run code; ")
    with pytest.raises(VidposeError, match=match):
        prepared(tmp_path, tmp_path / "out")
    assert not sprung.exists()


def pickled_array(dtype: bytes, state: bytes, shape: bytes, content: bytes) -> bytes:
    """A pickle in protocol 0 of an array whose parts need not agree with each other."""
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    return (
        array
        + b"(I1\n"
        + shape
        + b"cnumpy\ndtype\n(S'"
        + dtype
        + b"'\nI0\nI1\ntR"
        + state
        + b"I00\n"
        + content
        + b"tb."
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        # Objects announced, addresses given: as numpy itself would take them when the dtype denies its objects.
        (pickled_array(b"O8", b"(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb", b"(I8\nt", b"S'AAAAAAAA'\n"), "list"),
        (pickled_array(b"O8", b"(I3\nS'|'\nNNNI-1\nI-1\nI63\ntb", b"(I9\nt", b"(lNa"), "1 objects for an array"),
        (pickled_array(b"f4", b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb", b"(I9\nt", b"S'AAAA'\n"), "size"),
        (b"cnumpy\ndtype\n(S'f4,O'\ntR.", "arrays of 'f4,O'"),
        (b"cnumpy\nndarray\n((I8\ntS'O'\nS'AAAAAAAA'\ntR.", "damaged"),
        (b"c_codecs\nencode\n(S'x'\nS'zlib'\ntR.", "text in 'zlib'"),
        (pickle.dumps(CONTENT)[:100], "damaged"),
        (b"", "damaged"),
    ],
)  # fmt: skip
def test_forged_and_damaged_pickles(tmp_path, content, problem):
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(VidposeError, match=problem) as caught:
        load_pickle(tmp_path / "x.pkl")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_npz(tmp_path):
    path = tmp_path / "data_3d_h36m.npz"
    with pytest.raises(VidposeError, match=r"cannot be read \(No such file"):
        load_object_npz(path, ["positions_3d"])
    path.write_text("<html>quota exceeded</html>")
    with pytest.raises(VidposeError, match=r"no such archive .*; make it again as VideoPose3D's DATASETS.md says"):
        prepared(tmp_path, tmp_path / "out")
    np.savez(path, arr_0=np.zeros(3))
    with pytest.raises(VidposeError, match=r"has no 'positions_3d', but arr_0; make it again"):
        prepared(tmp_path, tmp_path / "out")
    write_mocap(tmp_path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(VidposeError, match="damaged"):
        prepared(tmp_path, tmp_path / "out")
