"""Which coordinates a file of gaussians is in: evidence is how many of them lie where the radiance field has a surface.

Files of one capture come in several frames. `ns-export gaussian-splat` writes the scene coordinates of its run, which
nerfstudio has turned, moved and scaled; other trainers write the coordinates of the capture, those of its camera poses.
Either may be turned for SuperSplat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from scipy.spatial import KDTree
from torch import Tensor

from disconerf_ns.errors import UserError
from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.similarity import Similarity

NEAR = 0.01
"""Distance in the contracted unit cube up to which a gaussian lies on a surface."""
ENOUGH = 0.5
"""Least fit of a frame that can be the right one."""
CLEARLY = 0.1
"""Least lead of the fit that decides."""
LOOKED_AT = 20_000
"""Most gaussians, and most points of the surface, that are compared."""

SUPERSPLAT = Similarity(rotation=(0.0, 0.0, 0.0, 1.0))
"""Half a turn about z: SuperSplat turns a PLY file by it when it opens it."""


FrameOfSplats = Literal["auto", "scene", "capture"]
"""Frame of a file: the scene's of the run that takes it apart, the capture's, or what the evidence says."""


@dataclass(frozen=True, eq=False)
class GivenSplats:
    """Gaussians of a file or a run, and where they are."""

    splats: Splats
    """As they were given."""
    to_scene: Similarity
    """Takes their coordinates to the scene's."""
    said: str
    """Which frame they are in, and how that is known."""


@dataclass(frozen=True)
class Fit:
    """How well gaussians fit to the surface in one frame."""

    on_surface: float
    """Fraction of the gaussians, weighted by opacity, that lie on the surface."""
    covered: float
    """Fraction of the surface on which a gaussian lies."""

    @property
    def score(self) -> float:
        """Harmonic mean of both, in [0, 1]: a small copy of the scene that lies on a table is no fit."""
        return 2 * self.on_surface * self.covered / max(self.on_surface + self.covered, 1e-12)


def fit(splats: Splats, surface: Float[Tensor, "points 3"], contraction: Contraction) -> Fit:
    """How well gaussians fit to the surface.

    Args:
        splats: gaussians, in scene coordinates if the frame is right.
        surface: points of the radiance field's surface, in scene coordinates.
        contraction: scene positions to the unit cube, in which far things count less.
    """
    drawn = splats.selected(_spread(len(splats)))
    points, inside = (contraction(x.to(contraction.box)).cpu() for x in (drawn.means, drawn.probes().flatten(0, 1)))
    places = contraction(surface[_spread(len(surface))].to(contraction.box)).cpu()
    there = points.isfinite().all(-1)
    drawn, points = drawn.selected(there.to(drawn.means.device)), points[there]
    weights = drawn.opacities / drawn.opacities.sum().clamp(min=1e-12)
    covered = _near(places, torch.cat([points, inside[inside.isfinite().all(-1)]]))
    return Fit(float(weights[_near(points, places)].sum()), float(covered.float().mean()))


def decide(
    splats: Splats, frames: Mapping[str, Similarity], surface: Float[Tensor, "points 3"], contraction: Contraction
) -> tuple[str, Similarity, dict[str, Fit]]:
    """The frame that gaussians are in: one of those given, or one turned for SuperSplat where that fits clearly better.

    Args:
        splats: finite gaussians as the file has them.
        frames: by name, what takes a frame's coordinates to the scene's.
        surface, contraction: as in `fit`.
    Returns:
        The name of the frame, what takes its coordinates to the scene's, and the fit of each that was in question.
    Raises:
        UserError: no frame fits, or two that differ fit alike.
    """
    turned = {f"{name}, turned for SuperSplat": to_scene @ SUPERSPLAT.inverse() for name, to_scene in frames.items()}
    plain, other = (
        {name: fit(splats.placed(to_scene), surface, contraction) for name, to_scene in group.items()}
        for group in (frames, turned)
    )
    lead = max(each.score for each in other.values()) - max(each.score for each in plain.values())
    fits, places = (plain | other, dict(frames) | turned) if lead >= CLEARLY else (plain, frames)
    best, *others = sorted(fits, key=lambda name: -fits[name].score)
    said = ", ".join(f"{name}: {fits[name].score:.2f}" for name in fits)
    if fits[best].score < ENOUGH:
        raise UserError(
            f"splats: in no frame do the gaussians lie on the scene's surface (fit from 0 to 1 in {said}); pass the "
            "config.yml of their splatfacto run in the place of its PLY file, or say the frame with --splats-frame."
        )
    for other_name in others:
        alike = places[best].close_to(places[other_name], NEAR)
        if not alike and fits[best].score - fits[other_name].score < CLEARLY:
            raise UserError(f"splats: the gaussians fit in two frames alike ({said}); say which with --splats-frame.")
    return best, places[best], fits


def _spread(count: int) -> Tensor:
    return torch.arange(0, count, max(-(-count // LOOKED_AT), 1))


def _near(points: Float[Tensor, "n 3"], others: Float[Tensor, "m 3"]) -> Bool[Tensor, "n"]:
    distance, _ = KDTree(others.numpy()).query(points.numpy(), distance_upper_bound=NEAR)
    return torch.from_numpy(distance) < NEAR
