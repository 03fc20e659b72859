"""Training steps of both stages: their data, their losses, and which of them a CUDA graph captures."""

from __future__ import annotations

from typing import cast

import torch
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.config import DiscoNerfPipelineConfig
from disconerf_ns.datamanager import DiscoNerfDataManager
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.object_model import ObjectModel
from disconerf_ns.object_stage import ObjectStage
from disconerf_ns.training.batch import ObjectBatch
from disconerf_ns.training.captured import CapturedSteps, Held
from disconerf_ns.training.schedule import Stage
from disconerf_ns.training.step import Losses, Metrics, TrainingStep


class Steps:
    """The steps of one device.

    Args:
        config: options of the pipeline.
        model: the model that learns.
        datamanager: the views.
        object_stage: what objects are learned from.
    """

    def __init__(
        self,
        config: DiscoNerfPipelineConfig,
        model: ObjectModel,
        datamanager: DiscoNerfDataManager,
        object_stage: ObjectStage,
    ):
        self.config, self.model, self.datamanager, self.object_stage = config, model, datamanager, object_stage
        self.captured, self._held = CapturedSteps(), Held()

    @property
    def learned(self) -> DiscoNerfModel:
        """The model in the radiance stage, which only a scene that is learned here has."""
        return cast("DiscoNerfModel", self.model)

    @property
    def _captures(self) -> bool:
        return self.config.cuda_graphs and torch.device(self.model.device).type == "cuda"

    def claim(self, stage: Stage) -> None:
        """Prepare the parameters that learn in a stage for CUDA graphs."""
        if self._captures:
            groups = self.model.get_param_groups().items()
            objects = stage is Stage.OBJECTS
            self.captured.claim(each for name, group in groups if (name == "object_field") is objects for each in group)

    def draw(self, stage: Stage, step: int) -> TrainingStep:
        """Draw the data of a step."""
        return self._radiance_step(step) if stage is Stage.RADIANCE else self._object_step()

    def complete(self, stage: Stage) -> None:
        """Do what the CUDA graph of a step leaves out: hold back levels, add up the gradients of all devices."""
        if self._captures and stage is Stage.RADIANCE:
            self.learned.coarse_to_fine.hold_back()
        self.datamanager.devices.add_gradients(self.model.parameters(), self._share(stage))

    def _share(self, stage: Stage) -> float:
        """Fraction of a step's rays, or of the views that they stand for, that this device has."""
        if stage is Stage.RADIANCE:
            return 1 / self.datamanager.devices.count
        return len(self.datamanager.views) / len(self.datamanager.train_dataset)

    def _radiance_step(self, step: int) -> TrainingStep:
        model = self.learned
        model.begin_radiance_step()
        rays, batch = self.datamanager.next_train(step)
        kind = None
        if self._captures and model.capturable:
            rays, batch = self._held_in_place(rays, batch)
            kind = Stage.RADIANCE, model.proposals_learn, len(rays)
        return TrainingStep(kind, lambda: self._losses(rays, batch))

    def _held_in_place(self, rays: RayBundle, batch: dict[str, Tensor]) -> tuple[RayBundle, dict[str, Tensor]]:
        """Rays and their colours at the addresses that CUDA graphs read."""
        cameras, colors = cast("Tensor", rays.camera_indices), batch["image"].to(self.model.device)
        held = self._held.hold([rays.origins, rays.directions, rays.pixel_area, cameras, colors])
        return RayBundle(*held[:3], camera_indices=held[3]), {"image": held[4]}

    def _object_step(self) -> TrainingStep:
        kind = Stage.OBJECTS if self._captures and self.object_stage.draws_rays else None
        return TrainingStep(kind, lambda: self._losses(self.object_stage.next_batch(), {}))

    def _losses(self, inputs: RayBundle | ObjectBatch, batch: dict[str, Tensor]) -> tuple[Losses, Metrics]:
        outputs = self.model(inputs)
        metrics = self.model.get_metrics_dict(outputs, batch)
        return self.model.get_loss_dict(outputs, batch, metrics), metrics
