"""Gaussians of a scene that has none: sampled from the surface of the radiance field that the training views see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.rays import RayBundle
from scipy.spatial import KDTree
from torch import Tensor

from disconerf_ns.errors import UserError
from disconerf_ns.export.splats_apart import NEIGHBOURS, OwnedSplats, without_crumbs
from disconerf_ns.gaussians.spherical_harmonics import bases, basis
from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.rendering.alone import object_samples
from disconerf_ns.rendering.left import own_colors, sample_edited
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.surface.intervals import Intervals
from disconerf_ns.surface.samples import weight_quantiles

OPAQUE = 0.75
"""Fraction of its light that a ray has to lose for it to see a surface, and no haze or fuzzy border; half of this at
the surface itself."""
THICKNESS = 0.01
"""Depth in the contracted unit cube within which light that stops belongs to one surface."""
FAR_THICKNESS = 0.08
"""The same for surfaces where space is contracted, whose distance nobody can tell well."""
UNCONTRACTED = 0.25
"""Half the edge, in the contracted cube, of the cube in the middle where space is not contracted."""
BEHIND = 4
"""Of so many rays, one looks behind what is in front."""
FINEST = 4096
"""Most voxels per axis of the contracted cube."""
NEAREST = 6
"""Gaussians around one whose distance is its own size."""
WIDTH = 0.45
"""Standard deviation along the surface, as a fraction of the distance to the nearest gaussians."""
FLATTEST, ROUNDEST = 0.15, 0.25
"""Least and largest standard deviation across the surface, as a fraction of the one along it."""
LOOKS = 2
"""Rays for each gaussian, at least on average, without which gaussians would lie unevenly and leave holes."""
MOST_OPAQUE = 0.99
"""Largest opacity of a gaussian."""
SMOOTHING = 0.3
"""Weight of the pull of higher spherical harmonics towards 0, in looks at a gaussian."""


class Looks(NamedTuple):
    """What rays see where they meet a surface."""

    positions: Float[Tensor, "looks 3"]
    """Scene coordinates of the point at which half of the ray's light has stopped."""
    directions: Float[Tensor, "looks 3"]
    rgb: Float[Tensor, "looks 3"]
    """Colour of the surface there, without what shines through it."""
    stopped: Float[Tensor, "looks"]
    """Fraction of the light that the surface stops, in [0, 1]."""
    id: Int[Tensor, "looks"]
    """The object that is seen."""

    @staticmethod
    def cat(parts: Iterable[Looks]) -> Looks:
        """Looks of several rays."""
        return Looks(*(torch.cat(column) for column in zip(*parts)))


def look(scene: ArrangedScene, rays: RayBundle) -> Looks:
    """Where flat rays meet a surface; rays that see haze, nothing, or a border between two depths are left out."""
    radiance = scene.trained.radiance
    samples = radiance.sample(rays)
    density, rgb = radiance.shade(samples.positions, samples.directions[:, None])
    _, seen = _seen(radiance.contraction, samples, samples.weights(density), rgb, FAR_THICKNESS)
    return Looks(*seen, scene.owners(seen[0]))


def look_behind(scene: ArrangedScene, rays: RayBundle, each: SceneObject) -> Looks:
    """Where flat rays meet the surface of an object that is alone in the scene, so also behind other objects."""
    _, samples, density, rgb = object_samples(scene, rays, each.id, scene.bodies.clean(each.id))
    _, seen = _seen(scene.trained.contraction, samples, samples.weights(density), rgb, THICKNESS)
    return Looks(*seen, torch.full_like(seen[3], each.id, dtype=torch.long))


def look_around(scene: ArrangedScene, rays: RayBundle) -> Looks:
    """Where flat rays meet what surrounds the scene, and the rest, once everything else is gone.

    They are looked at together, since one of them alone takes as long as all: it is wherever a ray goes. What the field
    made up there is left out, unless objects are to be as it has them.
    """
    samples, ids = owned = sample_edited(scene, rays)
    rgb = own_colors(scene, owned)
    kept, seen = _seen(scene.trained.contraction, samples.intervals, samples.weights, rgb, FAR_THICKNESS)
    strongest = samples.weights[kept].argmax(-1, keepdim=True)
    looks = Looks(*seen, ids[kept].gather(1, strongest)[:, 0])
    if not scene.options.complete:
        return looks
    known = scene.trained.looked_into(looks.positions) | scene.revealed.completes(looks.positions)
    return Looks(*(column[known] for column in looks))


def emptied(scene: ArrangedScene, objects: Iterable[SceneObject]) -> ArrangedScene:
    """The scene without some objects, and otherwise as it was photographed."""
    gone = frozenset(each.id for each in objects)
    return scene.with_edit(replace(scene.edit, hidden=gone, places={}, hidden_copies={}))


def without_haze(scene: ArrangedScene, looks: Looks, objects: Iterable[SceneObject]) -> Looks:
    """The looks that do not meet the haze or crumbs of some objects, which films leave out too."""
    kept = torch.ones_like(looks.id, dtype=torch.bool)
    for each in objects:
        own, voxels = looks.id == each.id, scene.bodies.clean(each.id).voxels
        kept[own] = voxels.holds(looks.positions[own].to(voxels.occupied.device)).cpu()
    return Looks(*(column[kept] for column in looks))


def _completed(scene: ArrangedScene, objects: Iterable[SceneObject]) -> tuple[list[SceneObject], bool]:
    """Those of the objects that can be seen from outside, completed one after the other; and whether there are more."""
    outside, more = [], False
    for each in objects:
        if has_outside(scene, each):
            scene.bodies.clean(each.id)
            outside.append(each)
        else:
            more = True
    return outside, more


def has_outside(scene: ArrangedScene, each: SceneObject) -> bool:
    """Whether an object can be seen from outside: it is neither the rest nor what surrounds the scene."""
    return each.number is not None and each.id not in scene.bodies.surrounding


def _seen(
    contraction: Contraction,
    samples: Intervals,
    weights: Float[Tensor, "rays samples"],
    rgb: Float[Tensor, "rays samples 3"],
    far_thickness: float,
) -> tuple[Int[Tensor, "looks"], tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Indices of the rays that meet a surface thin enough to have a place, and the first four columns of `Looks`."""
    depths = weight_quantiles(weights, samples.edges, 3)
    places = samples.origins[:, None] + samples.directions[:, None] * depths[..., None]
    early, middle, late = contraction(places).unbind(1)
    near_by = ((middle - 0.5).abs().amax(-1) < UNCONTRACTED) | (contraction.distort is None)
    thickness = torch.where(near_by, THICKNESS, far_thickness)
    apart = (contraction(samples.positions) - middle[:, None]).norm(dim=-1)
    near = torch.where(apart < thickness[:, None], weights, 0.0)
    stopped = near.sum(-1)
    thin = (late - early).norm(dim=-1) < thickness
    opaque = (weights.sum(-1) > OPAQUE) & (stopped > OPAQUE / 2)
    kept = (thin & opaque & places.isfinite().all(-1).all(-1)).nonzero()[:, 0]
    color = (near[kept, :, None] * rgb[kept]).sum(1) / stopped[kept, None]
    return kept, (places[kept, 1], samples.directions[kept], color.clamp(0, 1), stopped[kept])


def look_at_all(scene: ArrangedScene, views: Iterable[RayBundle], behind: Iterable[SceneObject] = ()) -> Looks:
    """Where the rays of several views meet a surface.

    Args:
        views: flat rays of each; the first are taken when all objects are completed.
        behind: objects that are looked at once more, without the others in front of them, and of which haze and crumbs
            are left out. What surrounds the scene is looked at once for all.
    Raises:
        UserError: no ray meets a surface.
    """
    hard = scene.with_options(extraction="hard")
    outside, around = _completed(hard, behind)
    empty = emptied(hard, outside) if around else None
    size, device = scene.options.rays_at_once, scene.trained.radiance.device
    parts = []
    for rays in views:
        for start in range(0, len(rays), size):
            some = rays[start : start + size].to(device)
            with scene.trained.radiance.still():
                parts += [look(hard, some), *(look_behind(hard, some[::BEHIND], each) for each in outside)]
                parts += [] if empty is None else [look_around(empty, some[::BEHIND])]
    looks = without_haze(scene, Looks(*(column.cpu() for column in Looks.cat(parts))), outside)
    if len(looks.id) == 0:
        raise UserError(
            "splats: no ray of the training views meets a surface; train the radiance field longer, with a larger "
            "--max-num-iterations, or look at more rays."
        )
    return looks


def sample_splats(scene: ArrangedScene, looks: Looks, most: int = 200_000, degree: int = 0) -> OwnedSplats:
    """Gaussians of the surface that rays met, in scene coordinates.

    What one object's rays met in a voxel of contracted space is one gaussian, at their mean. It is as wide as its
    neighbours of the same object are far, and flat where they lie in a plane; it stops as much light as the surface
    did, and has the mean of the colours, or a fit of spherical harmonics to them.

    Args:
        scene: the scene; its edit says which objects there are, and in which colours.
        looks: where rays meet a surface, at least once.
        most: largest number of gaussians.
        degree: of the spherical harmonics.
    """
    device = scene.trained.radiance.device
    contracted = scene.trained.contraction(looks.positions.to(device)).cpu()
    voxel, edge = thinned(contracted, looks.id, min(most, len(contracted) // LOOKS + 1))
    count = torch.bincount(voxel)
    means = _mean(looks.positions, voxel, count)
    size = voxel_size(scene.trained.contraction, means.to(device), edge).cpu()
    owner = without_crumbs(means, torch.zeros(len(count), dtype=torch.long).scatter_(0, voxel, looks.id))
    log_scales, quaternions = torch.zeros(len(means), 3), torch.zeros(len(means), 4)
    for each in owner.unique():
        rows = (owner == each).nonzero()[:, 0]
        log_scales[rows], quaternions[rows] = shapes(means[rows], size[rows])
    opacity = _mean(looks.stopped[:, None], voxel, count)[:, 0].clamp(1 - MOST_OPAQUE, MOST_OPAQUE)
    shown = looks._replace(rgb=scene.table.tint(looks.rgb.to(device), looks.id.to(device)).cpu())
    sh = fit_colors(shown, voxel, count, degree)
    splats = Splats(means, log_scales, quaternions, opacity.logit(), sh)
    return OwnedSplats(splats, owner, torch.ones(len(means)), torch.arange(len(means)))


def thinned(
    contracted: Float[Tensor, "looks 3"], id: Int[Tensor, "looks"], most: int
) -> tuple[Int[Tensor, "looks"], float]:
    """The voxel that each look is in, numbered, a voxel of each object apart; and their edge in contracted space.

    Voxels are the smallest, in steps of a fifth, of which there are at most `most`, but at least one for each object.
    """
    side = float(FINEST)
    while True:
        x, y, z = (contracted.double() * side).long().unbind(-1)
        cells = int(side) + 1
        kinds, voxel = (((id * cells + x) * cells + y) * cells + z).unique(return_inverse=True)
        if len(kinds) <= most or side <= 1:
            return voxel, 1 / side
        side /= 1.2


def voxel_size(contraction: Contraction, positions: Float[Tensor, "n 3"], edge: float) -> Float[Tensor, "n"]:
    """Middle length, in scene coordinates, of the edges of a voxel of contracted space around each position."""
    steps = edge / 2 * torch.eye(3, device=positions.device)
    middle = contraction(positions)[:, None]
    return (contraction.inverse(middle + steps) - contraction.inverse(middle - steps)).norm(dim=-1).median(-1).values


def shapes(means: Float[Tensor, "n 3"], size: Float[Tensor, "n"]) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 4"]]:
    """Scales and turns of the gaussians of one surface, from their neighbours.

    Args:
        means: the gaussians of one object.
        size: edge of the voxel that each stands for, which bounds its own size.
    Returns:
        Logarithms of the scales, and quaternions (w, x, y, z).
    """
    from scipy.spatial.transform import Rotation

    if len(means) <= NEAREST:
        return (WIDTH * size).log()[:, None].expand(-1, 3), torch.eye(4)[:1].expand(len(means), -1)
    points = means.double()
    distance, around = KDTree(points.numpy()).query(points.numpy(), min(NEIGHBOURS + 1, len(points)), workers=-1)
    spacing = torch.from_numpy(distance[:, 1 : NEAREST + 1]).mean(-1).float()
    spacing = spacing.clamp(0.5 * size, 3.0 * size)
    offsets = points[torch.from_numpy(around)] - points[:, None]
    closeness = torch.exp(-0.5 * (offsets.norm(dim=-1) / (2 * spacing[:, None])).square())
    offsets = offsets - (closeness[..., None] * offsets).sum(1, keepdim=True) / closeness.sum(1)[:, None, None]
    spread = torch.einsum("nk,nki,nkj->nij", closeness, offsets, offsets) / closeness.sum(1)[:, None, None]
    variances, axes = torch.linalg.eigh(spread)
    axes[..., 0] *= torch.linalg.det(axes)[:, None].sign()
    along = WIDTH * spacing
    across = variances[:, 0].clamp(min=0).sqrt().float().clamp(FLATTEST * along, ROUNDEST * along)
    quaternions = torch.from_numpy(Rotation.from_matrix(axes.numpy()).as_quat()).float()[:, [3, 0, 1, 2]]
    return torch.stack([across, along, along], -1).log(), quaternions


def fit_colors(
    looks: Looks, voxel: Int[Tensor, "looks"], count: Int[Tensor, "n"], degree: int
) -> Float[Tensor, "n bases 3"]:
    """Spherical harmonics of the colours that were seen along the looks' directions, by regularised least squares.

    Minimises sum (B(d) c - (rgb - 1/2))^2 + SMOOTHING |c|^2 of degrees above 0, for each gaussian.
    """
    functions = bases(degree)
    squares, products = torch.zeros(len(count), functions, functions), torch.zeros(len(count), functions, 3)
    for rows in torch.arange(len(voxel)).split(2**18):
        values = basis(looks.directions[rows], degree)
        squares.index_add_(0, voxel[rows], values[:, :, None] * values[:, None])
        products.index_add_(0, voxel[rows], values[:, :, None] * (looks.rgb[rows, None] - 0.5))
    pull = torch.full((functions,), SMOOTHING)
    pull[0] = 0
    return torch.linalg.solve(squares + torch.diag(pull), products)


def _mean(
    values: Float[Tensor, "looks c"], voxel: Int[Tensor, "looks"], count: Int[Tensor, "n"]
) -> Float[Tensor, "n c"]:
    total = torch.zeros(len(count), values.shape[1], dtype=torch.float64).index_add_(0, voxel, values.double())
    return (total / count[:, None]).float()
