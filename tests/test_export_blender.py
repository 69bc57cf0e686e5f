"""What Blender makes of the files, where it is installed as the package `bpy`."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exports import BONE_AT, FPS, expected, result_of, track_of, world_joints

from vidpose.export import FORMATS

pytest.importorskip("bpy")

READ = """
import json, sys
import bpy

path, fps, frames = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.context.scene.render.fps = fps
if path.endswith(".glb"):
    bpy.ops.import_scene.gltf(filepath=path)
else:
    bpy.ops.import_anim.bvh(filepath=path, update_scene_fps=True, update_scene_duration=True)
(rig,) = (one for one in bpy.data.objects if one.type == "ARMATURE")
heads = []
for frame in frames:
    bpy.context.scene.frame_set(frame)
    heads.append({bone.name: list(rig.matrix_world @ bone.head) for bone in rig.pose.bones})
along = {bone.name: list(rig.matrix_world.to_3x3() @ bone.matrix_local.to_3x3().col[1]) for bone in rig.data.bones}
print(json.dumps([heads, along, bpy.context.scene.render.fps]))
"""


@pytest.mark.parametrize(("name", "first"), [("gltf", 0), ("bvh", 1)])
def test_bones_begin_at_the_joints(name: str, first: int, tmp_path: Path):
    """A process of its own: Blender in the one of the tests leaves more behind than a module."""
    world, frames = world_joints(40), [0, 7, 39]
    (path,) = FORMATS[name].write(result_of(track_of(world)), tmp_path / "a")
    command = [sys.executable, "-c", READ, str(path), str(FPS), json.dumps([frame + first for frame in frames])]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    heads, along, fps = json.loads(next(line for line in told if line.startswith("[[{")))
    assert fps == FPS
    x, y, z = np.moveaxis(expected(world, "world")[frames], -1, 0)
    right = np.stack([x, -z, y], axis=-1)  # Blender has z up
    known = [joint for joint, bone in enumerate(BONE_AT) if bone in heads[0]]
    assert len(known) >= 12  # BVH's ends are no bones
    found = np.array([[moment[BONE_AT[joint]] for joint in known] for moment in heads])
    np.testing.assert_allclose(found, right[:, known], atol=1e-5)
    assert along["thigh_r"] == pytest.approx([0, 0, -1], abs=1e-5)
    assert along["upperarm_l"] == pytest.approx([1, 0, 0], abs=1e-5)
