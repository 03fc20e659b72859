"""One picture of a scene taken apart: the photograph, its objects, the confidence, and the objects one by one."""

from __future__ import annotations

import numpy as np
from nerfstudio.utils.colormaps import apply_colormap
from PIL import Image, ImageDraw, ImageFont

from disconerf_ns.pipeline import DiscoNerfPipeline

WIDTH, MARGIN, CAPTION = 1440, 24, 34
INK, PAPER = (40, 44, 52), (255, 255, 255)


def to_image(array: np.ndarray) -> Image.Image:
    """RGB floats in [0, 1] as a picture."""
    return Image.fromarray((array * 255).clip(0, 255).astype(np.uint8))


def draw_overview(pipeline: DiscoNerfPipeline, view: int, stills: list[np.ndarray]) -> Image.Image:
    """Photograph, objects and confidence of a held-out view above a strip of extracted objects.

    Args:
        pipeline: a trained run.
        view: held-out view.
        stills: a square picture of each of its objects, RGB floats in [0, 1].
    """
    dataset = pipeline.datamanager.eval_dataset
    outputs = pipeline.model.get_outputs_for_camera(dataset.cameras[view : view + 1].to(pipeline.device))
    large = {
        "photograph (held out)": dataset[view]["image"][..., :3].numpy(),
        "radiance field": outputs["rgb"].cpu().numpy(),
        "objects": outputs["objects_overlay"].cpu().numpy(),
        "confidence": apply_colormap(outputs["confidence"]).cpu().numpy(),
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
        page.paste(to_image(picture).resize((width, height), Image.Resampling.LANCZOS), (x, MARGIN))
        draw.text((x + width / 2, MARGIN + height + 6), title, INK, font, anchor="ma")
    top = MARGIN + height + CAPTION + MARGIN // 2
    gap = (WIDTH - per_row * side) // (per_row + 1)
    for number, (each, still) in enumerate(zip(pipeline.model.current.value.objects, stills)):
        x, y = gap + number % per_row * (side + gap), top + number // per_row * (side + CAPTION)
        page.paste(to_image(still).resize((side, side), Image.Resampling.LANCZOS), (x, y))
        color = tuple(round(255 * c) for c in each.color)
        draw.ellipse((x + side / 2 - 62, y + side + 4, x + side / 2 - 50, y + side + 16), fill=color)
        draw.text((x + side / 2 + 6, y + side), each.name, INK, font, anchor="ma")
    return page
