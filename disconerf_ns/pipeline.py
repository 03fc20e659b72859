"""Two stages in one run: learn the radiance field, freeze it, sample its surface once, learn the objects."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from jaxtyping import Int
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.pipelines.base_pipeline import VanillaPipeline
from nerfstudio.utils import writer
from nerfstudio.utils.rich_utils import CONSOLE
from rich.progress import track
from torch import Tensor

from disconerf_ns.compat.opened_run import checkpoint_folder, name_absolutely, opened_run, relocate
from disconerf_ns.compat.process import prepare_process
from disconerf_ns.compat.viewer import listen_here
from disconerf_ns.config import DiscoNerfPipelineConfig
from disconerf_ns.datamanager import DiscoNerfDataManager
from disconerf_ns.discovery.cells import MaskedSurface
from disconerf_ns.discovery.explanation import Explanation, count_explained, explain_all, said_of_explained
from disconerf_ns.discovery.find import agreed_on, find_consensus
from disconerf_ns.discovery.objects import discover
from disconerf_ns.discovery.report import report_masks, save_report
from disconerf_ns.errors import UserError, cause
from disconerf_ns.evaluation.predictions import training_rays
from disconerf_ns.evaluation.scores import object_metrics
from disconerf_ns.evaluation.views import capture_of
from disconerf_ns.kernels.choice import tinycudann_works
from disconerf_ns.masks.masked_view import MaskedView, pack
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.rendering.rays import in_chunks, render_surface
from disconerf_ns.scene.edit import EDIT, Edit
from disconerf_ns.scene.objects import DiscoveredObject, SceneObject, save_manifest
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.surface.storage import GIB, SurfaceStorage
from disconerf_ns.training.batch import ObjectBatch
from disconerf_ns.training.captured import CapturedSteps, Held
from disconerf_ns.training.finite import check_finite
from disconerf_ns.training.needs import Budgets, Needs, needs
from disconerf_ns.training.prefetcher import Prefetcher
from disconerf_ns.training.radiance_transfer import adopt_architecture, check_scene, load_radiance, radiance_source
from disconerf_ns.training.scene_rays import SceneRays, stride_within
from disconerf_ns.training.schedule import Resumed, Schedule, Stage, plan_stages
from disconerf_ns.training.step import Losses, Metrics, TrainingStep
from disconerf_ns.viewer.control import ObjectControl
from disconerf_ns.viewer.status import Report

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import Trainer

TestMode = Literal["test", "val", "inference"]
"""Images that nerfstudio loads beside the training images; "inference" loads none."""
REPORT_EVERY = 8
"""Steps between two reports to the viewer, whose numbers make a step wait for the GPU."""
SPACE_RAYS = 2**16
"""Rays of all training views that tell which space photographs looked into."""
ViewData = tuple[list[SurfaceSamples], list[MaskedView]]
"""Surface and masks of some views."""
FUSED_RAYS = 2**17
"""Rays whose surface is sampled at once where densities along rays come in one launch."""
SEEN_RAYS = 200_000
"""Rays, about, evenly spaced over all views, that tell which slots are objects."""


def _tensors(data: ViewData) -> list[Tensor]:
    surfaces, views = data
    parts = [(surface.packed, surface.accumulation) for surface in surfaces] + [(v.bits, v.valid) for v in views]
    return [tensor for part in parts for tensor in part]


@contextmanager
def by_product(path: Path) -> Iterator[Path]:
    """Go on without a file that can be made from the checkpoint again, where it cannot be written."""
    try:
        yield path
    except OSError as error:
        CONSOLE.log(f"objects: {path} is not written ({cause(error)}); the training goes on without it.")


class DiscoNerfPipeline(VanillaPipeline):
    """Chooses the stage by the step alone, so that a run can be stopped and resumed anywhere."""

    config: DiscoNerfPipelineConfig
    object_start: Int[Tensor, ""]
    """Step at which the object stage begins; -1 until it is planned."""

    def __init__(
        self, config: DiscoNerfPipelineConfig, device: str | torch.device, test_mode: TestMode = "val", **kwargs
    ):
        prepare_process()
        self.edit_file: Path | None = None
        """File of the run's edit; None until its folder is known."""
        if (opened := opened_run()) is not None:
            relocate(*opened)
            listen_here()
            self.edit_file = opened[1].parent / EDIT
        if config.model.implementation == "tcnn" and not tinycudann_works():
            config.model.implementation = "torch"  # so does nerfstudio, but then our kernels stay out too
        source = None
        if config.radiance_field is not None and test_mode == "val":
            source = radiance_source(config.radiance_field)
            adopt_architecture(source, config.model)
        kwargs["world_size"] = 1  # of more, nerfstudio would wrap the model
        super().__init__(config, cast("str", device), test_mode, **kwargs)  # nerfstudio too passes a torch.device
        self.devices = self.datamanager.devices
        CONSOLE.quiet |= not self.devices.first
        self.register_buffer("object_start", torch.tensor(-1))
        self.datamanager.limits_rays = config.model.matching == "scene"
        self.surfaces: list[SurfaceSamples] = []
        self.explanations: list[Explanation] | None = None
        """Of the masks of each view; empty if they agree on nothing, None until that is asked."""
        self.may_be_left: Callable[[], AbstractContextManager[None]] = nullcontext
        """Surrounds work that can be done again, so that a run which shall stop need not wait for it."""
        self.settled: dict[str, Tensor] = {}
        self.captured, self.held = CapturedSteps(), Held()
        self._claim(Stage.RADIANCE)
        self.schedule = Schedule(0, 0)
        self.stage = Stage.RADIANCE
        self.folder = Path(tempfile.gettempdir())
        """Folder with room for data that does not fit in memory: the run's folder in training."""
        self.object_control = ObjectControl(self.model.current, self._photographs, lambda: self.edit_file)
        self.model.present = self.object_control.present
        self.model.look_from(lambda: training_rays(self, SPACE_RAYS))
        if source is not None:
            check_scene(source, self.datamanager)
            load_radiance(source, self.model)
            CONSOLE.log(f"radiance field: taken from {source.checkpoint}")
        self.devices.equalize(self.model)

    @property
    def model(self) -> DiscoNerfModel:
        """The model."""
        return cast("DiscoNerfModel", super().model)

    @property
    def datamanager(self) -> DiscoNerfDataManager:
        """Rays, views and masks; a property, because Python 3.12 does not look for a protocol's parts among modules."""
        return cast("DiscoNerfDataManager", self._modules["datamanager"])

    def _check_slots(self) -> None:
        slots, most = self.model.object_field.slots, self.datamanager.train_dataset.metadata["most_masks"]
        if most > slots:
            raise UserError(
                f"masks: {self.datamanager.store.root} has up to {most} masks in one view, but there are {slots} "
                f"slots; start a run with --pipeline.model.slots of at least {most}, or leave it out."
            )

    # ---------------------------------------------------------------- stages

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """nerfacto's callbacks, and one before each step that puts the run into its stage."""
        trainer = cast("Trainer", training_callback_attributes.trainer)
        self.schedule = self._plan(trainer.config.max_num_iterations, trainer._start_step)
        self._write_back(trainer)

        def enter_step(step: int) -> None:
            self.object_control.enter_step(step)
            writer.GLOBAL_BUFFER["max_iter"] = self.schedule.total
            self._enter(self.schedule.stage(step))
            self.model.coarse_to_fine.open_levels = self.config.first_levels + step // self.config.level_iterations
            for name, optimizer in trainer.optimizers.optimizers.items():
                for group in optimizer.param_groups:
                    group["lr"] = trainer.config.optimizers[name]["optimizer"].lr * self._decay(name, step)

        def leave_step(step: int) -> None:
            if step % REPORT_EVERY == 0 or step + 1 == self.schedule.total:
                self.object_control.report(self._report(step))
            if self.schedule.completes_tenth(step):
                self._save_objects(step)

        before = TrainingCallback([TrainingCallbackLocation.BEFORE_TRAIN_ITERATION], enter_step)
        after = TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN_ITERATION], leave_step)
        return [*super().get_training_callbacks(training_callback_attributes), before, after]

    def _plan(self, total: int, start: int) -> Schedule:
        """Split the run into its stages; iterations count from the start of the run, also when it is resumed.

        Raises:
            UserError: the run has done all its iterations, or has too few slots for its masks.
        """
        radiance_given = self.config.radiance_field is not None or int(self.object_start) == 0
        resumed = Resumed(start, int(self.object_start)) if start > 0 else None
        schedule = plan_stages(total, self.config.object_iterations, radiance_given, resumed)
        if start >= schedule.total:
            raise UserError(
                f"The run has done {start} of {schedule.total} iterations, all of them; "
                f"pass --max-num-iterations above {start} to go on."
            )
        if self.model.config.matching == "view":
            self._check_slots()
        return schedule

    def _write_back(self, trainer: Trainer) -> None:
        """Tell the checkpoint, the trainer and the run's config.yml what was planned."""
        start, self.folder = trainer._start_step, trainer.base_dir
        self.object_start.fill_(self.schedule.object_start)
        self.config.model.slots = self.model.object_field.slots
        if self.devices.first:
            self._take_over_edit(trainer)
            name_absolutely(trainer.config)
            if (self.folder / "config.yml").exists():
                trainer.config.save_config()
        trainer.config.max_num_iterations = self.schedule.total - start
        CONSOLE.log(
            f"{self.schedule.object_start} iterations for the radiance field, {self.schedule.object_iterations} "
            f"for the objects ({self.model.object_field.slots} slots)" + (f"; going on at {start}" if start else "")
        )
        CONSOLE.log(f"objects: their stage is going to take {self.needs}")

    def _take_over_edit(self, trainer: Trainer) -> None:
        """Let a run that goes on from another one begin with that one's edit, in its own folder.

        Raises:
            UserError: an edit was named for a run that begins anew, or is none of this run's objects.
        """
        self.edit_file, before = self.folder / EDIT, checkpoint_folder(trainer.config)
        named, self.config.edit = self.config.edit, None
        if before is None:
            if named is not None:
                raise UserError(
                    f"edit: {named} is about the objects of a trained run, and this one begins anew; pass that run's "
                    "checkpoints with --load-dir, or leave --pipeline.edit out."
                )
            return
        source = named or before.parent / EDIT
        if not self.edit_file.exists() and (named is not None or source.exists()):
            Edit.load(source, self.model.tree).save(self.edit_file)
            CONSOLE.log(f"edit: taken over from {source}")
        if self.edit_file.exists():
            self.open_edit(self.edit_file)

    def _report(self, step: int) -> Report:
        stage = self.schedule.stage(step)
        if stage is Stage.RADIANCE:
            return Report(stage, step + 1, self.schedule.object_start)
        done = step + 1 - self.schedule.object_start
        affinity, slots = (float(self.settled[name]) for name in ("matched_affinity", "slots_in_use"))
        return Report(stage, done, self.schedule.object_iterations, affinity, slots)

    def _save_objects(self, step: int) -> None:
        """Discover the objects; the first device writes them into the run's folder, and shows them."""
        objects = self.discover_objects()

        def write(explanations: list[Explanation]) -> None:
            every = self.model.current.value.with_edit(Edit()).all_objects
            with by_product(self.folder / "objects.json") as path:
                save_manifest(every, self.model.tree, step, path, capture_of(self))
            if explanations:
                numbered = [each for each in objects if each.number is not None]
                report = report_masks(self.datamanager.train_keys, explanations, numbered)
                with by_product(self.folder / "masks.json") as path:
                    save_report(report, path)

        self.devices.on_first(write, (explanation.to("cpu") for explanation in self.explanations or []))
        self.object_control.objects_changed()

    def load_pipeline(self, loaded_state: dict, step: int) -> None:
        """Load a checkpoint, and the edit of its run where a person saved one."""
        super().load_pipeline(loaded_state, step)
        self.object_control.loaded_step = step
        if self.edit_file is not None and self.edit_file.exists():
            self.open_edit(self.edit_file)

    def open_edit(self, path: Path) -> None:
        """Take over a saved edit.

        Raises:
            UserError: it is none, or is about other objects than this run's.
        """
        edit = Edit.load(path, self.model.tree)
        self.model.current.replace(lambda scene: scene.with_edit(edit))

    def _photographs(self) -> Cameras:
        return self.datamanager.train_dataset.cameras.to("cpu")

    def _decay(self, group: str, step: int) -> float:
        if group == "object_field":
            return self.schedule.object_decay(step, self.config.object_warmup, self.config.object_decay)
        return self.schedule.radiance_decay(step, self.config.radiance_decay)

    def _claim(self, stage: Stage) -> None:
        """Prepare the parameters that learn in a stage for CUDA graphs."""
        if self._captures:
            groups = self.model.get_param_groups().items()
            objects = stage is Stage.OBJECTS
            self.captured.claim(each for name, group in groups if (name == "object_field") is objects for each in group)

    def _enter(self, stage: Stage) -> None:
        entered = stage is not self.stage
        if entered:
            self.captured.forget()
        self.model.freeze_radiance(stage is Stage.OBJECTS)
        if stage is Stage.OBJECTS:
            self.model.proposal_sampler.set_anneal(1.0)
            with self.may_be_left():
                self.surfaces = self.surfaces or self.sample_surfaces()
                if self.model.config.matching == "scene" and self.explanations is None:
                    self.explanations = self.explain_masks()
        if entered:
            self._claim(stage)
        self.stage = stage

    def sample_surfaces(self) -> list[SurfaceSamples]:
        """Surface samples of the device's training views."""
        views = self.datamanager.views
        rays = [math.prod(self.datamanager.view_size(view)) for view in views]
        points = self.config.model.surface_points
        keeper = SurfaceStorage(rays, points, self.device, *self._surface_gb, self.folder)
        self.object_control.say("**Sampling the frozen surface** of the training views, then the objects begin")
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
        views = self._thinned_views(self.config.consensus_rays)
        slots = self.model.object_field.slots
        if len(self.model.consensus_points) == 0:
            most = None if self.model.slots_by_masks else slots
            found = self.devices.on_first(lambda every: find_consensus(every, most), views)
            self.model.agree_on(found)
            self.devices.equalize(self.model.object_field)
            CONSOLE.log(f"consensus: {agreed_on(found)}")
        if len(self.model.consensus_points) == 0:
            self._check_slots()
            CONSOLE.log(
                "matching: view by view, as with --pipeline.model.matching view, because the masks do not agree"
            )
            return []
        explanations = explain_all(views, self.model.consensus.cpu(), self.model.object_field.slots)
        counts = [self.devices.total(number) for number in count_explained(explanations)]
        CONSOLE.log(f"masks: {said_of_explained(*counts)}")
        return [explanation.to(self.device) for explanation in explanations]

    def _thinned_views(self, rays: int) -> list[MaskedSurface]:
        """Surface and masks of the device's views, with about `rays` rays on all devices together.

        The rays of a view are evenly spaced among the pixels that count.

        All of them are in main memory, where the search for objects is; the GPU is asked once.
        """
        stride = self._stride(rays)
        parts, masks = [], []
        for index, surface in zip(self.datamanager.views, self.surfaces):
            view = self._with_background(self.datamanager.view_masks(index))
            kept = view.valid.nonzero()[::stride, 0]
            parts.append(surface[kept.to(surface.packed.device)].to(self.device))
            masks.append(view.at(kept))
        surfaces, lengths = SurfaceSamples.cat(parts).to("cpu"), [len(part) for part in masks]
        packed, accumulation = surfaces.packed.split(lengths), surfaces.accumulation.split(lengths)
        return list(zip(map(SurfaceSamples, packed, accumulation), masks))

    # ---------------------------------------------------------------- stop and go on

    def to_go_on(self) -> dict[str, Any]:
        """State for a checkpoint, besides parameters and optimizers, with which `go_on` continues the run exactly."""
        sampler, explanations = self.model.proposal_sampler, self.explanations
        return {
            **self.datamanager.to_go_on(),
            "devices": self.devices.count,
            "proposals": (sampler._step, sampler._steps_since_update),
            "explanations": None
            if explanations is None
            else [(each.sets.bool(), each.affinity) for each in explanations],
        }

    def go_on(self, stored: dict[str, Any]) -> None:
        """Take over what `to_go_on` gave, where it is all there: an older checkpoint, or several devices, draw anew."""
        if not self.draws_on(stored):
            return
        self.datamanager.go_on(stored)
        sampler = self.model.proposal_sampler
        sampler._step, sampler._steps_since_update = stored["proposals"]
        if stored["masks_identity"] != self.datamanager.store.identity():
            CONSOLE.log("masks: another set than before; they are matched anew with the objects of the run")
        elif stored["explanations"] is not None:
            known = (Explanation(sets.float(), affinity) for sets, affinity in stored["explanations"])
            self.explanations = [each.to(self.device) for each in known]

    def draws_on(self, stored: dict[str, Any]) -> bool:
        """Whether a checkpoint holds what all devices of the run need to draw on as if it had not stopped."""
        return self.devices.count == stored.get("devices") == 1

    def check_slots(self, asked: int | str, checkpoint: Path) -> None:
        """Refuse a requested number of slots that differs from the loaded checkpoint's.

        Raises:
            UserError: it does.
        """
        slots = self.model.object_field.slots
        if int(self.object_start) >= 0 and asked not in ("auto", slots) and len(self.model.object_slots) > 0:
            raise UserError(
                f"--pipeline.model.slots: {asked} is asked for, but {checkpoint} has learned {slots} slots; leave the "
                "option out, or begin a new run with --pipeline.radiance-field."
            )

    # ---------------------------------------------------------------- training

    def get_train_loss_dict(self, step: int):
        """Losses of one step in its stage, for nerfstudio's own step, which adds up no gradients.

        Raises:
            UserError: there are several devices.
        """
        if self.devices.count > 1:
            raise UserError(
                f"num-devices: {self.devices.count} devices learn together only in this method's own step; leave "
                "--gradient-accumulation-steps, --log-gradients and schedulers out, or pass --machine.num-devices 1."
            )
        with self.training_step(step) as upcoming:
            losses, self.settled = upcoming.compute()
            return {}, losses, self.settled

    @contextmanager
    def training_step(self, step: int) -> Iterator[TrainingStep]:
        """Draw the data of a step; until the context ends, no picture is rendered."""
        with self.model.learns():
            yield self._radiance_step(step) if self.stage is Stage.RADIANCE else self._object_step()

    def after_step(self, metrics: dict[str, Tensor]) -> None:
        """Keep a step's metrics, and do what a CUDA graph leaves out: hold back levels, add up gradients."""
        self.settled = metrics
        if self._captures and self.stage is Stage.RADIANCE:
            self.model.coarse_to_fine.hold_back()
        self.devices.add_gradients(self.model.parameters(), self._share)

    @property
    def _share(self) -> float:
        """Fraction of a step's rays, or of the views that they stand for, that this device has."""
        if self.stage is Stage.RADIANCE:
            return 1 / self.devices.count
        return len(self.datamanager.views) / len(self.datamanager.train_dataset)

    def _radiance_step(self, step: int) -> TrainingStep:
        model = self.model
        model.begin_radiance_step()
        rays, batch = self.datamanager.next_train(step)
        kind = None
        if self._captures and model.capturable:
            rays, batch = self._held_in_place(rays, batch)
            kind = Stage.RADIANCE, model.proposals_learn, len(rays)

        return TrainingStep(kind, lambda: self._losses(rays, batch))

    def _held_in_place(self, rays: RayBundle, batch: dict[str, Tensor]) -> tuple[RayBundle, dict[str, Tensor]]:
        """Rays and their colours at the addresses that CUDA graphs read."""
        cameras = cast("Tensor", rays.camera_indices)
        held = self.held.hold([rays.origins, rays.directions, rays.pixel_area, cameras, batch["image"].to(self.device)])
        return RayBundle(*held[:3], camera_indices=held[3]), {"image": held[4]}

    def _object_step(self) -> TrainingStep:
        kind = Stage.OBJECTS if self._captures and self.draws_rays else None
        return TrainingStep(kind, lambda: self._losses(self.next_batch(), {}))

    def _losses(self, inputs: RayBundle | ObjectBatch, batch: dict[str, Tensor]) -> tuple[Losses, Metrics]:
        outputs = self._model(inputs)
        metrics = self.model.get_metrics_dict(outputs, batch)
        return self.model.get_loss_dict(outputs, batch, metrics), metrics

    @property
    def _captures(self) -> bool:
        return self.config.cuda_graphs and torch.device(self.device).type == "cuda"

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
    def needs(self) -> Needs:
        """Memory that the object stage takes on the first device and for it."""
        config, masks = self.config, self.datamanager.masks
        return needs(
            [math.prod(self.datamanager.view_size(view)) for view in range(len(masks))],
            [len(of_view) + config.datamanager.background_mask for of_view in masks],
            config.model.surface_points,
            config.consensus_rays,
            self._budgets,
            self.devices,
        )

    @property
    def _budgets(self) -> Budgets:
        surface_gb = self._surface_gb[torch.device(self.device).type == "cpu"]
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

    def get_average_eval_image_metrics(
        self, step: int | None = None, output_path: Path | None = None, get_std: bool = False
    ) -> dict[str, float]:
        """nerfstudio's metrics, and the objects' metrics if DATA/labels/ has the held-out views' true labels."""
        with object_metrics(self) as of_objects:
            metrics = super().get_average_eval_image_metrics(step, output_path, get_std)
        return {**metrics, **of_objects}

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

        self.model.set_objects(self.devices.on_first(found, (each[::stride].to("cpu") for each in self.surfaces)))
        return self.model.current.value.with_edit(Edit()).objects

    def _stride(self, rays: int) -> int:
        """Every so many rays are left where about `rays` rays of all devices are wanted."""
        return max(self.devices.total(sum(map(len, self.surfaces))) // rays, 1)
