"""A picture in tiles that are frames of their own, and what there is to see of it until all are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import interpolate

from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import Output
from disconerf_ns.scene.arranged import ArrangedScene


@dataclass(frozen=True)
class Tile:
    """A rectangle of a picture, from the first row and column to before the last."""

    top: int
    bottom: int
    left: int
    right: int

    def pixels(self, width: int) -> Int[Tensor, "pixels"]:
        """Indices of its pixels in a flat picture of some width."""
        rows, columns = torch.arange(self.top, self.bottom), torch.arange(self.left, self.right)
        return (rows[:, None] * width + columns).flatten()

    def distance(self, pixels: Float[Tensor, "n 2"]) -> float:
        """Distance to the nearest of some pixels, given by row and column; 0 if one lies in it."""
        low = torch.tensor([self.top, self.left]).to(pixels)
        high = torch.tensor([self.bottom - 1, self.right - 1]).to(pixels)
        return float((pixels - pixels.clamp(low, high)).norm(dim=-1).min())


@dataclass(frozen=True)
class Tiles:
    """A picture whose tiles are frames of their own."""

    whole: Frame
    """The frame before it was divided."""
    tiles: tuple[Tile, ...]
    frames: tuple[Frame, ...]

    @classmethod
    def of(cls, whole: Frame, side: int) -> Tiles:
        """A frame in tiles of about such a side in pixels; they take over what the frame keeps."""
        height, width = whole.shape
        tiles = tuple(Tile(*rows, *columns) for rows in _steps(height, side) for columns in _steps(width, side))
        return cls(
            Frame(whole.scene, whole.rays, whole.shape, whole.keep),
            tiles,
            tuple(whole.at(tile.pixels(width), (tile.bottom - tile.top, tile.right - tile.left)) for tile in tiles),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width) of the picture."""
        return self.whole.shape

    def under(self, scene: ArrangedScene) -> Tiles:
        """The same picture of another arranged scene; what is still valid there is taken over."""
        return replace(self, frames=tuple(frame.under(scene) for frame in self.frames))

    def joined(self) -> Frame:
        """The whole frame with what all tiles keep."""
        return self.whole.joined(self.frames, [tile.pixels(self.shape[1]) for tile in self.tiles])

    def nearest_first(self, focus: Bool[Tensor, "h w"] | None) -> list[tuple[Tile, Frame]]:
        """The tiles by their distance from some pixels, or if there are none from the middle of the picture."""
        middle = torch.tensor(self.shape)[None] / 2 - 0.5
        goal = focus.nonzero().cpu().float() if focus is not None and focus.any() else middle
        return sorted(zip(self.tiles, self.frames), key=lambda each: (each[0].distance(goal), each[0].distance(middle)))


def _steps(length: int, side: int) -> list[tuple[int, int]]:
    """A length in equal steps, up to a pixel, of about `side` or less."""
    count = -(-length // side)
    return list(pairwise(number * length // count for number in range(count + 1)))


class Images:
    """The images of a frame."""

    def __init__(self, frame: Frame):
        self.frame, self.scene = frame, frame.scene

    def values(self, output: Output) -> Float[Tensor, "h w c"]:
        """An output's values."""
        return self.frame.image(output.draw(self.frame))

    def outlines(self, output: Output) -> bool:
        """Whether it can be asked which objects an output shows."""
        return output.outlined

    def ids(self, output: Output) -> Int[Tensor, "h w"]:
        """The objects that an output shows, by id; -1 for none."""
        return self.frame.image(output.ids(self.frame))[..., 0]


class Canvas:
    """The images of a picture that is being painted: a coarse one, and over it one finished tile after the other.

    Args:
        coarse: a frame of the same view, of any size.
        shape: (height, width) of the picture.
        drawn: the outputs that are painted, the first of which stands for all others.
        outlining: whether it is asked which objects they show.
    """

    def __init__(self, coarse: Frame, shape: tuple[int, ...], drawn: Sequence[Output], outlining: bool):
        self.scene, self.shape, self._drawn = coarse.scene, shape, {output.name: output for output in drawn}
        self._outlined = {output.name: output for output in drawn if outlining and output.outlined}
        of = Images(coarse)
        self._values = {name: resized(of.values(output), shape, "bilinear") for name, output in self._drawn.items()}
        self._ids = {
            name: resized(of.ids(output)[..., None], shape, "nearest-exact")[..., 0]
            for name, output in self._outlined.items()
        }

    def paint(self, tile: Tile, frame: Frame) -> None:
        """Paint a tile as its frame shows it."""
        of, at = Images(frame), (slice(tile.top, tile.bottom), slice(tile.left, tile.right))
        for name, output in self._drawn.items():
            self._values[name][at] = of.values(output)
        for name, output in self._outlined.items():
            self._ids[name][at] = of.ids(output)

    def values(self, output: Output) -> Float[Tensor, "h w c"]:
        """An output's values, or those of the first that was painted."""
        return self._values.get(output.name, next(iter(self._values.values()))).clone()

    def outlines(self, output: Output) -> bool:
        """Whether it can be asked which objects an output shows."""
        return output.name in self._ids

    def ids(self, output: Output) -> Int[Tensor, "h w"]:
        """The objects that an output shows, by id; -1 for none."""
        return self._ids[output.name]


def resized(image: Shaped[Tensor, "h w c"], shape: tuple[int, ...], mode: str) -> Shaped[Tensor, "..."]:
    """An image of another size."""
    smooth = {"align_corners": False} if mode == "bilinear" else {}
    return (
        interpolate(image.movedim(-1, 0)[None].float(), tuple(shape), mode=mode, **smooth)[0].movedim(0, -1).to(image)
    )
