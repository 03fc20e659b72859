"""Two stages in one run: learn the radiance field, freeze it, sample its surface once, learn the objects."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from jaxtyping import Int
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.pipelines.base_pipeline import VanillaPipeline
from nerfstudio.utils import writer
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from disconerf_ns.compat.opened_run import checkpoint_folder, name_absolutely, opened_run, relocate
from disconerf_ns.compat.process import prepare_process
from disconerf_ns.compat.viewer import listen_here
from disconerf_ns.config import DiscoNerfPipelineConfig
from disconerf_ns.datamanager import DiscoNerfDataManager
from disconerf_ns.discovery.explanation import Explanation
from disconerf_ns.errors import UserError
from disconerf_ns.evaluation.predictions import training_rays
from disconerf_ns.evaluation.scores import object_metrics
from disconerf_ns.evaluation.views import capture_of, check_held_out, dataset_of
from disconerf_ns.object_model import ObjectModel
from disconerf_ns.object_stage import ObjectStage
from disconerf_ns.radiance_transfer import check_scene, radiance_source
from disconerf_ns.scene.edit import EDIT, Edit
from disconerf_ns.steps import Steps
from disconerf_ns.taken_scene import adopted, take_over
from disconerf_ns.training.by_products import write_explained, write_objects
from disconerf_ns.training.inherited_edit import inherit_edit
from disconerf_ns.training.schedule import Resumed, Schedule, Stage, plan_stages
from disconerf_ns.training.step import TrainingStep
from disconerf_ns.viewer.control import ObjectControl
from disconerf_ns.viewer.status import Report

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import Trainer

TestMode = Literal["test", "val", "inference"]
"""Images that nerfstudio loads beside the training images; "inference" loads none."""
REPORT_EVERY = 8
"""Steps between two reports to the viewer, whose numbers make a step wait for the GPU."""
SAMPLING = "**Sampling the frozen surface** of the training views, then the objects begin"
SPACE_RAYS = 2**17
"""Rays of all training views that tell where surfaces are and which space photographs looked into."""


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
        source = None
        if config.radiance_field is not None and test_mode == "val":
            source = radiance_source(config.radiance_field)
            config.model = adopted(source, config.model)
        kwargs["world_size"] = 1  # of more, nerfstudio would wrap the model
        super().__init__(config, cast("str", device), test_mode, **kwargs)  # nerfstudio too passes a torch.device
        self.devices = self.datamanager.devices
        CONSOLE.quiet |= not self.devices.first
        self.register_buffer("object_start", torch.tensor(-1))
        self.datamanager.limits_rays = config.model.matching == "scene"
        self.object_stage = ObjectStage(config, self.model, self.datamanager)
        self.may_be_left: Callable[[], AbstractContextManager[None]] = nullcontext
        """Surrounds work that can be done again, so that a run which shall stop need not wait for it."""
        self.settled: dict[str, Tensor] = {}
        self.steps = Steps(config, self.model, self.datamanager, self.object_stage)
        self.steps.claim(Stage.RADIANCE)
        self.schedule = Schedule(0, 0)
        self.stage = Stage.RADIANCE
        self.folder = Path(tempfile.gettempdir())
        """Folder with room for data that does not fit in memory: the run's folder in training."""
        self.object_control = ObjectControl(self.model.current, self._photographs, lambda: self.edit_file)
        self.model.present = self.object_control.present
        positions = lambda: dataset_of(self, "train").cameras.camera_to_worlds[..., 3].cpu()
        self.model.look_from(lambda: training_rays(self, SPACE_RAYS), positions)
        if source is not None:
            check_scene(source, self.datamanager)
            CONSOLE.log(f"radiance field: {take_over(source, self.model)}")
        self.devices.equalize(self.model)

    @property
    def model(self) -> ObjectModel:
        """The model."""
        return cast("ObjectModel", super().model)

    @property
    def datamanager(self) -> DiscoNerfDataManager:
        """Rays, views and masks; a property, because Python 3.12 does not look for a protocol's parts among modules."""
        return cast("DiscoNerfDataManager", self._modules["datamanager"])

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
            if self.stage is Stage.RADIANCE:
                levels = self.config.first_levels + step // self.config.level_iterations
                self.steps.learned.coarse_to_fine.open_levels = levels
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
            self.object_stage.check_slots()
        return schedule

    def _write_back(self, trainer: Trainer) -> None:
        """Tell the checkpoint, the trainer and the run's config.yml what was planned."""
        start, self.folder = trainer._start_step, trainer.base_dir
        self.object_start.fill_(self.schedule.object_start)
        self.config.model.slots = self.model.object_field.slots
        if self.devices.first:
            self._begin_with_edit(checkpoint_folder(trainer.config))
            self.object_control.take_draft()
            name_absolutely(trainer.config)
            if (self.folder / "config.yml").exists():
                trainer.config.save_config()
        trainer.config.max_num_iterations = self.schedule.total - start
        CONSOLE.log(
            f"{self.schedule.object_start} iterations for the radiance field, {self.schedule.object_iterations} "
            f"for the objects ({self.model.object_field.slots} slots)" + (f"; going on at {start}" if start else "")
        )
        CONSOLE.log(f"objects: their stage is going to take {self.object_stage.memory}")

    def _begin_with_edit(self, before: Path | None) -> None:
        """Show the run's edit; a run that goes on from the checkpoints in another folder takes that one's over."""
        self.edit_file = self.folder / EDIT
        named, self.config.edit = self.config.edit, None
        inherit_edit(self.edit_file, named, before, self.model.tree)
        if before is not None and self.edit_file.exists():
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
        objects = self.object_stage.discover_objects()

        def write(explanations: list[Explanation]) -> None:
            every = self.model.current.value.with_edit(Edit()).all_objects
            write_objects(self.folder, every, self.model.tree, step, capture_of(self))
            if explanations:
                numbered = [each for each in objects if each.number is not None]
                write_explained(self.folder, self.datamanager.train_keys, explanations, numbered)

        self.devices.on_first(write, (explanation.to("cpu") for explanation in self.object_stage.explanations or []))
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

    def _enter(self, stage: Stage) -> None:
        entered = stage is not self.stage
        if entered:
            self.steps.captured.forget()
        self.model.freeze_radiance(stage is Stage.OBJECTS)
        if stage is Stage.OBJECTS:
            with self.may_be_left():
                if not self.object_stage.surfaces:
                    self.object_control.say(SAMPLING)
                self.object_stage.prepare(self.folder)
        if entered:
            self.steps.claim(stage)
        self.stage = stage

    # ---------------------------------------------------------------- stop and go on

    def to_go_on(self) -> dict[str, Any]:
        """State for a checkpoint, besides parameters and optimizers, with which `go_on` continues the run exactly."""
        return {
            **self.datamanager.to_go_on(),
            **self.model.to_go_on(),
            **self.object_stage.to_go_on(),
            "devices": self.devices.count,
        }

    def go_on(self, stored: dict[str, Any]) -> None:
        """Take over what `to_go_on` gave, where it is all there: an older checkpoint, or several devices, draw anew."""
        if not self.draws_on(stored):
            return
        self.datamanager.go_on(stored)
        self.model.go_on(stored)
        self.object_stage.go_on(stored)

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
            yield self.steps.draw(self.stage, step)

    def after_step(self, metrics: dict[str, Tensor]) -> None:
        """Keep a step's metrics, and do what its CUDA graph left out."""
        self.settled = metrics
        self.steps.complete(self.stage)

    def get_average_eval_image_metrics(
        self, step: int | None = None, output_path: Path | None = None, get_std: bool = False
    ) -> dict[str, float]:
        """nerfstudio's metrics, and the objects' metrics if DATA/labels/ has the held-out views' true labels.

        Raises:
            UserError: no view is held out.
        """
        check_held_out(self)
        with object_metrics(self) as of_objects:
            metrics = super().get_average_eval_image_metrics(step, output_path, get_std)
        return {**metrics, **of_objects}
