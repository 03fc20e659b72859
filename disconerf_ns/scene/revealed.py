"""Objects beside removed ones: what those hid of them is completed, in the colours of their own."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from disconerf_ns.scene.bodies import Bodies
from disconerf_ns.scene.completion import Completed, Completion
from disconerf_ns.scene.edit_table import belonging
from disconerf_ns.scene.objects import ObjectId, overlap
from disconerf_ns.scene.occupancy import Occupancy, inside

APART = 6
"""Absent objects around which what surrounds the scene is completed one by one, some seconds each; it is completed
around more of them at once, in coarser voxels."""

Completions = tuple[tuple[ObjectId, Completion], ...]
"""Completions of objects; of what surrounds the scene there may be several, around different things."""


@dataclass(frozen=True, eq=False)
class Revealed:
    """Completions of objects that are gone, and of those that are left beside them."""

    left: Completions
    patches: Completions
    """Of what surrounds the scene and stays, around what is gone."""
    gone: Completions
    boxes: Float[Tensor, "gone 2 3"]
    """Boxes around what is gone, in scene coordinates."""
    free: Mapping[ObjectId, Occupancy] = field(default_factory=dict)
    """The voxels of objects that nothing surrounds any more; haze and crumbs of theirs are gone with what is gone."""

    @classmethod
    def of(cls, bodies: Bodies, beside: Beside) -> Revealed:
        """Complete objects that stay, and those that are gone, to know what they hide."""
        left, gone = (_existing((id, bodies.completion(id)) for id in some) for some in (beside.left, beside.gone))
        patches = _existing((id, bodies.patch(id, other)) for id, other in beside.patches)
        completed, device = dict(gone), bodies.trained.radiance.device
        boxes = [
            completed[id].box if id in completed else torch.tensor(bodies.boxes[id], device=device)
            for id in beside.gone
        ]
        hiding = torch.stack(boxes) if boxes else torch.zeros(0, 2, 3, device=device)
        return cls(left, patches, gone, hiding, {id: bodies.clean(id).voxels for id in beside.free})

    @property
    def staying(self) -> Completions:
        """Completions of what stays."""
        return self.left + self.patches

    @property
    def ids(self) -> frozenset[ObjectId]:
        """The objects whose completions count."""
        return frozenset(id for id, _ in self.staying + self.gone)

    @property
    def key(self) -> Hashable:
        """Equal where the samples of one edit may be the start of another: the completions and voxels that count."""
        return self.ids, frozenset(self.free)

    def __call__(
        self,
        positions: Float[Tensor, "*n 3"],
        density: Float[Tensor, "*n"],
        rgb: Float[Tensor, "*n 3"],
        ids: Shaped[Tensor, "..."],
        behind: Bool[Tensor, "*n"] | None = None,
    ) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n 3"], Shaped[Tensor, "..."]]:
        """Density, colour and owners of scene positions, completed beside what is gone; all else stays as it is.

        Args:
            positions: scene positions.
            density: of what is left there.
            rgb: its colour.
            ids: its owners, as `weigh` takes them.
            behind: whether what is gone is seen in front of them; what surrounds the scene is completed there too.
        """
        points, shape = positions.reshape(-1, 3), density.shape
        beside = self._changes(points, behind)
        if not self.ids or not beside.any():
            return density, rgb, ids
        density, rgb, ids = density.flatten(), rgb.reshape(-1, 3), ids.reshape(len(points), *ids.shape[len(shape) :])
        completed = self._completed(points[beside], density[beside], rgb[beside], ids[beside])
        density, rgb, ids = (each.clone() for each in (density, rgb, ids))
        density[beside], rgb[beside], ids[beside] = completed
        return density.view(shape), rgb.view(*shape, 3), ids.view(*shape, *ids.shape[1:])

    def _completed(
        self,
        points: Float[Tensor, "n 3"],
        density: Float[Tensor, "n"],
        rgb: Float[Tensor, "n 3"],
        ids: Shaped[Tensor, "..."],
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n 3"], Shaped[Tensor, "..."]]:
        gone, left = _over(points, self.gone), _over(points, self.staying)
        completed = torch.tensor(sorted(self.ids), device=ids.device)
        own = ids[:, completed].sum(-1) if ids.is_floating_point() else torch.isin(ids, completed).to(density)
        density = density * (1 - own * _hidden(points, gone + left)) * (1 - (1 - own) * _filled(points, gone))
        around = _around(points, gone)
        for id, index, there in left:
            density[index] *= 1 - belonging(ids[index], id) * there.values.lost * around[index]
        for id, voxels in self.free.items():
            density = density * (1 - belonging(ids, id) * ~voxels.holds(points) * around)
        for each in left:
            density, rgb, ids = each.onto(density, rgb, ids)
        return density, rgb, ids

    def recolored(
        self, positions: Float[Tensor, "n 3"], rgb: Float[Tensor, "n 3"], ids: Shaped[Tensor, "..."]
    ) -> Float[Tensor, "n 3"]:
        """Colours of what is left: around what is gone, those that its surface has elsewhere.

        Args:
            positions: scene positions.
            rgb: colours in the radiance field.
            ids: owners, as `weigh` takes them.
        """
        around = _around(positions, _over(positions, self.gone))
        near = around.nonzero()[:, 0]
        rgb = rgb.clone()
        for each in _over(positions[near], self.staying):
            index = near[each.index]
            rgb[index] = each.there.over(rgb[index], around[index] * belonging(ids[index], each.id))
        return rgb

    def hidden(self, positions: Float[Tensor, "*n 3"], behind: Bool[Tensor, "*n"] | None = None) -> Float[Tensor, "*n"]:
        """Whether no photograph looked into scene positions beside what is gone, in [0, 1]; 0 elsewhere.

        All completions over a position have to say so, because the voxels of a large object are coarse. What is
        completed is hidden.
        """
        points = positions.reshape(-1, 3)
        beside = self._changes(points, behind)
        near = points[beside]
        hidden = _hidden(near, _over(near, self.gone + self.staying))
        return points.new_zeros(len(points)).masked_scatter(beside, hidden).view(positions.shape[:-1])

    def completes(self, positions: Float[Tensor, "n 3"]) -> Bool[Tensor, "n"]:
        """Whether something that stays is completed at scene positions, or less than a voxel away."""
        return _filled(positions, _over(positions, self.staying)) > 0

    def beside_gone(self) -> Iterator[tuple[Completion, Float[Tensor, "2 3"]]]:
        """Each completion of what is left, with the boxes that it has in common with what is gone."""
        for _, completion in self.staying:
            for box in self.boxes:
                low, high = torch.stack([completion.box, box]).unbind(1)
                common = torch.stack([low.amax(0), high.amin(0)])
                if (common[0] < common[1]).all():
                    yield completion, common

    def _changes(self, points: Float[Tensor, "n 3"], behind: Bool[Tensor, "*n"] | None) -> Bool[Tensor, "n"]:
        """Points that may change: those in boxes of gone objects, and those in a patch's box that lie behind one."""
        beside = inside(points, self.boxes)
        if behind is not None and self.patches:
            beside |= behind.flatten() & inside(points, torch.stack([patch.box for _, patch in self.patches]))
        return beside


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


def _existing(completions: Iterable[tuple[ObjectId, Completion | None]]) -> Completions:
    return tuple((id, completion) for id, completion in completions if completion is not None)


def _over(points: Float[Tensor, "n 3"], completions: Completions) -> list[_Found]:
    found = []
    for id, completion in completions:
        low, high = completion.box
        index = ((points >= low) & (points <= high)).all(-1).nonzero()[:, 0]
        found.append(_Found(id, index, completion.at(points[index])))
    return found


def _around(points: Float[Tensor, "n 3"], gone: Iterable[_Found]) -> Float[Tensor, "n"]:
    """Whether scene positions are in or around something that is gone, in [0, 1]."""
    around = torch.zeros_like(points[:, 0])
    for _, index, there in gone:
        around[index] = around[index].maximum(there.values.around)
    return around


def _filled(points: Float[Tensor, "n 3"], found: Iterable[_Found]) -> Float[Tensor, "n"]:
    filled = torch.zeros_like(points[:, 0])
    for each in found:
        filled[each.index] = filled[each.index].maximum(each.there.values.filled)
    return filled


def _hidden(points: Float[Tensor, "n 3"], found: Sequence[_Found]) -> Float[Tensor, "n"]:
    hidden = torch.full_like(points[:, 0], torch.inf)
    for each in found:
        hidden[each.index] = hidden[each.index].minimum(each.there.values.hidden)
    hidden = torch.where(hidden.isinf(), 0.0, hidden)
    return hidden.maximum(_filled(points, found))


class Beside(NamedTuple):
    """The objects that an edit leaves beside absent ones. Two objects are beside each other if their boxes meet."""

    left: tuple[ObjectId, ...]
    """Objects that stay, beside absent ones."""
    gone: tuple[ObjectId, ...]
    """Absent objects, beside some that stay."""
    free: tuple[ObjectId, ...]
    """Objects of `left` that nothing surrounds any more: all that is beside them is absent, or is completed too."""
    patches: tuple[tuple[ObjectId, tuple[ObjectId, ...]], ...]
    """Pairs of an object that surrounds the scene and stays, and the absent objects around which it is completed."""

    @classmethod
    def of(cls, bodies: Bodies, ids: Iterable[ObjectId], absent: Set[ObjectId]) -> Beside:
        """Find them; what surrounds the scene is in the last one alone.

        Args:
            bodies: the objects in voxels.
            ids: all objects.
            absent: those that are not where they were photographed.
        """
        boxes = {id: bodies.boxes[id] for id in ids}
        small = boxes.keys() - bodies.surrounding
        hiding = small & absent
        pairs = ((one, other) for one in small - absent for other in boxes.keys() - {one})
        meet = [(one, other) for one, other in pairs if overlap(boxes[one], boxes[other])]
        left, gone = ({pair[k] for pair in meet if pair[1] in hiding} for k in (0, 1))
        surrounded = {one for one, other in meet if other not in absent and not bodies.completes(other)}
        free = {id for id in left - surrounded if bodies.completes(id)}
        wide = [id for id in boxes.keys() - small - absent if bodies.may_complete(id)]
        patches = []
        for id in wide:
            beside = tuple(sorted(other for other in hiding if overlap(boxes[id], boxes[other])))
            if len(beside) <= APART:
                patches += [(id, (other,)) for other in beside]
                gone |= set(beside)
            else:
                patches.append((id, beside))
        return cls(tuple(sorted(left)), tuple(sorted(gone)), tuple(sorted(free)), tuple(sorted(patches)))
