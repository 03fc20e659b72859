"""Meshes of a ball that is a formula, and their files, read back by programs that we did not write."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import numpy as np
import pytest
import torch
import trimesh
from helpers import alike, assert_close
from made_scene import CENTRE, COLOR, OTHER, RADIUS, SMALL, made_cameras, made_scene
from manifest_page import PAGE, explained, keys_of
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.datasets.base_dataset import InputDataset
from PIL import Image
from plyfile import PlyData
from pycocotools.coco import COCO

from disconerf_ns import __version__
from disconerf_ns.cli.export import mesh_leaves_out
from disconerf_ns.errors import UserError
from disconerf_ns.export import usd
from disconerf_ns.export.colors import UNSEEN, lines_of_sight
from disconerf_ns.export.exporter import ExportOptions, boxed_around, export, made_mesh, mesh_facts
from disconerf_ns.export.frames import Capture
from disconerf_ns.export.grid import ObjectGrid
from disconerf_ns.export.joined import source_of
from disconerf_ns.export.manifest_row import manifest_row
from disconerf_ns.export.mesh import ObjectMesh, Texture, lost_of
from disconerf_ns.export.mesh_files import linear, write_mesh, write_points
from disconerf_ns.export.simplify import simplified
from disconerf_ns.export.texture import rasterized
from disconerf_ns.export.thumbnail import write_thumbnail
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.recolor import Hue
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.small_json import Value

OPTIONS = ExportOptions(resolution=40, faces=4000)
TURNED = Similarity.about(
    (0.1, 0.2, 0.3), (math.cos(math.pi / 4), math.sin(math.pi / 4), 0.0, 0.0), scale=2.5, move=(1.0, -2.0, 0.5)
)
"""A quarter turn about x, as a dataparser undoes: the scene's up is the capture's -y."""


@pytest.fixture(scope="module")
def scene() -> ArrangedScene:
    return made_scene()


@pytest.fixture(scope="module")
def ball(scene: ArrangedScene) -> ObjectMesh:
    return made_mesh(scene, scene.objects[0], made_cameras(), OPTIONS)


def as_shape(mesh: ObjectMesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), process=False)


def test_a_ball_is_a_closed_ball_without_haze_and_crumbs(ball: ObjectMesh) -> None:
    away = ball.vertices - CENTRE
    assert away.norm(dim=-1).numpy() == pytest.approx(RADIUS, abs=0.02), "a cube is 0.019 wide"
    assert float(away.norm(dim=-1).mean()) == pytest.approx(RADIUS, abs=0.01)
    shape = as_shape(ball)
    assert shape.is_watertight and shape.is_winding_consistent and len(ball.faces) <= OPTIONS.faces
    assert shape.volume == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.05), "outwards, and filled"
    outwards = (torch.nn.functional.normalize(away, dim=-1) * ball.normals).sum(-1)
    assert outwards.min() > 0.9 and outwards.mean() > 0.99


def test_a_ball_has_the_colour_that_cameras_see(ball: ObjectMesh) -> None:
    """Inside it is black."""
    assert ball.vertices[:, 2].min() < CENTRE[2] - 0.9 * RADIUS, "and where they do not see it, its neighbours' colour"
    assert_close(ball.colors, torch.tensor(COLOR).expand(len(ball.colors), 3), 0.01)


def test_a_recoloured_ball_is_exported_in_its_colour(scene: ArrangedScene) -> None:
    blue = scene.with_edit(Edit().recolor(scene.objects[0].id, (0.0, 0.0, 1.0)))
    mesh = made_mesh(blue, blue.objects[0], made_cameras(), ExportOptions(resolution=16))
    red, green, sky = mesh.colors.median(0).values.tolist()
    assert sky > 0.3 and red < 0.01 and green < 0.01


def test_what_no_camera_sees_can_be_left_open(scene: ArrangedScene, ball: ObjectMesh) -> None:
    opened = made_mesh(scene, scene.objects[0], made_cameras(), ExportOptions(resolution=40, watertight=False))
    assert not as_shape(opened).is_watertight
    lowest = float(opened.vertices[:, 2].min())
    assert float(ball.vertices[:, 2].min()) < lowest < float(CENTRE[2]), "the cameras look from above"
    assert as_shape(opened).area > 0.7 * as_shape(ball).area


def test_merged_objects_are_one_mesh(scene: ArrangedScene) -> None:
    first, second = scene.objects
    merged = scene.with_edit(Edit().merge([second.id], first.id))
    (both,) = merged.objects
    shape = as_shape(made_mesh(merged, both, made_cameras(), ExportOptions(resolution=32)))
    assert sorted(part.volume for part in shape.split()) == pytest.approx(
        [4 / 3 * math.pi * radius**3 for radius in (SMALL, RADIUS)], rel=0.25
    )
    assert (shape.vertices - OTHER.numpy()).min() < 0


def test_haze_is_said_to_be_haze(scene: ArrangedScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(scene.trained.radiance), "density", lambda self, x: torch.full(x.shape[:-1], 0.3))
    with pytest.raises(UserError, match="object_00 has no surface: nothing of it is solid"):
        made_mesh(made_scene(), scene.objects[0], made_cameras(), OPTIONS)


LEG, FEET = 0.02, -0.25
"""Half of the width of a table's legs, and how deep they reach; the top is from 0.2 to 0.3, and 1 unit wide."""


def table(legs: float) -> ArrangedScene:
    """A table of density `legs` below its top, in the place of the ball."""
    scene = made_scene()

    class Table(type(scene.trained.radiance)):
        def density(self, x: torch.Tensor) -> torch.Tensor:
            side = x[..., :2].abs().amax(-1)
            top = (side < 0.5) & (x[..., 2] > 0.2) & (x[..., 2] < 0.3)
            leg = ((x[..., :2].abs() - 0.4).abs().amax(-1) < LEG) & (x[..., 2] > FEET) & (x[..., 2] <= 0.2)
            return 300.0 * top + legs * leg

    whole = replace(scene.trained.discovered[0], **alike(((-0.55, -0.55, -0.3), (0.55, 0.55, 0.35))))
    return ArrangedScene(
        replace(
            scene.trained,
            radiance=Table(scene.trained.radiance.contraction),
            object_field=lambda x: torch.tensor([0.99, 0.01]).expand(len(x), 2),
            discovered=(whole, scene.trained.discovered[1]),
        )
    )


@pytest.mark.parametrize("resolution", [12, pytest.param(24, marks=pytest.mark.slow), 48])
def test_a_tables_legs_are_kept_whatever_the_resolution(resolution: int) -> None:
    """Cubes of a twelfth of its width are twice as wide as the legs, which then were lost in silence."""
    scene = table(300.0)
    mesh = made_mesh(scene, scene.objects[0], made_cameras(), ExportOptions(resolution=resolution))
    low = mesh.vertices[mesh.vertices[:, 2] < FEET + 0.05]
    corners = {(x > 0, y > 0) for x, y, _ in low.tolist()}
    assert len(corners) == 4 and low[:, :2].abs().sub(0.4).abs().max() < 2 * LEG
    facts = mesh_facts(mesh)
    assert facts["lost"] < 0.01 and facts["resolution"] >= resolution


def test_what_a_mesh_leaves_out_is_a_fraction_of_the_solid(scene: ArrangedScene) -> None:
    """Of a solid ball cut through its middle one half is left out, less the voxel beside the cut."""
    solid = scene.bodies.solid(scene.objects[0].id)
    grid = ObjectGrid.of(scene, scene.objects[0].id, 40)
    everywhere = np.ones(grid.density.shape, np.float32)
    assert lost_of(solid, grid, everywhere) == 0 and lost_of(solid, grid, 0 * everywhere) == 1
    right = grid.scene(torch.ones_like(grid.density).nonzero())[:, 0].view(everywhere.shape) > CENTRE[0]
    out = solid.points[:, 0] < CENTRE[0] - 1.5 * float(solid.grid.size[0]) * 2 / 64
    expected = float(solid.volumes[out].sum() / solid.volumes.sum())
    assert 0.3 < expected < 0.5
    assert lost_of(solid, grid, right.numpy().astype(np.float32)) == pytest.approx(expected, abs=0.05)


def test_placed_objects_are_moved(ball: ObjectMesh) -> None:
    moved = ball.moved(TURNED)
    assert_close(moved.vertices.mean(0), TURNED.points(ball.vertices.mean(0)))
    assert_close(moved.normals.norm(dim=-1), torch.ones(len(moved.normals)))
    assert as_shape(moved).volume == pytest.approx(as_shape(ball).volume * 2.5**3, rel=1e-4)


def test_the_manifest_has_the_volume_that_a_closed_mesh_encloses(scene: ArrangedScene, ball: ObjectMesh) -> None:
    """In the capture's units, 2.5 of which are one of the scene's; of a mesh without its underside there is none."""
    assert mesh_facts(ball.moved(TURNED))["mesh_volume"] == pytest.approx(as_shape(ball).volume * 2.5**3, rel=1e-4)
    assert mesh_facts(ball.only(ball.seen >= UNSEEN))["mesh_volume"] is None
    textured = made_mesh(scene, scene.objects[0], made_cameras(), replace(OPTIONS, texture=64))
    assert mesh_facts(textured)["mesh_volume"] == pytest.approx(as_shape(ball).volume, rel=1e-4)


# -------------------------------------------------------------------- facts and frames


def test_facts_are_in_the_captures_frame(scene: ArrangedScene) -> None:
    facts = manifest_row(scene, scene.objects[0], TURNED)
    assert facts["centre"] == pytest.approx(TURNED.points(CENTRE).tolist(), abs=0.03)
    assert facts["volume"] == pytest.approx(4 / 3 * math.pi * (2.5 * RADIUS) ** 3, rel=0.1)
    assert facts["box"]["size"] == pytest.approx([2 * RADIUS * 2.5] * 3, rel=0.1)
    assert facts["box"]["axes"][2] == pytest.approx([0, -1, 0], abs=1e-6)


@pytest.mark.parametrize("turn", [(1, 0, 0, 0), (0, 1, 0, 0), (0.5**0.5, 0.5**0.5, 0, 0), (0.5**0.5, 0, 0.5**0.5, 0)])
@pytest.mark.parametrize("axis", [1, 2])
def test_formats_have_the_captures_up_axis_on_theirs(turn: tuple, axis: int) -> None:
    """By a rotation of quarter turns: other coordinates keep their numbers."""
    capture = Capture(Similarity(rotation=tuple(map(float, turn))))
    matrix = capture.upright(axis)
    assert matrix[:3, :3] @ capture.up == pytest.approx(np.eye(3)[axis], abs=1e-6)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1) and set(np.abs(matrix).flatten()) == {0, 1}


def test_the_up_axis_is_named() -> None:
    assert Capture(Similarity()).up_axis == "+z"
    assert Capture(TURNED).up_axis == "-y"


def test_walls_surround_the_cameras() -> None:
    scene = made_scene()
    places = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.1, 0.1], [5.0, 0.0, 0.0]])
    assert boxed_around(scene, places) == {scene.objects[0].id}


def test_what_no_camera_sees_is_marked(ball: ObjectMesh) -> None:
    """The cameras look from above: the top is seen, the bottom is not; the manifest has the fraction of the area."""
    height = (ball.vertices[:, 2] - CENTRE[2]) / RADIUS
    assert ball.seen[height > 0].min() > 0.4 and (ball.seen < UNSEEN).any()
    assert height[ball.seen < UNSEEN].max() < -0.7
    opened = as_shape(ball.only(ball.seen >= UNSEEN)).area / as_shape(ball).area
    assert mesh_facts(ball)["seen"] == pytest.approx(opened, abs=0.05)


def test_nobody_sees_where_another_object_stood(scene: ArrangedScene, ball: ObjectMesh) -> None:
    """Photographs looked into the space to the right alone."""
    grid = ObjectGrid.of(scene, scene.objects[0].id, 24)
    everywhere, _ = lines_of_sight(grid, made_cameras(), ball.vertices, ball.normals)
    to_the_right, _ = lines_of_sight(grid, made_cameras(), ball.vertices, ball.normals, lambda x: x[:, 0] > CENTRE[0])
    right = (ball.vertices[:, 0] - CENTRE[0]) / RADIUS
    assert torch.equal(to_the_right[:, right > 0.2], everywhere[:, right > 0.2])
    assert everywhere[:, right < -0.2].any() and not to_the_right[:, right < -0.2].any()


@pytest.mark.parametrize("kind", [CameraType.EQUIRECTANGULAR, CameraType.FISHEYE])
def test_cameras_that_look_all_around_see_as_much_as_pinholes_from_there(
    scene: ArrangedScene, ball: ObjectMesh, kind: CameraType
) -> None:
    """They counted as pinholes, so what was behind the axis of one, or aside, was unseen; here all turn their backs."""
    grid, pinholes = ObjectGrid.of(scene, scene.objects[0].id, 24), made_cameras()
    away = pinholes.camera_to_worlds * torch.tensor([-1.0, 1.0, -1.0, 1.0])
    size = {"fx": 48.0, "fy": 48.0, "cx": 48.0, "cy": 24.0, "width": 96, "height": 48}
    size |= {"fx": 12.0, "fy": 12.0, "cy": 48.0, "height": 96} if kind is CameraType.FISHEYE else {}
    around = Cameras(away, **size, camera_type=kind)
    seen, along = lines_of_sight(grid, pinholes, ball.vertices, ball.normals)
    from_behind, also_along = lines_of_sight(grid, around, ball.vertices, ball.normals)
    assert_close(from_behind, seen, 0.05)
    sure = (seen[0] > 0.1) & (seen[0] > seen[1] + 0.1)
    assert sure.any()
    assert_close(also_along[0, sure], along[0, sure], 1e-3)


@pytest.mark.parametrize(("title", "called"), [("", "object_07"), ("book", "book")])
def test_a_mesh_that_lacks_something_is_named(title: str, called: str) -> None:
    said = mesh_leaves_out({"title": title, "name": "object_07", "lost": 0.07, "resolution": 64})
    assert said.startswith(f"export: the mesh of {called} leaves out 7% of what is solid of it, with 64 cubes along it")
    assert said.endswith("--resolution 128 looks for more.")


# -------------------------------------------------------------------- files


@pytest.fixture(scope="module")
def capture() -> Capture:
    return Capture(TURNED, metres=0.5)


@pytest.mark.parametrize("kind", ["ply", "obj"])
def test_meshes_are_read_back_in_the_captures_frame(ball: ObjectMesh, capture: Capture, tmp_path: Path, kind) -> None:
    (path,) = write_mesh(tmp_path / "ball", ball.moved(TURNED), capture, kind)
    read = trimesh.load(path, process=False, force="mesh")
    assert read.is_watertight and len(read.faces) == len(ball.faces)
    assert read.centroid == pytest.approx(TURNED.points(CENTRE).tolist(), abs=0.02)
    high = read.vertices[:, 1] < read.centroid[1]
    assert np.median(read.visual.vertex_colors[high, :3], 0) == pytest.approx(255 * np.array(COLOR), abs=2)
    assert (read.vertex_normals * (read.vertices - read.centroid)).sum(1).min() > 0
    if kind == "ply":
        assert_close(torch.from_numpy(PlyData.read(path)["vertex"]["seen"].copy()), ball.seen)
    assert list(tmp_path.iterdir()) == [path]


def test_glb_is_upright_and_in_metres(ball: ObjectMesh, capture: Capture, tmp_path: Path) -> None:
    gltf = pytest.importorskip("pygltflib")
    (path,) = write_mesh(tmp_path / "ball", ball.moved(TURNED), capture, "glb")
    read = gltf.GLTF2().load(str(path))
    assert read.asset.version == "2.0" and len(read.meshes) == 1
    attributes = read.meshes[0].primitives[0].attributes
    assert attributes.POSITION is not None and attributes.NORMAL is not None and attributes.COLOR_0 is not None
    assert read.accessors[attributes.POSITION].min == pytest.approx(
        ball.moved(TURNED).vertices.amin(0).tolist(), abs=1e-4
    ), "the vertices are the capture's"
    assert read.accessors[attributes._SEEN].count == len(ball.vertices)
    assert read.asset.generator == f"disconerf_ns {__version__}"
    (material,) = read.materials
    assert read.meshes[0].primitives[0].material == 0, "Blender shows no vertex colours without a material"
    assert material.pbrMetallicRoughness.metallicFactor == 0 and material.pbrMetallicRoughness.roughnessFactor == 1
    node = np.array(next(each.matrix for each in read.nodes if each.matrix)).reshape(4, 4).T
    assert_close(torch.from_numpy(node), torch.from_numpy(capture.glb_node))
    whole = trimesh.load(path).to_mesh()
    centre = TURNED.points(CENTRE).numpy()
    assert whole.centroid == pytest.approx(0.5 * np.array([centre[0], -centre[1], -centre[2]]), abs=0.02)
    (shape,) = trimesh.load_scene(path).geometry.values()
    colors = np.median(shape.visual.vertex_attributes["color"][:, :3], 0)
    assert colors == pytest.approx(255 * linear(np.array(COLOR)), abs=3), "glTF's vertex colours are linear"


@pytest.mark.parametrize("kind", ["glb", "obj"])
def test_a_texture_shows_the_colours(scene: ArrangedScene, capture: Capture, tmp_path: Path, kind) -> None:
    options = ExportOptions(resolution=16, texture=64)
    mesh = made_mesh(scene, scene.objects[0], made_cameras(), options)
    files = write_mesh(tmp_path / "ball", mesh, capture, kind)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in files)
    read = trimesh.load(files[0], process=False, force="mesh")
    material = read.visual.material
    image = np.array((material.baseColorTexture if kind == "glb" else material.image).convert("RGB"))
    assert image.shape == (64, 64, 3)
    assert np.median(image.reshape(-1, 3), 0) == pytest.approx(255 * np.array(COLOR), abs=3)
    assert read.visual.uv.min() >= 0 and read.visual.uv.max() <= 1
    if kind == "obj":
        light = {line.split()[0]: line.split()[1:] for line in (tmp_path / "ball.mtl").read_text().splitlines() if line}
        shown = {name: set(map(float, light[name])) for name in ("Kd", "Ka", "Ks")}
        assert shown == {"Kd": {1.0}, "Ka": {1.0}, "Ks": {0.0}}, "a viewer multiplies these with the image"


def test_a_triangle_is_drawn_where_it_is() -> None:
    """Corners (0, 0), (1, 0), (0, 1) of a picture of 4 x 4, from below: ten middles lie on it or on its border."""
    face, weights, texels = rasterized(np.array([[0.0, 0], [1, 0], [0, 1]]), np.array([[0, 1, 2]]), 4)
    expected = {(row, column) for row in range(4) for column in range(4) if column <= row}
    assert {tuple(texel) for texel in texels.tolist()} == expected and set(face) == {0}
    lower_left = weights[(texels == [3, 0]).all(1)][0]
    assert lower_left == pytest.approx([0.75, 0.125, 0.125])


def test_points_lie_on_the_mesh(ball: ObjectMesh, tmp_path: Path) -> None:
    rows = PlyData.read(write_points(tmp_path / "ball", ball, 300))["vertex"]
    places = np.stack([rows["x"], rows["y"], rows["z"]], 1) - CENTRE.numpy()
    normals = np.stack([rows["nx"], rows["ny"], rows["nz"]], 1)
    assert len(places) == 300 and np.linalg.norm(places, axis=1) == pytest.approx(RADIUS, abs=0.025)
    assert (places * normals).sum(1).min() > 0.8 * RADIUS
    assert np.median(rows["red"]) == pytest.approx(255 * COLOR[0], abs=3)
    assert rows["seen"][places[:, 2] > 0].min() > 0.4 and rows["seen"].min() < 0.1


def test_a_thumbnail_shows_the_ball_on_nothing(scene: ArrangedScene, tmp_path: Path) -> None:
    picture = np.array(Image.open(write_thumbnail(tmp_path / "ball.png", scene, scene.objects[0], made_cameras(), 40)))
    alpha = picture[..., 3] / 255
    assert picture.shape == (40, 40, 4) and alpha[0].max() == 0, "without haze"
    assert 0.4 < (alpha > 0.9).mean() < 0.8
    assert np.median(picture[alpha > 0.9][:, 0]) == pytest.approx(255 * COLOR[0], abs=8)


def test_simplifying_keeps_a_surface_closed(ball: ObjectMesh) -> None:
    vertices, faces = simplified(ball.vertices.numpy(), ball.faces.numpy(), 500)
    assert len(faces) <= 500 and trimesh.Trimesh(vertices, faces, process=False).is_watertight
    given = ball.vertices.numpy(), ball.faces.numpy()
    assert all(same is own for same, own in zip(simplified(*given, 10**6), given))


# -------------------------------------------------------------------- simulators


def icosphere() -> ObjectMesh:
    shape = trimesh.creation.icosphere(1)
    corners = torch.tensor(shape.vertices, dtype=torch.float32)
    colors, seen = torch.tensor(COLOR).expand(len(corners), 3), corners[:, 2].clamp(min=0)
    return ObjectMesh(corners, torch.tensor(shape.faces), corners, colors, seen)


@pytest.mark.parametrize("pieces", [1, 3])
def test_usdz_has_a_mesh_and_pieces_that_collide(capture: Capture, tmp_path: Path, pieces: int) -> None:
    pytest.importorskip("pxr")
    from pxr import Usd, UsdGeom, UsdPhysics, UsdValidation

    path = usd.write_usdz(tmp_path / "ball", icosphere().moved(TURNED), capture, pieces)
    stage = Usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    errors = UsdValidation.ValidationContext(validators).Validate(stage)
    assert len(validators) > 10 and [error.GetMessage() for error in errors] == []
    assert UsdGeom.GetStageUpAxis(stage) == "Z" and UsdGeom.GetStageMetersPerUnit(stage) == 0.5
    prims = {prim.GetName(): prim for prim in stage.Traverse()}
    hulls = [prim for name, prim in prims.items() if name.startswith("Collision")]
    assert 1 <= len(hulls) <= pieces
    for hull in hulls:
        assert hull.HasAPI(UsdPhysics.CollisionAPI)
        assert UsdPhysics.MeshCollisionAPI(hull).GetApproximationAttr().Get() == "convexHull"
        corners = np.array(UsdGeom.Mesh(hull).GetPointsAttr().Get())
        away = corners - TURNED.points(torch.zeros(3)).numpy()
        assert np.linalg.norm(away, axis=1) == pytest.approx(2.5, rel=0.1) if pieces == 1 else len(corners) <= 64
    box = UsdGeom.BBoxCache(Usd.TimeCode.Default(), ["default"]).ComputeWorldBound(prims["Mesh"]).ComputeAlignedRange()
    x, y, z = TURNED.points(torch.zeros(3)).tolist()
    assert list(box.GetMidpoint()) == pytest.approx([x, z, -y], abs=0.05), "the capture's -y is up, and z here"


def test_obj_names_its_object(ball: ObjectMesh, capture: Capture, tmp_path: Path) -> None:
    path, *_ = write_mesh(tmp_path / "red ball", ball, capture, "obj")
    assert "o red ball" in path.read_text().splitlines()
    assert len(trimesh.load(path, process=False).vertices) == len(ball.vertices)


@pytest.mark.parametrize("kind", ["colours", "texture"])
def test_usdz_has_a_material_which_shows_what_the_mesh_shows(capture: Capture, tmp_path: Path, kind: str) -> None:
    """Viewers show a mesh without a material grey, whatever its displayColor."""
    pytest.importorskip("pxr")
    from pxr import Usd, UsdGeom, UsdShade, UsdValidation

    mesh = icosphere()
    if kind == "texture":
        pixels = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
        uv = np.linspace(0, 1, 2 * len(mesh.vertices), dtype=np.float32).reshape(-1, 2)
        mesh = replace(mesh, texture=Texture(uv, pixels))
    path = usd.write_usdz(tmp_path / "ball", mesh, capture, 1)
    stage = Usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert [e.GetMessage() for e in UsdValidation.ValidationContext(validators).Validate(stage)] == []
    shape = stage.GetPrimAtPath("/Object/Mesh")
    material, _ = UsdShade.MaterialBindingAPI(shape).ComputeBoundMaterial()
    surface = material.ComputeSurfaceSource()[0]
    assert surface.GetIdAttr().Get() == "UsdPreviewSurface" and surface.GetInput("metallic").Get() == 0
    source = UsdShade.Shader(surface.GetInput("diffuseColor").GetConnectedSource()[0].GetPrim())
    if kind == "colours":
        assert source.GetInput("varname").Get() == "displayColor"
        assert len(UsdGeom.PrimvarsAPI(shape).GetPrimvar("displayColor").Get()) == len(mesh.vertices)
    else:
        with ZipFile(path) as package:
            (picture,) = [name for name in package.namelist() if name.endswith(".png")]
            assert np.array_equal(np.array(Image.open(BytesIO(package.read(picture)))), pixels)
        assert source.GetInput("file").Get().path == f"./{picture}"
        assert np.allclose(UsdGeom.PrimvarsAPI(shape).GetPrimvar("st").Get(), uv)


def test_usdz_without_usd_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(UserError, match=r"needs usd-core.*pip install 'disconerf_ns\[usd\]'"):
        usd.check_usd()


# -------------------------------------------------------------------- all together


class Nothing:
    """A camera optimizer that leaves rays as they are."""

    def apply_to_raybundle(self, rays) -> None:
        pass


@pytest.fixture
def made_run(scene: ArrangedScene, tmp_path: Path) -> SimpleNamespace:
    """What export asks of a run: training cameras and their photographs' names."""
    cameras = made_cameras(views=2)
    photographs = [tmp_path / "data" / "images" / "left" / f"{k}.png" for k in range(len(cameras))]
    dataset = InputDataset.__new__(InputDataset)
    dataset.cameras = cameras
    dataset._dataparser_outputs = SimpleNamespace(cameras=cameras, image_filenames=photographs)
    manager = SimpleNamespace(dataparser=SimpleNamespace(data=tmp_path / "data"))
    return SimpleNamespace(
        config=SimpleNamespace(datamanager=manager),
        datamanager=SimpleNamespace(train_dataset=dataset),
        device="cpu",
        model=SimpleNamespace(
            current=CurrentScene(scene), camera_optimizer=Nothing(), label_maps=None, get_outputs_for_camera=None
        ),
    )


def test_masks_are_found_by_the_photographs_path(scene, made_run, capture: Capture, tmp_path: Path) -> None:
    options = ExportOptions(what=("masks", "alphas"))
    content = export(made_run, scene, scene.objects, capture, tmp_path / "out", options, {}).manifest
    folder = tmp_path / "out" / "masks"
    labels = np.array(Image.open(folder / "labels" / "left" / "1.png"))
    assert labels.dtype == np.uint16 and labels.shape == (24, 24) and set(np.unique(labels)) == {0, 1, 2}
    coco = COCO(str(folder / "coco.json"))
    assert [category["name"] for category in coco.cats.values()] == ["object_00", "object_01"]
    for annotation in coco.imgToAnns[2]:
        mask = coco.annToMask(annotation)
        assert (mask == (labels == annotation["category_id"])).all() and mask.sum() == annotation["area"]
    alpha = np.array(Image.open(folder / "alpha" / "object_00" / "left" / "1.png"))
    assert alpha.dtype == np.uint8 and alpha[labels == 1].mean() > 200
    hidden = np.array(Image.open(folder / "alpha" / "object_01" / "left" / "0.png"))
    assert hidden.max() > 200 and not (np.array(Image.open(folder / "labels" / "left" / "0.png")) == 2).any()
    assert content["files"]["coco"] == "masks/coco.json"


def test_coco_has_masks_of_the_size_of_the_photographs_that_it_names(
    scene, made_run, capture: Capture, tmp_path: Path
) -> None:
    """Half as large label maps made half as large masks, under the photograph's name; each pixel is two by two here."""
    export(made_run, scene, scene.objects, capture, tmp_path, ExportOptions(what=("masks",), downscale=2), {})
    labels = np.array(Image.open(tmp_path / "masks/labels/left/1.png"))
    content = json.loads((tmp_path / "masks/coco.json").read_text())
    coco, (_, image) = COCO(str(tmp_path / "masks/coco.json")), content["images"]
    assert labels.shape == (12, 12) and (image["height"], image["width"]) == (24, 24)
    assert image["file_name"] == "left/1.png", "photographs of other folders may be called 1.png too"
    for annotation in coco.imgToAnns[2]:
        mask = np.kron(labels == annotation["category_id"], np.ones((2, 2)))
        assert (coco.annToMask(annotation) == mask).all() and annotation["area"] == mask.sum()
    assert content["licenses"] == [] and "description" in content["info"]


def test_the_page_explains_every_key_of_a_manifest(scene, made_run, capture: Capture, tmp_path: Path) -> None:
    pytest.importorskip("pxr")
    first, second = scene.objects
    edit = Edit().copy(first.id, Similarity(translation=(1.0, 0.0, 0.0))).recolor(first.id, Hue(90.0))
    (checkpoint := tmp_path / "step-000000001.ckpt").write_bytes(b"weights")
    everything = "meshes", "points", "thumbnails", "masks", "alphas", "usdz"
    options = ExportOptions(what=everything, formats=("glb", "ply", "obj"), resolution=12, texture=64, thumbnail=16)
    edited, source = scene.with_edit(edit), source_of(checkpoint, edit, True)
    there = [edited.find(first.name)]
    content = export(made_run, edited, there, capture, tmp_path, options, {second.name: "hidden"}, source).manifest
    assert content["objects"][0]["missing"] == {}
    assert sorted(explained("manifest.json")) == sorted(set(keys_of(content)))
    assert f"| `version` | | of this form; {content['version']} |" in PAGE.read_text()


def test_the_files_beside_an_obj_are_listed(scene, made_run, capture: Capture, tmp_path: Path) -> None:
    """Whoever copied what the manifest names had a mesh without its material and texture."""
    options = ExportOptions(what=("meshes",), formats=("obj",), resolution=12, texture=64)
    content = export(made_run, scene, scene.objects[:1], capture, tmp_path, options, {}).manifest
    suffixes = {"obj": "obj", "obj_material": "mtl", "obj_texture": "png"}
    named = {kind: f"meshes/object_00.{suffix}" for kind, suffix in suffixes.items()}
    assert content["objects"][0]["files"] == named
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("meshes/*")} == set(named.values())


def test_a_file_that_fails_costs_no_other_of_its_object(
    scene, made_run, capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object without a picture was left out after its mesh was written, which then counted as an older one."""

    def fail(path: Path, *_) -> Path:
        if path.stem == "object_00":
            raise UserError("object_00 has no picture, because it is nowhere opaque.")
        raise RuntimeError("out of memory")

    monkeypatch.setattr("disconerf_ns.export.exporter.write_thumbnail", fail)
    options = ExportOptions(what=("meshes", "points", "thumbnails", "masks"), formats=("ply",), resolution=12)
    content = export(made_run, scene, scene.objects, capture, tmp_path / "out", options, {}).manifest
    assert content["left_out"] == []
    assert [row["missing"] for row in content["objects"]] == [
        {"thumbnail": "object_00 has no picture, because it is nowhere opaque."},
        {"thumbnail": "object_01 could not be written: out of memory"},
    ]
    assert [{*row["files"]} for row in content["objects"]] == [{"ply", "points"}] * 2
    assert len(COCO(str(tmp_path / "out/masks/coco.json")).cats) == 2
    only = ExportOptions(what=("thumbnails",))
    content = export(made_run, scene, scene.objects[:1], capture, tmp_path / "none", only, {}).manifest
    assert content["objects"] == [] and "nowhere opaque" in content["left_out"][0]["reason"]


def test_an_object_that_fails_does_not_stop_the_others(
    scene, made_run, capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, *arguments) -> list[Path]:
        if path.name == "object_00":
            raise RuntimeError("out of memory\nand more")
        return write_mesh(path, *arguments)

    monkeypatch.setattr("disconerf_ns.export.exporter.write_mesh", write)
    options = ExportOptions(what=("meshes",), formats=("ply",), resolution=12)
    export(made_run, scene, scene.objects, capture, tmp_path / "out", options, {"rest": "no object"})
    content = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [row["name"] for row in content["objects"]] == ["object_01"]
    assert content["left_out"] == [
        {"name": "rest", "reason": "no object"},
        {"name": "object_00", "reason": "object_00 could not be written: out of memory"},
    ]
    assert content["frame"]["up_axis"] == "-y" and content["frame"]["metres_per_unit"] == 0.5
    assert np.linalg.det(np.array(content["glb"]["node"])) == pytest.approx(0.5**3), "that of the files, in metres"
    assert Similarity.of_json(Value(content["frame"]["scene_to_capture"])).close_to(TURNED)
    (row,) = content["objects"]
    assert row["watertight"] and row["files"] == {"ply": "meshes/object_01.ply"}
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == ["manifest.json", "object_01.ply"]
