"""How selected objects are marked in a picture: tinted, with a line around them or along the picture's border."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from disconerf_ns.scene.objects import ObjectId

ROOM = 160
"""Least side of a picture whose outlines are two lines."""
TINT, TINTED = (0.35, 0.7, 1.0), 0.22
"""Colour that is laid over selected objects, and how much of it, in [0, 1]."""
AROUND = 0.5
"""Fraction of the pixels on a picture's border above which an object is the background there."""


def marked(
    image: Float[Tensor, "h w 3"], ids: Int[Tensor, "h w"], selected: frozenset[ObjectId]
) -> Float[Tensor, "h w 3"]:
    """An image with the selected objects tinted and outlined.

    The background would be outlined around everything else, so a frame along the picture's border stands for it.

    Args:
        ids: the object that each pixel shows.
    """
    background = frozenset(id for id in selected if is_background(ids == id))
    inside = among(ids, selected - background)
    image = torch.where(inside[..., None], (1 - TINTED) * image + TINTED * image.new_tensor(TINT), image)
    image = outline(image, inside)
    return inset(image) if background else image


def among(ids: Int[Tensor, "h w"], wanted: frozenset[ObjectId]) -> Bool[Tensor, "h w"]:
    """Whether pixels show one of some objects."""
    return torch.isin(ids, torch.tensor(sorted(wanted), dtype=ids.dtype, device=ids.device))


def is_background(inside: Bool[Tensor, "h w"]) -> bool:
    """Whether some pixels are more than half of those on the picture's border."""
    border = torch.cat([inside[0], inside[-1], inside[1:-1, 0], inside[1:-1, -1]])
    return float(border.float().mean()) > AROUND


def outline(image: Float[Tensor, "h w 3"], inside: Bool[Tensor, "h w"]) -> Float[Tensor, "h w 3"]:
    """An image with a white line around some pixels, not around specks, and a dark one around that if there is room."""
    smooth = avg_pool2d(inside[None].float(), 3, stride=1, padding=1)[0] > 0.5
    width = line_width(inside.shape)
    near = dilate(smooth, width)
    border = dilate(near, width) & ~near if has_room(inside.shape) else torch.zeros_like(near)
    return torch.where((near & ~smooth)[..., None], 1.0, torch.where(border[..., None], 0.4 * image, image))


def inset(image: Float[Tensor, "h w 3"]) -> Float[Tensor, "h w 3"]:
    """An image with a white line along its border, and a dark one inside of that if there is room."""
    height, width = image.shape[:2]
    rows, columns = torch.arange(height, device=image.device), torch.arange(width, device=image.device)
    inwards = torch.minimum(
        torch.minimum(rows, height - 1 - rows)[:, None], torch.minimum(columns, width - 1 - columns)
    )
    line = line_width((height, width))
    dark = (inwards < 2 * line) & has_room((height, width))
    return torch.where((inwards < line)[..., None], 1.0, torch.where(dark[..., None], 0.4 * image, image))


def line_width(shape: tuple[int, ...]) -> int:
    """Pixels across a line in a picture of a size."""
    return max(round(min(shape) / 200), 1)


def has_room(shape: tuple[int, ...]) -> bool:
    """Whether a picture of a size has room for two lines."""
    return min(shape) >= ROOM


def dilate(mask: Bool[Tensor, "h w"], by: int) -> Bool[Tensor, "h w"]:
    """A mask grown by some pixels, diagonally too."""
    return max_pool2d(mask[None].float(), 2 * by + 1, stride=1, padding=by)[0] > 0
