"""The options of a run. nerfstudio builds them with every command; what they are for is imported when a run starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Literal

import torch
from nerfstudio.configs.base_config import MachineConfig
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManagerConfig
from nerfstudio.models.nerfacto import NerfactoModelConfig
from nerfstudio.pipelines.base_pipeline import VanillaPipelineConfig

from disconerf_ns.compat.deferred import Deferred
from disconerf_ns.field import ObjectFieldConfig


@dataclass
class DiscoNerfMachineConfig(MachineConfig):
    """nerfstudio's machine, with the GPU where there is one."""

    device_type: Literal["cpu", "cuda", "mps"] = field(
        default=Deferred(lambda: "cuda" if torch.cuda.is_available() else "cpu"), repr=False
    )
    """What the run is computed on; by default the GPU where there is one."""


@dataclass
class DiscoNerfDataManagerConfig(VanillaDataManagerConfig):
    """nerfstudio's data manager, and the masks of the training views."""

    _target: type = field(
        default=Deferred(lambda: resolve_name("disconerf_ns.datamanager:DiscoNerfDataManager")), repr=False
    )
    masks: Path | None = None
    """Folder of the masks; by default the newest set in DATA/masks/."""
    allow_missing_masks: bool = False
    """Train with views that have no file of masks; they then teach the objects nothing."""
    background_mask: bool = False
    """Give every view one more mask: the pixels whose surface lies outside the unit sphere (for scenes that the
    cameras circle)."""
    views_per_batch: int = 5
    """Whole views in one iteration of the object stage."""
    view_pixels: int = 405_000
    """Most pixels of a view in the object stage; larger images are sampled more coarsely, evenly spaced."""
    image_memory_gb: float = 8.0
    """Most memory in GiB for the photos of the radiance stage; where all of them take more, as many as fit are drawn
    anew every 1000 iterations."""
    mask_memory_gb: float = 2.0
    """Most memory in GiB for masks that stay decoded, a bit a pixel; others are decoded for each batch."""


@dataclass
class DiscoNerfModelConfig(NerfactoModelConfig):
    """nerfacto and the object field over it."""

    _target: type = field(default=Deferred(lambda: resolve_name("disconerf_ns.model:DiscoNerfModel")), repr=False)
    slots: int | Literal["auto"] = "auto"
    """Number of object slots. "auto" is one for each object that the masks of all views agree on; matching by "view"
    takes twice the most masks found in one training view."""
    object_field: ObjectFieldConfig = field(default_factory=ObjectFieldConfig)
    """Size of the object field."""
    surface_points: int = 2
    """Points kept per ray of the frozen surface, at equal steps of the rendering weights' cumulative distribution."""
    rendered_points: int = 8
    """Such points per ray of an image; more than in training, where fuzzy surfaces average out over views."""
    false_positive_mult: float = 0.01
    """Weight of the false positive loss (Eq. 6)."""
    tv_mult: float = 0.1
    """Weight of the hash grid's total variation (Eq. 7), a mean over pairs of adjacent vertices (the paper's 0.01
    weighs the sum over all of them)."""
    matching: Literal["scene", "view"] = "scene"
    """What masks are matched with: "scene", once, the objects that the masks of all views agree on; "view", the paper's
    way, at every iteration the slots as the field renders them in that view."""
    consensus_mult: float = 0.1
    """Weight of the cross-entropy with the objects that the masks of all views agree on (matching "scene")."""
    consensus_batch: int = 4096
    """Random points of that loss in one iteration."""
    tv_cells: int = 8192
    """Cells per level whose vertices enter the total variation of one iteration."""
    use_gradient_scaling: bool = True
    """Scale gradients of samples nearer than 1 by their squared distance, against fog in front of the cameras."""
    floater_mult: float = 1e-4
    """Weight of the L1 loss on densities at random points, in the radiance stage."""
    floater_points: int = 4096
    """Random points of that loss in one iteration."""
    extraction: Literal["hard", "soft"] = "hard"
    """How an object conditions the density: by the slot that rules at a point, or by the slot's probability there."""
    object_samples: int = 32
    """Samples along the part of a ray that an object occupies, where the object is rendered alone."""
    object_background: Literal["white", "black"] = "white"
    """What surrounds an object that is rendered alone."""
    min_confidence: float = 0.0
    """Confidence in [0, 1] below which a pixel is shown as nobody's."""


@dataclass
class DiscoNerfPipelineConfig(VanillaPipelineConfig):
    """The run's two stages."""

    _target: type = field(default=Deferred(lambda: resolve_name("disconerf_ns.pipeline:DiscoNerfPipeline")), repr=False)
    datamanager: DiscoNerfDataManagerConfig = field(default_factory=DiscoNerfDataManagerConfig)
    """Rays, views and masks."""
    model: DiscoNerfModelConfig = field(default_factory=DiscoNerfModelConfig)
    """Radiance field and object field."""
    object_iterations: int = 2000
    """Most iterations of the object stage; a short run spends a third of --max-num-iterations on it."""
    radiance_field: Path | None = None
    """config.yml or checkpoint of a trained nerfacto or disconerf run whose radiance field is taken."""
    object_warmup: int = 20
    """Iterations over which the object field's learning rate rises."""
    object_decay: float = 0.005
    """Part of the object field's learning rate that is left at the end."""
    radiance_decay: float = 0.1
    """Part of the radiance field's learning rates that is left at the end of its stage."""
    first_levels: int = 4
    """Levels of the radiance field's hash grid that learn from the start, the coarsest ones."""
    level_iterations: int = 50
    """Iterations after which the next finer level learns too."""
    consensus_rays: int = 500_000
    """Rays of all views together, evenly spaced, by which the objects that all masks agree on are found."""
    object_min_share: float = 0.0005
    """Smallest part of the visible surface that counts as an object. Matching by view leaves slivers in spare slots,
    for which 0.002 is better."""
    surface_memory_gb: float = 8.0
    """Most memory in GiB of the GPU for the frozen surface of the training views."""
    surface_host_memory_gb: float = 4.0
    """Most memory in GiB of the host for what the GPU has no room for; the rest goes to a file in the run's folder."""
    edit: Path | None = None
    """What a person changed in the viewer, shown by the output `edited`; by default edit.json in the run's folder."""
