"""How a frame finds out what takes long: exactly, or in another way of the same form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from disconerf_ns.rendering.edited import PlacedSamples, place
from disconerf_ns.rendering.labels import Labels, label_pixels
from disconerf_ns.rendering.left import OwnedSamples
from disconerf_ns.rendering.sampled import SampledRays
from disconerf_ns.scene.arranged import ArrangedScene


@runtime_checkable
class Strategy(Protocol):
    """Answers questions about the rays of a frame."""

    def labels(self, frame: SampledRays) -> Labels:
        """The object that each ray sees."""
        ...

    def remembers(self, frame: SampledRays) -> bool:
        """Whether edits are answered from samples that the frame keeps; otherwise its rays are sampled anew."""
        ...

    def shown(self, scene: ArrangedScene) -> ArrangedScene:
        """The scene as its edit is shown."""
        ...

    def edited(self, frame: SampledRays) -> OwnedSamples:
        """Samples that the rays of a frame that keeps samples meet under the edit, of what was not moved."""
        ...

    def place(self, frame: SampledRays, number: int) -> PlacedSamples:
        """Samples that the rays meet of one of the scene's placements, by its number."""
        ...


@dataclass(frozen=True)
class Exact:
    """Objects are looked up at all surface points, edits on all rays that they change."""

    def labels(self, frame: SampledRays) -> Labels:
        """The object that each ray sees, from all of its surface points."""

        def compute() -> Labels:
            images = frame.images()
            return label_pixels(frame.scene, images["points"], images["surface_opacity"])

        return frame.once("labels", frame.labels_key, compute)

    def remembers(self, frame: SampledRays) -> bool:
        """Whether each of its samples has one owner."""
        return frame.remembers_owners

    def shown(self, scene: ArrangedScene) -> ArrangedScene:
        """The scene itself."""
        return scene

    def place(self, frame: SampledRays, number: int) -> PlacedSamples:
        """Samples of all rays."""
        each, key = frame.scene.placements[number], frame.placements_key[number]
        return frame.once(f"placed {number}", key, lambda: place(each, frame.rays))

    def edited(self, frame: SampledRays) -> OwnedSamples:
        """Samples that the rays meet under the edit; rays that met something hidden are sampled again."""
        start = frame.start(frame.unedited)
        owned, affected = start.owned, start.affected
        if len(affected) > 0:
            owned = owned.replaced(affected, frame.resample(affected))
        return frame.settle(owned)
