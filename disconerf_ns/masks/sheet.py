"""Contact sheets: pages with many photographs beside their masks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.palette import object_colors

PAPER, INK, WARNING = (24, 24, 27), (230, 230, 235), (255, 120, 90)
MARGIN, CAPTION = 8, 22
"""Width of the margin around a picture and height of the line below it, in pixels."""


def overlay(image: UInt8[np.ndarray, "h w 3"], masks: ImageMasks) -> UInt8[np.ndarray, "h w 3"]:
    """A photograph with its masks in colours, the smaller ones on top, each with a border.

    Pixels that no mask covers are grey and dim, and pixels that were not looked at are black.
    """
    height, width = image.shape[:2]
    grey = np.repeat(image.mean(-1, keepdims=True), 3, -1)
    drawn = 0.5 * grey
    colors = 255 * object_colors(len(masks))
    decoded = masks.decode(height, width)
    order = np.argsort([-mask.area for mask in masks.annotations], kind="stable")
    for number in order:
        mask = decoded[number]
        drawn[mask] = 0.45 * image[mask] + 0.55 * colors[number]
    drawn[~masks.decode_looked_at(height, width)] = 0
    drawn = np.ascontiguousarray(drawn.clip(0, 255).astype(np.uint8))
    for number in order:
        contours, _ = cv2.findContours(decoded[number].astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, contours, -1, (0.5 * colors[number] + 127).tolist(), 1)
    return drawn


def tile(
    image: UInt8[np.ndarray, "h w 3"], masks: ImageMasks, caption: str, warn: bool, longest: int
) -> UInt8[np.ndarray, "height width 3"]:
    """A photograph beside the same photograph with masks, and a line of text below.

    Args:
        caption: text of the line.
        warn: print the line in the colour of a warning.
        longest: pixels of the photograph's longer side.
    """
    height, width = (max(round(longest * side / max(image.shape[:2])), 1) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    page = Image.new("RGB", (2 * width + 3 * MARGIN, height + 2 * MARGIN + CAPTION), PAPER)
    page.paste(Image.fromarray(small), (MARGIN, MARGIN))
    page.paste(Image.fromarray(overlay(small, masks)), (width + 2 * MARGIN, MARGIN))
    font = ImageFont.load_default(15)
    place = (MARGIN, height + MARGIN + CAPTION // 2 + 2)
    ImageDraw.Draw(page).text(place, caption, fill=WARNING if warn else INK, font=font, anchor="lm")
    return np.asarray(page)


def sheet(tiles: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> UInt8[np.ndarray, "height width 3"]:
    """Tiles in rows on a page that is about square."""
    height, width = (max(tile.shape[side] for tile in tiles) for side in (0, 1))
    columns = min(max(round(math.sqrt(len(tiles) * height / width)), 1), len(tiles))
    rows = -(-len(tiles) // columns)
    page = np.full((rows * height, columns * width, 3), PAPER, np.uint8)
    for number, picture in enumerate(tiles):
        top, left = number // columns * height, number % columns * width
        page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return page
