"""Folders of segment-anything's `amg.py`, one per image: a PNG per mask, and metadata.csv."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
from PIL import Image

from disconerf_ns.files import write_whole
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.formats.files import below, by_image, check_size, image_size, refuse_void, sampled_files, unsaid
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.image_masks import ImageMasks, Mask
from disconerf_ns.masks.numbers import Void
from disconerf_ns.masks.opening import picture

TABLE = "metadata.csv"
BOX = ("bbox_x0", "bbox_y0", "bbox_w", "bbox_h")
CROP = ("crop_box_x0", "crop_box_y0", "crop_box_w", "crop_box_h")
COLUMNS = ("id", "area", *BOX, "point_input_x", "point_input_y", "predicted_iou", "stability_score", *CROP)


def recognises(path: Path) -> bool:
    """A folder with a metadata.csv of these columns at any depth."""
    return any(table.read_text(errors="replace").startswith("id,area,") for table in sampled_files(tables(path)))


def tables(path: Path) -> list[Path]:
    """The generator's tables below a folder."""
    return [file for file in below(path, ".csv") if file.name == TABLE]


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """Folders by the images' names."""
    refuse_void(void, path)
    return by_image([table.parent for table in tables(path)], path, images, _load)


def _load(folder: Path, image: Path) -> Loaded:
    with (folder / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    ious, stabilities = ([_score(row[name]) for row in rows] for name in ("predicted_iou", "stability_score"))
    rles = [run_length.encode(_mask(folder / f"{row['id']}.png", image)) for row in rows]
    sizes = [rle["size"] for rle in rles] or [list(image_size(image))]
    if sizes.count(sizes[0]) < len(sizes):
        raise ValueError("its masks have different sizes")
    height, width = sizes[0]
    return Loaded(ImageMasks(height, width, tuple(map(Mask.from_rle, rles, ious, stabilities))))


def _mask(path: Path, image: Path) -> np.ndarray:
    with picture(path) as drawn:
        check_size(path, drawn.height, drawn.width, image)
        return np.asarray(drawn.convert("L")) > 127


def _score(text: str | None) -> float | None:
    if not text:
        return None
    score = run_length.number(text)
    if score is None:
        raise ValueError(f"the score {text[:40]!r} in {TABLE} is not a finite number")
    return score


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write folders as `amg.py` does; the columns of SAM's prompt points stay empty, since masks do not record them."""
    lost = Losses()
    for key, image_masks in masks:
        lost += unsaid(image_masks, "looked_at", "level")
        table = StringIO(newline="")
        rows: csv.DictWriter[str] = csv.DictWriter(table, COLUMNS, restval="", lineterminator="\n")
        rows.writeheader()
        for number, mask in enumerate(image_masks.annotations):
            content = BytesIO()
            Image.fromarray(255 * run_length.decode(mask.rle).astype(np.uint8)).save(content, format="PNG")
            write_whole(path / key / f"{number}.png", content.getvalue())
            scores = {"predicted_iou": mask.predicted_iou, "stability_score": mask.stability_score}
            rows.writerow(
                {"id": number, "area": mask.area, **dict(zip(BOX, mask.bbox)), **scores}
                | dict(zip(CROP, (0, 0, image_masks.width, image_masks.height)))
            )
        write_whole(path / key / TABLE, table.getvalue())
    return lost
