"""The lean training step of the radiance stage has nerfacto's losses, metrics and gradients."""

import copy

import numpy as np
import pytest
import torch
from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.model_components.losses import lossfun_distortion
from nerfstudio.models.nerfacto import NerfactoModel, NerfactoModelConfig

from disconerf_ns.compat.lpips import without_download
from disconerf_ns.compat.radiance_step import distortion, radiance_losses, radiance_metrics, radiance_outputs

SMALL_NETWORK = {"hidden_dim": 16, "log2_hashmap_size": 8, "num_levels": 3, "max_res": 32}


def small_nerfacto(**options) -> NerfactoModel:
    config = NerfactoModelConfig(
        num_levels=4,
        max_res=64,
        log2_hashmap_size=9,
        hidden_dim=16,
        num_proposal_samples_per_ray=(12, 8),
        num_nerf_samples_per_ray=6,
        proposal_net_args_list=[SMALL_NETWORK | {"use_linear": False}, SMALL_NETWORK | {"use_linear": True}],
        implementation="torch",
        **({"camera_optimizer": CameraOptimizerConfig(mode="SO3xR3")} | options),
    )
    with without_download():
        model = NerfactoModel(config, SceneBox(torch.tensor([[-1.0] * 3, [1.0] * 3])), num_train_data=5)
    for parameter in model.parameters():
        if parameter.dim() == 2 and parameter.shape[1] == 2:
            parameter.data *= 500  # tables that begin near 0 would hide wrong interpolation
    if options.get("camera_optimizer") is None:
        model.camera_optimizer.pose_adjustment.data.normal_(std=0.02)
    return model.train()


def random_rays(count: int) -> RayBundle:
    directions = torch.nn.functional.normalize(torch.randn(count, 3), dim=-1)
    area, cameras = torch.full((count, 1), 1e-4), torch.randint(5, (count, 1))
    return RayBundle(torch.randn(count, 3) * 0.3, directions, area, camera_indices=cameras)


def results(model: NerfactoModel, losses: dict, metrics: dict) -> tuple[dict, dict, dict]:
    model.zero_grad()
    sum(losses.values()).backward()
    return losses, metrics, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("learn", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"camera_optimizer": CameraOptimizerConfig(mode="off"), "use_appearance_embedding": False},
        {"use_gradient_scaling": True, "background_color": "random", "use_single_jitter": False},
        {"disable_scene_contraction": True, "proposal_initial_sampler": "uniform", "background_color": "white"},
    ],
)
def test_losses_metrics_and_gradients_are_nerfactos(options: dict, learn: bool) -> None:
    torch.manual_seed(0)
    model, rays, image = small_nerfacto(**options), random_rays(64), torch.rand(64, 3)
    sampler = model.proposal_sampler
    sampler.set_anneal(0.7)
    sampler._step, sampler._steps_since_update, sampler.update_sched = 50, 9 if learn else 0, lambda step: 5
    torch.manual_seed(1)
    outputs = model(copy.copy(rays))  # the camera optimizer replaces its origins and directions
    metrics = model.get_metrics_dict(outputs, {"image": image})
    theirs = results(model, model.get_loss_dict(outputs, {"image": image}, metrics), metrics)

    torch.manual_seed(1)
    lean = radiance_outputs(model, model.collider(rays), learn, torch.tensor(0.7))
    metrics = radiance_metrics(model, lean, image)
    ours = results(model, radiance_losses(model, lean, image, metrics), metrics)
    for own, expected in zip(ours, theirs):
        assert own.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(
                own[name].detach().numpy(),
                np.asarray(torch.as_tensor(value).detach()),
                rtol=2e-3,
                atol=1e-6,
                err_msg=name,
            )
    assert ("proposal_networks.0.encoding.hash_table" in ours[2]) == learn


def test_distortion_is_the_sum_over_all_pairs() -> None:
    torch.manual_seed(0)
    edges, weights = torch.rand(20, 9).sort(-1).values, torch.rand(20, 8, requires_grad=True)
    expected = lossfun_distortion(edges, weights).mean()
    torch.testing.assert_close(distortion(edges, weights), expected)
    torch.testing.assert_close(
        torch.autograd.grad(distortion(edges, weights), weights), torch.autograd.grad(expected, weights)
    )
