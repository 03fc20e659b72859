"""The pixels of a photograph that nerfstudio teaches the radiance field: inside its masks and its fisheye radius.

The object stage looks at the same pixels only: behind all others is nothing that any photograph has taught.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool
from nerfstudio.data.utils.data_utils import get_image_mask_tensor_from_path

from disconerf_ns.errors import UserError, reason
from disconerf_ns.masks.image_masks import resample, sampled
from disconerf_ns.masks.opening import picture

ONE_CHANNEL = {"1", "L", "P", "I", "I;16", "F"}
"""Pillow's modes of one number per pixel, in the byte order that torch can read."""


def inside_radius(height: int, width: int, radius: float, rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
    """The pixels of a view whose centres lie within a radius around the middle of its photograph.

    nerfstudio draws its rays around pixel (height // 2, width // 2), not around the principal point.

    Args:
        height, width: size of the photograph in pixels.
        radius: in the photograph's pixels.
        rows, columns: size of the view, whose pixels are the photograph's as `resample` takes them.
    """
    y = sampled(height, rows) + 0.5 - height // 2
    x = sampled(width, columns) + 0.5 - width // 2
    return y[:, None] ** 2 + x**2 < radius**2


def inside_mask(file: Path, rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
    """The pixels of a view that nerfstudio's `mask_path` keeps, which are those that are not 0."""
    return resample(get_image_mask_tensor_from_path(file)[..., 0].numpy(), rows, columns)


def check_masks(masks: list[Path], images: list[Path]) -> None:
    """Say in one sentence which of its own masks nerfstudio cannot read.

    Raises:
        UserError: a mask is missing, has several channels, or has another size than its photograph.
    """
    for mask, image in zip(masks, images):
        size, mode = _header(mask)
        if mode not in ONE_CHANNEL:
            raise UserError(
                f"mask_path: {mask} has pixels of mode {mode}, but nerfstudio reads masks of one channel only; save it "
                "in grey (mode L), 0 where the photograph is not to be used."
            )
        if size != (of_image := _header(image)[0]):
            raise UserError(
                f"mask_path: {mask} is {size[0]} x {size[1]}, but its photograph {image.name} is {of_image[0]} x "
                f"{of_image[1]}; save the mask at the photograph's size."
            )


def _header(path: Path) -> tuple[tuple[int, int], str]:
    try:
        with picture(path) as image:
            return image.size, image.mode
    except (OSError, ValueError) as error:
        raise UserError(f"mask_path: {path} cannot be read ({reason(error)}).") from error
