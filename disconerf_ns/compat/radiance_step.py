"""nerfacto's training step without what no loss uses: samples are edges along rays, not frustums; what depends on a
ray's direction or photograph is computed once a ray; there are no depths.

Values and gradients are those of `NerfactoModel.get_outputs`, `get_metrics_dict` and `get_loss_dict`. Nothing here
waits for the GPU or copies to it, so that a CUDA graph can capture the step.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.camera_optimizers import CameraOptimizer
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.fields.base_field import get_normalized_directions
from nerfstudio.fields.density_fields import HashMLPDensityField
from nerfstudio.fields.nerfacto_field import NerfactoField
from nerfstudio.model_components.losses import lossfun_outer
from nerfstudio.models.nerfacto import NerfactoModel
from torch import Tensor

from disconerf_ns.compat.density_field import evaluate
from disconerf_ns.compat.proposals import PADDING, networks_of, spacing_of
from disconerf_ns.kernels.launch import precision
from disconerf_ns.kernels.ray_density import RayDensity
from disconerf_ns.surface.intervals import Intervals

Edges = Float[Tensor, "rays _"]
"""Edges of the bins around a ray's samples, increasing."""


class RadianceOutputs(NamedTuple):
    """Rays that were rendered for training, as the losses of the radiance stage read them."""

    rgb: Float[Tensor, "rays 3"]
    accumulation: Float[Tensor, "rays 1"]
    weights: tuple[Float[Tensor, "rays _"], ...]
    """Rendering weights (Eq. 1) of each proposal network, and of the field."""
    edges: tuple[Edges, ...]
    """Edges of the same samples, as fractions of the way from the near plane to the far plane in the sampler's
    spacing."""


def radiance_outputs(
    model: NerfactoModel, rays: RayBundle, proposals_learn: bool, anneal: float | Float[Tensor, ""]
) -> RadianceOutputs:
    """Render a batch of rays for training.

    Args:
        model: a nerfacto model in training mode that predicts no normals.
        rays: flat rays with near and far planes; the camera optimizer moves copies of them.
        proposals_learn: whether the proposal networks get gradients in this step.
        anneal: exponent of the proposals' weights, in [0, 1].
    """
    config, spacing = model.config, spacing_of(model)
    origins, directions = corrected(model.camera_optimizer, rays)
    near, far = spacing.of(cast("Tensor", rays.nears)), spacing.of(cast("Tensor", rays.fars))
    edges, weights = [], []

    def drawn(count: int) -> Intervals:
        jitter = torch.rand(len(rays), 1 if config.use_single_jitter else count + 1, device=near.device)
        even = torch.linspace(0, 1, count + 1, device=near.device)
        last = resampled(edges[-1], weights[-1].detach() ** anneal, even, jitter) if edges else stratified(even, jitter)
        edges.append(last)
        return Intervals(origins, directions, spacing.inverse(torch.lerp(near, far, last)))

    for network, count in zip(networks_of(model), config.num_proposal_samples_per_ray):
        samples = drawn(count)
        weights.append(samples.weights(proposed_density(network, samples, proposals_learn)))
    samples = drawn(config.num_nerf_samples_per_ray)
    density, features = evaluate(model.field, samples.positions)
    colours = colours_of(model.field, features, directions, cast("Tensor", rays.camera_indices)[..., 0])
    if config.use_gradient_scaling and density.requires_grad:
        nearness = samples.middles.square().clamp(0, 1)
        density.register_hook(lambda gradient: gradient * nearness)
        colours.register_hook(lambda gradient: gradient * nearness[..., None])
    weights.append(samples.weights(density))
    rgb = model.renderer_rgb(rgb=colours, weights=weights[-1][..., None])
    return RadianceOutputs(rgb, weights[-1].sum(-1, keepdim=True), tuple(weights), tuple(edges))


def corrected(optimizer: CameraOptimizer, rays: RayBundle) -> tuple[Float[Tensor, "rays 3"], Float[Tensor, "rays 3"]]:
    """Origins and directions of rays from the poses that the camera optimizer found.

    The correction of every camera is computed once; its gradient is a sum over the camera's rays. A product of matrices
    would round directions to half precision under autocast.
    """
    if optimizer.config.mode == "off":
        return rays.origins, rays.directions
    every = torch.arange(optimizer.num_cameras, device=rays.origins.device)
    of_ray = optimizer(every).index_select(0, cast("Tensor", rays.camera_indices)[..., 0])
    return rays.origins + of_ray[:, :, 3], (of_ray[:, :, :3] * rays.directions[:, None]).sum(-1)


def stratified(even: Float[Tensor, "edges"], jitter: Float[Tensor, "rays _"]) -> Edges:
    """Edges at even places between 0 and 1, each moved at random between the middles of its neighbouring samples."""
    inner = (even[1:] + even[:-1]) / 2
    low, high = torch.cat([even[:1], inner]), torch.cat([inner, even[-1:]])
    return low + (high - low) * jitter


def resampled(
    edges: Edges, weights: Float[Tensor, "rays samples"], even: Float[Tensor, "new"], jitter: Float[Tensor, "rays _"]
) -> Edges:
    """Edges with equal weight between them, each moved at random by less than that."""
    count = len(even)
    levels = even * (1 - 1 / count) + jitter / count
    padded = weights + PADDING
    cumulative = torch.nn.functional.pad((padded / padded.sum(-1, keepdim=True)).cumsum(-1).clamp(max=1), (1, 0))
    above = torch.searchsorted(cumulative, levels, side="right").clamp(max=edges.shape[-1] - 1)
    below = (above - 1).clamp(min=0)
    reached, start = cumulative.gather(-1, below), edges.gather(-1, below)
    fraction = ((levels - reached) / (cumulative.gather(-1, above) - reached)).nan_to_num(0).clamp(0, 1)
    return start + fraction * (edges.gather(-1, above) - start)


def proposed_density(network: HashMLPDensityField, samples: Intervals, learns: bool) -> Float[Tensor, "rays samples"]:
    """Density of a proposal network; one launch computes it where nothing is learned from it on a GPU."""
    if not learns:
        fused = RayDensity.of(network, precision(samples.edges))
        if fused is not None:
            return fused(samples.origins.detach(), samples.directions.detach(), samples.middles)
    with torch.set_grad_enabled(learns):
        return evaluate(network, samples.positions)[0]


def colours_of(
    field: NerfactoField,
    features: Float[Tensor, "rays samples features"],
    directions: Float[Tensor, "rays 3"],
    cameras: Int[Tensor, "rays"],
) -> Float[Tensor, "rays samples 3"]:
    """Colours of samples seen along their ray's direction, in the appearance of their ray's photograph."""
    spread = lambda of_ray: of_ray.to(features)[:, None].expand(-1, features.shape[1], -1)
    inputs = [spread(field.direction_encoding(get_normalized_directions(directions))), features]
    if field.embedding_appearance is not None:
        inputs.append(spread(field.embedding_appearance.embedding.weight.index_select(0, cameras)))
    colours = field.mlp_head(torch.cat(inputs, -1).flatten(0, 1))
    return colours.view(*features.shape[:-1], 3).to(directions)


# -------------------------------------------------------------------- losses and metrics


def distortion(edges: Edges, weights: Float[Tensor, "rays samples"]) -> Float[Tensor, ""]:
    """mip-NeRF 360's distortion loss (Eq. 15 there), a mean over rays, from cumulative sums.

    With increasing middles m, sum_ij w_i w_j |m_i - m_j| = 2 sum_i w_i (m_i W_i - V_i), where W_i and V_i sum w_j and
    w_j m_j over j < i.
    """
    middle, width = (edges[:, :-1] + edges[:, 1:]) / 2, edges.diff(dim=-1)
    weighted = weights * middle
    before = middle * (weights.cumsum(-1) - weights) - (weighted.cumsum(-1) - weighted)
    return (2 * (weights * before).sum(-1) + (weights.square() * width).sum(-1) / 3).mean()


def interlevel(edges: tuple[Edges, ...], weights: tuple[Float[Tensor, "rays _"], ...]) -> Float[Tensor, ""]:
    """mip-NeRF 360's proposal loss (Eq. 13 there): the proposals' weights have to cover the field's."""
    own, target = edges[-1], weights[-1].detach()
    return torch.stack([lossfun_outer(own, target, e, w).mean() for e, w in zip(edges[:-1], weights[:-1])]).sum()


def radiance_metrics(
    model: NerfactoModel, outputs: RadianceOutputs, image: Float[Tensor, "rays channels"]
) -> dict[str, Tensor]:
    """nerfacto's metrics of a training step, as tensors that nobody waits for."""
    error = (outputs.rgb - model.renderer_rgb.blend_background(image)).square().mean()
    metrics = {"psnr": -10 * error.detach().log10(), "distortion": distortion(outputs.edges[-1], outputs.weights[-1])}
    if model.config.camera_optimizer.mode != "off":
        moved = model.camera_optimizer.pose_adjustment.detach().unflatten(-1, (2, 3)).norm(dim=-1)
        translation, rotation = moved[:, 0], torch.rad2deg(moved[:, 1])
        metrics["camera_opt_translation_max"] = translation.max()
        metrics["camera_opt_translation_mean"] = translation.mean()
        metrics["camera_opt_rotation_mean"] = rotation.mean()
        metrics["camera_opt_rotation_max"] = rotation.max()
    return metrics


def radiance_losses(
    model: NerfactoModel, outputs: RadianceOutputs, image: Float[Tensor, "rays channels"], metrics: dict[str, Tensor]
) -> dict[str, Tensor]:
    """nerfacto's losses of a training step."""
    config, losses = model.config, {}
    predicted, truth = model.renderer_rgb.blend_background_for_loss_computation(
        pred_image=outputs.rgb, pred_accumulation=outputs.accumulation, gt_image=image
    )
    losses["rgb_loss"] = model.rgb_loss(truth, predicted)
    losses["interlevel_loss"] = config.interlevel_loss_mult * interlevel(outputs.edges, outputs.weights)
    losses["distortion_loss"] = config.distortion_loss_mult * metrics["distortion"]
    model.camera_optimizer.get_loss_dict(losses)
    return losses
