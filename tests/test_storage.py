"""Where surface samples go by budget: the arithmetic, and that their values are the same everywhere."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from disconerf_ns.config import DiscoNerfPipelineConfig
from disconerf_ns.errors import UserError
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.surface.storage import GIB, SurfaceStorage, Tier, assign_tiers, pinned_size, sample_sizes

GPU, HOST, FILE = Tier.GPU, Tier.HOST, Tier.FILE


def samples(seed: int, rays: int = 50) -> SurfaceSamples:
    generator = torch.Generator().manual_seed(seed)
    return SurfaceSamples.pack(torch.rand(rays, 2, 3, generator=generator), torch.rand(rays, generator=generator))


def test_sizes_are_those_of_the_samples() -> None:
    view = samples(0, rays=37)
    assert sample_sizes(37, points=2) == (view.packed.nbytes, view.accumulation.nbytes) == (444, 74)


@pytest.mark.parametrize(("size", "pinned"), [(1, 1), (5, 8), (8, 8), (9, 16), (2**20 + 1, 2**21)])
def test_pinned_memory_comes_in_powers_of_two(size: int, pinned: int) -> None:
    assert pinned_size(size) == pinned


def test_places_by_hand() -> None:
    views = [(12, 2), (12, 2), (12, 2), (60, 10), (6, 1)]
    # 30 bytes hold two views of 14; pinned, a view of (12, 2) takes 16 + 2, and (60, 10) takes 64 + 16
    assert assign_tiers(views, 30, 40) == [GPU, GPU, HOST, FILE, HOST]
    assert assign_tiers(views, 35, 0) == [GPU, GPU, FILE, FILE, GPU]
    assert assign_tiers(views, None, 30) == [HOST, HOST, FILE, FILE, FILE]
    assert assign_tiers(views, 0, 0) == [FILE] * 5


@given(
    views=st.lists(st.tuples(st.integers(1, 999), st.integers(1, 999)), max_size=30),
    gpu=st.integers(0, 9999),
    host=st.integers(0, 9999),
)
def test_no_budget_is_exceeded_and_nothing_is_far_that_could_be_near(views, gpu: int, host: int) -> None:
    places = assign_tiers(views, gpu, host)
    on_gpu = sum(sum(view) for view, chosen in zip(views, places) if chosen is GPU)
    pinned = sum(sum(map(pinned_size, view)) for view, chosen in zip(views, places) if chosen is HOST)
    assert on_gpu <= gpu and pinned <= host
    assert all(sum(view) > gpu - on_gpu for view, chosen in zip(views, places) if chosen is not GPU)


@pytest.mark.parametrize(("device", "least_gb"), [("cuda", 10), ("cpu", 3.9)])
def test_a_thousand_views_of_a_megapixel_leave_room_on_24_gb(
    device: str, least_gb: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every pixel, 14 GB; at most 8 GiB on a card, and of the host 4 beside 8 for photos and 2 for masks."""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**11))
    monkeypatch.setattr(os, "posix_fallocate", lambda file, start, size: None)
    options = DiscoNerfPipelineConfig()
    budgets = options.surface_memory_gb, options.surface_host_memory_gb
    keeper = SurfaceStorage([10**6] * 1000, options.model.surface_points, device, *budgets, tmp_path)
    assert sum(keeper.bytes.values()) == 14 * 10**9
    assert keeper.bytes[GPU] <= 8 * GIB and keeper.bytes[HOST] <= 4 * GIB
    assert keeper.bytes[GPU] + keeper.bytes[HOST] > least_gb * GIB
    assert options.datamanager.image_memory_gb + options.datamanager.mask_memory_gb <= 10


@pytest.mark.parametrize(
    ("device", "gpu_gb", "host_gb"),
    [("cpu", 0.0, 1.0), ("cpu", 0.0, 1.5e-6), ("cpu", 1.0, 0.0), ("cuda", 0.0, 2e-6), ("cuda", 0.0, 1.0)],
)
def test_values_are_the_same_wherever_they_are(
    device: str, gpu_gb: float, host_gb: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor.clone())
    views = [samples(seed, rays=50 + seed) for seed in range(4)]
    keeper = SurfaceStorage([len(view) for view in views], 2, device, gpu_gb, host_gb, tmp_path)
    kept = [keeper.keep(view) for view in views]
    assert bool(pinned) == (device == "cuda") and bool(keeper.bytes[FILE]) == (host_gb < 1e-3)
    for view, again in zip(views, kept):
        assert torch.equal(view.packed, again.packed) and torch.equal(view.accumulation, again.accumulation)
        assert again.packed.dtype == torch.int16 and again.accumulation.dtype == torch.float16
    few = SurfaceSamples.cat([view[::7] for view in kept])
    assert torch.equal(few.positions, SurfaceSamples.cat([view[::7] for view in views]).positions)


def test_what_is_in_a_file_is_not_in_memory_and_leaves_nothing_behind(tmp_path: Path) -> None:
    views = [samples(seed) for seed in range(3)]
    keeper = SurfaceStorage([len(view) for view in views], 2, "cpu", 0.0, 0.0, tmp_path / "run")
    assert str(keeper) == "0 MiB in a file" and keeper.bytes[FILE] == sum(view.nbytes for view in views)
    kept = [keeper.keep(view) for view in views]
    del keeper
    assert list((tmp_path / "run").iterdir()) == []
    kept[1].packed[:] = 0  # a change stays with who made it
    assert torch.equal(kept[0].packed, views[0].packed) and torch.equal(kept[2].packed, views[2].packed)


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=3 * GIB))
    with pytest.raises(UserError, match=r"has 3\.0 GiB left and 13\.0 are needed; raise --pipeline\.surface-memory-gb"):
        SurfaceStorage([10**6] * 1000, 2, "cpu", 8.0, 0.0, tmp_path)


def test_room_is_taken_before_the_first_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room was looked at but not taken, so another program could fill the disk in between."""
    taken = []
    real = os.posix_fallocate
    monkeypatch.setattr(os, "posix_fallocate", lambda file, *span: taken.append(span) or real(file, *span))
    keeper = SurfaceStorage([50] * 3, 2, "cpu", 0.0, 0.0, tmp_path)
    views = [samples(seed) for seed in range(3)]
    assert taken == [(0, sum(view.nbytes for view in views))]
    for view, again in zip(views, [keeper.keep(view) for view in views]):
        assert torch.equal(view.packed, again.packed) and torch.equal(view.accumulation, again.accumulation)


@pytest.mark.parametrize(("fault", "fatal"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EOPNOTSUPP, False)])
def test_a_disk_that_gives_no_room_is_one_sentence(
    fault: int, fatal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*span: int) -> None:
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    if fatal:
        with pytest.raises(UserError, match=rf"no room in {tmp_path} \({os.strerror(fault)}\).*--pipeline\.surface"):
            SurfaceStorage([50], 2, "cpu", 0.0, 0.0, tmp_path)
    else:
        view = samples(0)
        assert torch.equal(SurfaceStorage([50], 2, "cpu", 0.0, 0.0, tmp_path).keep(view).packed, view.packed)
    assert list(tmp_path.iterdir()) == []
