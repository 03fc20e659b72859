"""Distilled Feature Fields (Kobayashi et al., NeurIPS 2022): a feature field that DINOv2's patches teach, clustered.

Masks take no part. The weights, `dinov2_vits14_pretrain.pth`, come from the user.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import torch
from jaxtyping import Float
from timm.models.vision_transformer import VisionTransformer, resize_pos_embed
from torch import Tensor, nn

from disconerf_ns.errors import UserError
from disconerf_ns.masks.masked_view import MaskedView
from disconerf_ns.pipeline import DiscoNerfPipeline

from .features import FeatureField, NearestCentroid, mean_clusters, random_points, render
from .training import next_views, optimize

VIT_S14 = {"patch_size": 14, "embed_dim": 384, "depth": 12, "num_heads": 6}
"""DINOv2's small model."""
SHORT_SIDE = 518
"""Pixels, about, of the shorter side of the images that it sees; its weights were last trained at that size."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation by which its images are normalized, per channel."""
FEATURES = 64
"""Principal components of the patches' features that the field learns."""
RATE = 0.02
"""Learning rate of the feature field after the warm-up."""
POINTS = 20_000
"""Surface points that are clustered."""
COUNTS = (8, 12, 16, 24, 32)
"""Numbers of clusters that the sweep tries."""


def load_backbone(weights: Path | None, size: tuple[int, int], model: dict = VIT_S14) -> VisionTransformer:
    """The vision transformer, its position embedding interpolated to the grid of images of (height, width) `size`.

    Raises:
        UserError: no weights, or weights of something else.
    """
    name = "dinov2_vits14_pretrain.pth"
    if weights is None or not weights.exists():
        raise UserError(f"dff: there are no weights at {weights}; give the path of DINOv2's {name}.")
    vit = VisionTransformer(size, init_values=1e-5, num_classes=0, global_pool="", **model)
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        state.pop("mask_token", None)
        state["pos_embed"] = resize_pos_embed(state["pos_embed"], vit.pos_embed, 1, vit.patch_embed.grid_size)
        vit.load_state_dict(state)
    except (RuntimeError, KeyError, AttributeError, EOFError, pickle.UnpicklingError):
        raise UserError(f"dff: {weights} does not hold the weights that were expected; give DINOv2's {name}.") from None
    return vit.eval().requires_grad_(False)


@torch.no_grad()
def patch_features(vit: VisionTransformer, image: Float[Tensor, "h w 3"]) -> Float[Tensor, "features rows columns"]:
    """The transformer's last features of an RGB image in [0, 1], one per patch."""
    normal = ((image - image.new_tensor(MEAN)) / image.new_tensor(STD)).permute(2, 0, 1)[None]
    resized = nn.functional.interpolate(normal, vit.patch_embed.img_size, mode="bicubic", antialias=True)
    return vit.forward_features(resized)[0, 1:].T.unflatten(1, vit.patch_embed.grid_size)


def input_size(height: int, width: int, patch: int) -> tuple[int, int]:
    """Height and width of whole patches at which the transformer sees an image, the shorter side about SHORT_SIDE."""
    scale = SHORT_SIDE / min(height, width) / patch
    return round(height * scale) * patch, round(width * scale) * patch


def principal_components(maps: list[Float[Tensor, "features _ _"]], count: int) -> list[Float[Tensor, "count _ _"]]:
    """The maps' first principal components over all their patches, the first one of unit variance.

    Args:
        maps: features of each view's patches.
        count: number of components, at most that of features.
    """
    patches = torch.cat([map_.flatten(1).T for map_ in maps])
    mean = patches.mean(0)
    _, variances, axes = torch.linalg.svd(torch.cov(patches.T))
    axes = axes[:count] / variances[0].sqrt()
    return [torch.einsum("cf,fhw->chw", axes, map_ - mean[:, None, None]) for map_ in maps]


def learn_features(
    pipeline: DiscoNerfPipeline, maps: list[Float[Tensor, "features _ _"]], iterations: int
) -> FeatureField:
    """A feature field whose rendered features are each training view's map, by mean squared error."""
    field = FeatureField(pipeline.config.model.object_field, len(maps[0])).to(pipeline.device)

    def view_loss(view: MaskedView) -> Float[Tensor, ""]:
        size = pipeline.datamanager.view_size(view.index)
        target = nn.functional.interpolate(maps[view.index][None], size, mode="bilinear")[0].flatten(1).T
        rendered = render(field, pipeline.object_stage.surfaces[view.index].to(pipeline.device))
        return nn.functional.mse_loss(rendered[view.valid], target[view.valid])

    def loss(_step: int) -> Float[Tensor, ""]:
        views = next_views(pipeline)
        return sum(map(view_loss, views)) / len(views)

    optimize(field, pipeline, iterations, loss, RATE)
    return field


def sweep(
    pipeline: DiscoNerfPipeline,
    iterations: int,
    seed: int,
    weights: Path | None = None,
    counts: Sequence[int] = COUNTS,
    model: dict = VIT_S14,
) -> Iterator[tuple[int, NearestCentroid]]:
    """One feature field and its clusters by k-means, for every number of clusters.

    Args:
        pipeline: a run with its surfaces.
        iterations: iterations that teach the field.
        seed: seed of the field and the points.
        weights: file of DINOv2's weights.
        counts: numbers of clusters.
        model: size of the transformer.
    Raises:
        UserError: no weights, or weights of something else.
    """
    torch.manual_seed(seed)
    backbone = cache(lambda size: load_backbone(weights, size, model).to(pipeline.device))
    dataset, maps = pipeline.datamanager.train_dataset, []
    for view in range(len(pipeline.object_stage.surfaces)):
        image = dataset.get_image_float32(view)[..., :3].to(pipeline.device)
        maps.append(patch_features(backbone(input_size(*image.shape[:2], model["patch_size"])), image))
    field = learn_features(pipeline, principal_components(maps, FEATURES), iterations)
    points = random_points(pipeline.object_stage.surfaces, POINTS).to(pipeline.device)
    for count in counts:
        yield count, NearestCentroid.of_clusters(field, points, partial(mean_clusters, count=count))


def train(
    pipeline: DiscoNerfPipeline, iterations: int, seed: int, weights: Path | None = None, count: int = 16
) -> NearestCentroid:
    """A feature field and `count` clusters; see `sweep`."""
    return next(sweep(pipeline, iterations, seed, weights, [count]))[1]
