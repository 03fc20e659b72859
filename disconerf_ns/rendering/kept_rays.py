"""Rays of one camera through an arranged scene, and results of theirs that are computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from jaxtyping import Int, Shaped
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.rendering.kept import Kept
from disconerf_ns.rendering.parts import together
from disconerf_ns.scene.arranged import ArrangedScene

Rays = TypeVar("Rays", bound="KeptRays")


@dataclass(eq=False)
class KeptRays:
    """Rays through one scene, and what is kept of them."""

    scene: ArrangedScene
    rays: RayBundle
    """The camera's rays, flat."""
    shape: tuple[int, ...]
    """(height, width) of the images, or the number of rays."""
    keep: bool = False
    """Whether the rays' samples are kept, so that the images of another edit come quickly; 200 bytes a ray and more."""
    kept: Kept = field(default_factory=Kept, kw_only=True, repr=False)
    """The results so far."""

    def under(self: Rays, scene: ArrangedScene) -> Rays:
        """The same rays through another arranged scene; what is still valid there is taken over."""
        return self if scene is self.scene else replace(self, scene=scene, kept=self.kept.copied())

    def at(self: Rays, rays: Int[Tensor, "some"], shape: tuple[int, ...]) -> Rays:
        """A selection of the rays, by index, with what is kept of them."""
        chosen = self.rays[rays.to(self.rays.origins.device)]
        return replace(self, rays=chosen, shape=shape, kept=self.kept.at(rays))

    def joined(self: Rays, parts: Sequence[Rays], rays: Sequence[Int[Tensor, "_"]]) -> Rays:
        """These rays with what all of their parts keep, instead of what is kept here.

        Args:
            parts: some of the rays each, through one scene, that have all rays together.
            rays: the indices of each part's rays.
        """
        return replace(self, scene=parts[0].scene, kept=Kept.joined([part.kept for part in parts], rays))

    def once(self, name: str, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Compute a result, unless it is kept under the same key: `key` is all that it depends on."""
        if not self.has(name, key):
            with self.scene.trained.radiance.still():
                self.kept.put(name, key, compute())
        return self.kept.entries[name].result

    def has(self, name: str, key: Hashable) -> bool:
        """Whether a result is kept under the same key."""
        return self.kept.has(name, key)

    def in_chunks(self, render: Callable[[RayBundle], Any]) -> Any:
        """Apply `render` to all rays, a number of them at a time, and join the results."""
        size, device = self.scene.options.rays_at_once, self.scene.trained.radiance.device
        chunks = [self.rays[i : i + size].to(device) for i in range(0, len(self.rays), size)]
        return together([render(chunk) for chunk in chunks], [len(chunk) for chunk in chunks])

    def image(self, flat: Shaped[Tensor, "rays *c"]) -> Shaped[Tensor, "..."]:
        """An image of the rays' shape on their device."""
        return flat.to(self.rays.origins.device).reshape(*self.shape, -1)
