"""One picture of a scene taken apart: masks that disagree, a held-out photograph, its objects, and each alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from disconerf_ns.datamanager import DiscoNerfDataManager
from disconerf_ns.masks.images import read_image
from disconerf_ns.masks.sheet import overlay
from disconerf_ns.pipeline import DiscoNerfPipeline

WIDTH, MARGIN, CAPTION = 1440, 24, 34
INK, PAPER = (40, 44, 52), (255, 255, 255)


def to_image(array: np.ndarray) -> Image.Image:
    """RGB floats in [0, 1] as a picture."""
    return Image.fromarray((array * 255).clip(0, 255).astype(np.uint8))


def masks_beside(datamanager: DiscoNerfDataManager, photograph: Path) -> list[UInt8[np.ndarray, "h w 3"]]:
    """The training photographs before and after one, by name, with their masks in colours."""
    names = datamanager.train_dataset.image_filenames
    order = sorted(range(len(names)), key=names.__getitem__)
    after = sum(name < photograph for name in names)
    beside = order[max(after - 1, 0)], order[min(after, len(order) - 1)]
    return [overlay(read_image(names[index]), datamanager.masks[index]) for index in beside]


def draw_overview(pipeline: DiscoNerfPipeline, view: int, stills: list[np.ndarray]) -> Image.Image:
    """Masks of two photographs, the held-out one between them and its objects, above each object alone.

    Args:
        pipeline: a trained run.
        view: held-out view.
        stills: a square picture of each of its objects, RGB floats in [0, 1].
    """
    dataset = pipeline.datamanager.eval_dataset
    outputs = pipeline.model.get_outputs_for_camera(dataset.cameras[view : view + 1].to(pipeline.device))
    before, after = map(Image.fromarray, masks_beside(pipeline.datamanager, dataset.image_filenames[view]))
    large = {
        "masks of a photograph": before,
        "masks of another one": after,
        "a held-out photograph": to_image(dataset[view]["image"][..., :3].numpy()),
        "its objects": to_image(outputs["objects_overlay"].cpu().numpy()),
    }
    columns = len(large)
    width = (WIDTH - (columns + 1) * MARGIN) // columns
    height = round(width * dataset[view]["image"].shape[0] / dataset[view]["image"].shape[1])
    per_row = -(-len(stills) // (1 if len(stills) <= 8 else 2)) if stills else 1
    side = (WIDTH - (per_row + 1) * MARGIN) // max(per_row, 6)
    rows = -(-len(stills) // per_row)
    page = Image.new("RGB", (WIDTH, MARGIN + height + CAPTION + rows * (side + CAPTION) + MARGIN), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(19)
    for column, (title, picture) in enumerate(large.items()):
        x = MARGIN + column * (width + MARGIN)
        page.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (x, MARGIN))
        draw.text((x + width / 2, MARGIN + height + 6), title, INK, font, anchor="ma")
    top = MARGIN + height + CAPTION + MARGIN // 2
    for number, (each, still) in enumerate(zip(pipeline.model.current.value.objects, stills)):
        row, column = divmod(number, per_row)
        there = min(per_row, len(stills) - row * per_row)
        gap = (WIDTH - there * side) / (there + 1)
        x, y = round(gap + column * (side + gap)), top + row * (side + CAPTION)
        page.paste(to_image(still).resize((side, side), Image.Resampling.LANCZOS), (x, y))
        color = tuple(round(255 * c) for c in each.color)
        draw.ellipse((x + side / 2 - 62, y + side + 4, x + side / 2 - 50, y + side + 16), fill=color)
        draw.text((x + side / 2 + 6, y + side), each.name, INK, font, anchor="ma")
    return page
