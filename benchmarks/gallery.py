"""Makes the pictures of docs/gallery.md, and README's of the viewer, from two trained runs of the example scenes.

python -m benchmarks.gallery TABLE/config.yml ROOM/config.yml [PICTURE ...]
"""

from __future__ import annotations

import json
import math
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import trimesh
from nerfstudio.cameras.cameras import Cameras
from PIL import Image, ImageDraw, ImageFont, ImageOps

from benchmarks.browser import open_page, wait_for
from benchmarks.rasterizer import rasterize
from disconerf_ns import Edit, Hue, Scene, Similarity, cli, compose, load, save_film
from disconerf_ns.compat.lenses import projected
from disconerf_ns.filming.layers import layers_of
from disconerf_ns.filming.matte import in_bytes
from disconerf_ns.palette import object_colors
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.scene.similarity import vector

FOLDER = Path(__file__).parents[1] / "docs" / "gallery"
INK, PAPER, MARGIN, CAPTION = (40, 44, 52), (255, 255, 255), 12, 26
SMALL = 0.6
"""Scale of the copy."""


def strip(pictures: dict[str, np.ndarray], path: Path, columns: int) -> None:
    """Captioned pictures side by side, in rows."""
    height, width = next(iter(pictures.values())).shape[:2]
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (width + MARGIN) + MARGIN, rows * (height + CAPTION + MARGIN) + MARGIN), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for number, (caption, picture) in enumerate(pictures.items()):
        x, y = MARGIN + number % columns * (width + MARGIN), MARGIN + number // columns * (height + CAPTION + MARGIN)
        page.paste(Image.fromarray(in_bytes(picture)), (x, y))
        draw.text((x + width / 2, y + height + 4), caption, INK, font, anchor="ma")
    page.save(path, quality=90)


def largest_standing(scene: Scene) -> list[str]:
    """Output names of the objects that stand on something, the tallest first."""
    heights = {each.name: scene.arranged.bodies.solid(each.id).box for each in scene.objects[2:]}
    return sorted((name for name, box in heights.items() if box), key=lambda name: -heights[name].size[2])


def edits(scene: Scene) -> dict[str, np.ndarray]:
    """One view under several edits of its tallest object."""
    thing, camera = scene.find(largest_standing(scene)[0]), scene.cameras("test")[1:2]
    solid = scene.arranged.bodies.solid(thing.id)
    turned = Similarity.about(solid.centre, (0.38, 0.0, 0.0, 0.925), 1.0, free_spot(scene, thing, camera))
    x, y, _ = free_spot(scene, thing, camera, SMALL)
    beside = Similarity.about(solid.centre, scale=SMALL, move=(x, y, (SMALL - 1) * solid.box.size[2] / 2))
    changes = {
        "the scene": Edit(),
        "removed": Edit().hide(thing.id),
        "moved and turned": Edit().move(thing.id, turned),
        "copied and scaled": Edit().copy(thing.id, beside),
        "hues turned": Edit().recolor(thing.id, Hue(150.0)),
        "what it stood on removed": Edit().hide(support(scene, thing).id),
        "alone": Edit().isolate([thing.id], scene.arranged.ids_in_use),
    }
    pictures = {name: scene.edited(edit).render("edited", camera).numpy() for name, edit in changes.items()}
    unseen = scene.edited(changes["removed"]).render("unseen", camera).numpy()
    pictures["removed: what no photograph saw"] = (1 - unseen) * pictures["removed"] + unseen * np.array([1.0, 0, 0.8])
    return pictures


def support(scene: Scene, thing: SceneObject) -> SceneObject:
    """What a thing stands on: the object that covers most ground."""
    others = [each for each in scene.objects[1:] if each.number is not None and each.id != thing.id]
    return max(others, key=lambda each: np.prod(np.subtract(*reversed(each.box))[:2]))


def free_spot(scene: Scene, thing: SceneObject, camera: Cameras, scale: float = 1.0) -> tuple[float, float, float]:
    """The move to the place in a picture, on what a thing stands on, that is near the camera, and free or nearly so."""
    boxes = {each.id: torch.tensor(each.box)[:, :2] for each in scene.objects[1:] if each.number is not None}
    own, below = boxes.pop(thing.id), boxes.pop(support(scene, thing).id)
    middle, radius = own.mean(0), scale * float((own[1] - own[0]).max()) / 2
    turns, steps = torch.arange(48) * math.pi / 24, torch.linspace(0.3, 1.5, 25)
    angle, away = (grid.flatten() for grid in torch.meshgrid(turns, steps, indexing="ij"))
    moves = torch.stack([angle.cos() * away, angle.sin() * away, torch.zeros_like(away)], -1)
    places = middle + moves[:, :2]
    gaps = [
        torch.maximum(low - places, places - high).clamp(min=0).norm(dim=-1) - radius for low, high in boxes.values()
    ]
    half = (below[1] - below[0]) / 2
    at_edge = (1 - ((places - below.mean(0)) / half).norm(dim=-1)) * half.min() - radius
    moved = torch.tensor(scene.arranged.bodies.solid(thing.id).centre) + moves
    right, down, _ = (each[:, 0] for each in projected(camera.to("cpu"), moved))
    x, y = right / camera.width.cpu()[0] - 0.5, down / camera.height.cpu()[0] - 0.5
    in_picture = (x.abs() < 0.35) & (y.abs() < 0.27)
    room = torch.stack([*gaps, at_edge]).amin(0)
    score = (y + room.clamp(max=0)).where(in_picture, torch.tensor(-torch.inf))
    return vector(moves[int(score.argmax())])


def composition(room: Path, table: Path, thing: str) -> dict[str, np.ndarray]:
    """Things of the table in the room, and whose each pixel is."""
    on_table, on_floor = (0.35, -0.45, 0.74), (-0.1, 0.95, 0.0)
    objects = [
        {"run": str(table), "object": thing, "at": on_table, "turn": 90, "scale": 0.6},
        {"run": str(table), "object": thing, "at": on_floor, "turn": 200, "scale": 1.2},
    ]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "scene.json"
        file.write_text(json.dumps({"scene": str(room), "objects": objects}))
        scene = compose(file)
    pictures, colors = {}, np.concatenate([np.zeros((1, 3)), object_colors(255)])
    for number, view in enumerate(best_views(scene, (on_table, on_floor), 3), 1):
        layers = layers_of(scene.arranged, scene.cameras()[view : view + 1])
        pictures[f"view {number}"] = layers.picture[..., :3]
        pictures[f"whose each pixel is, {number}"] = colors[layers.labels]
    return {name: pictures[name] for name in sorted(pictures, key=lambda name: name.startswith("whose"))}


def best_views(scene: Scene, places: Sequence[tuple[float, ...]], count: int) -> list[int]:
    """The training views in whose middle some places of the capture are, in the order of the dataset."""
    cameras = scene.cameras()
    points = scene.capture.inverse().points(torch.tensor(places, dtype=torch.float32))
    right, low, inside = projected(cameras.to("cpu"), points)
    x, y = right / cameras.width[:, 0].cpu() - 0.5, low / cameras.height[:, 0].cpu() - 0.5
    off = torch.where(inside, torch.maximum(x.abs(), y.abs()), torch.inf).amax(0)
    return sorted(off.argsort()[:count].tolist())


def meshes(run: Path, work: Path, size: int = 150) -> dict[str, np.ndarray]:
    """Exported meshes by ray casting, without light of their own: colours, a little darker where they turn away."""
    command("export", run, work / "exports", "--what", "meshes", "--formats", "ply", "--resolution", "72")
    drawn = {}
    fine = 3 * size
    for file in sorted((work / "exports" / "meshes").glob("*.ply")):
        mesh = trimesh.load_mesh(file)
        middle, reach = mesh.bounds.mean(0), np.linalg.norm(np.ptp(mesh.bounds, axis=0)) / 2
        back = np.array([0.55, -0.7, 0.45]) / np.linalg.norm([0.55, -0.7, 0.45])
        right = np.cross([0, 0, 1.0], back) / np.linalg.norm(np.cross([0, 0, 1.0], back))
        up = np.cross(back, right)
        x, y = np.meshgrid(np.linspace(-1, 1, fine) * reach, np.linspace(1, -1, fine) * reach)
        origins = middle + 4 * reach * back + x[..., None] * right + y[..., None] * up
        flat = origins.reshape(-1, 3)
        hits, ray, face = mesh.ray.intersects_location(flat, np.tile(-back, (len(flat), 1)), multiple_hits=False)
        corners = trimesh.triangles.points_to_barycentric(mesh.triangles[face], hits)[..., None]
        colors = (mesh.visual.vertex_colors[mesh.faces[face], :3] / 255 * corners).sum(1)
        facing = np.abs((mesh.vertex_normals[mesh.faces[face]] * corners).sum(1) @ back)[:, None]
        picture = np.ones((fine * fine, 3))
        picture[ray] = colors * (0.6 + 0.4 * facing)
        drawn[file.stem] = picture.reshape(size, 3, size, 3, 3).mean((1, 3))
    return drawn


def splats(scene: Scene) -> dict[str, np.ndarray]:
    """Splats sampled from a scene: all of it, and some objects from near."""
    owned, camera = (
        scene.splats(gaussians=120_000, rays=300_000).placed(scene.capture.inverse()),
        scene.cameras("test")[1:2],
    )
    camera.rescale_output_resolution(3.0)
    rgb, alpha = rasterize(owned.splats, camera[0])
    whole = Image.fromarray(in_bytes((rgb + 1 - alpha[..., None]).numpy()))
    height, width = whole.height // 3, whole.width // 3
    drawn = {"all gaussians": np.asarray(whole.resize((width, height), Image.Resampling.LANCZOS)) / 255}
    for name in largest_standing(scene)[::3][:3]:
        rgb, alpha = rasterize(owned.of(scene.find(name).id), camera[0])
        y, x = (alpha > 0.5).nonzero().T
        near = Image.fromarray(in_bytes((rgb + 1 - alpha[..., None]).numpy()))
        reach = 0.6 * max(float(x.max() - x.min()) / width, float(y.max() - y.min()) / height)
        left, top = float(x.max() + x.min()) / 2 - reach * width, float(y.max() + y.min()) / 2 - reach * height
        box = (left, top, left + 2 * reach * width, top + 2 * reach * height)
        margin = max(near.size)
        near = ImageOps.expand(near, margin, PAPER).crop([round(side) + margin for side in box])
        drawn[name] = np.asarray(near.resize((width, height), Image.Resampling.LANCZOS)) / 255
    return drawn


def report_page(run: Path, work: Path) -> None:
    """A picture of the report in a browser."""
    page = work / "report.html"
    command("report", run, page, "--frames", "6", "--size", "200", "--scene-size", "480", where="--output")
    with open_page(page.as_uri(), work / "profile", work / "failure.png", 1280, 2700) as opened:
        opened.call("Emulation.setScrollbarsHidden", hidden=True)
        opened.draw(20)
        picture = opened.picture()
    Image.fromarray(picture).save(FOLDER / "report.jpg", quality=88)


def viewer_page(run: Path, work: Path, selected: str, count: int) -> None:
    """nerfstudio's viewer with one of `count` objects selected, in a browser."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    served = subprocess.Popen(["ns-viewer", "--load-config", str(run), "--viewer.websocket-port", port])
    try:
        address = f"http://127.0.0.1:{port}/"
        wait_for(lambda: answers(address), "the viewer", 120)
        with open_page(address, work / "profile", work / "failure.png", 1440, 1020) as page:
            page.resize(1440, 1020, scale=2.0)  # viser draws lines with few pixels where drawing is slow
            pictured = f"document.querySelectorAll('.dn-row img').length >= {count}"
            wait_for(lambda: page.run(pictured), "small pictures", 300)
            page.press("Control")
            page.write("Max res", "900")
            page.press("Objects")
            page.press(selected)
            page.draw(20)
            wait_for(lambda: page.shows("sharpening"), "a picture that becomes sharp")
            wait_for(lambda: not page.shows("sharpening"), "a sharp picture", 300)
            page.draw(20)
            top = round(page.run("document.querySelector('canvas').getBoundingClientRect().y"))
            picture = page.picture()[2 * top :]
    finally:
        served.send_signal(signal.SIGINT)
        served.wait(60)
    shown = Image.fromarray(picture)
    shown.resize((shown.width // 2, shown.height // 2), Image.Resampling.LANCZOS).save(
        FOLDER.parent / "viewer.jpg", quality=88
    )


def answers(address: str) -> bool:
    """Whether a page can be opened."""
    with suppress(OSError), urllib.request.urlopen(address):
        return True
    return False


def contact_sheet(run: Path, work: Path) -> None:
    """The sheet that `disconerf render` makes, from one frame of each object."""
    command("render", run, work / "films", "--contact-sheet", "--frames", "1", "--resolution", "176", "--format", "png")
    shutil.copy(work / "films" / "contact_sheet.png", FOLDER / "contact_sheet.png")


def command(name: str, run: Path, output: Path, *options: str, where: str = "--output-dir") -> None:
    """Run a command of `disconerf` in this process."""
    if cli.main([name, "--load-config", str(run), where, str(output), *options]) != 0:
        raise SystemExit(f"disconerf {name} failed")


def main() -> None:
    table, room = (Path(argument).resolve() for argument in sys.argv[1:3])
    FOLDER.mkdir(exist_ok=True)
    scene = load(table)
    thing = largest_standing(scene)[0]
    with TemporaryDirectory() as folder:
        work = Path(folder)
        pictures: dict[str, Callable[[], object]] = {
            "turntable": lambda: save_film(
                FOLDER / "turntable.webp", scene.film(thing, 24, 224, transparent=True, shadow=True), fps=12
            ),
            "edits": lambda: strip(edits(scene), FOLDER / "edits.jpg", columns=4),
            "composition": lambda: strip(composition(room, table, thing), FOLDER / "composition.jpg", columns=3),
            "meshes": lambda: strip(meshes(table, work), FOLDER / "meshes.jpg", columns=6),
            "splats": lambda: strip(splats(scene), FOLDER / "splats.jpg", columns=4),
            "contact_sheet": lambda: contact_sheet(table, work),
            "report": lambda: report_page(table, work),
            "viewer": lambda: viewer_page(table, work, thing, len(scene.objects)),
        }
        for name in sys.argv[3:] or pictures:
            pictures[name]()
            print(f"{name} is drawn", flush=True)


if __name__ == "__main__":
    main()
