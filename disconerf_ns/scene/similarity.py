"""Similarities: how a thing that keeps its shape is turned, scaled and moved."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from disconerf_ns.small_json import Value

LARGEST = 1e9
"""Scale, at most; its inverse is the least."""
FARTHEST = 1e9
"""Absolute value of an entry of a translation, at most."""

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


def vector(x: Float[Tensor, "3"]) -> Vector:
    """A point or direction as numbers."""
    first, second, third = x.tolist()
    return first, second, third


@dataclass(frozen=True)
class Similarity:
    """x -> scale * R x + translation, with R the rotation of a unit quaternion.

    >>> quarter_about_z = math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)
    >>> turn = Similarity.about((1.0, 0.0, 0.0), quarter_about_z, scale=2.0)
    >>> [round(x, 6) for x in turn.points(torch.tensor([2.0, 0.0, 0.0])).tolist()]
    [1.0, 2.0, 0.0]
    >>> (turn @ turn.inverse()).close_to(Similarity())
    True
    """

    scale: float = 1.0
    """Larger than 0."""
    rotation: Quaternion = (1.0, 0.0, 0.0, 0.0)
    """Quaternion (w, x, y, z) of length 1."""
    translation: Vector = (0.0, 0.0, 0.0)

    @classmethod
    def about(
        cls, centre: Vector, turn: Quaternion = (1.0, 0.0, 0.0, 0.0), scale: float = 1.0, move: Vector = (0.0, 0.0, 0.0)
    ) -> Similarity:
        """Turn and scale about a point, then move."""
        here = torch.tensor(centre, dtype=torch.float64)
        turned = cls(scale, turn).points(here)
        return cls(scale, turn, vector(here - turned + torch.tensor(move, dtype=torch.float64)))

    @classmethod
    def of_matrix(cls, matrix: Float[Tensor, "rows 4"]) -> Similarity:
        """The similarity of a (3, 4) or (4, 4) matrix.

        Raises:
            ValueError: the matrix is not finite, or it shears, mirrors or scales axes differently.
        """
        from scipy.spatial.transform import Rotation

        linear, translation = matrix[:3, :3].double().cpu(), matrix[:3, 3].double().cpu()
        determinant = float(torch.linalg.det(linear)) if bool(matrix.isfinite().all()) else math.nan
        if not determinant > 0:
            raise ValueError("the matrix is not finite, flattens space or mirrors it")
        scale = determinant ** (1 / 3)
        turn = linear / scale
        if not torch.allclose(turn @ turn.T, torch.eye(3, dtype=turn.dtype), atol=1e-4):
            raise ValueError("the matrix shears, or scales axes differently")
        x, y, z, w = Rotation.from_matrix(turn.numpy()).as_quat().tolist()
        return cls(scale, (w, x, y, z), vector(translation))

    @property
    def matrix(self) -> Float[Tensor, "4 4"]:
        """Homogeneous matrix, in double precision."""
        matrix = torch.eye(4, dtype=torch.float64)
        matrix[:3, :3] = self.scale * self._turn
        matrix[:3, 3] = torch.tensor(self.translation, dtype=torch.float64)
        return matrix

    @property
    def _turn(self) -> Float[Tensor, "3 3"]:
        w, x, y, z = self.rotation
        return torch.tensor(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ],
            dtype=torch.float64,
        )

    def points(self, x: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """Where points go."""
        return self.scale * self.directions(x) + torch.tensor(self.translation).to(x)

    def directions(self, d: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """Where directions point; lengths stay."""
        return d @ self._turn.T.to(d)

    def inverse(self) -> Similarity:
        """The way back."""
        w, x, y, z = self.rotation
        back = Similarity(1 / self.scale, (w, -x, -y, -z))
        return replace(back, translation=vector(-back.points(torch.tensor(self.translation, dtype=torch.float64))))

    def __matmul__(self, first: Similarity) -> Similarity:
        """The similarity that does what `first` does, and then what this one does."""
        return Similarity.of_matrix(self.matrix @ first.matrix)

    def close_to(self, other: Similarity, tolerance: float = 1e-6) -> bool:
        """Whether both do the same, up to a tolerance on the entries of their matrices."""
        return torch.allclose(self.matrix, other.matrix, rtol=0, atol=tolerance)

    @property
    def fault(self) -> str | None:
        """The reason why a thing cannot stand so, because numbers would overflow; None if it can."""
        if not 1 / LARGEST <= self.scale <= LARGEST:
            return f"a scale is {self.scale:g}, not from {1 / LARGEST:g} to {LARGEST:g}"
        if not all(abs(each) <= FARTHEST for each in self.translation):
            return f"a translation is {self.translation}, farther than {FARTHEST:g}"
        return None

    def as_json(self) -> dict[str, Any]:
        """Content of a JSON object."""
        return {"scale": self.scale, "rotation": list(self.rotation), "translation": list(self.translation)}

    @classmethod
    def of_json(cls, content: Value) -> Similarity:
        """Read `as_json`; entries that are left out change nothing.

        Raises:
            ValueError: it is no similarity; the message says why.
        """
        content.object(("scale", "rotation", "translation"))
        scale = content.get("scale", 1.0).number(1 / LARGEST, LARGEST)
        rotation, move = content.get("rotation", [1.0, 0.0, 0.0, 0.0]), content.get("translation", [0.0, 0.0, 0.0])
        w, x, y, z = rotation.numbers(4)
        tx, ty, tz = (each.number(-FARTHEST, FARTHEST) for each in move.list(3))
        length = math.sqrt(w * w + x * x + y * y + z * z)
        if not 0.99 < length < 1.01:
            raise ValueError(f"{rotation.place} has length {length:.3g}; a quaternion [w, x, y, z] has length 1")
        return cls(scale, (w / length, x / length, y / length, z / length), (tx, ty, tz))


def scene_to_capture(transform: Float[Tensor, "rows 4"], scale: float) -> Similarity:
    """The similarity from scene coordinates to the data's poses, which undoes nerfstudio's orientation and scale.

    Args:
        transform: the dataparser's (3, 4) or (4, 4) matrix, which comes before the scale.
        scale: the dataparser's scale.
    Raises:
        ValueError: it cannot be undone.
    """
    return Similarity.of_matrix(scale * transform.double()).inverse()
