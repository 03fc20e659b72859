"""Gaussians taken apart by the object field: whose each one is, and what becomes of those that two objects share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from torch import Tensor

from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.rendering.labels import OWNED
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.solid import CRUMB

Straddling = Literal["keep", "drop", "split"]
"""What becomes of a gaussian that straddles a border: it stays whole with the object that has most of it, it is left
out, or it is cut in halves until each is on one side."""

AS_IT_IS = Similarity()
SURE = 0.8
"""Share of its owner below which a gaussian straddles a border (the bound of Trace3D)."""
CUTS = 4
"""Times that a gaussian is cut in halves at most."""
NOBODY = -1
"""Owner of gaussians where no training view looked."""
NEIGHBOURS = 12
"""Gaussians around one that it hangs together with, if they are the same object's."""
SMALL, FEW = 5e-4, 10
"""Fraction of all gaussians, and their number, below which a piece is too small for an object."""
GAUSSIANS_AT_ONCE = 2**14
"""Gaussians whose points the object field is asked about together."""
FARTHEST = 1e9
"""Distance in scene units to which points are brought back, since contracted space ends there in single precision."""


@dataclass(frozen=True, eq=False)
class Owners:
    """Whose gaussians are."""

    id: Int[Tensor, "n"]
    """The object that has most of it, or NOBODY."""
    share: Float[Tensor, "n"]
    """How much of it that object has, in [0, 1]."""
    divided: Bool[Tensor, "n"]
    """Whether less than SURE of it lies where that object has most, so that a cut can help."""


@dataclass(frozen=True, eq=False)
class OwnedSplats:
    """Gaussians, whose they are, and where they come from."""

    splats: Splats
    id: Int[Tensor, "n"]
    """Id of the object of the arranged scene, or NOBODY."""
    share: Float[Tensor, "n"]
    """How much of it that object has, in [0, 1]; 0 of crumbs, which went to whom their surroundings belong."""
    source: Int[Tensor, "n"]
    """Row of the gaussian that it is, or is cut from, in what was given; in increasing order if nothing was moved."""

    def of(self, id: ObjectId) -> Splats:
        """The gaussians of an object."""
        return self.splats.selected(self.id == id)

    def selected(self, mask: Bool[Tensor, "n"]) -> OwnedSplats:
        """Some of the gaussians."""
        return OwnedSplats(self.splats.selected(mask), self.id[mask], self.share[mask], self.source[mask])

    def without(self, ids: Iterable[int]) -> OwnedSplats:
        """The gaussians of all but some objects."""
        return self.selected(~torch.isin(self.id, torch.tensor([*ids], dtype=torch.long)))

    def standing(self, places: Mapping[int, tuple[Similarity, ...]], to_here: Similarity) -> OwnedSplats:
        """The gaussians where a person put their objects; those that were moved or copied come last.

        Args:
            places: where objects stand, by id, in scene coordinates.
            to_here: takes the scene's coordinates to those of the gaussians.
        """
        if not places:
            return self
        moved = torch.isin(self.id, torch.tensor(sorted(places)))
        parts = [self.selected(~moved)] + [
            self.selected(self.id == id).placed(to_here @ place @ to_here.inverse())
            for id, of_one in places.items()
            for place in of_one
        ]
        columns = zip(*((part.id, part.share, part.source) for part in parts))
        return OwnedSplats(Splats.cat([part.splats for part in parts]), *(torch.cat(column) for column in columns))

    def placed(self, placement: Similarity) -> OwnedSplats:
        """The same gaussians in another place or frame; values stay as they are, to the bit, where nothing moves."""
        return self if placement.close_to(Similarity()) else replace(self, splats=self.splats.placed(placement))


def owners_of(scene: ArrangedScene, splats: Splats, to_scene: Similarity = AS_IT_IS) -> Owners:
    """Whose each gaussian is: the mean of the objects' probabilities over those of its probes that have an owner.

    Args:
        scene: the scene; its edit is honoured.
        splats: the gaussians.
        to_scene: takes their coordinates to the scene's.
    """
    rows = torch.arange(len(splats)).split(GAUSSIANS_AT_ONCE) if len(splats) > 0 else [torch.arange(0)]
    parts = [_owners(scene, splats.selected(some), to_scene) for some in rows]
    return Owners(*(torch.cat(column) for column in zip(*parts)))


def _owners(
    scene: ArrangedScene, splats: Splats, to_scene: Similarity
) -> tuple[Int[Tensor, "n"], Float[Tensor, "n"], Bool[Tensor, "n"]]:
    radiance = scene.trained.radiance
    points = to_scene.points(splats.probes()).nan_to_num(0.0).clamp(-FARTHEST, FARTHEST).to(radiance.device)
    with radiance.still():
        owning = scene.probabilities(radiance.contraction(points.flatten(0, 1))).unflatten(0, points.shape[:2])
    total = owning.sum(-1)
    known = total >= OWNED
    share = torch.einsum("np,npi->ni", known / total.clamp(min=OWNED), owning) / known.sum(-1).clamp(min=1)[:, None]
    largest, id = share.max(-1)
    theirs = ((owning.argmax(-1) != id[:, None]) & known).sum(-1)
    divided = theirs > (1 - SURE) * known.sum(-1)
    return torch.where(known.any(-1), id, NOBODY).cpu(), largest.clamp(max=1).cpu(), divided.cpu()


def take_apart(
    scene: ArrangedScene, splats: Splats, straddling: Straddling = "keep", to_scene: Similarity = AS_IT_IS
) -> OwnedSplats:
    """Say whose each gaussian is, and settle those that straddle a border.

    Gaussians with a value that is not finite are left out, and crumbs go to whom their surroundings belong.

    Args:
        scene: the scene; its edit is honoured.
        splats: gaussians, which stay in their coordinates.
        straddling: what becomes of gaussians whose owner has less than SURE of them.
        to_scene: takes their coordinates to the scene's.
    """
    source = splats.finite.nonzero()[:, 0]
    shown = splats.selected(source)
    owners, parts = owners_of(scene, shown, to_scene), []

    def settle(which: Bool[Tensor, "n"]) -> None:
        parts.append(OwnedSplats(shown.selected(which), owners.id[which], owners.share[which], source[which]))

    for _ in range(CUTS if straddling == "split" else 0):
        cut = owners.divided
        settle(~cut)
        shown, source = shown.selected(cut).halves(), source[cut].repeat(2)
        owners = owners_of(scene, shown, to_scene)
    settle((owners.share >= SURE) | (owners.id == NOBODY) | (straddling != "drop"))
    order = torch.cat([part.source for part in parts]).argsort(stable=True)
    id, share, source = (torch.cat(column)[order] for column in zip(*((p.id, p.share, p.source) for p in parts)))
    settled = Splats.cat([part.splats for part in parts]).selected(order)
    cleaned = without_crumbs(to_scene.points(settled.means), id)
    return OwnedSplats(settled, cleaned, torch.where(cleaned == id, share, 0.0), source)


def without_crumbs(means: Float[Tensor, "n 3"], id: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    """Owners of gaussians, after pieces much smaller than an object's largest went to whom their surroundings belong.

    Args:
        means: where the gaussians are.
        id: their owners.
    """
    if len(id) == 0:
        return id
    places = means.double().clamp(-FARTHEST, FARTHEST).numpy()
    _, nearest = KDTree(places).query(places, min(NEIGHBOURS + 1, len(id)), workers=-1)
    around = torch.from_numpy(nearest.reshape(len(id), -1))
    row, column = (id[around] == id[:, None]).nonzero(as_tuple=True)
    links = coo_array((np.ones(len(row), bool), (row.numpy(), around[row, column].numpy())), (len(id), len(id)))
    piece = torch.from_numpy(connected_components(links, directed=False)[1]).long()
    sizes = torch.bincount(piece)
    owner = torch.zeros_like(sizes).scatter_(0, piece, id)
    largest = torch.zeros(int(id.max()) + 2, dtype=torch.long).scatter_reduce_(0, owner + 1, sizes, "amax")
    small = (sizes < CRUMB * largest[owner + 1]) & (sizes < max(SMALL * len(id), FEW)) & (owner != NOBODY)
    crumbs = small[piece]
    if not crumbs.any():
        return id
    _, nearest = KDTree(places[~crumbs.numpy()]).query(places[crumbs.numpy()])
    return id.masked_scatter(crumbs, id[~crumbs][torch.from_numpy(nearest)])
