"""What rays meet: samples of the scene as it is and of what an edit leaves, with their owners.

What was sampled for one edit is the start of the next: only the rays that met something whose density changed are
sampled again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Int
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.rendering import left
from disconerf_ns.rendering import rays as tracing
from disconerf_ns.rendering.kept import Entry
from disconerf_ns.rendering.kept_rays import KeptRays
from disconerf_ns.rendering.left import OwnedSamples, Start
from disconerf_ns.rendering.rays import ColoredSamples


@dataclass(eq=False)
class SampledRays(KeptRays):
    """Rays through a scene, and what they meet."""

    # ---------------------------------------------------------------- the scene as it is

    def images(self) -> dict[str, Tensor]:
        """nerfacto's images of the whole scene, and the points at which objects are looked up."""
        return self._scene()[0]

    @property
    def has_images(self) -> bool:
        """Whether the whole scene's images are kept."""
        return self.has("scene", self._scene_key)

    def scene_samples(self) -> ColoredSamples:
        """Samples that rays which keep them meet in the scene as it is."""
        samples = self._scene()[1]
        if samples is None:
            raise ValueError("this frame keeps no samples")
        return samples

    def _scene(self) -> tuple[dict[str, Tensor], ColoredSamples | None]:
        return self.once("scene", self._scene_key, lambda: self.in_chunks(self._render_scene))

    @property
    def _scene_key(self) -> Hashable:
        return self.scene.trained, self.scene.options.surface_points

    def _render_scene(self, rays: RayBundle) -> tuple[dict[str, Tensor], ColoredSamples | None]:
        images, samples = tracing.render_scene(self.scene.trained.radiance, rays, self.scene.options.surface_points)
        return images, samples if self.keep else None

    def unedited(self) -> OwnedSamples:
        """Samples that rays which keep them meet in the scene as it is, and their owners."""
        samples = self.scene_samples()
        return OwnedSamples(
            samples, self.once("owners", self.scene.ownership, lambda: self.scene.owners(samples.positions))
        )

    @property
    def remembers_owners(self) -> bool:
        """Whether edits are answered from samples that are kept with their owners."""
        return self.keep and self.scene.options.extraction == "hard"

    @property
    def knows_owners(self) -> bool:
        """Whether such samples are at hand."""
        return self.remembers_owners and self.has("owners", self.scene.ownership)

    # ---------------------------------------------------------------- what an edit leaves

    def start(self, unedited: Callable[[], OwnedSamples]) -> Start:
        """Samples that are at hand, and the rays that have to be sampled again without what is hidden.

        If more is hidden than in the last edit, its samples are the start; otherwise the scene's own are. Objects that
        weigh too little alone count together, so that the way to an edit makes no difference.

        Args:
            unedited: gives the scene's own samples.
        """
        before, now = self.kept.entries.get("edited"), self._settling
        if before is None or not isinstance(before.key, _Settling) or not before.key.leads_to(now):
            before = Entry(None, unedited())
        owned: OwnedSamples = before.result
        met = owned.seen(self.scene.table.density < 1)
        if before.key == now:
            return Start(owned, met, torch.zeros_like(met))
        return Start(owned, met, self.once("thinned", (before.key, now), lambda: left.thinned(self.scene, owned)))

    @property
    def _settling(self) -> _Settling:
        hidden = (self.scene.table.density < 1).nonzero()[:, 0]
        return _Settling(self.scene.ownership, self.scene.revealed.key, frozenset(hidden.tolist()))

    def resample(self, rays: Int[Tensor, "some"]) -> OwnedSamples:
        """Samples that some rays, by index, meet under the edit, and their owners."""
        with self.scene.trained.radiance.still():
            chosen = self.rays[rays.to(self.rays.origins.device)].to(self.scene.trained.radiance.device)
            return left.sample_edited(self.scene, chosen)

    def settle(self, owned: OwnedSamples) -> OwnedSamples:
        """Keep what the rays meet under the edit, as a start for further edits."""
        self.kept.put("edited", self._settling, owned)
        return owned

    # ---------------------------------------------------------------- what is known of labels and of what was moved

    @property
    def labels_key(self) -> Hashable:
        """The values from which labels are computed; equal ones have equal labels."""
        return self.scene.ownership, self.scene.options.surface_points

    @property
    def has_labels(self) -> bool:
        """Whether the exact labels are kept."""
        return self.has("labels", self.labels_key)

    @property
    def placements_key(self) -> tuple[Hashable, ...]:
        """What the samples of each placement depend on."""
        placed = self.scene.placements
        return tuple(
            (each.scene.ownership, each.scene.options.clean, each.scene.options.complete, each.id, each.place)
            for each in placed
        )

    def has_placed(self, number: int) -> bool:
        """Whether the samples of a placement, by its number, are kept."""
        return self.has(f"placed {number}", self.placements_key[number])


class _Settling(NamedTuple):
    """The key of samples that were drawn under an edit: all that they depend on."""

    ownership: Hashable
    revealed: Hashable
    """`Revealed.key` of the edit."""
    hidden: frozenset[int]
    """Ids that are hidden, at least in part."""

    def leads_to(self, other: _Settling) -> bool:
        """Whether the samples can be the start of another edit's, which hides no less of the same objects."""
        return self._replace(hidden=other.hidden) == other and self.hidden <= other.hidden
