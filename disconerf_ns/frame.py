"""The images of one camera, each computed when it is first asked for.

A frame that is kept answers edits without asking the networks for what did not change: colours are mixed anew from the
samples that the rays met, and only the rays that met something whose density changed are sampled again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns import rendering
from disconerf_ns.edit import EditTable
from disconerf_ns.outputs import LazyOutputs
from disconerf_ns.rendering import ColoredSamples
from disconerf_ns.surface import SOLID, render_slots

if TYPE_CHECKING:
    from disconerf_ns.model import DiscoNerfModel

OWNED = 1e-5
"""Probability, summed over the objects that may own a pixel, below which it is nobody's and confidence falls to 0."""
SEEN = 1 / 512
"""Part of a pixel from which on an object's removal is seen in it: half a step of its 8 bits."""
HIDDEN = (0.1, 0.1, 0.1)
"""Colour of hidden objects where objects are drawn in their colours."""
BACKGROUNDS = {"white": 1.0, "black": 0.0}
"""Grey value of what surrounds an object that is rendered alone."""


class Frame:
    """What one camera sees of a model.

    Args:
        model: the model; its edit may change between calls, its weights may not.
        rays: the camera's rays, flat.
        shape: (height, width) of the images, or the number of rays.
        keep: hold the rays' samples, so that the images of another edit come quickly; 200 bytes a ray and more.
    """

    def __init__(self, model: DiscoNerfModel, rays: RayBundle, shape: tuple[int, ...], keep: bool = False):
        self.model, self.rays, self.shape, self.keep = model, rays, shape, keep
        self.background = BACKGROUNDS[model.config.object_background]
        self._kept: dict[str, tuple[Hashable, Any]] = {}

    def _once(self, name: str, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Compute in evaluation mode, unless it was the last time under the same key."""
        if name not in self._kept or self._kept[name][0] != key:
            with self.model.still():
                self._kept[name] = key, compute()
        return self._kept[name][1]

    def _chunks(self, render: Callable[[RayBundle], Any]) -> list[Any]:
        size = self.model.config.eval_num_rays_per_chunk
        return [render(self.rays[i : i + size].to(self.model.device)) for i in range(0, len(self.rays), size)]

    @staticmethod
    def _joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    # ---------------------------------------------------------------- images, flat

    def scene(self) -> dict[str, Tensor]:
        """nerfacto's outputs and the points at which objects are looked up."""
        return self._scene()[0]

    def _scene(self) -> tuple[dict[str, Tensor], ColoredSamples | None]:
        def compute():
            if not self.keep:
                return self._joined(self._chunks(lambda rays: rendering.render_scene(self.model, rays))), None
            parts = self._chunks(lambda rays: rendering.render_scene_and_samples(self.model, rays))
            images, samples = zip(*parts)
            return self._joined(images), ColoredSamples.cat(samples)

        return self._once("scene", None, compute)

    def labels(self) -> dict[str, Tensor]:
        """Per ray the id of the object with the largest O (-1 where there is no surface), and its confidence.

        Confidence is that O as a part of all that may own the ray, times the opacity; next to nothing if nobody may.
        """

        def compute():
            scene = self.scene()
            return label_pixels(self.model, scene["points"].flatten(0, -2), scene["surface_opacity"].flatten())

        return self._once("labels", self._structure, compute)

    def colors(self) -> Float[Tensor, "rays 3"]:
        """The colours of the objects; black where there is none, and where it is less sure than asked for."""
        labels, table = self.labels(), torch.zeros(self.model.ids + 1, 3, device=self.model.device)
        for found in self.model.objects:
            color = HIDDEN if found.slot in self.model.edit.hidden else found.color
            table[found.slot] = torch.tensor(color, device=table.device)
        return table[self._sure(labels)] * labels["opacity"][:, None]

    def _sure(self, labels: dict[str, Tensor]) -> Shaped[Tensor, "rays"]:
        return torch.where(labels["confidence"] >= self.model.config.min_confidence, labels["id"], -1)

    def edited(self) -> Float[Tensor, "rays 3"]:
        """The scene under the model's edit."""
        edit = self.model.edit
        if not edit.repaints:
            return self.scene()["rgb"]
        table = edit.table(self.model.object_field.slots, self.model.device)
        if not self.remembers_owners:
            key = edit.hidden, tuple(edit.colors.items()), self._structure
            return self._once("plain edited", key, lambda: torch.cat(self._chunks(partial(self._render_edited, table))))
        samples, ids = self._edited_samples(table)
        return rendering.compose(self.model, samples, table, ids, self.background)

    def _render_edited(self, table: EditTable, rays: RayBundle) -> Float[Tensor, "rays 3"]:
        return rendering.render_edited(self.model, rays, table, self.model.owners, self.background)

    @property
    def remembers_owners(self) -> bool:
        """Whether edits are answered from samples that are kept with their owners."""
        return self.keep and self.model.config.extraction == "hard"

    @property
    def knows_owners(self) -> bool:
        """Whether such samples are at hand."""
        return self.remembers_owners and self._kept.get("owners", (None,))[0] == self._structure

    def edited_ids(self) -> Shaped[Tensor, "rays"]:
        """Per ray of a frame that remembers owners the id that weighs most under the edit; -1 where little is left."""
        table = self.model.edit.table(self.model.object_field.slots, self.model.device)
        samples, ids = self._edited_samples(table)
        weights = torch.zeros(len(ids), self.model.ids, device=ids.device).scatter_add_(1, ids, samples.weights)
        largest, id = weights.max(-1)
        return torch.where(largest > SOLID / 2, id, -1)

    def _edited_samples(self, table: EditTable) -> tuple[ColoredSamples, Shaped[Tensor, "rays samples"]]:
        """What the rays of a kept frame meet under an edit, and its owners."""
        hidden = table.density < 1
        samples, ids, affected = self._start(hidden)
        if len(affected) > 0:
            fresh, fresh_ids = self._sampled(affected, table)
            samples, ids = samples.replaced(affected, fresh), ids.index_copy(0, affected, fresh_ids)
        self._kept["edited"] = self._structure, (hidden, samples, ids)
        return samples, ids

    def _sampled(
        self, rays: Int[Tensor, "some"], table: EditTable
    ) -> tuple[ColoredSamples, Shaped[Tensor, "some samples"]]:
        """What some rays, by index, meet under an edit, and its owners."""
        with self.model.still():
            some = self.rays[rays.to(self.rays.origins.device)].to(self.model.device)
            return rendering.sample_edited(self.model, some, table.density, self.model.owners)

    def _start(self, hidden: Bool[Tensor, "ids"]):
        """Samples that are at hand, their owners, and the rays that have to be sampled again without what is hidden.

        Where more is hidden than before, rays change that met it; where less is, all are made from the scene's own.
        """
        structure, before = self._kept.get("edited", (None, None))
        if before is not None and structure == self._structure and not (before[0] & ~hidden).any():
            (_, samples, ids), changed = before, hidden & ~before[0]
        else:
            (samples, ids), changed = self._base(), hidden
        return samples, ids, seen(samples, ids, changed).nonzero()[:, 0]

    def waiting(self, names: Sequence[str]) -> int:
        """Rays that the networks have to be asked about, once or more often, before some outputs can be drawn."""
        return max((self._waiting(name) for name in names), default=0)

    def _waiting(self, name: str) -> int:
        kept = {key for key, (of, _) in self._kept.items() if of in (None, self._structure)}
        if "scene" not in kept:
            return len(self.rays)
        if name.startswith("object_"):
            ids = [found.slot for found in self.model.objects if name.startswith(found.name)]
            return 0 if all(f"alone {id}" in kept for id in ids) else len(self.rays)
        if name == "edited" and self.model.edit.repaints:
            if not self.knows_owners:
                return len(self.rays)
            table = self.model.edit.table(self.model.object_field.slots, self.model.device)
            return len(self._start(table.density < 1)[2])
        if name in ("objects", "objects_overlay", "confidence"):
            return 0 if "labels" in kept else len(self.rays)
        return 0

    def _base(self) -> tuple[ColoredSamples, Shaped[Tensor, "rays samples"]]:
        _, samples = self._scene()
        ids = self._once("owners", self._structure, lambda: self.model.owners(samples.positions))
        return samples, ids

    def alone(self, id: int) -> dict[str, Tensor]:
        """One object on a plain background."""

        def compute():
            occupancy = self.model.occupancy(id)
            return self._joined(
                self._chunks(lambda rays: rendering.render_object(self.model, rays, id, occupancy, self.background))
            )

        return self._once(f"alone {id}", self._structure, compute)

    @property
    def _structure(self) -> Hashable:
        """What the images depend on besides the camera and the weights: which points belong to which id."""
        edit, config = self.model.edit, self.model.config
        return tuple(edit.merged.items()), tuple(edit.split.items()), config.extraction

    # ---------------------------------------------------------------- outputs by name

    def image(self, flat: Shaped[Tensor, "rays *c"]) -> Shaped[Tensor, "..."]:
        """An image on the rays' device."""
        return flat.to(self.rays.origins.device).reshape(*self.shape, -1)

    def outputs(self) -> LazyOutputs:
        """Every output of the model by name."""
        recipes: dict[str, Callable[[], Tensor]] = {
            name: (lambda name=name: self.image(self.scene()[name]))
            for name in ("rgb", "accumulation", "depth", "expected_depth")
        }
        objects = self.model.objects
        if not objects:
            return LazyOutputs(recipes)
        recipes["objects"] = lambda: self.image(self.colors())
        recipes["objects_overlay"] = lambda: self.image(0.4 * self.scene()["rgb"] + 0.6 * self.colors())
        recipes["confidence"] = lambda: self.image(self.labels()["confidence"])
        recipes["edited"] = lambda: self.image(self.edited())
        unlisted = {"label": lambda: self.image((self._sure(self.labels()) + 1).float())}
        for found in objects:
            part = lambda entry, id=found.slot: self.image(self.alone(id)[entry])  # noqa: E731
            recipes[found.name] = lambda part=part: part("rgb")
            recipes[f"{found.name}_mask"] = lambda part=part: part("accumulation")
            unlisted[f"{found.name}_depth"] = lambda part=part: part("depth")
        return LazyOutputs(recipes, unlisted)


def seen(
    samples: ColoredSamples, ids: Shaped[Tensor, "rays samples"], changed: Bool[Tensor, "ids"]
) -> Bool[Tensor, "rays"]:
    """Rays in which a change of some objects' densities is seen."""
    return (samples.weights * changed[ids]).sum(-1) > SEEN


def label_pixels(
    model: DiscoNerfModel, points: Float[Tensor, "points 3"], opacity: Float[Tensor, "rays"]
) -> dict[str, Tensor]:
    """Per ray the object with the largest O, the confidence in it, and the opacity.

    Args:
        points: contracted surface points, the same number for each ray.
        opacity: accumulation of the rays.
    """
    chunk, parts = model.config.eval_num_rays_per_chunk, []
    for some, solid in zip(points.view(len(opacity), -1, 3).split(chunk), opacity.split(chunk)):
        some, solid = some.to(model.device), solid.to(model.device)
        image = render_slots(model.object_probabilities(some.reshape(-1, 3)), solid)
        largest, id = image.max(-1)
        confidence = largest / image.sum(-1).clamp(min=OWNED) * solid
        parts.append({"id": torch.where(solid > SOLID, id, -1), "confidence": confidence.clamp(0, 1), "opacity": solid})
    return Frame._joined(parts)
