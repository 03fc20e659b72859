"""Blender opens exported meshes in their place, with their colours. Without Blender these tests are skipped."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_scene import CENTRE, COLOR, RADIUS, made_cameras, made_scene

from disconerf_ns.export.exporter import ExportOptions, made_mesh
from disconerf_ns.export.frames import Capture
from disconerf_ns.export.mesh import ObjectMesh
from disconerf_ns.export.mesh_files import write_mesh
from disconerf_ns.scene.similarity import Similarity

BLENDER = shutil.which("blender")
LOOK = """
import json, sys
import numpy
numpy.bool = bool  # the glTF importer of Blender 3.4 uses this name, which numpy 1.24 removed
import bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
path = sys.argv[-1]
if path.endswith(".glb"):
    bpy.ops.import_scene.gltf(filepath=path)
elif path.endswith(".obj"):
    bpy.ops.wm.obj_import(filepath=path, forward_axis="Y", up_axis="Z")
else:
    (bpy.ops.wm.ply_import if bpy.app.version >= (4, 0) else bpy.ops.import_mesh.ply)(filepath=path)
(mesh,) = [each for each in bpy.data.objects if each.type == "MESH"]
points = [list(mesh.matrix_world @ vertex.co) for vertex in mesh.data.vertices]
colors = [list(each.color_srgb) for layer in mesh.data.color_attributes for each in layer.data]
images = [list(image.size) for image in bpy.data.images]
nodes = [node for slot in mesh.material_slots for node in slot.material.node_tree.nodes]
shaders = [node for node in nodes if node.type == "BSDF_PRINCIPLED"]
painted = [link.from_node.type for node in shaders for link in node.inputs["Base Color"].links]
print("FOUND", json.dumps({"points": points, "colors": colors, "images": images, "painted": painted}))
"""
HERE = Capture(Similarity.about((0.1, 0.2, 0.3), scale=2.5, move=(1.0, -2.0, 0.5)))

pytestmark = pytest.mark.skipif(BLENDER is None, reason="needs Blender")


@pytest.fixture(scope="module")
def ball() -> ObjectMesh:
    scene = made_scene()
    options = ExportOptions(resolution=24, faces=1000, texture=256)
    return made_mesh(scene, scene.objects[0], made_cameras(), options).moved(HERE.frame)


def looked_at(path: Path, tmp_path: Path) -> dict[str, Any]:
    """What Blender says of the only mesh of a file: its points, colours of vertices or corners, sizes of images."""
    script = tmp_path / "look.py"
    script.write_text(LOOK)
    command = [str(BLENDER), "--background", "--python-exit-code", "3", "--python", str(script), "--", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert done.returncode == 0 and found, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(found[0].removeprefix("FOUND "))


@pytest.mark.parametrize("kind", ["glb", "obj", "ply"])
@pytest.mark.parametrize("textured", [True, False])
def test_a_ball_is_in_its_place_in_its_colours(ball: ObjectMesh, tmp_path: Path, kind, textured: bool) -> None:
    """An OBJ without a texture has colours at its vertices, which Blender 3.4 does not read."""
    shown = ball if textured else replace(ball, texture=None)
    found = looked_at(write_mesh(tmp_path / "ball", shown, HERE, kind)[0], tmp_path)
    points = torch.tensor(found["points"])
    centre, radius = HERE.frame.points(CENTRE), HERE.frame.scale * RADIUS
    assert (points - centre).norm(dim=-1).numpy() == pytest.approx(radius, rel=0.1)
    assert (points.amax(0) + points.amin(0)).numpy() == pytest.approx(2 * centre.numpy(), abs=0.1 * radius)
    if textured and kind != "ply":
        assert found["images"] == [[256, 256]]
    elif kind != "obj":
        mean = torch.tensor(found["colors"]).mean(0)[:3].tolist()
        assert mean == pytest.approx(COLOR, abs=0.05)
    if kind == "glb":
        assert found["painted"], "its material takes the colours; a mesh without one is white"
