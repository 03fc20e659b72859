"""The options of a run, as dataclasses that import their implementation only when a run starts.

nerfstudio builds these dataclasses in every command, so building them has to be quick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar, Literal, cast

import torch
from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
from nerfstudio.configs.base_config import MachineConfig
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManagerConfig
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.models.base_model import ModelConfig
from nerfstudio.models.nerfacto import NerfactoModelConfig
from nerfstudio.pipelines.base_pipeline import VanillaPipelineConfig

from disconerf_ns.compat.deferred import Deferred
from disconerf_ns.compat.folder_lock import alone_in
from disconerf_ns.errors import UserError
from disconerf_ns.field import ObjectFieldConfig
from disconerf_ns.options import COUNT, FRACTION, NONE_OR_MORE, PART, WEIGHT, Range, check_options


@dataclass
class DiscoNerfMachineConfig(MachineConfig):
    """nerfstudio's machine settings; the default device is a GPU if there is one."""

    device_type: Literal["cpu", "cuda", "mps"] = field(
        default=Deferred(lambda: "cuda" if torch.cuda.is_available() else "cpu"), repr=False
    )
    """Device that computes the run; by default "cuda" if torch finds a GPU, otherwise "cpu"."""

    def __post_init__(self):
        """Refuse more devices than there are: nerfstudio starts several processes on GPUs only.

        Raises:
            UserError: says how many GPUs there are.
        """
        if self.num_devices <= 1:
            return
        gpus = torch.cuda.device_count() if self.device_type == "cuda" else 0
        if self.num_devices > gpus:
            raise UserError(
                f"num-devices: {self.num_devices} devices are asked for on {self.device_type}, and nerfstudio trains "
                f"on several GPUs only; here it can use {gpus}. Pass --machine.num-devices {max(gpus, 1)}."
            )


def make_trainer(config: TrainerConfig, **process: Any) -> Trainer:
    """The trainer of a run; its module is imported only now, because tyro looks at this option to print help.

    Args:
        config: settings of the run.
        process: `local_rank` and `world_size`.
    """
    return resolve_name("disconerf_ns.trainer:DiscoNerfTrainer")(config, **process)


@dataclass
class DiscoNerfTrainerConfig(TrainerConfig):
    """nerfstudio's settings of a run, with a trainer that does not wait for the GPU in each step."""

    _target: Callable[..., Trainer] = field(default_factory=lambda: make_trainer)
    opened_in: ClassVar[Path | None] = None
    """Folder of the file that a configuration was opened from; it is not written."""

    def get_base_dir(self) -> Path:
        """The run's folder: where it lies when it is opened, or else where it is trained."""
        return self.opened_in or super().get_base_dir()

    def save_config(self) -> None:
        """Write config.yml into the run's folder, which nerfstudio does before it starts anything.

        Raises:
            UserError: another training holds the folder, and its config.yml is kept.
        """
        resolve_name("disconerf_ns.compat.process:prepare_process")()
        with alone_in(self.get_base_dir()):
            super().save_config()


@dataclass
class DiscoNerfDataManagerConfig(VanillaDataManagerConfig):
    """nerfstudio's data manager with masks for the training views."""

    _target: type = field(
        default=Deferred(lambda: resolve_name("disconerf_ns.datamanager:DiscoNerfDataManager")), repr=False
    )
    masks: Path | None = None
    """Folder of the masks; by default the newest set in DATA/masks/."""
    allow_missing_masks: bool = False
    """Train although some views have no file of masks; the object field learns nothing from these views."""
    background_mask: bool = False
    """Add one mask to every view, which holds the pixels whose surface lies outside the unit sphere; for scenes that
    the cameras circle."""
    views_per_batch: int = 5
    """Number of whole views in one iteration of the object stage, where it draws no rays."""
    rays_per_batch: int = 0
    """Number of rays in one iteration of the object stage with matching "scene", the same number of each training view;
    0 takes `views_per_batch` whole views, as do runs from before there was this option."""
    view_pixels: int = 405_000
    """Maximum number of pixels per view in the object stage; larger images are subsampled on an even grid."""
    surface_rays: int = 30_000_000
    """Maximum number of pixels of all training views together in the object stage with matching "scene"; of more, every
    view takes an equal number on an even grid. Matching "view" always takes `view_pixels`."""
    image_memory_gb: float = 8.0
    """Maximum memory in GiB for the photos of the radiance stage. They are kept as bytes, on the GPU if they take a
    quarter of its free memory at most. If all photos need more than this, nerfstudio's loader draws a random subset
    that fits every 1000 iterations; 0 always takes that loader."""
    mask_memory_gb: float = 2.0
    """Maximum memory in GiB for masks that stay decoded, at one bit per pixel and mask; the other masks are decoded for
    each batch of whole views. Masks of rays that are drawn take as much again on the device that trains."""


@dataclass
class ObjectModelConfig(ModelConfig):
    """An object field over a scene that does not change, and how objects are shown."""

    slots: int | Literal["auto"] = "auto"
    """Number of object slots, at least 1. "auto" gives one slot to each object that the masks of all views agree on;
    with matching "view" it takes twice the largest number of masks in one training view."""
    object_field: ObjectFieldConfig = field(default_factory=ObjectFieldConfig)
    """Architecture of the object field."""
    surface_points: int = 2
    """Number of surface points per ray in training, at equal steps of the rendering weights' cumulative sum."""
    rendered_points: int = 8
    """Number of surface points per ray of a rendered image. An image needs more points than training, which averages
    fuzzy surfaces over many views."""
    false_positive_mult: float = 0.01
    """Weight of the false positive loss (Eq. 6)."""
    tv_mult: float = 0.1
    """Weight of the hash grid's total variation (Eq. 7), here a mean over pairs of adjacent vertices; the paper's
    weight of 0.01 applies to the sum over all pairs."""
    matching: Literal["scene", "view"] = "scene"
    """Targets of the masks. "scene" matches masks once, with the objects that the masks of all views agree on; "view"
    matches them in every iteration with the slots rendered in the same view, as in the paper."""
    consensus_mult: float = 0.1
    """Weight of the consensus loss: the cross-entropy of the object field with the objects that the masks of all views
    agree on (matching "scene")."""
    consensus_batch: int = 4096
    """Number of random points per iteration in the consensus loss."""
    tv_cells: int = 8192
    """Number of random hash grid cells per level whose vertices enter the total variation (Eq. 7) of one iteration."""
    extraction: Literal["hard", "soft"] = "hard"
    """Factor on the density when an object is rendered alone: "hard" is 1 where the object's slot has the largest
    probability and 0 elsewhere, "soft" is the slot's probability."""
    object_samples: int = 32
    """Number of samples on the segment of a ray that an object occupies, when the object is rendered alone."""
    object_background: Literal["white", "black"] = "white"
    """Background colour of an object that is rendered alone."""
    complete: bool = True
    """Complete objects where others are removed or moved away and no photograph looked, by continuing their seen
    surface; otherwise show what the radiance field made up there."""
    min_confidence: float = 0.0
    """Confidence in [0, 1] below which a pixel is shown as belonging to no object."""


@dataclass
class DiscoNerfModelConfig(ObjectModelConfig, NerfactoModelConfig):
    """nerfacto with an object field on top of it."""

    _target: type = field(default=Deferred(lambda: resolve_name("disconerf_ns.model:DiscoNerfModel")), repr=False)
    frozen_samples: tuple[int, ...] = (96, 48, 48)
    """Largest number of samples per ray, for each proposal network and then for the field, where the radiance field is
    not trained: for the surface and for pictures. On the fields that were measured, training's numbers 256 96 48 are
    no more exact (docs/performance.md)."""
    half_precision: bool = True
    """On a GPU, evaluate the radiance field in half precision for the surface and for pictures, as mixed precision does
    in training."""
    use_gradient_scaling: bool = True
    """Multiply the gradients of samples nearer than 1 (in units of the normalised scene) by their squared distance to
    the camera, which prevents fog in front of the cameras."""
    floater_mult: float = 1e-4
    """Weight of the floater loss: the L1 norm of densities at random points, in the radiance stage (DiscoNeRF, 7.2)."""
    floater_points: int = 4096
    """Number of random points per iteration in the floater loss."""


@dataclass
class SplatSceneModelConfig(ObjectModelConfig):
    """The gaussians of a splatfacto run with an object field on top of them."""

    _target: type = field(
        default=Deferred(lambda: resolve_name("disconerf_ns.splat_model:SplatSceneModel")), repr=False
    )
    enable_collider: bool = False
    """Rays are sampled between distances of the gaussians' own."""
    camera_optimizer: CameraOptimizerConfig = field(default_factory=lambda: CameraOptimizerConfig(mode="off"))
    """How the run adjusted its cameras."""
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """RGB in [0, 1] of light that passes all gaussians."""


@dataclass
class DiscoNerfPipelineConfig(VanillaPipelineConfig):
    """The two stages of a run: the radiance field, then the object field."""

    _target: type = field(default=Deferred(lambda: resolve_name("disconerf_ns.pipeline:DiscoNerfPipeline")), repr=False)
    datamanager: DiscoNerfDataManagerConfig = field(default_factory=DiscoNerfDataManagerConfig)
    """Rays, views and masks."""
    model: ObjectModelConfig = field(default_factory=DiscoNerfModelConfig)
    """Radiance field and object field."""
    object_iterations: int = 2000
    """Maximum number of iterations of the object stage; a short run spends a third of --max-num-iterations on it."""
    radiance_field: Path | None = None
    """config.yml or checkpoint of a trained nerfacto, disconerf or splatfacto run, whose radiance field or gaussians
    are used instead of training a radiance field."""
    object_warmup: int = 20
    """Number of iterations over which the object field's learning rate rises from 0 to its full value."""
    object_decay: float = 0.005
    """Learning rate of the object field at the end of its stage, as a fraction of its full value, in (0, 1]."""
    radiance_decay: float = 0.1
    """Learning rates of the radiance field at the end of its stage, as a fraction of the first ones, in (0, 1]."""
    first_levels: int = 4
    """Number of hash grid levels of the radiance field, counted from the coarsest, that learn from the start."""
    level_iterations: int = 50
    """Number of iterations after which the next finer level of the radiance field starts to learn."""
    cuda_graphs: bool = True
    """On a GPU, capture training steps as CUDA graphs, which start thousands of small operations at once. Only the
    speed depends on this."""
    consensus_rays: int = 500_000
    """Number of evenly spaced rays, over all views, that enter the search for the objects that the masks of all views
    agree on."""
    object_min_share: float = 0.0001
    """Smallest fraction of the visible surface, in [0, 1], that counts as an object. Matching "view" leaves slivers in
    spare slots; 0.002 is better there."""
    surface_memory_gb: float = 8.0
    """Maximum GPU memory in GiB for the surface points of the training views. Where rays are drawn, they have half of
    it; if they do not fit, every second ray is left out, or more."""
    surface_host_memory_gb: float = 4.0
    """Maximum host memory in GiB for surface points that do not fit on the GPU; the rest goes to a file in the run's
    folder."""
    edit: Path | None = None
    """File of the edit that a run resumed with --load-dir begins with; by default edit.json in the folder of the run
    that it resumes. Every run keeps its edit in edit.json beside its config.yml."""


SLOTS = Range(1, 65_535)
"""Slots, which label maps number in 16 bits."""
MEMORY = Range(0, 1_000_000)
"""GiB."""
PER_RAY = Range(1, 10_000)
"""Samples or surface points of a ray."""
LEVELS, CELLS = Range(1, 32), Range(1, 65_536)
"""Levels of a hash grid, and its cells along an axis, of which positions in 16 bits tell no more apart."""


def check_training_options(config: TrainerConfig) -> None:
    """Refuse options of a run that are out of range, before anything is loaded.

    Raises:
        UserError: names the option, its value and the range.
    """
    pipeline = cast("DiscoNerfPipelineConfig", config.pipeline)
    data, model = pipeline.datamanager, pipeline.model
    check_options("ns-train", config, max_num_iterations=COUNT, steps_per_save=COUNT)
    check_options(
        "ns-train",
        pipeline,
        "pipeline.",
        object_iterations=COUNT,
        object_warmup=NONE_OR_MORE,
        object_decay=PART,
        radiance_decay=PART,
        first_levels=COUNT,
        level_iterations=COUNT,
        consensus_rays=COUNT,
        object_min_share=FRACTION,
        surface_memory_gb=MEMORY,
        surface_host_memory_gb=MEMORY,
    )
    check_options(
        "ns-train",
        data,
        "pipeline.datamanager.",
        train_num_rays_per_batch=COUNT,
        views_per_batch=COUNT,
        rays_per_batch=NONE_OR_MORE,
        view_pixels=COUNT,
        surface_rays=COUNT,
        image_memory_gb=MEMORY,
        mask_memory_gb=MEMORY,
    )
    check_options(
        "ns-train",
        model,
        "pipeline.model.",
        slots=SLOTS,
        surface_points=PER_RAY,
        rendered_points=PER_RAY,
        false_positive_mult=WEIGHT,
        tv_mult=WEIGHT,
        consensus_mult=WEIGHT,
        consensus_batch=COUNT,
        tv_cells=COUNT,
        object_samples=PER_RAY,
        min_confidence=FRACTION,
    )
    if isinstance(model, DiscoNerfModelConfig):
        own = {"frozen_samples": PER_RAY, "floater_mult": WEIGHT, "floater_points": COUNT}
        check_options("ns-train", model, "pipeline.model.", **own)
    check_options(
        "ns-train",
        model.object_field,
        "pipeline.model.object-field.",
        levels=LEVELS,
        coarsest=CELLS,
        finest=CELLS,
        log2_table=Range(1, 30),
        features_per_level=Range(1, 64),
        hidden_dim=Range(1, 4_096),
        random_levels=Range(0, LEVELS.high),
        start_contrast=WEIGHT,
    )
