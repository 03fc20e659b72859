"""Objects beside removed ones: what those hid of them is completed, in the colours of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from disconerf_ns.scene.bodies import Bodies
from disconerf_ns.scene.completion import Completed, Completion
from disconerf_ns.scene.edit_table import belonging
from disconerf_ns.scene.objects import ObjectId, overlap


@dataclass(frozen=True, eq=False)
class Revealed:
    """Completions of objects that are gone, and of those that are left beside them."""

    left: dict[ObjectId, Completion]
    gone: dict[ObjectId, Completion]
    boxes: Float[Tensor, "gone 2 3"]
    """Boxes around what is gone, in scene coordinates."""

    @classmethod
    def of(cls, bodies: Bodies, left: Iterable[ObjectId], gone: Iterable[ObjectId]) -> Revealed:
        """Complete objects that stay, and those that are gone, to know what they hide.

        Args:
            bodies: the objects in voxels.
            left: objects that stay.
            gone: absent objects beside them.
        """
        known = {id: completion for id in (*left, *gone) if (completion := bodies.completion(id)) is not None}
        device = bodies.trained.radiance.device
        boxes = [known[id].box if id in known else torch.tensor(bodies.boxes[id], device=device) for id in gone]
        hiding = torch.stack(boxes) if boxes else torch.zeros(0, 2, 3, device=device)
        return cls(
            {id: known[id] for id in left if id in known},
            {id: known[id] for id in gone if id in known},
            hiding,
        )

    @property
    def ids(self) -> frozenset[ObjectId]:
        """The objects whose completions count."""
        return frozenset((*self.left, *self.gone))

    def __call__(
        self,
        positions: Float[Tensor, "*n 3"],
        density: Float[Tensor, "*n"],
        rgb: Float[Tensor, "*n 3"],
        ids: Shaped[Tensor, "..."],
    ) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n 3"], Shaped[Tensor, "..."]]:
        """Density, colour and owners of scene positions, completed; what others own stays as it is.

        Args:
            positions: scene positions.
            density: of what is left there.
            rgb: its colour.
            ids: its owners, as `weigh` takes them.
        """
        if not self.left and not self.gone:
            return density, rgb, ids
        points, shape = positions.reshape(-1, 3), density.shape
        density, rgb, ids = density.flatten(), rgb.reshape(-1, 3), ids.reshape(len(points), *ids.shape[len(shape) :])
        found = self._over(points, self.gone | self.left)
        completed = torch.tensor(sorted(self.ids), device=ids.device)
        own = ids[:, completed].sum(-1) if ids.is_floating_point() else torch.isin(ids, completed)
        density = density * (1 - own * _hidden(points, found))
        around = self._around(points, found)
        for id, index, there in found:
            if id in self.left:
                density[index] *= 1 - belonging(ids[index], id) * there.lost * around[index]
        for each in found:
            if each.id in self.left:
                density, rgb, ids = each.onto(density, rgb, ids)
        return density.view(shape), rgb.view(*shape, 3), ids.view(*shape, *ids.shape[1:])

    def recolored(
        self, positions: Float[Tensor, "n 3"], rgb: Float[Tensor, "n 3"], ids: Shaped[Tensor, "..."]
    ) -> Float[Tensor, "n 3"]:
        """Colours of what is left: around what is gone, those that its surface has elsewhere.

        Args:
            positions: scene positions.
            rgb: colours in the radiance field.
            ids: owners, as `weigh` takes them.
        """
        around = self._around(positions, self._over(positions, self.gone))
        near = around.nonzero()[:, 0]
        rgb = rgb.clone()
        for each in self._over(positions[near], self.left):
            index = near[each.index]
            rgb[index] = each.there.over(rgb[index], around[index] * belonging(ids[index], each.id))
        return rgb

    def hidden(self, positions: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Whether no photograph looked into scene positions, in [0, 1]; 0 where no completion is.

        All completions over a position have to say so, because the voxels of a large object are coarse. What is
        completed is hidden.
        """
        points = positions.reshape(-1, 3)
        return _hidden(points, self._over(points, self.gone | self.left)).view(positions.shape[:-1])

    def fills(self, positions: Float[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
        """Whether something is completed at scene positions."""
        points = positions.reshape(-1, 3)
        there = torch.zeros_like(points[:, 0], dtype=torch.bool)
        for each in self._over(points, self.left):
            there[each.index] |= each.there.filled > 0
        return there.view(positions.shape[:-1])

    def _around(self, points: Float[Tensor, "n 3"], found: Sequence[_Found]) -> Float[Tensor, "n"]:
        """Whether scene positions are in or around something that is gone, in [0, 1]."""
        around = torch.zeros_like(points[:, 0])
        for id, index, there in found:
            if id in self.gone:
                around[index] = around[index].maximum(there.around)
        return around

    def _over(self, points: Float[Tensor, "n 3"], completions: Mapping[ObjectId, Completion]) -> list[_Found]:
        found = []
        for id, completion in completions.items():
            low, high = completion.box
            index = ((points >= low) & (points <= high)).all(-1).nonzero()[:, 0]
            found.append(_Found(id, index, completion.at(points[index])))
        return found


class _Found(NamedTuple):
    """What is completed of one object at some of many positions."""

    id: ObjectId
    index: Int[Tensor, "some"]
    there: Completed

    def onto(
        self, density: Float[Tensor, "n"], rgb: Float[Tensor, "n 3"], ids: Shaped[Tensor, "..."]
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n 3"], Shaped[Tensor, "..."]]:
        """Density, colour and owners of all positions together with it; it owns what it makes more than half of."""
        before = density[self.index]
        total, mixed = self.there.after(before, rgb[self.index])
        owned, owner = self.index[self.there.density > before], torch.full_like(ids[:1], self.id)
        if ids.is_floating_point():
            owner = torch.nn.functional.one_hot(torch.tensor([self.id]), ids.shape[1]).to(ids)
        ids = ids.index_copy(0, owned, owner.expand(len(owned), *owner.shape[1:]))
        return density.index_copy(0, self.index, total), rgb.index_copy(0, self.index, mixed), ids


def _hidden(points: Float[Tensor, "n 3"], found: Sequence[_Found]) -> Float[Tensor, "n"]:
    hidden = torch.full_like(points[:, 0], torch.inf)
    for each in found:
        hidden[each.index] = hidden[each.index].minimum(each.there.hidden)
    hidden = torch.where(hidden.isinf(), 0.0, hidden)
    for each in found:
        hidden[each.index] = hidden[each.index].maximum(each.there.filled)
    return hidden


def beside(
    bodies: Bodies, ids: Iterable[ObjectId], absent: Collection[ObjectId]
) -> tuple[list[ObjectId], list[ObjectId]]:
    """The objects that stay and the absent ones whose boxes meet, without those that surround the scene."""
    small = {id: bodies.boxes[id] for id in ids if not bodies.is_wide(id)}
    pairs = [(one, other) for one in small.keys() - absent for other in small.keys() & absent]
    meet = [(one, other) for one, other in pairs if overlap(small[one], small[other])]
    return sorted({one for one, _ in meet}), sorted({other for _, other in meet})
