"""The GPUs that a process was told to use are those that its children use."""

from __future__ import annotations

import pytest
import torch

from disconerf_ns.gpus import VISIBLE, gpu_names


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [
        (None, 2, ["0", "1"]),
        ("2,3", 2, ["2", "3"]),
        ("GPU-5f,MIG-07", 2, ["GPU-5f", "MIG-07"]),
        ("7", 1, ["7"]),
        ("", 0, []),
        ("2,9", 1, ["2"]),
    ],
)
def test_children_are_told_of_the_gpus_that_their_parent_may_use(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, count: int, names: list[str]
) -> None:
    """Workers that make masks got numbers counted from 0, which are those of other GPUs."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv(VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    assert gpu_names() == names
