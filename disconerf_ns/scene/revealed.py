"""What comes to light where objects are gone: what is completed there, and nothing that the field made up."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from disconerf_ns.scene.bodies import Bodies
from disconerf_ns.scene.completion import Completed, Completion
from disconerf_ns.scene.objects import Box, ObjectId


@dataclass(frozen=True, eq=False)
class Revealed:
    """Completions of objects that are gone, and of those that are left beside them."""

    left: Mapping[ObjectId, Completion]
    gone: Mapping[ObjectId, Completion]
    boxes: Float[Tensor, "gone 2 3"]
    """Boxes of what is gone, in scene coordinates."""

    @classmethod
    def of(cls, bodies: Bodies, boxes: Mapping[ObjectId, Box], absent: Collection[ObjectId]) -> Revealed:
        """What comes to light where some objects are absent: of them, and of those whose boxes meet theirs.

        Args:
            bodies: the objects in voxels.
            boxes: boxes of all objects in scene coordinates.
            absent: the objects that are gone.
        """
        beside = {id for id, box in boxes.items() if any(overlap(box, boxes[each]) for each in absent)}
        known = ((id, bodies.completion(id)) for id in sorted(beside))
        there = {id: completion for id, completion in known if completion is not None}
        gone = {id: completion for id, completion in there.items() if id in absent}
        empty = torch.zeros(0, 2, 3, device=bodies.trained.radiance.device)
        return cls(
            {id: completion for id, completion in there.items() if id not in absent},
            gone,
            torch.stack([completion.box for completion in gone.values()]) if gone else empty,
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
        """Density, colour and owners of scene positions, completed.

        A position is hidden if all completions over it say so: the voxels of a large object are coarse.

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
        hidden, found = torch.full_like(density, torch.inf), []
        for id, completion in (*self.gone.items(), *self.left.items()):
            low, high = completion.box
            over = ((points >= low) & (points <= high)).all(-1).nonzero()[:, 0]
            there = completion.at(points[over])
            hidden[over] = hidden[over].minimum(there.hidden)
            if id in self.left:
                found.append((id, over, there))
        density = density * (1 - torch.where(hidden.isinf(), 0.0, hidden))
        for id, over, there in found:
            density, rgb, ids = _with(id, over, there, density, rgb, ids)
        return density.view(shape), rgb.view(*shape, 3), ids.view(*shape, *ids.shape[1:])

    def fills(self, positions: Float[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
        """Whether something is completed at scene positions."""
        points = positions.reshape(-1, 3)
        there = torch.zeros_like(points[:, 0], dtype=torch.bool)
        for completion in self.left.values():
            there |= completion.at(points).density > 0
        return there.view(positions.shape[:-1])


def _with(
    id: int,
    over: Shaped[Tensor, "some"],
    there: Completed,
    density: Float[Tensor, "n"],
    rgb: Float[Tensor, "n 3"],
    ids: Shaped[Tensor, "..."],
) -> tuple[Tensor, Tensor, Tensor]:
    """Density, colour and owners together with what is completed of one object at some positions, by index."""
    ruled = over[there.density > density[over]]
    total, mixed = there.after(density[over], rgb[over])
    owner = (
        torch.zeros_like(ids[:1]).index_fill(1, torch.tensor([id], device=ids.device), 1.0)
        if ids.is_floating_point()
        else id
    )
    ids = ids.clone()
    ids[ruled] = owner
    return density.index_copy(0, over, total), rgb.index_copy(0, over, mixed), ids


def overlap(a: Box, b: Box) -> bool:
    """Whether two boxes have a point in common."""
    return all(max(low) <= min(high) for low, high in zip(zip(a[0], b[0]), zip(a[1], b[1])))
