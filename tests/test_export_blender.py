"""What Blender makes of the files, where it is installed as the package `bpy`."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exports import BONE_AT, FPS, expected, result_of, track_of, world_joints

from vidpose.body.kinematics import orientations, quaternions_of
from vidpose.body.skeletons import H36M_17
from vidpose.body_models.anny_model import anny
from vidpose.body_models.embodying import embody
from vidpose.export import FORMATS
from vidpose.export.meshes import write_mesh_gltf, write_obj_frame

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


READ_MESH = """
import json, sys
import bpy

bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.context.scene.render.fps = int(sys.argv[2])
bpy.ops.import_scene.gltf(filepath=sys.argv[1])
bpy.context.scene.frame_set(int(sys.argv[3]))
(skin,) = (one for one in bpy.data.objects if one.type == "MESH" and len(one.data.vertices) > 500)
there = skin.evaluated_get(bpy.context.evaluated_depsgraph_get())
print(json.dumps([list(there.matrix_world @ vertex.co) for vertex in there.to_mesh().vertices]))
"""


def test_a_mesh_moves_as_its_files_of_single_frames_do(tmp_path: Path):
    track = track_of(world_joints(20))
    turned = quaternions_of(orientations(track.joints, H36M_17)).astype(np.float32)
    result = result_of(replace(track, rotations=turned))
    bodies = embody(result, anny())
    write_mesh_gltf(result, bodies, tmp_path / "a.glb")
    write_obj_frame(result, bodies, tmp_path / "a.obj", 13)
    command = [sys.executable, "-c", READ_MESH, str(tmp_path / "a.glb"), str(FPS), "13"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = np.array(json.loads(next(line for line in told if line.startswith("[["))))
    lines = (tmp_path / "a.obj").read_text().splitlines()
    x, y, z = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float).T
    off = np.linalg.norm(found - np.stack([x, -z, y], axis=-1), axis=1)
    # Four bones a vertex, where the model has up to nine.
    assert off.mean() < 2e-4
    assert off.max() < 0.02
