"""The object stage of one device: the frozen surface of its views, what their masks are about, and batches of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from nerfstudio.utils.rich_utils import CONSOLE
from rich.progress import track
from torch import Tensor

from disconerf_ns.config import DiscoNerfPipelineConfig
from disconerf_ns.datamanager import DiscoNerfDataManager
from disconerf_ns.discovery.cells import MaskedSurface
from disconerf_ns.discovery.explanation import Explanation, count_explained, explain_all, said_of_explained
from disconerf_ns.discovery.find import agreed_on, find_consensus
from disconerf_ns.discovery.objects import discover
from disconerf_ns.errors import UserError
from disconerf_ns.masks.masked_view import MaskedView, pack
from disconerf_ns.object_model import ObjectModel
from disconerf_ns.rendering.rays import in_chunks, render_surface
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import DiscoveredObject, SceneObject
from disconerf_ns.spacing import evenly_spaced
from disconerf_ns.surface.fitting import VIEWS, SeenSurface, fitting, said_of_fitting
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.surface.storage import GIB, SurfaceStorage
from disconerf_ns.surface.thinning import one_in
from disconerf_ns.training.batch import ObjectBatch
from disconerf_ns.training.finite import check_finite
from disconerf_ns.training.memory_estimate import Budgets, MemoryEstimate, estimate_memory
from disconerf_ns.training.prefetcher import Prefetcher
from disconerf_ns.training.scene_rays import SceneRays, stride_within

ViewData = tuple[list[SurfaceSamples], list[MaskedView]]
"""Surface and masks of some views."""
FUSED_RAYS = 2**17
"""Rays whose surface is sampled at once where densities along rays come in one launch."""
EXPLAINING_RAYS = 2000
"""Rays of a view by which its masks are explained, at least: the search for objects divides its rays among all views,
of which many would have a ray or two in a mask."""
SEEN_RAYS = 200_000
"""Rays, about, spread evenly over all views, that tell which slots are objects."""


def _tensors(data: ViewData) -> list[Tensor]:
    surfaces, views = data
    parts = [(surface.packed, surface.accumulation) for surface in surfaces] + [(v.bits, v.valid) for v in views]
    return [tensor for part in parts for tensor in part]


class ObjectStage:
    """Surface, masks and explanations of the views that one device learns objects from.

    Args:
        config: options of the pipeline.
        model: the model, whose radiance field is frozen when the stage begins.
        datamanager: the views and their masks.
    """

    def __init__(self, config: DiscoNerfPipelineConfig, model: ObjectModel, datamanager: DiscoNerfDataManager):
        self.config, self.model, self.datamanager = config, model, datamanager
        self.devices = datamanager.devices
        self.surfaces: list[SurfaceSamples] = []
        """Of each view; empty before the stage begins."""
        self.explanations: list[Explanation] | None = None
        """Of the masks of each view; empty if they agree on nothing, None until that is asked."""

    @property
    def device(self) -> torch.device:
        """Device that learns."""
        return torch.device(self.model.device)

    def prepare(self, folder: Path) -> None:
        """Sample the frozen surface and explain the masks, unless that is done.

        Args:
            folder: place for samples that do not fit in memory.
        """
        self.surfaces = self.surfaces or self.sample_surfaces(folder)
        if self.model.config.matching == "scene" and self.explanations is None:
            self.explanations = self.explain_masks()

    def sample_surfaces(self, folder: Path) -> list[SurfaceSamples]:
        """Surface samples of the device's training views; `folder` takes those that do not fit in memory."""
        views = self.datamanager.views
        rays = [math.prod(self.datamanager.view_size(view)) for view in views]
        points = self.config.model.surface_points
        keeper = SurfaceStorage(rays, points, self.device, *self._surface_gb, folder)
        CONSOLE.log(f"surface: {sum(rays):,} rays of {len(views)} views, {max(rays):,} at most of each; {keeper}")
        return [
            keeper.keep(self.sample_surface(view))
            for view in track(views, "Sampling the frozen surface", console=CONSOLE)
        ]

    def sample_surface(self, view: int) -> SurfaceSamples:
        """Surface points of a training view's rays, from the pose that the camera optimizer found.

        Rays of pixels that no photograph taught, such as the black rim of a fisheye, see nothing.
        """
        rays, options = self.datamanager.view_rays(view), self.config.model
        radiance = self.model.current.value.trained.radiance
        with self.model.still():
            self.model.camera_optimizer.apply_to_raybundle(rays)
            parts = in_chunks(
                lambda chunk: render_surface(radiance, chunk, options.surface_points),
                rays,
                max(options.eval_num_rays_per_chunk, FUSED_RAYS if radiance.fused else 1),
                self.device,
            )
        taught = self.datamanager.taught(view).to(parts["accumulation"].device)
        check_finite(
            {name: values[taught] for name, values in parts.items()},
            f"surface: of the view {self.datamanager.train_keys[view]}",
            "the radiance field or the pose is broken; train the radiance field again.",
        )
        return SurfaceSamples.pack(parts["points"], parts["accumulation"] * taught)

    def explain_masks(self) -> list[Explanation]:
        """Explain the device's masks by the objects that the masks of all views agree on, which are found first.

        If the masks agree on nothing, there is no explanation, and masks are matched view by view.
        """
        if len(self.model.consensus_points) == 0:
            most = None if self.model.slots_by_masks else self.model.object_field.slots
            views = self._thinned_views(self.config.consensus_rays)
            found = self.devices.on_first(lambda every: find_consensus(every, most), views)
            self.model.agree_on(found)
            self.devices.equalize(self.model.object_field)
            CONSOLE.log(f"consensus: {agreed_on(found)}")
        if len(self.model.consensus_points) == 0:
            self.check_slots()
            why = self._why_not_the_masks() or "the masks do not agree"
            CONSOLE.log(f"matching: view by view, as with --pipeline.model.matching view, because {why}")
            return []
        rays = max(self.config.consensus_rays, EXPLAINING_RAYS * len(self.datamanager.train_dataset))
        denser = ((surface.to("cpu"), masks) for surface, masks in self._thinned(self._stride(rays)))
        explanations = explain_all(denser, self.model.consensus.cpu(), self.model.object_field.slots)
        explained, masks = (self.devices.total(number) for number in count_explained(explanations))
        CONSOLE.log(f"masks: {said_of_explained(explained, masks, self._why_not_the_masks)}")
        return [explanation.to(self.device) for explanation in explanations]

    def _why_not_the_masks(self) -> str | None:
        """Why the masks seem not to agree, if it is the radiance field; every device has to ask."""
        some = evenly_spaced(len(self.surfaces), VIEWS)
        found = fitting([self._seen_surface(self.datamanager.views[k], self.surfaces[k]) for k in some])
        return said_of_fitting(self.devices.total(found.fitting) / max(self.devices.total(found.looked), 1))

    @torch.no_grad()
    def _seen_surface(self, view: int, surface: SurfaceSamples) -> SeenSurface:
        """The surface of a training view, whose rays are taken to begin where the middle one does."""
        rays = self.datamanager.view_rays(view)
        self.model.camera_optimizer.apply_to_raybundle(rays)
        contraction = self.model.current.value.trained.radiance.contraction
        points = contraction.inverse(surface[surface.solid].positions.mean(1).to(contraction.box))
        return SeenSurface(rays.origins[len(rays) // 2].cpu(), points.cpu())

    def check_slots(self) -> None:
        """Refuse more masks in a view than there are slots, where each mask is matched with one.

        Raises:
            UserError: a view has more.
        """
        slots, most = self.model.object_field.slots, self.datamanager.train_dataset.metadata["most_masks"]
        if most > slots:
            raise UserError(
                f"masks: {self.datamanager.store.root} has up to {most} masks in one view, but there are {slots} "
                f"slots; start a run with --pipeline.model.slots of at least {most}, or leave it out."
            )

    def _thinned_views(self, rays: int) -> list[MaskedSurface]:
        """Surface and masks of the device's views, with about `rays` rays on all devices together.

        All of them are in main memory, where the search for objects is; the GPU is asked once.
        """
        parts, masks = zip(*self._thinned(self._stride(rays)))
        surfaces, lengths = SurfaceSamples.cat(list(parts)).to("cpu"), [len(part) for part in masks]
        packed, accumulation = surfaces.packed.split(lengths), surfaces.accumulation.split(lengths)
        return list(zip(map(SurfaceSamples, packed, accumulation), masks))

    def _thinned(self, stride: int) -> Iterator[MaskedSurface]:
        """One in `stride` of the pixels that count of each view: surface on the device, masks in main memory."""
        for index, surface in zip(self.datamanager.views, self.surfaces):
            view = self._with_background(self.datamanager.view_masks(index))
            counting = view.valid.nonzero()[:, 0]
            kept = counting[one_in(stride, len(counting), index).to(counting.device)]
            yield surface[kept.to(surface.packed.device)].to(self.device), view.at(kept)

    def next_batch(self) -> ObjectBatch:
        """The rays of the next object iteration, or the views where masks are matched view by view."""
        if self.draws_rays:
            return self.scene_rays.draw()
        drawn = self.datamanager.draw_views()
        surfaces, views = self.fetched.take(drawn, self.datamanager.following_views)
        return ObjectBatch.of(
            surfaces,
            [self._with_background(view) for view in views],
            [self.explanations[self._place(index)] for index in drawn] if self.explanations else None,
            self.device,
        )

    @property
    def draws_rays(self) -> bool:
        """Whether object iterations draw rays of all views, in which the host has no part."""
        return self._may_draw_rays and bool(self.explanations)

    @property
    def _may_draw_rays(self) -> bool:
        """Whether they do if the masks agree on objects."""
        return self.model.config.matching == "scene" and self.config.datamanager.rays_per_batch > 0

    @cached_property
    def scene_rays(self) -> SceneRays:
        """Rays of all training views with their masks, on the device that trains."""
        data, total = self.config.datamanager, sum(map(len, self.surfaces))
        explanations = self.explanations or []
        masks = max(len(explanation.sets) for explanation in explanations)
        stride = stride_within(total, self.surfaces[0].packed.shape[1], masks, *self._budgets)
        views = (self._with_background(self.datamanager.view_masks(index)) for index in self.datamanager.views)
        drawn = data.rays_per_batch * len(self.surfaces) // len(self.datamanager.train_dataset)
        rays = SceneRays.of(self.surfaces, views, explanations, drawn, stride, self.device)
        CONSOLE.log(f"rays: {rays.drawn} of each view in an iteration, of {len(rays.rays[0]):,} in all")
        return rays

    @property
    def memory(self) -> MemoryEstimate:
        """Memory that the object stage takes on the first device and for it."""
        config, masks = self.config, self.datamanager.masks
        return estimate_memory(
            [math.prod(self.datamanager.view_size(view)) for view in range(len(masks))],
            [len(of_view) + config.datamanager.background_mask for of_view in masks],
            config.model.surface_points,
            config.consensus_rays,
            self._budgets,
            self.devices,
        )

    @property
    def _budgets(self) -> Budgets:
        surface_gb = self._surface_gb[self.device.type == "cpu"]
        return Budgets(round(surface_gb * GIB), round(self.config.datamanager.mask_memory_gb * GIB))

    @property
    def _surface_gb(self) -> tuple[float, float]:
        """Budgets of the views' surface points on a GPU and in host memory; rays that are drawn have as much again."""
        share = 0.5 if self._may_draw_rays else 1.0
        return share * self.config.surface_memory_gb, share * self.config.surface_host_memory_gb

    @cached_property
    def fetched(self) -> Prefetcher[tuple[int, ...], ViewData]:
        """Surface and masks of some views, on the device that trains."""
        return Prefetcher(self._fetch, _tensors, self.device)

    def _fetch(self, drawn: tuple[int, ...]) -> ViewData:
        surfaces = [self.surfaces[self._place(index)].to(self.device, non_blocking=True) for index in drawn]
        return surfaces, [self.datamanager.view_masks(index).to(self.device, non_blocking=True) for index in drawn]

    def _place(self, view: int) -> int:
        """Index of a training view among the views of this device."""
        return self.datamanager.views.index(view)

    def _with_background(self, view: MaskedView) -> MaskedView:
        """The masks of a view, and a mask of its background if `background_mask` is on (DiscoNeRF, 4)."""
        if not self.config.datamanager.background_mask:
            return view
        contraction = self.model.current.value.trained.contraction
        positions = contraction.inverse(self.surfaces[self._place(view.index)].positions.to(self.device))
        outside = (positions.norm(dim=-1) > 1).float().mean(-1) > 0.5
        return replace(view, bits=torch.cat([view.bits, pack(outside[None]).to(view.bits.device)]))

    def discover_objects(self) -> tuple[SceneObject, ...]:
        """Find the objects of every size and show them as outputs; those that were found before keep their order.

        Returns:
            The objects of the default cut as they are without an edit.
        """
        stride, trained = self._stride(SEEN_RAYS), self.model.current.value.trained

        def found(surfaces: list[SurfaceSamples]) -> list[DiscoveredObject]:
            return discover(
                self.model.object_field,
                (surface.to(self.device) for surface in surfaces),
                trained.contraction.inverse,
                trained.tree,
                self.config.object_min_share,
                known=[each.node for each in trained.discovered],
            )

        thinned = (
            surface[one_in(stride, len(surface), view).to(surface.packed.device)].to("cpu")
            for view, surface in zip(self.datamanager.views, self.surfaces)
        )
        self.model.set_objects(self.devices.on_first(found, thinned))
        return self.model.current.value.with_edit(Edit()).objects

    def _stride(self, rays: int) -> int:
        """Every so many rays are left where about `rays` rays of all devices are wanted."""
        return max(self.devices.total(sum(map(len, self.surfaces))) // rays, 1)

    # ---------------------------------------------------------------- stop and go on

    def to_go_on(self) -> dict[str, Any]:
        """State for a checkpoint with which `go_on` continues with the same explanations."""
        if self.explanations is None:
            return {"explanations": None}
        return {"explanations": [(each.sets.bool(), each.affinity) for each in self.explanations]}

    def go_on(self, stored: dict[str, Any]) -> None:
        """Take over what `to_go_on` gave, unless it is about other masks."""
        if stored["masks_identity"] != self.datamanager.store.identity():
            CONSOLE.log("masks: another set than before; they are matched anew with the objects of the run")
        elif stored["explanations"] is not None:
            known = (Explanation(sets.float(), affinity) for sets, affinity in stored["explanations"])
            self.explanations = [each.to(self.device) for each in known]
