"""A trained scene as a person arranged it: one value that viewer, commands, films and scores share."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from disconerf_ns.scene.arrangement import all_objects, arrange
from disconerf_ns.scene.bodies import Bodies
from disconerf_ns.scene.clean import Body
from disconerf_ns.scene.connected_parts import ConnectedParts
from disconerf_ns.scene.cut import said_of_shown, shown_nodes
from disconerf_ns.scene.edit import HERE, Edit
from disconerf_ns.scene.edit_table import EditTable, belonging
from disconerf_ns.scene.lazy import lazy
from disconerf_ns.scene.objects import ObjectId, SceneObject, find_object
from disconerf_ns.scene.occupancy import Occupancy
from disconerf_ns.scene.owners import Divided, Owners
from disconerf_ns.scene.ownership import Ownership
from disconerf_ns.scene.revealed import Beside, Revealed
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.trained import TrainedScene

LISTS = "objects", "all_objects", "by_id"
"""Values that are the same whatever is hidden and wherever objects stand."""
POINTS_AT_ONCE = {"cpu": 2**15}
"""Points whose slot probabilities are in memory together, by kind of device: so many stay in a CPU's caches."""


@dataclass(frozen=True)
class SceneOptions:
    """How a scene is looked at."""

    extraction: Literal["hard", "soft"] = "hard"
    """How an object conditions the density: by the slot that rules at a point, or by the slot's probability there."""
    min_confidence: float = 0.0
    """Confidence in [0, 1] below which a pixel is shown as nobody's."""
    background: float = 1.0
    """Grey value in [0, 1] of the surroundings of an object that is rendered alone."""
    surface_points: int = 8
    """Points per ray at which a picture's objects are looked up."""
    object_samples: int = 32
    """Samples along the part of a ray that an object occupies, where the object is rendered alone."""
    rays_at_once: int = 4096
    """Most rays that are rendered together."""
    clean: bool = True
    """Whether objects leave haze and crumbs behind where they are moved, copied or put into another scene."""
    complete: bool = True
    """Whether objects are completed where no photograph looked; otherwise the radiance field shows what it made up."""


class Guest(NamedTuple):
    """An object of another scene that stands in this one."""

    scene: ArrangedScene
    id: ObjectId
    place: Similarity
    """Coordinates of its own scene to those of this one."""


class Placement(NamedTuple):
    """An object that is shown somewhere else than where it was photographed."""

    scene: ArrangedScene
    id: ObjectId
    place: Similarity
    """Coordinates in which it was photographed to those in which it is shown."""
    seen_as: int
    """Id under which pictures know it: its own, or one above all ids of the scene for a guest."""

    @property
    def body(self) -> Body:
        """The object as the scene's options have it looked at."""
        bodies = self.scene.bodies
        return bodies.clean(self.id) if self.scene.options.clean else bodies.hazy(self.id)

    @property
    def is_at_hand(self) -> bool:
        """Whether its body is known already, so that asking for it takes no time."""
        bodies = self.scene.bodies
        return bodies.clean_at_hand(self.id) if self.scene.options.clean else bodies.at_hand(self.id)


@dataclass(frozen=True, eq=False)
class ArrangedScene:
    """A trained scene, an edit of it, and how it is looked at. It never changes: `with_edit` makes another one."""

    trained: TrainedScene
    edit: Edit = field(default_factory=Edit)
    """What a person changed, said of the objects that are shown."""
    options: SceneOptions = SceneOptions()
    guests: tuple[Guest, ...] = ()
    """Objects of other scenes that stand in this one."""
    _bodies: Bodies | None = field(default=None, repr=False)
    _parts: dict[int, ConnectedParts] = field(default_factory=dict, repr=False)

    # ---------------------------------------------------------------- other values

    def __post_init__(self):
        object.__setattr__(self, "edit", said_of_shown(self.edit, self.trained.tree))
        object.__setattr__(self, "_bodies", self._bodies or self._new_bodies())

    def _new_bodies(self) -> Bodies:
        return Bodies(self.trained, self.owners, lambda: self.by_id, self.options.complete)

    def with_edit(self, edit: Edit) -> ArrangedScene:
        """The same scene under another edit; results that the edit leaves as they were are taken over."""
        other = replace(self, edit=edit)
        if other.structure != self.structure:
            other = replace(other, _bodies=None)
        elif (other.edit.names, other.edit.colors) == (self.edit.names, self.edit.colors):
            vars(other).update({name: vars(self)[name] for name in LISTS if name in vars(self)})
        return other

    def with_options(self, **changes) -> ArrangedScene:
        """The same scene looked at in another way; `changes` are fields of `SceneOptions`."""
        options = replace(self.options, **changes)
        same = (options.extraction, options.complete) == (self.options.extraction, self.options.complete)
        return replace(self, options=options) if same else replace(self, options=options, _bodies=None, _parts={})

    def with_trained(self, trained: TrainedScene) -> ArrangedScene:
        """The same edit and options of a scene that was trained further."""
        return replace(self, trained=trained, _bodies=None, _parts={})

    @property
    def structure(self) -> Hashable:
        """Values with the same structure have the same objects, for the same trained scene."""
        return self.nodes, self.edit.structure

    @property
    def ownership(self) -> Hashable:
        """Values with the same ownership say the same of every point's owner."""
        return self.trained, self.structure, self.options.extraction

    # ---------------------------------------------------------------- objects

    @lazy
    def nodes(self) -> tuple[int, ...]:
        """The nodes of the tree that are shown, which divide the slots among them."""
        return shown_nodes(self.edit, self.trained.tree)

    @lazy
    def objects(self) -> tuple[SceneObject, ...]:
        """The objects that are shown, in the order of their names; the rest comes last."""
        return arrange(self.trained.discovered, self.trained.tree, self.edit, self.parts)

    @lazy
    def all_objects(self) -> tuple[SceneObject, ...]:
        """The discovered objects of every size, shown or not, in the order of their names."""
        return all_objects(self.trained.discovered, self.trained.tree, self.edit)

    @lazy
    def by_id(self) -> dict[ObjectId, SceneObject]:
        """The objects by their ids."""
        return {each.id: each for each in self.objects}

    @property
    def counted(self) -> int:
        """Number of objects that are shown, without the rest."""
        return sum(each.number is not None for each in self.objects)

    def find(self, name: str) -> SceneObject:
        """The object of an output name, or of a name that a person gave.

        Raises:
            UserError: no object, or more than one, has that name.
        """
        apart = self.with_edit(replace(self.edit, merged={})).objects  # with the pieces that were merged into others
        others = {each.id: each for each in (*self.all_objects, *apart) if each.id not in self.by_id}
        return find_object(self.objects, name, list(others.values()), self.merged)

    def shown_for(self, id: int) -> tuple[ObjectId, ...]:
        """The objects that show what an id stands for: itself, its parts in the tree, or the whole that it is in.

        There is none for an object that is gone, or is merged into another one.
        """
        if id in self.by_id:
            return (ObjectId(id),)
        if id in self.nodes or id >= len(self.trained.tree):
            return ()
        slots = self.trained.tree.leaves(id)
        return tuple(each.id for each in self.objects if each.id in self.nodes and not slots.isdisjoint(each.slots))

    @property
    def merged(self) -> dict[int, int]:
        """Objects that are part of another one, which is there."""
        return {id: into for id, into in self.edit.merged.items() if into in self.by_id}

    @property
    def ids(self) -> int:
        """Number of ids: nodes of the tree, and further connected parts of split ones."""
        return self.edit.ids(len(self.trained.tree))

    @property
    def ids_in_use(self) -> set[int]:
        """Ids that may own points, or could if they were large enough: shown nodes and further connected parts."""
        return {*self.nodes, *range(len(self.trained.tree), self.ids)}

    @lazy
    def is_rest(self) -> Bool[Tensor, "ids"]:
        """True for the id of the rest."""
        ids = torch.arange(self.ids, device=self.trained.radiance.device)
        return ids == (-1 if self.trained.tree.rest is None else self.trained.tree.rest)

    @lazy
    def table(self) -> EditTable:
        """The edit as factors on the density and as tints, by id."""
        return EditTable.of(self.edit, self.ids, self.trained.radiance.device)

    @property
    def repaints(self) -> bool:
        """Whether the edited scene looks different from the scene."""
        return self.edit.repaints or bool(self.guests)

    @lazy
    def placements(self) -> tuple[Placement, ...]:
        """What is shown somewhere else than where it was photographed, the scene's own objects first."""
        moved = [
            Placement(self, ObjectId(id), place, id)
            for id, places in self.edit.standing.items()
            if id in self.by_id and id not in self.edit.hidden
            for place in places
            if place != HERE
        ]
        return *moved, *(Placement(*guest, self.ids + number) for number, guest in enumerate(self.guests))

    def reaches(self, ids: Shaped[Tensor, "ids"]) -> Float[Tensor, "boxes 2 3"] | None:
        """Boxes outside of which the objects whose ids are True own nothing; None if one of them has no box."""
        wanted = self.ids_in_use.intersection(ids.nonzero()[:, 0].tolist()) - self.merged.keys()
        if wanted - self.by_id.keys():
            return None
        boxes = [self.by_id[ObjectId(id)].reach for id in sorted(wanted)]
        return torch.tensor(boxes, device=self.trained.radiance.device).view(-1, 2, 3)

    # ---------------------------------------------------------------- whose a point is

    def owners(self, positions: Float[Tensor, "*n 3"]) -> Shaped[Tensor, "..."]:
        """The id that rules at scene positions (*n), or for soft extraction the probabilities (*n, ids)."""
        owners = self._ruling(positions, self.owning)
        return self.owning.of_ids(owners, self.ids) if owners.is_floating_point() else self.owning.ids[owners]

    def probabilities(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n ids"]:
        """Probabilities of the objects at contracted positions, times who may own them.

        These are the shown nodes' probabilities, divided among the connected parts of split ones, summed where objects
        are merged.
        """
        return self.owning.of_ids(self.owning(positions), self.ids)

    @lazy
    def owning(self) -> Owners:
        """Who may own points."""
        nodes = Ownership.of(self.trained, self.nodes)
        split = self.trained.by_node.keys() & self.edit.split.keys() & set(nodes.nodes)
        ids = {node: self.edit.part_ids(node, len(self.trained.tree)) for node in sorted(split)}
        return Owners(nodes, {node: Divided(ids[node], self.parts(node)) for node in ids}, self.merged)

    @property
    def bodies(self) -> Bodies:
        """The objects in voxels, where they were photographed."""
        return cast("Bodies", self._bodies)

    @lazy
    def revealed(self) -> Revealed:
        """What comes to light where objects are gone."""
        return Revealed.of(self.bodies, self._beside_gone)

    @lazy
    def gone_boxes(self) -> Float[Tensor, "gone 2 3"]:
        """Boxes of what is not where it was photographed, but for what surrounds the scene."""
        gone = sorted((self.by_id.keys() & self.edit.absent) - self.bodies.surrounding)
        boxes = [self.by_id[id].box for id in gone]
        return torch.tensor(boxes, device=self.trained.radiance.device).view(-1, 2, 3)

    @property
    def reveals_at_once(self) -> bool:
        """Whether what comes to light is known already, or known to be nothing."""
        left, gone, free, patches = self._beside_gone
        known = all(map(self.bodies.at_hand, left + gone)) and all(map(self.bodies.clean_at_hand, free))
        return known and all(self.bodies.patch_at_hand(id, other) for id, other in patches)

    @property
    def edits_at_once(self) -> bool:
        """Whether what comes to light, and what stands somewhere else, is known already."""
        return self.reveals_at_once and all(each.is_at_hand for each in self.placements)

    @lazy
    def _beside_gone(self) -> Beside:
        found = Beside.of(self.bodies, self.by_id, self.by_id.keys() & self.edit.absent)
        return found if self.options.clean else found._replace(free=())

    def parts(self, node: int) -> ConnectedParts:
        """The connected parts of a node, whether it is split or shown or not."""
        if node not in self._parts:
            tree, radiance = self.trained.tree, self.trained.radiance
            around = Ownership.of(self.trained, tree.cut(opened=tree.ancestors(node), closed=[node]))
            column = around.nodes.index(node)
            share = lambda x: belonging(self._ruling(x, around), column)
            box = torch.tensor(self.trained.by_node[node].box, device=radiance.device)
            with radiance.still():
                self._parts[node] = ConnectedParts.of(
                    Occupancy.build(radiance.density, radiance.contraction, box, share=share)
                )
        return self._parts[node]

    def _ruling(self, positions: Float[Tensor, "*n 3"], of: Callable[[Tensor], Tensor]) -> Shaped[Tensor, "..."]:
        """The column that has the largest share at each scene position, or for soft extraction the shares of all.

        Args:
            of: gives the columns' shares at contracted positions.
        """

        def rule(points: Tensor) -> Tensor:
            shares = of(self.trained.contraction(points))
            return shares.argmax(-1) if self.options.extraction == "hard" else shares / shares.sum(-1, keepdim=True)

        at_once = POINTS_AT_ONCE.get(positions.device.type, 2**18)
        ruling = torch.cat([rule(points) for points in positions.reshape(-1, 3).split(at_once)])
        return ruling.view(*positions.shape[:-1], *ruling.shape[1:])
