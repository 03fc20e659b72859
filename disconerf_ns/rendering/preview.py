"""Objects and edits at once, from one point a ray and in blocks of pixels, until there is time for all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from disconerf_ns.rendering.edited import PlacedSamples, meets, place
from disconerf_ns.rendering.labels import Labels, label_pixels
from disconerf_ns.rendering.left import OwnedSamples, passes_something
from disconerf_ns.rendering.sampled import SampledRays
from disconerf_ns.rendering.strategy import Exact
from disconerf_ns.scene.arranged import ArrangedScene, Placement
from disconerf_ns.scene.clean import Body


@dataclass(frozen=True)
class Preview:
    """Answers questions about objects with one point a ray, edits with few rays; the frame's scene is at hand.

    Pixels that showed mostly what is hidden now share the samples of one of their block; the others show what is left
    of their own. A sample whose owner is not known yet, or is several in parts, counts to the pixel's object.
    """

    most: int
    """Rays that are sampled of what stays; a few more of what is placed, where blocks are cut by outlines."""

    def labels(self, frame: SampledRays) -> Labels:
        """The object that each ray sees, from the middle one of its surface points."""
        if frame.has_labels:
            return Exact().labels(frame)
        images = frame.images()
        middle = images["points"][:, images["points"].shape[1] // 2, None]
        compute = lambda: label_pixels(frame.scene, middle, images["surface_opacity"])
        return frame.once("quick labels", frame.labels_key, compute)

    def place(self, frame: SampledRays, number: int) -> PlacedSamples:
        """About what the rays meet of a placement: rays of a block share the samples of one."""
        if frame.has_placed(number):
            return Exact().place(frame, number)
        each = frame.scene.placements[number]
        key = frame.placements_key[number], each.is_at_hand
        return frame.once(f"placed preview {number}", key, lambda: self._place(frame, each))

    def _place(self, frame: SampledRays, each: Placement) -> PlacedSamples:
        body = each.body if each.is_at_hand else Body(each.scene.bodies.occupancy(each.id))
        device = each.scene.trained.radiance.device
        met = meets(each, frame.rays.to(device), body).nonzero()[:, 0]
        side = math.ceil(math.sqrt(len(met) / self.most)) or 1
        block, first = blocks(met, frame.shape[1], side)
        placed = place(each, frame.rays[met[first].to(frame.rays.origins.device)], body)
        hit = torch.full((len(first),), -1, device=device)
        hit[placed.rays] = torch.arange(len(placed.rays), device=device)
        shared = (hit[block] >= 0).nonzero()[:, 0]
        return placed.at(hit[block[shared]])._replace(rays=met[shared])

    def remembers(self, frame: SampledRays) -> bool:
        """Whether it keeps any samples."""
        return frame.keep

    def shown(self, scene: ArrangedScene) -> ArrangedScene:
        """The scene, not completed where that would take time."""
        return scene if scene.reveals_at_once else scene.with_options(complete=False)

    def edited(self, frame: SampledRays) -> OwnedSamples:
        """About what the rays meet under the edit."""
        key = frame.scene, frame.scene.reveals_at_once
        return frame.once("preview", key, lambda: self._edited(frame.under(self.shown(frame.scene))))

    def _edited(self, frame: SampledRays) -> OwnedSamples:
        start = frame.start(lambda: self._unedited(frame))
        samples, ids = start.owned
        hidden = frame.scene.table.density < 1
        before, left = samples.weights.sum(-1), samples.weights * ~hidden[ids]
        after = left.sum(-1)
        owned = OwnedSamples(samples._replace(weights=left * (before / after.clamp(min=1e-6))[:, None]), ids)
        revealed = (start.thinned | (start.met & (after < before / 2))).nonzero()[:, 0]
        if len(revealed) == 0:
            return owned
        rays = frame.rays[revealed.to(frame.rays.origins.device)].to(hidden.device)
        met = passes_something(frame.scene, rays)
        block, first = self._blocks(revealed, int(met.sum()), frame.shape[1])
        return owned.replaced(revealed, frame.resample(revealed[first]).certain.at(block))

    def _blocks(
        self, pixels: Int[Tensor, "pixels"], count: int, width: int
    ) -> tuple[Int[Tensor, "pixels"], Int[Tensor, "blocks"]]:
        """The block of each pixel, and the first pixel of each block.

        Blocks are as small as `most` allows; `count` of the pixels cost something. Scattered ones need larger blocks.
        """
        side = math.ceil(math.sqrt(count / self.most)) or 1
        block, first = blocks(pixels, width, side)
        while len(first) > self.most and side < width:
            side += 1
            block, first = blocks(pixels, width, side)
        return block, first

    def _unedited(self, frame: SampledRays) -> OwnedSamples:
        if frame.knows_owners:
            return frame.unedited()
        samples = frame.scene_samples()
        return OwnedSamples(samples, self.labels(frame).id.clamp(min=0)[:, None].expand_as(samples.weights))


def blocks(pixels: Int[Tensor, "pixels"], width: int, side: int) -> tuple[Int[Tensor, "pixels"], Int[Tensor, "blocks"]]:
    """The square block in which each of some pixels of an image lies, and the first of these pixels in each block."""
    corner = pixels // width // side * width + pixels % width // side
    corners, block = corner.unique(return_inverse=True)
    place = torch.arange(len(pixels), device=pixels.device)
    first = torch.full((len(corners),), len(pixels), device=pixels.device)
    return block, first.scatter_reduce(0, block, place, "amin")
