"""Makes the pictures of docs/gallery.md from two trained runs of the example scenes.

python examples/gallery.py TABLE/config.yml ROOM/config.yml
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from disconerf_ns import Channels, Edit, Hue, Scene, Similarity, compose, load, save_film
from disconerf_ns.filming.layers import layers_of

FOLDER = Path(__file__).parents[1] / "docs" / "gallery"
INK, PAPER, MARGIN, CAPTION = (40, 44, 52), (255, 255, 255), 12, 26


def strip(pictures: dict[str, np.ndarray], path: Path, columns: int) -> None:
    """Captioned pictures side by side, in rows."""
    height, width = next(iter(pictures.values())).shape[:2]
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (width + MARGIN) + MARGIN, rows * (height + CAPTION + MARGIN) + MARGIN), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for number, (caption, picture) in enumerate(pictures.items()):
        x, y = MARGIN + number % columns * (width + MARGIN), MARGIN + number // columns * (height + CAPTION + MARGIN)
        page.paste(Image.fromarray((255 * picture).round().clip(0, 255).astype(np.uint8)), (x, y))
        draw.text((x + width / 2, y + height + 4), caption, INK, font, anchor="ma")
    page.save(path, quality=90)


def largest_standing(scene: Scene) -> list[str]:
    """Output names of the objects that stand on something, the tallest first."""
    heights = {each.name: scene.arranged.solid(each.id).box for each in scene.objects[2:]}
    return sorted((name for name, box in heights.items() if box), key=lambda name: -heights[name].size[2])


def edits(scene: Scene) -> dict[str, np.ndarray]:
    """One view under several edits of its tallest object."""
    thing = scene.find(largest_standing(scene)[0])
    middle, size = scene.arranged.solid(thing.id).centre, scene.arranged.solid(thing.id).box.size
    turned = Similarity.about(middle, (0.38, 0.0, 0.0, 0.925), 1.0, (0.25, -0.55, 0.0))
    beside = Similarity.about(middle, scale=0.6, move=(0.25, -0.55, -0.2 * size[2]))
    camera = scene.cameras("test")[1:2]
    changes = {
        "the scene": Edit(),
        "removed": Edit().hide(thing.id),
        "moved and turned": Edit().move(thing.id, turned),
        "copied and scaled": Edit().copy(thing.id, beside),
        "hues turned": Edit().recolor(thing.id, Hue(150.0)),
        "channels exchanged": Edit().recolor(thing.id, Channels("brg")),
        "alone": Edit().isolate([thing.id], scene.arranged.ids_in_use),
    }
    pictures = {name: scene.edited(edit).render("edited", camera).numpy() for name, edit in changes.items()}
    unseen = scene.edited(changes["removed"]).render("unseen", camera).numpy()
    pictures["removed: what no photograph saw"] = (1 - unseen) * pictures["removed"] + unseen * np.array([1.0, 0, 0.8])
    return pictures


def composition(room: Path, table: Path, thing: str) -> dict[str, np.ndarray]:
    """Things of the table in the room, and whose each pixel is."""
    objects = [
        {"run": str(table), "object": thing, "at": [0.75, -0.25, 0.74], "turn": 90},
        {"run": str(table), "object": thing, "at": [-1.0, 0.3, 0.01], "turn": 200, "scale": 1.6},
    ]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "scene.json"
        file.write_text(json.dumps({"scene": str(room), "objects": objects}))
        scene = compose(file)
    pictures, colors = {}, np.random.default_rng(3).uniform(0.15, 0.95, (256, 3))
    colors[0] = 0
    for number, view in enumerate((0, 3, 6), 1):
        layers = layers_of(scene.arranged, scene.cameras()[view : view + 1])
        pictures[f"view {number}"] = layers.picture[..., :3]
        pictures[f"whose each pixel is, {number}"] = colors[layers.labels]
    return {name: pictures[name] for name in sorted(pictures, key=lambda name: name.startswith("whose"))}


def main() -> None:
    table, room = (Path(argument).resolve() for argument in sys.argv[1:3])
    FOLDER.mkdir(exist_ok=True)
    torch.manual_seed(0)
    scene = load(table)
    thing = largest_standing(scene)[0]
    save_film(FOLDER / "turntable.webp", scene.film(thing, frames=24, size=224, transparent=True, shadow=True), fps=12)
    strip(edits(scene), FOLDER / "edits.jpg", columns=4)
    strip(composition(room, table, thing), FOLDER / "composition.jpg", columns=3)


if __name__ == "__main__":
    main()
