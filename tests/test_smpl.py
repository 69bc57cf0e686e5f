"""Bodies of SMPL's kind, from a made-up file of its shape: the real ones have a licence of their own."""

from pathlib import Path

import numpy as np
import pytest
import smpl_files
from click.testing import CliRunner
from exports import expected, result_of, track_of, world_joints
from scipy.spatial.transform import Rotation
from smpl_files import PARENTS
from test_mesh import turned

from vidpose.body.tracks import PoseResult
from vidpose.body_models.embodying import embody
from vidpose.body_models.smpl_model import read_smpl
from vidpose.cli import cli
from vidpose.common.errors import VidposeError


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return smpl_files.arrays()


@pytest.fixture
def file(arrays: dict[str, np.ndarray], tmp_path: Path) -> Path:
    np.savez(tmp_path / "SMPL_FEMALE.npz", **arrays)
    return tmp_path / "SMPL_FEMALE.npz"


@pytest.fixture
def walker() -> PoseResult:
    return result_of(turned(track_of(world_joints(12))))


def test_motion_of_a_file_is_that_of_the_person(
    file: Path, walker: PoseResult, arrays: dict[str, np.ndarray], tmp_path: Path
):
    """Its parameters put through SMPL's own equations here: joints where the person's are, in a world with z up."""
    walker.save(tmp_path / "a.npz")
    run = CliRunner().invoke(cli, ["mesh", str(tmp_path / "a.npz"), "--body", str(file), "--format", "smpl,glb"])
    assert run.exit_code == 0, run.output
    assert (tmp_path / "a_mesh.glb").exists()
    with np.load(tmp_path / "a_smpl" / "person1.npz") as motion:
        assert (motion["poses"].shape, motion["betas"].shape, motion["trans"].shape) == ((12, 72), (10,), (12, 3))
        assert (float(motion["mocap_framerate"]), str(motion["gender"])) == (30, "female")
        still = arrays["J_regressor"] @ (arrays["v_template"] + arrays["shapedirs"][..., :10] @ motion["betas"])
        turns = Rotation.from_rotvec(motion["poses"].reshape(-1, 3)).as_matrix().reshape(12, 24, 3, 3)
        places, orientations = [still[0] + motion["trans"]], [turns[:, 0]]
        for bone in range(1, 24):
            above = PARENTS[bone]
            places.append(places[above] + orientations[above] @ (still[bone] - still[above]))
            orientations.append(orientations[above] @ turns[:, bone])
    due = expected(world_joints(12), "world")
    due = np.stack([due[..., 0], -due[..., 2], due[..., 1]], axis=-1)
    for bone, joint in ((1, 4), (4, 5), (7, 6), (2, 1), (16, 11), (18, 12), (20, 13), (21, 16)):
        assert np.linalg.norm(places[bone] - due[:, joint], axis=-1).mean() < 0.03, bone


def test_betas_are_found(file: Path, walker: PoseResult):
    (body,) = embody(walker, read_smpl(file)).values()
    assert body.shape["beta0"] > 0.3  # the walker's limbs are longer than the template's
    (small,) = embody(walker, read_smpl(file), {"beta0": -2}).values()
    assert small.shape["beta0"] == -2
    assert small.stature < body.stature


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("weights", lambda a: a[:, :20], "20 bones"),
        ("weights", lambda a: a * 2, "do not add up to one"),
        ("v_template", lambda a: a * 100, "not as tall as people"),
        ("v_template", lambda a: a * np.nan, "v_template has numbers that are none"),
        ("shapedirs", lambda a: a[:5], "shapedirs"),
        ("kintree_table", lambda a: a[:, ::-1], "no tree"),
        ("f", lambda a: a + 500, "vertices that are not there"),
        ("f", None, "f"),
    ],
)
def test_a_file_that_is_no_body_is_said_in_a_line(name, change, said, arrays, tmp_path: Path):
    if change is None:
        del arrays[name]
    else:
        arrays[name] = change(arrays[name])
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(VidposeError, match=said) as raised:
        read_smpl(tmp_path / "a.npz")
    assert "\n" not in str(raised.value)
