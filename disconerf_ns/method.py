"""The methods that `ns-train` offers: `disconerf` with the paper's settings, and `disconerf-small` without a GPU.

nerfstudio imports this module with every command, so nothing optional (SAM, tinycudann, mitsuba) is imported with it.
"""

from __future__ import annotations

from importlib.util import find_spec

from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.plugins.types import MethodSpecification

from disconerf_ns.compat.checkpoints import allow_numpy_scalars
from disconerf_ns.config import (
    DiscoNerfDataManagerConfig,
    DiscoNerfMachineConfig,
    DiscoNerfModelConfig,
    DiscoNerfPipelineConfig,
    DiscoNerfTrainerConfig,
)
from disconerf_ns.field import ObjectFieldConfig
from disconerf_ns.optimizer import FusedAdamConfig

IMPLEMENTATION = "tcnn" if find_spec("tinycudann") is not None else "torch"

allow_numpy_scalars()


def _optimizers(radiance_lr: float = 1e-2) -> dict:
    """Learning rates at the start; the pipeline lowers them by the stage's own clock."""
    return {
        "proposal_networks": {"optimizer": FusedAdamConfig(lr=radiance_lr, eps=1e-15), "scheduler": None},
        "fields": {"optimizer": FusedAdamConfig(lr=radiance_lr, eps=1e-15), "scheduler": None},
        "camera_opt": {"optimizer": FusedAdamConfig(lr=1e-3, eps=1e-15), "scheduler": None},
        "object_field": {"optimizer": FusedAdamConfig(lr=0.15, eps=1e-15), "scheduler": None},
    }


disconerf = MethodSpecification(
    config=DiscoNerfTrainerConfig(
        method_name="disconerf",
        machine=DiscoNerfMachineConfig(),
        max_num_iterations=12_000,
        steps_per_eval_batch=500,
        steps_per_save=2000,
        mixed_precision=True,
        pipeline=DiscoNerfPipelineConfig(
            datamanager=DiscoNerfDataManagerConfig(
                dataparser=NerfstudioDataParserConfig(),
                train_num_rays_per_batch=4096,
                eval_num_rays_per_batch=4096,
                rays_per_batch=131_072,
            ),
            model=DiscoNerfModelConfig(
                eval_num_rays_per_chunk=1 << 15,
                average_init_density=0.01,
                camera_optimizer=CameraOptimizerConfig(mode="SO3xR3"),
                implementation=IMPLEMENTATION,
            ),
        ),
        optimizers=_optimizers(),
        viewer=ViewerConfig(websocket_host="127.0.0.1", num_rays_per_chunk=1 << 15),
        vis="viewer",
    ),
    description="Takes a scene apart into its objects, discovered from 2D masks that disagree (DiscoNeRF).",
)

disconerf_small = MethodSpecification(
    config=DiscoNerfTrainerConfig(
        method_name="disconerf-small",
        machine=DiscoNerfMachineConfig(),
        max_num_iterations=1200,
        steps_per_eval_batch=500,
        steps_per_eval_image=500,
        steps_per_save=500,
        pipeline=DiscoNerfPipelineConfig(
            datamanager=DiscoNerfDataManagerConfig(
                dataparser=NerfstudioDataParserConfig(),
                train_num_rays_per_batch=768,
                eval_num_rays_per_batch=768,
                view_pixels=3000,
                rays_per_batch=4096,
            ),
            first_levels=8,
            model=DiscoNerfModelConfig(
                eval_num_rays_per_chunk=4096,
                average_init_density=0.01,
                num_levels=8,
                max_res=512,
                log2_hashmap_size=16,
                hidden_dim=32,
                use_appearance_embedding=False,
                num_proposal_samples_per_ray=(48, 24),
                num_nerf_samples_per_ray=16,
                proposal_warmup=300,
                proposal_weights_anneal_max_num_iters=300,
                proposal_net_args_list=[
                    {"hidden_dim": 16, "log2_hashmap_size": 14, "num_levels": 4, "max_res": 64, "use_linear": False},
                    {"hidden_dim": 16, "log2_hashmap_size": 14, "num_levels": 4, "max_res": 128, "use_linear": False},
                ],
                floater_points=2048,
                tv_cells=4096,
                object_samples=24,
                object_field=ObjectFieldConfig(finest=256, log2_table=17),
                camera_optimizer=CameraOptimizerConfig(mode="off"),
                implementation=IMPLEMENTATION,
            ),
        ),
        optimizers=_optimizers(radiance_lr=2e-2),
        viewer=ViewerConfig(websocket_host="127.0.0.1", num_rays_per_chunk=1 << 12),
        vis="viewer",
    ),
    description="disconerf for a quick look, or for a machine without a GPU.",
)
