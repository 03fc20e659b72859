"""nerfacto's colours in evaluation, with all that is the same along a ray computed once a ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from nerfstudio.fields.base_field import get_normalized_directions
from nerfstudio.fields.nerfacto_field import NerfactoField
from torch import Tensor, nn
from torch.nn.functional import linear


def colors(
    field: NerfactoField, directions: Float[Tensor, "*#n 3"], geometry: Float[Tensor, "*n features"]
) -> Float[Tensor, "*n 3"]:
    """Colours in [0, 1] as nerfacto's head makes them of direction, geometry and appearance: [d, g, a] in one layer.

    The first layer is linear, so W [d, g, a] + b = W_g g + (W_d d + W_a a + b), and the bracket belongs to the ray. The
    appearance is the mean of the training images', or zero, as nerfacto's options say.

    Args:
        directions: unit directions, of rays (rays, 1, 3) or of single points.
        geometry: features that the field's density comes with.
    """
    encoded = field.direction_encoding(get_normalized_directions(directions).reshape(-1, 3))
    encoded = encoded.view(*directions.shape[:-1], encoded.shape[-1])
    appearance = _appearance(field, encoded)
    head = field.mlp_head
    if head.tcnn_encoding is not None:
        parts = [part.expand(*geometry.shape[:-1], -1) for part in (encoded, geometry, appearance)]
        return head(torch.cat(parts, -1).flatten(0, -2)).view(*geometry.shape[:-1], 3).to(directions)
    first, *further = cast("Sequence[nn.Linear]", head.layers)
    of_direction, of_geometry, of_appearance = first.weight.split(
        [encoded.shape[-1], geometry.shape[-1], appearance.shape[-1]], 1
    )
    of_ray = linear(encoded, of_direction, first.bias + of_appearance @ appearance)
    hidden = linear(geometry, of_geometry) + of_ray
    for layer in further:
        hidden = layer(hidden.relu_())
    return hidden.to(directions).sigmoid_()


def _appearance(field: NerfactoField, like: Tensor) -> Float[Tensor, "appearance"]:
    if field.embedding_appearance is None or not field.use_average_appearance_embedding:
        return like.new_zeros(field.appearance_embedding_dim)
    return field.embedding_appearance.mean(dim=0).to(like)
