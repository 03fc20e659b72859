"""benchmarks/kernels.py measures what it says, seen at a size that Triton's interpreter has time for."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton")
from benchmarks import kernels
from benchmarks.kernels import Kernels
from disconerf_ns.kernels import encode

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TINY = Kernels(rays=12, levels=2, coarsest=4, finest=16, log2_table=10, slots=5, tv_cells=10, repeats=1)


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """Figures of the grids, with short runs: the interpreter has no time for long ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode, "RUN", 2)
        return kernels.measure_grids(TINY, DEVICE)


def test_grids_are_measured_and_agree(rows: list[dict]) -> None:
    measured = {(row["part"], row["points"], row["by"]) for row in rows}
    assert measured >= {(p, q, b) for p in ("grid", "tv") for q in ("surface", "random") for b in ("torch", "triton")}
    assert all(row["forward_ms"] > 0 and row["backward_ms"] > 0 for row in rows)
    # entries, features and gradients are rounded to half in Triton, not in torch
    assert all(row["error"] < (2e-3 if row["part"] == "grid" else 1e-5) for row in rows if row["by"] == "triton")


def test_bandwidth_is_bytes_by_time(rows: list[dict]) -> None:
    row = next(row for row in rows if row["part"] == "grid" and row["by"] == "triton")
    # 24 points: 12 bytes of position, 2 levels x 2 features in half precision, 8 corners of each
    assert row["forward_gb_s"] * row["forward_ms"] * 1e6 == pytest.approx(24 * (12 + 8 + 64))
    assert row["backward_gb_s"] * row["backward_ms"] * 1e6 == pytest.approx(24 * (12 + 8 + 128))


def test_the_head_is_measured_and_agrees() -> None:
    rows = kernels.measure_head(TINY, DEVICE)
    assert [row["by"] for row in rows] == ["separate", "torch", "triton"]
    assert all(row["error"] < 5e-3 for row in rows)


def test_gradients_of_the_head_survive_half_precision_however_many_rays() -> None:
    probability = torch.full((200_000, 5), 0.2)
    upstream = kernels.uneven(probability)
    pull = probability * (upstream - (probability * upstream).sum(1, keepdim=True))
    assert pull.half().abs().mean() > 0.1


def test_an_error_is_seen() -> None:
    a = torch.tensor([1.0, 4.0])
    assert kernels.relative_error([a, a], [a, torch.tensor([1.0, 5.0])]) == pytest.approx(0.2)


def test_surface_points_are_neighbours_in_the_cube() -> None:
    points = kernels.surface_points(1600, 2, "cpu").view(40, 40, 2, 3)
    assert points.min() > 0 and points.max() < 1
    along, apart = points.diff(dim=1).norm(dim=-1).mean(), (points - points.flip(0, 1)).norm(dim=-1).mean()
    assert along < apart / 5


def grid_row(by: str, milliseconds: float) -> dict:
    return {"part": "grid", "points": "surface", "by": by, "forward_ms": milliseconds, "backward_ms": milliseconds}


@pytest.mark.parametrize(("triton", "said"), [(1.4, "1.40 of tinycudann's time: within"), (1.6, "beyond 1.5")])
def test_the_verdict_by_hand(triton: float, said: str) -> None:
    rows = [grid_row("torch", 20), grid_row("triton", triton), grid_row("tcnn", 1)]
    assert said in kernels.verdict(rows)
    assert "0.070 of torch" in kernels.verdict([grid_row("torch", 20), grid_row("triton", 1.4)])


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_it_is_one_sentence() -> None:
    with pytest.raises(SystemExit, match="measures a CUDA GPU, and torch finds none"):
        kernels.main(TINY)
