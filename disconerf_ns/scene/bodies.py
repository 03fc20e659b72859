"""The objects of a scene in voxels: where each absorbs light, where it is solid, and how it is looked at alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from disconerf_ns.scene.clean import Body, clean_voxels
from disconerf_ns.scene.closed_surface import ClosedSurface, Sheet
from disconerf_ns.scene.completion import Completion
from disconerf_ns.scene.edit_table import belonging
from disconerf_ns.scene.enclosure import Enclosure
from disconerf_ns.scene.lazy import lazy
from disconerf_ns.scene.matter import Matter
from disconerf_ns.scene.needs_open3d import can_complete
from disconerf_ns.scene.objects import Box, ObjectId, SceneObject, box_between, overlap
from disconerf_ns.scene.occupancy import Occupancy
from disconerf_ns.scene.seen_rays import SeenRays
from disconerf_ns.scene.solid import OPAQUE, Solid
from disconerf_ns.scene.trained import TrainedScene

SOLID_RESOLUTION = 64
"""Voxels per axis of an object's box in which it is looked for solid ones."""
WIDE = 8.0
"""A box of at least this length, in scene units, may hold what surrounds the scene."""
BESIDE = 1.25
"""A box is beside the cameras if their median distance to its middle is less than this multiple of half of its
diagonal."""


def around(boxes: Float[Tensor, "boxes 2 3"]) -> Float[Tensor, "2 3"]:
    """A box around others, with half of the longest side of any of them to spare on all sides."""
    margin = (boxes[:, 1] - boxes[:, 0]).amax() / 2
    return torch.stack([boxes[:, 0].amin(0) - margin, boxes[:, 1].amax(0) + margin])


def is_wide(box: Box) -> bool:
    """Whether a box is so large that it may hold what surrounds the scene."""
    return max(high - low for low, high in zip(*box)) >= WIDE


def within_ball(corners: Float[Tensor, "corners 3"], positions: Float[Tensor, "n 3"], times: float = 1.0) -> bool:
    """Whether cameras' median distance to the middle of a thing is less than a multiple of half of its diagonal."""
    low, high = corners.amin(0), corners.amax(0)
    return bool((positions - (low + high) / 2).norm(dim=-1).median() < times * (high - low).norm() / 2)


@dataclass(frozen=True, eq=False)
class Bodies:
    """Objects where they were photographed; each result is found once, for all values of a scene that share it."""

    trained: TrainedScene
    owners: Callable[[Float[Tensor, "n 3"]], Shaped[Tensor, "..."]]
    """The owners of scene positions, as `weigh` takes them."""
    find_objects: Callable[[], Mapping[ObjectId, SceneObject]]
    """Gives the objects that are shown. It is called when one is first needed, because listing them takes time."""
    complete: bool
    """Whether objects are completed where no photograph looked."""
    _occupancies: dict[ObjectId, Occupancy] = field(default_factory=dict, repr=False)
    _solids: dict[ObjectId, Solid] = field(default_factory=dict, repr=False)
    _enclosures: dict[ObjectId, Enclosure | None] = field(default_factory=dict, repr=False)
    _completions: dict[ObjectId, Completion | None] = field(default_factory=dict, repr=False)
    _patches: dict[tuple[ObjectId, tuple[ObjectId, ...]], Completion | None] = field(default_factory=dict, repr=False)
    _wholes: dict[ObjectId, Solid] = field(default_factory=dict, repr=False)
    _clean: dict[ObjectId, Body] = field(default_factory=dict, repr=False)
    _hazy: dict[ObjectId, Body] = field(default_factory=dict, repr=False)

    @lazy
    def objects(self) -> Mapping[ObjectId, SceneObject]:
        """The objects that are shown."""
        return self.find_objects()

    @lazy
    def surrounding(self) -> frozenset[ObjectId]:
        """The objects that surround the scene, such as walls and floors.

        Their reach is `WIDE`, and their box is `WIDE` too or beside the cameras. Without known cameras the reach alone
        decides.
        """
        return frozenset(id for id, each in self.objects.items() if self._surrounds(each))

    @lazy
    def boxes(self) -> dict[ObjectId, Box]:
        """The box in which each object is looked for, in scene coordinates: the reach of what surrounds the scene."""
        return {id: each.reach if id in self.surrounding else each.box for id, each in self.objects.items()}

    def occupancy(self, id: ObjectId) -> Occupancy:
        """The voxels in which an object absorbs light."""
        if id not in self._occupancies:
            self._occupancies[id] = self._voxels(self._box(id), self.matter(id))
        return self._occupancies[id]

    def solid(self, id: ObjectId) -> Solid:
        """The voxels in which an object is solid in the radiance field."""
        if id not in self._solids:
            self._solids[id] = self._solid(id, self.matter(id))
        return self._solids[id]

    def whole(self, id: ObjectId) -> Solid:
        """The voxels in which an object is solid, completed where no photograph looked."""
        completion = self.completion(id)
        if completion is None:
            return self.solid(id)
        if id not in self._wholes:
            self._wholes[id] = self._solid(id, self.matter(id).completed(completion))
        return self._wholes[id]

    def clean(self, id: ObjectId) -> Body:
        """An object without haze and crumbs, completed where no photograph looked; all of it, if nothing is solid."""
        if id not in self._clean:
            self._clean[id] = self._cleaned(id)
        return self._clean[id]

    def hazy(self, id: ObjectId) -> Body:
        """An object with haze and crumbs, completed where no photograph looked."""
        completion = self.completion(id)
        if completion is None:
            return Body(self.occupancy(id))
        if id not in self._hazy:
            self._hazy[id] = Body(self._voxels(self._box(id), self.matter(id).completed(completion)), completion)
        return self._hazy[id]

    def completion(self, id: ObjectId) -> Completion | None:
        """The completion of an object; None for the rest, what surrounds the scene, and what too little was seen of.

        Each is made once, in half a second, and needs the closed surfaces of the objects beside it, half a second each.
        The first one also follows the training rays, some seconds on a CPU.
        """
        if id not in self._completions:
            enclosure = self.enclosure(id)
            self._completions[id] = None if enclosure is None else self._completed(id, enclosure, self._box(id))
        return self._completions[id]

    def enclosure(self, id: ObjectId) -> Enclosure | None:
        """The voxels that an object encloses; None if the object is not completed."""
        if id not in self._enclosures:
            self._enclosures[id] = self._enclosed(id, self._box(id)) if self.completes(id) else None
        return self._enclosures[id]

    def patch(self, id: ObjectId, gone: tuple[ObjectId, ...]) -> Completion | None:
        """The completion of what surrounds the scene, such as a floor, around objects that are gone."""
        if (id, gone) not in self._patches:
            box = around(torch.stack([self._box(each) for each in gone]))
            enclosure = self._enclosed(id, box, Sheet)
            self._patches[id, gone] = None if enclosure is None else self._completed(id, enclosure, box)
        return self._patches[id, gone]

    def completes(self, id: ObjectId) -> bool:
        """Whether the scene tries to complete an object as a whole."""
        return self.may_complete(id) and id not in self.surrounding

    def may_complete(self, id: ObjectId) -> bool:
        """Whether the scene tries to complete an object, or, of what surrounds it, a patch."""
        return self.complete and self.trained.training_rays is not None and id != self.trained.tree.rest

    def at_hand(self, id: ObjectId) -> bool:
        """Whether an object's completion is known already, so that asking for it takes no time."""
        return id in self._completions or not self.completes(id)

    def patch_at_hand(self, id: ObjectId, gone: tuple[ObjectId, ...]) -> bool:
        """Whether a patch is known already."""
        return (id, gone) in self._patches

    def clean_at_hand(self, id: ObjectId) -> bool:
        """Whether an object without haze and crumbs is known already."""
        return id in self._clean

    def looked_into(self, positions: Float[Tensor, "*n 3"], id: ObjectId) -> Bool[Tensor, "*n"]:
        """Whether photographs looked into scene positions in and around an object; yes, where that is not known."""
        completion, looked = self.completion(id), self.trained.looked_into(positions)
        if completion is None:
            return looked
        there = completion.at(positions.reshape(-1, 3)).values
        return looked & (there.hidden.maximum(there.filled) < 0.5).view(looked.shape)

    def matter(self, id: ObjectId) -> Matter:
        """An object in the radiance field."""
        return Matter(self.trained.radiance.density, lambda x: belonging(self.owners(x), id))

    def _enclosed(
        self, id: ObjectId, box: Float[Tensor, "2 3"], kind: type[ClosedSurface] = ClosedSurface
    ) -> Enclosure | None:
        """The voxels over a box that an object encloses; None if it is not completed, or too little was seen there."""
        if not self.may_complete(id) or not can_complete():
            return None
        rays, own = self._seen_rays, self._seen_of(id)
        surface = kind.through(rays[own], box)
        return None if surface is None else Enclosure.of(surface, box, rays, rays[~own])

    def _completed(self, id: ObjectId, enclosure: Enclosure, box: Float[Tensor, "2 3"]) -> Completion:
        here = box_between(box.tolist())
        neighbours = (other for other, there in self.boxes.items() if other != id and overlap(there, here))
        return Completion.of(enclosure, filter(None, map(self.enclosure, neighbours)), self._colors)

    def _cleaned(self, id: ObjectId) -> Body:
        whole, completion = self.whole(id), self.completion(id)
        if len(whole) == 0:
            return Body(self.occupancy(id))
        with self.trained.radiance.still():
            return Body(clean_voxels(self.matter(id).completed(completion), whole), completion)

    def _surrounds(self, each: SceneObject) -> bool:
        cameras = self.trained.camera_positions
        if cameras is None or is_wide(each.box) or not is_wide(each.reach):
            return is_wide(each.reach)
        return within_ball(torch.tensor(each.box), cameras(), BESIDE)

    def _seen_of(self, id: ObjectId) -> Bool[Tensor, "rays"]:
        """Which training rays end on an object."""
        return belonging(self._seen_owners, id) > 0.5

    @property
    def _seen_rays(self) -> SeenRays:
        return cast("SeenRays", self.trained.seen_rays)

    @lazy
    def _seen_owners(self) -> Shaped[Tensor, "..."]:
        """The owners of the points at which rays of the training views end."""
        with self.trained.radiance.still():
            return self.owners(self._seen_rays.points)

    def _colors(self, positions: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        with self.trained.radiance.still():
            return self.trained.radiance.shade(positions, directions)[1]

    def _box(self, id: ObjectId) -> Float[Tensor, "2 3"]:
        return self._tensor(self.boxes[id])

    def _tensor(self, box: Box) -> Float[Tensor, "2 3"]:
        return torch.tensor(box, device=self.trained.radiance.device)

    def _solid(self, id: ObjectId, matter: Matter) -> Solid:
        box = self._tensor(self.objects[id].box)
        return Solid.of(self._voxels(box, matter, resolution=SOLID_RESOLUTION, threshold=OPAQUE, grown=False))

    def _voxels(self, box: Float[Tensor, "2 3"], matter: Matter, **options) -> Occupancy:
        with self.trained.radiance.still():
            contraction = self.trained.contraction
            return Occupancy.build(matter.everything, contraction, box, share=matter.share, **options)
