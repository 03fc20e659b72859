"""Sampling a frozen surface: what fewer samples and half precision change, and how long a ray takes.

All errors are differences from many more samples than anybody takes, in single precision. So the first row, with the
radiance stage's own numbers of samples, says how large an error is that nobody minds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from unittest import mock

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from benchmarks.clock import timed
from disconerf_ns.compat.nerfacto import NerfactoRadiance
from disconerf_ns.kernels.radiance_encoding import encodings
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.rendering.rays import in_chunks, render_surface
from disconerf_ns.surface.samples import SurfaceSamples, render_slots

DENSE = (1024, 512, 256)
"""Samples that stand for infinitely many."""
FEWER = ((256, 96, 48), (96, 48, 48), (64, 32, 48), (96, 48, 32), (64, 32, 32), (48, 24, 24), (48, 24, 16))
"""Samples of the proposal networks and of the field that are compared."""


class Seen(NamedTuple):
    """What sampling finds along rays."""

    points: Float[Tensor, "rays count 3"]
    """Scene positions of the surface points."""
    accumulation: Float[Tensor, "rays"]
    slots: Float[Tensor, "rays slots"]
    """Rendered slot probabilities."""


def own_counts(model: DiscoNerfModel) -> tuple[int, ...]:
    """Samples of the radiance stage."""
    return (*model.config.num_proposal_samples_per_ray, model.config.num_nerf_samples_per_ray)


def lookups(model: DiscoNerfModel, counts: Sequence[int]) -> int:
    """Cells of hash grids, of all levels, that are looked at for one ray."""
    networks = [*model.proposal_networks, model.field]
    return sum(count * int(network.num_levels) for count, network in zip(counts, networks))


def surface(
    model: DiscoNerfModel, rays: RayBundle, counts: Sequence[int], half: bool, at_once: int
) -> dict[str, Tensor]:
    """Contracted surface points and accumulation of flat rays, as training takes them, `at_once` rays at a time."""
    radiance, points = NerfactoRadiance(model, model.still, half), model.config.surface_points
    with model.still(), mock.patch.multiple(model.proposal_sampler, **sampler_counts(counts)):
        return in_chunks(lambda chunk: render_surface(radiance, chunk, points), rays, at_once, model.device)


def sampler_counts(counts: Sequence[int]) -> dict:
    """Attributes of nerfstudio's sampler that ask for some numbers of samples."""
    return {"num_proposal_samples_per_ray": tuple(counts[:-1]), "num_nerf_samples_per_ray": counts[-1]}


def see(model: DiscoNerfModel, rays: RayBundle, counts: Sequence[int], half: bool) -> Seen:
    """What training sees along flat rays."""
    with rounded(model, half and model.device.type == "cpu"):
        parts = surface(model, rays, counts, half, at_once=1024)
    packed = SurfaceSamples.pack(parts["points"], parts["accumulation"])
    with model.still():
        slots = render_slots(model.object_field(packed.positions.flatten(0, 1)), packed.accumulation.float())
    scene = model.current.value.trained.contraction.inverse(packed.positions)
    return Seen(scene, packed.accumulation.float(), slots)


@contextmanager
def rounded(model: DiscoNerfModel, half: bool) -> Iterator[None]:
    """Half precision on a CPU, as a GPU has it: tables are rounded, and networks multiply in half precision."""
    if not half:
        yield
        return
    tables = [encoding.hash_table for encoding in encodings(model)]
    kept = [table.data for table in tables]
    for table in tables:
        table.data = table.data.half().float()
    with torch.autocast("cpu", torch.float16):
        yield
    for table, data in zip(tables, kept):
        table.data = data


def errors(model: DiscoNerfModel, rays: RayBundle) -> list[dict]:
    """What the ways to sample change, from many samples on."""
    dense, rows = see(model, rays, DENSE, half=False), []
    own = own_counts(model)
    ways = [(own, False), (own, True), *((counts, False) for counts in FEWER if counts != own)]
    depth = (dense.points - rays.origins[:, None].to(dense.points)).norm(dim=-1)
    for counts, half in ways:
        seen = see(model, rays, counts, half)
        distance = ((seen.points - dense.points).norm(dim=-1) / depth).mean(-1)
        rows.append(
            {
                "samples": " ".join(map(str, counts)),
                "precision": "half" if half else "single",
                "lookups": lookups(model, counts),
                "accumulation": float((seen.accumulation - dense.accumulation).abs().mean()),
                "distance": float(distance.mean()),
                "distance_median": float(distance.median()),
                "distance_90": float(distance.quantile(0.9)),
                "moved": float((seen.slots - dense.slots).abs().sum(-1).mean() / 2),
                "other_slot": float((seen.slots.argmax(-1) != dense.slots.argmax(-1)).float().mean()),
            }
        )
    return rows


def times(model: DiscoNerfModel, rays: RayBundle, sizes: Sequence[int], repeats: int) -> list[dict]:
    """Microseconds a ray of the ways to sample: of wall time on a GPU, of a core otherwise; the least of some repeats.

    Args:
        model: whose surface is sampled.
        rays: flat rays.
        sizes: rays that are sampled at once.
        repeats: times that each time is taken after a first one.
    """
    own, gpu, rows = own_counts(model), model.device.type == "cuda", []
    ways = [(own, True), *([(own, False)] if gpu else []), *((counts, True) for counts in FEWER[1:4])]
    for at_once in sizes:
        for counts, half in ways:
            taken = []
            for _ in range(repeats + 1):
                with timed() as lap:
                    surface(model, rays, counts, half, at_once)
                taken.append(lap.seconds if gpu else lap.cpu_seconds)
            rows.append(
                {
                    "samples": " ".join(map(str, counts)),
                    "precision": "half" if half and gpu else "single",
                    "rays_at_once": at_once,
                    "us_per_ray": 1e6 * min(taken[1:]) / len(rays),
                }
            )
            print(rows[-1], flush=True)
    return rows
