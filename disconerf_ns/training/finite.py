"""NaN and infinity are named where they come from, and stop a run while its last good checkpoint is there."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from disconerf_ns.errors import UserError


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that hold NaN or infinity."""
    return [name for name, each in tensors.items() if each.is_floating_point() and not bool(each.isfinite().all())]


def check_finite(tensors: Mapping[str, Tensor], where: str, remedy: str) -> None:
    """Refuse NaN and infinity.

    Args:
        tensors: by name.
        where: begins the sentence.
        remedy: ends it.
    Raises:
        UserError: names the first tensor that holds one, and how many more do.
    """
    if names := not_finite(tensors):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise UserError(f"{where}: {names[0]}{more} holds NaN or infinity; {remedy}")
