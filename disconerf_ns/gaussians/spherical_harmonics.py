"""Real spherical harmonics up to degree 3, in order and signs of 3D Gaussian Splatting, and how they turn."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

C0 = 0.28209479177387814
"""The one function of degree 0, 1 / (2 sqrt(pi))."""
LARGEST_DEGREE = 3
"""Degrees above it are in no file of 3D gaussians."""


def bases(degree: int) -> int:
    """Number of functions up to a degree."""
    return (degree + 1) ** 2


def degree_of(count: int) -> int:
    """The degree up to which there are `count` functions.

    Raises:
        ValueError: there is no such degree from 0 to 3.
    """
    for degree in range(LARGEST_DEGREE + 1):
        if bases(degree) == count:
            return degree
    raise ValueError(f"there are 1, 4, 9 or 16 spherical harmonics, not {count}")


def basis(directions: Float[Tensor, "*n 3"], degree: int) -> Float[Tensor, "*n bases"]:
    """Values of the functions at unit directions.

    Polynomials of Ramamoorthi and Hanrahan (2001), with the Condon-Shortley phase: odd orders have a minus sign.
    """
    x, y, z = directions.unbind(-1)
    values = [torch.full_like(x, C0)]
    if degree >= 1:
        values += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    xx, yy, zz = x * x, y * y, z * z
    if degree >= 2:
        values += [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * zz - xx - yy),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (xx - yy),
        ]
    if degree >= 3:
        values += [
            -0.5900435899266435 * y * (3 * xx - yy),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * zz - xx - yy),
            0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
            -0.4570457994644658 * x * (4 * zz - xx - yy),
            1.445305721320277 * z * (xx - yy),
            -0.5900435899266435 * x * (xx - 3 * yy),
        ]
    return torch.stack(values, -1)


def turned(coefficients: Float[Tensor, "n bases 3"], turn: Float[Tensor, "3 3"]) -> Float[Tensor, "n bases 3"]:
    """Coefficients of turned functions: what was seen along d before is seen along R d after.

    A turned function of degree l is a combination of those of degree l, the Wigner matrix D: B(R d) D = B(d) for every
    d. With more directions than functions, D is the least-squares solution, which is exact.

    Args:
        coefficients: of the functions up to a degree from 0 to 3.
        turn: rotation matrix R.
    """
    degree = degree_of(coefficients.shape[1])
    probes = torch.nn.functional.normalize(
        torch.randn(64, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=-1
    )
    before, after = basis(probes, degree), basis(probes @ turn.double().cpu().T, degree)
    parts = []
    for order in range(degree + 1):
        own = slice(bases(order - 1), bases(order))
        wigner = torch.linalg.lstsq(after[:, own], before[:, own]).solution
        parts.append(torch.einsum("ab,nbc->nac", wigner.to(coefficients), coefficients[:, own]))
    return torch.cat(parts, 1)
