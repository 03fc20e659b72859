"""The folder per image that segment-anything's `amg.py` writes: a PNG per mask, and metadata.csv."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
from PIL import Image

from disconerf_ns.files import write_whole
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.formats import Images, Loaders, Losses
from disconerf_ns.masks.formats.files import below, by_image, image_size, sample, unsaid
from disconerf_ns.masks.image_masks import ImageMasks, Mask

TABLE = "metadata.csv"
BOX = ("bbox_x0", "bbox_y0", "bbox_w", "bbox_h")
CROP = ("crop_box_x0", "crop_box_y0", "crop_box_w", "crop_box_h")
COLUMNS = ("id", "area", *BOX, "point_input_x", "point_input_y", "predicted_iou", "stability_score", *CROP)


def recognises(path: Path) -> bool:
    """A folder with a metadata.csv of these columns somewhere below."""
    return any(table.read_text(errors="replace").startswith("id,area,") for table in sample(tables(path)))


def tables(path: Path) -> list[Path]:
    """The generator's tables below a folder."""
    return [file for file in below(path, ".csv") if file.name == TABLE]


def read(path: Path, images: Images) -> Loaders:
    """Folders named after images."""
    return by_image([table.parent for table in tables(path)], path, images, _load)


def _load(folder: Path, image: Path) -> ImageMasks:
    with (folder / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    ious, stabilities = ([_number(row[name]) for row in rows] for name in ("predicted_iou", "stability_score"))
    rles = [run_length.encode(_mask(folder / f"{row['id']}.png")) for row in rows]
    sizes = [rle["size"] for rle in rles] or [list(image_size(image))]
    if sizes.count(sizes[0]) < len(sizes):
        raise ValueError("its masks are of different sizes")
    return ImageMasks(*sizes[0], tuple(map(Mask.from_rle, rles, ious, stabilities)))


def _mask(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L")) > 127


def _number(text: str) -> float | None:
    return float(text) if text else None


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write folders as `amg.py` does; the points that it asked SAM about are not known."""
    lost = Losses()
    for key, found in masks:
        lost += unsaid(found, "looked_at", "level")
        table = StringIO(newline="")
        rows = csv.DictWriter(table, COLUMNS, restval="", lineterminator="\n")
        rows.writeheader()
        for number, about in enumerate(found.annotations):
            mask = run_length.decode(about.rle)
            content = BytesIO()
            Image.fromarray(255 * mask.astype(np.uint8)).save(content, format="PNG")
            write_whole(path / key / f"{number}.png", content.getvalue())
            scores = {"predicted_iou": about.predicted_iou, "stability_score": about.stability_score}
            rows.writerow(
                {"id": number, "area": about.area, **dict(zip(BOX, about.bbox)), **scores}
                | dict(zip(CROP, (0, 0, found.width, found.height)))
            )
        write_whole(path / key / TABLE, table.getvalue())
    return lost
