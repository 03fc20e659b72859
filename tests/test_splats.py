"""3D gaussians: as a value, in files, placed, cut, taken apart by the object field, and sampled from the scene."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from manifest_page import explained, keys_of, section
from tiny_run import Run
from torch import Tensor
from torch.nn.functional import normalize

import disconerf_ns
from benchmarks.rasterizer import project, rasterize
from benchmarks.splat_scene import write_splatfacto_run
from disconerf_ns import api
from disconerf_ns.api import Scene
from disconerf_ns.cli import main
from disconerf_ns.errors import UserError
from disconerf_ns.export import splats_sampled
from disconerf_ns.export.splats_apart import NOBODY, SURE, OwnedSplats, owners_of, take_apart, without_crumbs
from disconerf_ns.export.splats_frame import SUPERSPLAT, decide, fit
from disconerf_ns.export.splats_ply import SCALES, read_ply, write_ply
from disconerf_ns.export.splats_ply import TURN as TURNED
from disconerf_ns.export.splats_sampled import (
    FLATTEST,
    MOST_OPAQUE,
    WIDTH,
    Looks,
    fit_colors,
    look_at_all,
    sample_splats,
    shapes,
    thinned,
)
from disconerf_ns.gaussians.spherical_harmonics import basis, turned
from disconerf_ns.gaussians.splats import PROBES, Splats
from disconerf_ns.runs import capture_frame, read_splats
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.bodies import Bodies
from disconerf_ns.scene.clean import Body
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.small_json import Value

TURN = Similarity(2.0, (0.5, 0.5, -0.5, 0.5), (1.0, -2.0, 3.0))
TILT = Similarity.about((0.2, 0.1, 0.0), turn=(math.cos(0.4), math.sin(0.4) * 0.6, 0.0, math.sin(0.4) * 0.8), scale=0.7)


def random_splats(count: int = 20, degree: int = 3, seed: int = 0) -> Splats:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    scales = 0.3 * random(count, 3) - 2
    return Splats(random(count, 3), scales, random(count, 4), random(count), 0.3 * random(count, (degree + 1) ** 2, 3))


def directions(count: int) -> Tensor:
    return normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(1)), dim=-1)


def equal(one: Splats, other: Splats) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.columns, other.columns))


# -------------------------------------------------------------------- spherical harmonics


def test_basis_is_gsplats() -> None:
    from gsplat.cuda._torch_impl import _eval_sh_bases_fast

    torch.testing.assert_close(basis(directions(50), 3), _eval_sh_bases_fast(16, directions(50)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("placement", [TURN, TILT, SUPERSPLAT])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_colour_seen_along_d_is_seen_along_the_turned_d(degree: int, placement: Similarity) -> None:
    splats, d = random_splats(30, degree), directions(30)
    after = splats.placed(placement)
    torch.testing.assert_close(after.colors(placement.directions(d)), splats.colors(d), rtol=0, atol=1e-5)


def test_a_turn_of_degree_1_by_hand() -> None:
    """A quarter turn about z takes x to y: what was brightest along -x (the sign of 3DGS) is so along -y."""
    along_x = torch.zeros(1, 4, 1).expand(1, 4, 3).clone()
    along_x[:, 3] = 1.0  # -x
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    along_y = torch.zeros(1, 4, 3)
    along_y[:, 1] = 1.0  # -y
    torch.testing.assert_close(turned(along_x, quarter), along_y, rtol=0, atol=1e-6)


# -------------------------------------------------------------------- the value


def test_placed_gaussians_have_the_placed_moments() -> None:
    splats = random_splats()
    linear = TILT.matrix[:3, :3].float()
    after = splats.placed(TILT)
    torch.testing.assert_close(after.means, TILT.points(splats.means))
    torch.testing.assert_close(after.covariances, linear @ splats.covariances @ linear.T, rtol=1e-4, atol=1e-6)
    back = after.placed(TILT.inverse())
    torch.testing.assert_close(back.covariances, splats.covariances, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(back.sh, splats.sh, rtol=0, atol=1e-5)


def test_probes_have_the_gaussians_moments() -> None:
    splats = random_splats()
    points = splats.probes()
    offsets = points - splats.means[:, None]
    torch.testing.assert_close(points.mean(1), splats.means, rtol=0, atol=1e-5)
    spread = torch.einsum("npi,npj->nij", offsets, offsets) / PROBES
    torch.testing.assert_close(spread, splats.covariances, rtol=1e-4, atol=1e-6)


def test_halves_keep_both_moments_and_the_optical_depth() -> None:
    splats = random_splats()
    first, second = (splats.halves().selected(rows) for rows in torch.arange(40).split(20))
    torch.testing.assert_close((first.means + second.means) / 2, splats.means, rtol=0, atol=1e-5)
    offset = first.means - splats.means
    between = offset[:, :, None] * offset[:, None]
    torch.testing.assert_close(first.covariances + between, splats.covariances, rtol=1e-4, atol=1e-7)
    # opacity times volume is kept where little light stops: two halves of height h and volume v sqrt(1 - 2 / pi)
    faint = replace(splats, opacity_logits=torch.full((20,), -9.0))
    half = faint.halves().selected(torch.arange(20))
    mass = half.opacities * half.scales.prod(-1) / (faint.opacities * faint.scales.prod(-1))
    torch.testing.assert_close(mass, torch.full((20,), 0.5), rtol=0, atol=1e-3)


def test_halves_of_extreme_opacities_are_finite() -> None:
    splats = replace(random_splats(4), opacity_logits=torch.tensor([1e6, 80.0, -80.0, -1e6]))
    assert splats.halves().finite.all()


def test_parts_of_different_degrees_join() -> None:
    flat, full = random_splats(3, 0), random_splats(4, 2)
    joined = Splats.cat([flat, full])
    assert len(joined) == 7 and joined.degree == 2
    torch.testing.assert_close(joined.colors(directions(7))[:3], flat.colors(directions(7)[:3]))
    assert equal(joined.selected(torch.arange(7) >= 3), full)


# -------------------------------------------------------------------- files


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_ply_file_comes_back_as_it_was(degree: int, tmp_path: Path) -> None:
    splats = random_splats(5, degree)
    write_ply(tmp_path / "splats.ply", splats)
    assert equal(read_ply(tmp_path / "splats.ply"), splats)


def test_a_ply_file_without_gaussians_comes_back(tmp_path: Path) -> None:
    """It is what is written for an object that has none."""
    none = random_splats(3).selected(torch.zeros(3, dtype=torch.bool))
    write_ply(tmp_path / "none.ply", none)
    assert len(read_ply(tmp_path / "none.ply")) == 0


def test_open3d_reads_what_was_written(tmp_path: Path) -> None:
    import open3d

    splats = random_splats(5, 2)
    write_ply(tmp_path / "splats.ply", splats)
    cloud = open3d.t.io.read_point_cloud(str(tmp_path / "splats.ply"))
    read = {
        name: torch.from_numpy(cloud.point[name].numpy())
        for name in ("positions", *["scale", "rot", "opacity", "f_dc", "f_rest"])
    }
    torch.testing.assert_close(read["scale"], splats.scales)
    exact = (splats.means, splats.quaternions, splats.opacity_logits[:, None], splats.sh[:, 0], splats.sh[:, 1:])
    for name, value in zip(("positions", "rot", "opacity", "f_dc", "f_rest"), exact):
        assert torch.equal(read[name], value), name


def test_the_file_has_the_properties_of_the_field(tmp_path: Path) -> None:
    from plyfile import PlyData

    splats = random_splats(5, 1)
    write_ply(tmp_path / "splats.ply", splats)
    written = PlyData.read(str(tmp_path / "splats.ply"))
    assert written.byte_order == "<" and not written.text
    rest = [f"f_rest_{k}" for k in range(9)]
    assert [each.name for each in written["vertex"].properties] == [
        *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"), *rest,
        *("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
    ]  # fmt: skip
    green = [written["vertex"][name] for name in rest[3:6]]
    np.testing.assert_array_equal(np.stack(green, 1), splats.sh[:, 1:, 1].numpy())


def test_what_ns_export_writes_is_read(tmp_path: Path) -> None:
    """Its properties in its order (nerfstudio 1.1.5, scripts/exporter.py), with bytes of colour for f_dc."""
    from plyfile import PlyData, PlyElement

    splats = random_splats(5, 0)
    kinds = [(name, "f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    kinds += [(name, "u1") for name in ("red", "green", "blue")] + [("opacity", "f4")]
    rows = np.zeros(5, kinds + [(name, "f4") for name in (*SCALES, *TURNED)])
    values = {"opacity": splats.opacity_logits, **{name: splats.means[:, k] for k, name in enumerate("xyz")}}
    values |= {f"scale_{k}": splats.log_scales[:, k] for k in range(3)}
    values |= {f"rot_{k}": splats.quaternions[:, k] for k in range(4)}
    for name, value in values.items():
        rows[name] = value.numpy()
    rows["red"] = rows["green"] = rows["blue"] = [0, 51, 102, 204, 255]
    PlyData([PlyElement.describe(rows, "vertex")], byte_order="<").write(str(tmp_path / "rgb.ply"))
    read = read_ply(tmp_path / "rgb.ply")
    assert equal(replace(read, sh=splats.sh), splats)
    torch.testing.assert_close(
        read.colors(directions(5))[:, 0], torch.tensor([0, 0.2, 0.4, 0.8, 1.0]), rtol=0, atol=1e-6
    )


def write_other(path: Path, kind: str) -> None:
    import trimesh
    from plyfile import PlyData, PlyElement

    if kind == "mesh":
        trimesh.creation.box().export(path)
    elif kind == "points":
        trimesh.PointCloud(np.eye(3)).export(path)
    elif kind == "compressed":
        chunk = np.zeros(1, [("min_x", "f4")])
        packed = np.zeros(256, [("packed_position", "u4"), ("packed_rotation", "u4")])
        PlyData([PlyElement.describe(chunk, "chunk"), PlyElement.describe(packed, "vertex")]).write(str(path))
    elif kind == "numbered from 1":
        write_ply(path, random_splats(5, 1))
        path.write_bytes(path.read_bytes().replace(b"f_rest_0", b"f_rest_9"))
    elif kind in ("cut off", "degree 5"):
        write_ply(path, random_splats(5, 1))
        content = path.read_bytes()
        cut = content[:-50]
        path.write_bytes(cut if kind == "cut off" else content.replace(b"f_rest_8", b"g_rest_8"))
    else:
        begin = {"spz": b"\x1f\x8b\x08\x00", "sog": b"PK\x03\x04", "glb": b"glTF\x02", "text": b"hello"}
        path.write_bytes(begin.get(kind, bytes(64)))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("mesh", "is a mesh: its points have no f_dc_0; pass the PLY"),
        ("points", "is a PLY file without gaussians"),
        ("compressed", "is a compressed PLY file of SuperSplat; open it in SuperSplat .* save it as an uncompressed"),
        ("spz", "is a file of format SPZ"),
        ("sog", "is a file of format SOG"),
        ("glb", "is a file of format GLB"),
        ("text", "is not a PLY file"),
        ("cut off", "is cut off or damaged"),
        ("degree 5", "has 8 values f_rest_"),
        ("numbered from 1", "has 9 values f_rest_.* numbered from 0"),
    ],
)
def test_other_files_are_refused(kind: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "other.ply"
    write_other(path, kind)
    with pytest.raises(UserError, match=rf"^splats: [^ ]*other\.ply {said}") as refused:
        read_ply(path)
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(UserError, match="cannot be read"):
        read_ply(tmp_path / "missing.ply")


@pytest.mark.parametrize(("name", "said"), [("room.splat", "SPLAT"), ("room.KSPLAT", "KSPLAT")])
def test_formats_without_a_mark_are_told_by_their_names(name: str, said: str, tmp_path: Path) -> None:
    """They were "not a PLY file", which says nothing to who takes them for one."""
    write_other(tmp_path / name, "zeros")
    with pytest.raises(UserError, match=rf"{name} is a file of format {said}, which is not read here; open it in Supe"):
        read_ply(tmp_path / name)
    write_ply(tmp_path / name, random_splats(5, 0))
    assert len(read_ply(tmp_path / name)) == 5, "what begins as a PLY file is one"


def test_2d_gaussians_are_sheets(tmp_path: Path) -> None:
    """Files of 2D Gaussian Splatting have no third scale, and were refused as files without gaussians."""
    from numpy.lib.recfunctions import drop_fields
    from plyfile import PlyData, PlyElement

    splats = random_splats(5, 1)
    write_ply(tmp_path / "splats.ply", splats)
    rows = drop_fields(PlyData.read(str(tmp_path / "splats.ply"))["vertex"].data, "scale_2")
    PlyData([PlyElement.describe(rows, "vertex")], byte_order="<").write(str(tmp_path / "flat.ply"))
    read = read_ply(tmp_path / "flat.ply")
    assert equal(replace(read, log_scales=splats.log_scales), splats)
    assert torch.equal(read.log_scales[:, :2], splats.log_scales[:, :2])
    torch.testing.assert_close(read.scales[:, 2], torch.full((5,), 1e-6))


# -------------------------------------------------------------------- the rasterizer that tests and figures use


def camera(width: int = 48, height: int = 32):
    from nerfstudio.cameras.cameras import Cameras

    pose = torch.tensor([[1.0, 0, 0, 0.1], [0, 1.0, 0, -0.2], [0, 0, 1.0, 6.0]])
    return Cameras(pose[None], fx=60.0, fy=55.0, cx=width / 2 + 1, cy=height / 2 - 2, width=width, height=height)[0]


def test_projections_are_gsplats() -> None:
    from gsplat.cuda._torch_impl import _fully_fused_projection

    splats, view = random_splats(200, 0), camera()
    world_to_camera = torch.eye(4)
    world_to_camera[:3] = torch.tensor([[1.0, 0, 0, -0.1], [0, -1.0, 0, -0.2], [0, 0, -1.0, 6.0]])
    intrinsics = torch.tensor([[[60.0, 0, 25.0], [0, 55.0, 14.0], [0, 0, 1.0]]])
    radii, means, depths, conics, _ = _fully_fused_projection(
        splats.means, splats.covariances, world_to_camera[None], intrinsics, 48, 32
    )
    found = project(splats, view)
    seen = (radii[0] > 0).nonzero()[:, 0]
    assert len(seen) > 50 and seen.tolist() == found.row.tolist()
    for ours, theirs in ((found.means, means), (found.conics, conics), (found.depths, depths)):
        torch.testing.assert_close(ours, theirs[0, seen], rtol=1e-3, atol=1e-4)


def test_pictures_are_composited_front_to_back() -> None:
    """Every pixel as the sum over all gaussians by depth, one by one, as gsplat's torch reference defines it."""
    splats, view = random_splats(30, 1), camera()
    picture, found = rasterize(splats, view), project(splats, view)
    order = found.depths.argsort()
    for x, y in ((24, 14), (30, 10), (5, 28)):
        passed, color = 1.0, torch.zeros(3)
        for k in order.tolist():
            dx, dy = x + 0.5 - found.means[k, 0], y + 0.5 - found.means[k, 1]
            if max(abs(dx), abs(dy)) > found.radii[k] + 16:
                continue
            xx, xy, yy = found.conics[k]
            own = splats.selected(found.row[k : k + 1])
            alpha = float(own.opacities[0] * torch.exp(-0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy))
            if alpha < 1 / 255:
                continue
            seen_along = normalize(own.means - torch.tensor([[0.1, -0.2, 6.0]]), dim=-1)
            color = color + passed * alpha * own.colors(seen_along)[0]
            passed *= 1 - alpha
        torch.testing.assert_close(picture.rgb[y, x], color, rtol=0, atol=5e-3)
        assert abs(float(picture.alpha[y, x]) - (1 - passed)) < 5e-3


# -------------------------------------------------------------------- taking apart


def half_spaces(positions: Tensor) -> Tensor:
    """Object 3 has what lies at x < 0, object 5 what lies at x > 0, and nobody what is farther away than 100."""
    right = (positions[:, 0] / 1e-3).sigmoid()
    owning = torch.zeros(len(positions), 7)
    owning[:, 3], owning[:, 5] = 1 - right, right
    return owning * torch.where(positions.norm(dim=-1) < 100, 1.0, 1e-7)[:, None]


@pytest.fixture
def divided_scene() -> ArrangedScene:
    """A scene whose space is divided in `half_spaces`."""
    radiance = SimpleNamespace(device=torch.device("cpu"), still=torch.no_grad, contraction=lambda x: x)
    scene = object.__new__(ArrangedScene)
    vars(scene).update(trained=SimpleNamespace(radiance=radiance), probabilities=half_spaces)
    return scene


def round_splats(x: list[float], scale: float = 0.1) -> Splats:
    means, count = torch.tensor([[value, 0.0, 0.0] for value in x]).view(-1, 3), len(x)
    turns = torch.tensor([1.0, 0, 0, 0]).expand(count, 4)
    return Splats(means, torch.full((count, 3), math.log(scale)), turns, torch.zeros(count), torch.zeros(count, 1, 3))


def test_two_balls_are_taken_apart(divided_scene: ArrangedScene) -> None:
    balls = Splats.cat([round_splats([-1.0, -0.9, 0.9, 1.0]), round_splats([500.0])])
    apart = take_apart(divided_scene, balls)
    assert apart.id.tolist() == [3, 3, 5, 5, NOBODY] and apart.source.tolist() == [0, 1, 2, 3, 4]
    assert equal(apart.of(ObjectId(5)), balls.selected(torch.tensor([2, 3])))
    mirrored = take_apart(divided_scene, balls, to_scene=Similarity(1.0, (0.0, 0.0, 0.0, 1.0)))
    assert mirrored.id.tolist() == [5, 5, 3, 3, NOBODY] and equal(mirrored.splats, balls)


def test_the_share_is_what_lies_on_the_owners_side(divided_scene: ArrangedScene) -> None:
    """Of a gaussian at x with sigma 1, the part at x > 0 is Phi(x) of the normal distribution, up to two probes."""
    x = torch.linspace(-2.5, 2.5, 21)
    owners = owners_of(divided_scene, round_splats(x.tolist(), scale=1.0))
    assert (owners.share - torch.special.ndtr(x.abs())).abs().max() < 2 / PROBES
    assert owners.id[x.abs() > 0.3].tolist() == [3] * 9 + [5] * 9
    assert owners.divided[10] and not owners.divided[[0, 20]].any()


def test_nobodys_points_do_not_count(divided_scene: ArrangedScene) -> None:
    """Of a gaussian at x = 90 with sigma 10, a sixth lies farther away than 100, where nobody owns anything."""
    owners = owners_of(divided_scene, round_splats([90.0, 500.0], scale=10.0))
    assert owners.id.tolist() == [5, NOBODY] and owners.share[0] == 1 and not owners.divided.any()


def test_gaussians_on_a_border_are_kept_dropped_or_split(divided_scene: ArrangedScene) -> None:
    across = replace(round_splats([0.1]), log_scales=torch.tensor([[0.4, 0.02, 0.02]]).log())
    tilted = replace(across, quaternions=torch.tensor([[math.cos(0.5), 0.0, 0.0, math.sin(0.5)]]))
    sides = round_splats([-1.0, 1.0])
    given = Splats.cat([sides, across, tilted])
    assert (owners_of(divided_scene, given).share < SURE).tolist() == [False, False, True, True]
    assert equal(take_apart(divided_scene, given).splats, given)
    dropped = take_apart(divided_scene, given, "drop")
    assert dropped.source.tolist() == [0, 1] and equal(dropped.splats, sides)
    split = take_apart(divided_scene, given, "split")
    assert split.source.tolist() == sorted(split.source.tolist())
    assert torch.bincount(split.source).tolist()[:2] == [1, 1] and torch.bincount(split.source).min() == 1
    pieces = split.source >= 2
    assert len(split.source[split.source == 2]) > 1 and len(split.source[split.source == 3]) > 1
    assert (split.share[pieces] >= SURE).float().mean() > 0.7
    left = split.id[pieces] == 3
    means = split.splats.means[pieces][:, 0]
    assert left.any() and (means[left] < 0.02).all() and (means[~left] > -0.02).all()


def test_values_that_are_not_finite_are_left_out(divided_scene: ArrangedScene) -> None:
    splats = round_splats([-1.0, 1.0, 2.0, 3.0, 1e30, 4.0])
    splats.means[1, 1] = math.nan
    splats.log_scales[2, 0] = 1000.0
    quaternions = splats.quaternions.clone()
    quaternions[3] = 0
    apart = take_apart(divided_scene, replace(splats, quaternions=quaternions), "split")
    assert apart.source.tolist() == [0, 4, 5] and apart.id.tolist() == [3, NOBODY, 5]
    empty = take_apart(divided_scene, round_splats([]), "split")
    assert len(empty.splats) == 0


# -------------------------------------------------------------------- frames

PLAIN = Contraction(torch.tensor([[-1.0] * 3, [1.0] * 3]), None)


def half_a_ball(count: int = 20000) -> Tensor:
    points = 0.7 * directions(count)
    return points[points[:, 0] + 0.3 * points[:, 1] > 0]


def scattered(points: Tensor) -> Splats:
    splats = random_splats(len(points), 0)
    return replace(splats, means=points, log_scales=splats.log_scales - 4)


def test_the_frame_in_which_gaussians_lie_on_the_surface_is_chosen() -> None:
    surface, frames = half_a_ball(), {"capture": TILT, "scene": Similarity()}
    for name, to_scene in frames.items():
        given = scattered(to_scene.inverse().points(surface[::2]))
        best, placement, fits = decide(given, frames, surface, PLAIN)
        assert best == name and placement is to_scene and fits.keys() == frames.keys()
        assert fits[name].score > 0.95 and min(each.score for each in fits.values()) < 0.6
        best, placement, fits = decide(given.placed(SUPERSPLAT), frames, surface, PLAIN)
        assert best == f"{name}, turned for SuperSplat" and fits[best].score > 0.95
        torch.testing.assert_close(placement.points(given.placed(SUPERSPLAT).means), surface[::2], rtol=0, atol=1e-5)
    same = {"capture": Similarity(translation=(1e-4, 0.0, 0.0)), "scene": Similarity()}
    assert decide(scattered(surface), same, surface, PLAIN)[2]["scene"].score > 0.99


def test_a_scene_that_looks_alike_when_turned_is_not_taken_for_turned() -> None:
    ball = 0.7 * directions(20000)
    assert decide(scattered(ball), {"capture": Similarity()}, ball, PLAIN)[0] == "capture"


def test_a_small_copy_on_the_surface_is_no_fit() -> None:
    """All of it lies on the surface, but hardly any of the surface under it."""
    surface = half_a_ball()
    small = scattered(surface[:1] + 0.005 * surface)
    assert fit(small, surface, PLAIN).on_surface > 0.9 and fit(small, surface, PLAIN).score < 0.2


def test_gaussians_of_another_scene_are_refused() -> None:
    surface, frames = half_a_ball(), {"capture": TILT, "scene": Similarity()}
    elsewhere = scattered(torch.rand(2000, 3) - 0.5)
    with pytest.raises(UserError, match="in no frame do the gaussians lie .* capture: 0.0., scene: 0.0.*--spl"):
        decide(elsewhere, frames, surface, PLAIN)
    ball = 0.7 * directions(20000)
    with pytest.raises(UserError, match="fit in two frames alike .*--splats-frame"):
        decide(scattered(ball), frames | {"capture": Similarity(rotation=(0.8, 0.6, 0.0, 0.0))}, ball, PLAIN)


# -------------------------------------------------------------------- sampling


def test_voxels_are_as_many_as_asked_and_of_one_object() -> None:
    points, id = torch.rand(5000, 3), (torch.arange(5000) % 2)
    voxel, edge = thinned(points, id, 300)
    assert 100 < len(voxel.unique()) <= 300
    for each in voxel.unique()[:20]:
        inside = voxel == each
        assert len(id[inside].unique()) == 1
        assert (points[inside].amax(0) - points[inside].amin(0)).max() <= edge + 1e-6


def test_gaussians_of_a_plane_are_flat_and_as_wide_as_their_spacing() -> None:
    grid = torch.cartesian_prod(torch.arange(12.0), torch.arange(12.0))
    plane = 0.1 * torch.cat([grid, torch.zeros(144, 1)], 1)
    scales, turns = shapes(plane, torch.full((144,), 0.1))
    splats = Splats(plane, scales, turns, torch.zeros(144), torch.zeros(144, 1, 3))
    inner = ((grid > 1) & (grid < 10)).all(-1)
    spacing = 0.1 * (4 + 2 * math.sqrt(2)) / 6  # of the six nearest, four are next to it and two across
    torch.testing.assert_close(scales.exp()[inner, 1:], torch.full((64, 2), spacing * WIDTH))
    torch.testing.assert_close(scales.exp()[inner, 0], torch.full((64,), spacing * WIDTH * FLATTEST))
    assert (splats.axes[inner, 2, 0].abs() > 0.999).all(), "the first axis is the plane's normal"
    torch.testing.assert_close(torch.linalg.det(splats.axes), torch.ones(144))


def test_a_few_gaussians_alone_are_round() -> None:
    scales, turns = shapes(torch.rand(3, 3), torch.full((3,), 0.1))
    torch.testing.assert_close(scales.exp(), torch.full((3, 3), 0.1 * WIDTH))
    assert turns.norm(dim=-1).tolist() == [1, 1, 1]


def test_crumbs_go_to_whom_their_surroundings_belong() -> None:
    one, other = 0.1 * torch.rand(300, 3), 0.1 * torch.rand(300, 3) + torch.tensor([1.0, 0.0, 0.0])
    means = torch.cat([one, other, torch.tensor([[1.2, 0.0, 0.0], [1.21, 0.0, 0.0]])])
    id = torch.tensor([3] * 300 + [5] * 300 + [3, 3])
    assert without_crumbs(means, id).tolist() == [3] * 300 + [5] * 302
    nobodys = torch.where(torch.arange(602) >= 600, NOBODY, id)
    assert torch.equal(without_crumbs(means, nobodys), nobodys)
    assert torch.equal(without_crumbs(means[:600], id[:600]), id[:600])


def test_colours_are_means_or_fits() -> None:
    d = directions(400)
    sh = torch.tensor([[[0.5, 0.0, -0.3], [0.2, 0.0, 0.0], [0.0, 0.3, 0.0], [-0.1, 0.0, 0.2]]])
    rgb = torch.einsum("nb,bc->nc", basis(d, 1), sh[0]) + 0.5
    looks = Looks(torch.zeros(400, 3), d, rgb, torch.ones(400), torch.zeros(400, dtype=torch.long))
    voxel, count = torch.zeros(400, dtype=torch.long), torch.tensor([400])
    torch.testing.assert_close(fit_colors(looks, voxel, count, 1), sh, rtol=0, atol=0.01)
    flat = round_splats([0.0])
    shown = replace(flat, sh=fit_colors(looks, voxel, count, 0)).colors(d[:1])
    torch.testing.assert_close(shown[0], rgb.mean(0))


def test_gaussians_of_a_surface_leave_no_holes_and_end_with_it() -> None:
    """A square of 12 x 12 of them: what they cover together in the middles between four, and beyond the border."""
    side, gap = torch.arange(12.0), 0.1
    means = gap * torch.cartesian_prod(side, side, torch.zeros(1))
    scales, turns = shapes(means, torch.full((len(means),), gap))
    precision = Splats(
        means, scales, turns, torch.zeros(len(means)), torch.zeros(len(means), 1, 3)
    ).covariances.inverse()

    def covered(points: Tensor) -> Tensor:
        offsets = points[:, None] - means
        distance = torch.einsum("pni,nij,pnj->pn", offsets, precision, offsets)
        return 1 - (1 - MOST_OPAQUE * torch.exp(-distance / 2)).prod(1)

    inner = means.view(12, 12, 3)[2:-3, 2:-3].reshape(-1, 3)
    assert covered(inner + torch.tensor([gap / 2, gap / 2, 0])).min() > 0.8
    assert covered(means.view(12, 12, 3)[-1] + torch.tensor([3 * gap, 0, 0])).max() < 0.01


# -------------------------------------------------------------------- a run


def export(run: Run, folder: Path, *options: object) -> tuple[int, dict]:
    code = main(["export", "splats", "--load-config", str(run.config), "--output-dir", str(folder), *map(str, options)])
    return code, json.loads((folder / "splats.json").read_text()) if code == 0 else {}


FEW = ("--gaussians", 2500, "--rays", 5000)


@pytest.fixture(scope="module")
def loaded(run: Run) -> Scene:
    """The run, as the API loads it."""
    return disconerf_ns.load(run.config)


@pytest.fixture(scope="module")
def sampled(run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A folder of sampled splats, and its manifest."""
    folder = tmp_path_factory.mktemp("sampled")
    code, manifest = export(run, folder, *FEW)
    assert code == 0
    return folder, manifest


def test_sampled_splats_show_the_object(loaded: Scene, sampled: tuple[Path, dict]) -> None:
    """Each ball drawn from its file, in the capture's frame, looks like the ball that the field draws."""
    scene, (folder, manifest) = loaded, sampled
    assert manifest["frame"] == "capture" and manifest["to_capture"]["scale"] == 1.0
    view = scene.cameras("test")[0]
    in_capture = replace_pose(view, scene)
    for each in manifest["objects"]:
        assert len(read_ply(folder / each["file"])) == each["gaussians"]
        if each["name"] not in ("object_01", "object_02", "object_03"):
            continue
        seen = rasterize(read_ply(folder / each["file"]), in_capture).alpha > 0.5
        mask = scene.render(f"{each['name']}_mask", view)[..., 0] > 0.5
        assert (seen & mask).sum() / (seen | mask).sum() > 0.7, each["name"]
    labels = np.load(folder / "labels.npz")
    whole = read_ply(folder / "scene.ply")
    for each in manifest["objects"][:2]:
        assert equal(read_ply(folder / each["file"]), whole.selected(torch.from_numpy(labels["object"] == each["id"])))
    ids = {each["id"]: each["gaussians"] for each in manifest["objects"] if each["id"] is not None}
    assert {id: int((labels["object"] == id).sum()) for id in ids} == ids
    assert len(labels["object"]) == sum(each["gaussians"] for each in manifest["objects"])


def test_sampled_splats_have_the_colour_of_an_edit(loaded: Scene) -> None:
    scene = loaded
    ball = scene.objects[1].id
    looks = look_at_all(scene.arranged, scene.training_rays(3000))
    before = sample_splats(scene.arranged, looks, 2000)
    strongest = int(before.of(ball).sh[:, 0].mean(0).argmax())
    color = tuple(float(channel == (strongest + 1) % 3) for channel in range(3))
    after = sample_splats(scene.edited(Edit().recolor(ball, color).hide(scene.objects[2].id)).arranged, looks, 2000)
    was, now = (each.of(ball).sh[:, 0, strongest].mean() for each in (before, after))
    assert now < was - 0.3
    others = before.id != ball
    assert torch.equal(after.splats.sh[others], before.splats.sh[others])


def test_sampled_splats_leave_out_what_films_leave_out(loaded: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Haze and crumbs made the chairs of a room wider in splats than in their films."""
    scene, ball = loaded.arranged, loaded.objects[1]
    clean = scene.bodies.clean(ball.id).voxels
    left = torch.arange(len(clean.occupied)) < len(clean.occupied) // 2
    half = Body(replace(clean, occupied=clean.occupied & left[:, None, None]))
    monkeypatch.setattr(Bodies, "clean", lambda *_: half)
    looks = look_at_all(scene, loaded.training_rays(3000), loaded.objects)
    own = looks.positions[looks.id == ball.id]
    assert len(own) > 20 and half.voxels.holds(own).all()


def test_nothing_to_see_gets_a_sentence(loaded: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splats_sampled, "OPAQUE", 2.0)
    with pytest.raises(UserError, match="no ray of the training views meets a surface; train"):
        loaded.splats(rays=500)


def replace_pose(camera, scene):
    """A camera of the scene's coordinates in those of the capture."""
    from copy import deepcopy

    moved, pose = deepcopy(camera), camera.camera_to_worlds
    turned = scene.capture.directions(pose[..., :3].mT).mT
    moved.camera_to_worlds = torch.cat([turned, scene.capture.points(pose[..., 3])[..., None]], -1)
    return moved


def test_a_file_is_taken_apart_in_any_frame(
    run: Run, loaded: Scene, sampled: tuple[Path, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """The whole scene in one file, without labels, comes apart as it was sampled, in the frame that it is in."""
    monkeypatch.setattr(api, "EVIDENCE", 4000)
    folder, manifest = sampled
    files = [folder / each["file"] for each in manifest["objects"]]
    whole = Splats.cat([read_ply(file) for file in files])
    truth = torch.cat([torch.full((len(read_ply(file)),), row) for row, file in enumerate(files)])
    in_scene = whole.placed(loaded.capture.inverse())
    seen = loaded.arranged.trained.looked_into(in_scene.means)
    for frame, splats in (("capture", whole), ("scene", in_scene)):
        write_ply(tmp_path / "whole.ply", splats)
        code, apart = export(run, tmp_path / frame, "--splats", tmp_path / "whole.ply")
        told = capsys.readouterr().out
        assert code == 0 and f"in the frame {frame}, as the surface says" in told
        assert "what no photograph shows of an object is completed in sampled ones only" in told
        labels = np.load(tmp_path / frame / "labels.npz")
        rows = {each["id"]: row for row, each in enumerate(manifest["objects"])}
        owner = torch.tensor([rows.get(int(id), rows.get(None, -1)) for id in labels["object"]])
        assert (owner == truth)[seen].float().mean() > 0.95, "of what photographs looked into"
        first = apart["objects"][0]
        mine = torch.from_numpy(labels["object"] == first["id"])
        assert equal(read_ply(tmp_path / frame / first["file"]), splats.selected(mine))
    code, turned_manifest = export(
        run, tmp_path / "turned", "--splats", tmp_path / "whole.ply", "--supersplat", "--frame", "capture",
        "--splats-frame", "scene", "--objects", "object_01",
    )  # fmt: skip
    assert [each["name"] for each in turned_manifest["objects"]] == ["object_01", "rest"]
    ball = read_ply(tmp_path / "turned" / turned_manifest["objects"][0]["file"])
    back = Similarity.of_json(Value(turned_manifest["to_capture"])).points(ball.means)
    torch.testing.assert_close(back, ball.means * torch.tensor([-1.0, -1.0, 1.0]), rtol=0, atol=1e-5)
    assert fit(scattered(back), whole.means, PLAIN).on_surface > 0.9


def splatfacto_run(folder: Path, splats: Splats, sh_degree: int) -> Path:
    """The files of a splatfacto run whose scene is that of the capture turned and scaled by TURN's inverse."""
    return write_splatfacto_run(folder, splats, sh_degree, TURN.inverse())


def test_a_second_export_adds_objects_to_the_first(
    run: Run, loaded: Scene, sampled: tuple[Path, dict], tmp_path: Path, capsys
) -> None:
    """The list of the second object alone replaced that of the first, whose file stayed beside it unnamed."""
    first, second = (each.name for each in loaded.objects[1:3])
    given = "--splats", sampled[0] / "scene.ply", "--splats-frame", "capture"
    assert export(run, tmp_path, *given, "--objects", first)[0] == 0
    code, manifest = export(run, tmp_path, *given, "--objects", second)
    assert code == 0 and [each["name"] for each in manifest["objects"]] == [first, second, "rest"]
    assert "of an earlier export" not in capsys.readouterr().out
    counted = {each["name"]: each["gaussians"] for each in manifest["objects"]}
    assert {name: len(read_ply(tmp_path / f"{name}.ply")) for name in counted} == counted
    assert sum(counted.values()) == len(read_ply(sampled[0] / "scene.ply"))
    (tmp_path / f"{first}.ply").unlink()
    _, manifest = export(run, tmp_path, *given, "--objects", second)
    assert [each["name"] for each in manifest["objects"]] == [second, "rest"], "a file that is gone stays so"


def test_other_gaussians_are_not_added(
    run: Run, loaded: Scene, sampled: tuple[Path, dict], tmp_path: Path, capsys
) -> None:
    """Files of both stood side by side, and splats.json listed the last alone."""
    folder, name = tmp_path / "out", loaded.objects[1].name
    copytree(sampled[0], folder)
    Edit().rename(loaded.objects[1].id, "ball").save(tmp_path / "named.json")
    before = {file: file.read_bytes() for file in folder.iterdir()}
    for options, said in (
        (("--degree", 1), "holds an export with another --degree; name another folder with --output-dir, or pass"),
        (("--supersplat",), "holds an export with another --supersplat;"),
        (("--no-complete",), "holds an export with the other choice of --complete;"),
        (("--edit", tmp_path / "named.json"), "holds an export under another edit or granularity;"),
        (("--splats", folder / "scene.ply", "--splats-frame", "capture"), "holds an export of other gaussians;"),
    ):
        given = FEW if "--splats" not in options else ()
        assert export(run, folder, *given, *options)[0] == 1
        assert said in " ".join(capsys.readouterr().err.split())
        assert {file: file.read_bytes() for file in folder.iterdir()} == before
    code, manifest = export(run, folder, *FEW, "--degree", 1, "--objects", name, "--replace")
    assert code == 0 and [each["name"] for each in manifest["objects"]] == [name, "rest"]
    assert "of an earlier export, which splats.json does not name" in " ".join(capsys.readouterr().out.split())


def test_hidden_objects_are_left_out(
    run: Run, loaded: Scene, sampled: tuple[Path, dict], tmp_path: Path, capsys
) -> None:
    """A hidden ball was still in scene.ply and had a file, although films and meshes leave it out."""
    ball = loaded.objects[1]
    Edit().hide(ball.id).save(tmp_path / "hidden.json")
    hidden = "--edit", tmp_path / "hidden.json"
    _, manifest = export(run, tmp_path / "out", *FEW, *hidden)
    assert f"export splats: {ball.name} is hidden, and left out." in capsys.readouterr().out
    others = [each["name"] for each in sampled[1]["objects"] if each["name"] != ball.name]
    assert [each["name"] for each in manifest["objects"]] == others
    owner = np.load(tmp_path / "out" / manifest["labels"])["object"]
    assert ball.id not in owner and len(read_ply(tmp_path / "out" / manifest["scene"])) == len(owner)
    given = "--splats", sampled[0] / "scene.ply", "--splats-frame", "capture"
    _, manifest = export(run, tmp_path / "named", *hidden, *given, "--objects", ball.name)
    assert [each["name"] for each in manifest["objects"]] == [ball.name, "rest"], "but one that is named is there"


def test_the_page_explains_every_key_of_a_list_of_splats(run: Run, sampled: tuple[Path, dict], tmp_path: Path) -> None:
    of_sampled = sampled[1]
    code, of_given = export(run, tmp_path, "--splats", sampled[0] / "scene.ply", "--splats-frame", "capture")
    assert code == 0 and of_given["source"]["splats_sha256"] == read_ply(sampled[0] / "scene.ply").sha256
    assert sorted(explained("splats.json")) == sorted({*keys_of(of_sampled), *keys_of(of_given)})
    assert f"| `version` | | of this form; {of_sampled['version']} |" in section("splats.json")


def test_splats_of_an_edited_scene_are_edited(loaded: Scene, sampled: tuple[Path, dict]) -> None:
    """In Python a hidden ball was there, and a moved one where it was photographed."""
    first, second = (each.id for each in loaded.objects[1:3])
    moved = Similarity(translation=(0.0, 0.0, 1.0))
    given = sampled[0] / "scene.ply"
    before = loaded.splats(given, "capture")
    after = loaded.edited(Edit().hide(first).place(second, moved)).splats(given, "capture")
    assert len(after.of(first)) == 0 < len(before.of(first))
    way = after.of(second).means - before.of(second).means
    up = loaded.capture.scale * loaded.capture.directions(torch.tensor([0.0, 0.0, 1.0]))
    torch.testing.assert_close(way, up.expand_as(way), rtol=0, atol=1e-4)


def test_a_splatfacto_run_says_where_it_is(run: Run, loaded: Scene, tmp_path: Path) -> None:
    scene = loaded
    sampled = scene.splats(gaussians=1000, rays=4000, degree=1)
    assert scene.capture.close_to(capture_frame(run.config))
    folder = splatfacto_run(tmp_path / "splatfacto", sampled.splats, sh_degree=1)
    apart = scene.splats(folder)
    torch.testing.assert_close(apart.splats.means, sampled.splats.means, rtol=0, atol=1e-4)
    torch.testing.assert_close(apart.splats.sh, sampled.splats.sh, rtol=0, atol=1e-4)
    seen = scene.arranged.trained.looked_into(scene.capture.inverse().points(sampled.splats.means))
    assert (apart.id == sampled.id)[seen].float().mean() > 0.95, "of what photographs looked into"
    plain = replace(random_splats(50, 0), sh=torch.linspace(-1.5, 1.5, 50)[:, None, None].expand(50, 1, 3))
    flat, _ = read_splats(splatfacto_run(tmp_path / "flat", plain, sh_degree=0) / "config.yml")
    wanted = plain.colors(directions(50)).clamp(0.01, 0.99)
    torch.testing.assert_close(flat.colors(directions(50)), wanted, rtol=0, atol=1e-5)


def test_the_newest_whole_checkpoint_of_a_splatfacto_run_is_taken(tmp_path: Path, capsys) -> None:
    """A copy of another name was taken, because it is last in order, and so was a file that breaks off."""
    config = splatfacto_run(tmp_path / "run", random_splats(20, 0), sh_degree=0) / "config.yml"
    folder = config.parent / "nerfstudio_models"
    good = folder / "step-000000009.ckpt"
    broken, stray = folder / "step-000000019.ckpt", folder / "step-000000100 (copy).ckpt"
    broken.write_bytes(good.read_bytes()[:-100])
    stray.write_bytes(b"nothing")
    splats, _ = read_splats(config)
    assert len(splats) == 20
    said = "".join(capsys.readouterr().out.split())  # lines end within a long path
    assert broken.name in said and "itbreaksoff" in said and "(copy)" not in said
    good.unlink()
    with pytest.raises(UserError, match="--splats: .* holds no checkpoint that can be read; all 1 are broken"):
        read_splats(config)


def test_mistakes_get_a_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(api, "EVIDENCE", 4000)
    write_ply(tmp_path / "elsewhere.ply", random_splats(500))
    write_ply(tmp_path / "none.ply", random_splats(0))
    (tmp_path / "empty").mkdir()
    for options, said in (
        (("--gaussians", 0), "--gaussians is 0; it has to be from 1 to 1,000,000,000"),
        (("--degree", 4), "--degree is 4; it has to be from 0 to 3"),
        (("--splats", "nowhere.ply"), "there is no nowhere.ply; pass a PLY file"),
        (("--objects", "teapot"), "there is no teapot"),
        (("--splats-frame", "scene"), "--splats-frame says nothing without --splats; leave one of them out"),
        (("--splats", tmp_path / "none.ply", "--degree", 1), "--degree says nothing with --splats; leave one of"),
        (("--splats", tmp_path / "none.ply"), "none.ply has no gaussian whose values are all finite; export or train"),
        (("--granularity", 2), "--granularity is 2.0"),
        (("--splats", tmp_path / "elsewhere.ply"), "in no frame do the gaussians lie on the scene's surface"),
        (("--splats", run.config), "is a run of disconerf-small, not of splatfacto"),
        (("--splats", tmp_path / "empty"), "config.yml: not the config.yml of a run"),
    ):
        code, _ = export(run, tmp_path / "out", *options)
        lines = capsys.readouterr().err.strip().splitlines()
        assert code == 1 and said in lines[-1], lines
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [("export", "splats"), ("export",)])
def test_a_file_that_cannot_be_read_is_refused_before_the_run_is_loaded(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, command: tuple[str, ...]
) -> None:
    """The run was loaded first, which takes a minute of a large one."""
    monkeypatch.setattr("disconerf_ns.runs.load_pipeline", lambda *_: pytest.fail("the run was loaded"))
    write_other(tmp_path / "cut.ply", "cut off")
    assert main([*command, "--load-config", str(run.config), "--splats", str(tmp_path / "cut.ply")]) == 1
    assert "cut.ply is cut off or damaged" in " ".join(capsys.readouterr().err.split())


def test_both_ways_of_taking_a_splat_apart_write_to_one_place(
    run: Run, sampled: tuple[Path, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`export --splats` wrote among the meshes, into `exports`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "EVIDENCE", 4000)
    given = "--load-config", str(run.config.absolute()), "--splats", str(sampled[0] / "scene.ply")
    for command in (("export",), ("export", "splats", "--splats-frame", "capture")):
        assert main([*command, *given, "--replace"]) == 0
        assert [each.name for each in (tmp_path / "exports").iterdir()] == ["splats"]
        assert (tmp_path / "exports/splats/splats.json").is_file()


def test_gaussians_stand_where_a_person_put_their_objects() -> None:
    """Object 2 stands on its head twice, one unit and two units up; all others stay, to the bit."""
    splats, id = random_splats(30, 1), torch.arange(30) % 3
    owned = OwnedSplats(splats, id, torch.ones(30), torch.arange(30))
    to_here = Similarity(2.0, (0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    places = {2: tuple(Similarity(rotation=(0.0, 0.0, 1.0, 0.0), translation=(0.0, 0.0, up)) for up in (1.0, 2.0))}
    standing = owned.standing(places, to_here)
    assert standing.id.tolist() == [*([0, 1] * 10), *([2] * 20)] and standing.source[20:30].tolist() == [
        *range(2, 30, 3)
    ]
    assert equal(standing.of(0), owned.of(0)) and owned.standing({}, to_here) is owned
    for part, place in zip(standing.of(2).means.split(10), places[2]):
        expected = to_here.points(place.points(to_here.inverse().points(owned.of(2).means)))
        torch.testing.assert_close(part, expected, rtol=0, atol=1e-4)
