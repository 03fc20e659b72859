"""What PoissonRecon writes to standard error about its own source is not shown; everything else is."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import open3d
import pytest
import torch

from disconerf_ns.scene.closed_surface import ClosedSurface
from disconerf_ns.scene.poisson_warnings import warnings_of_poisson_unsaid
from disconerf_ns.scene.seen_rays import SeenRays

WARNING = (
    "[WARNING] /root/Open3D/build/poisson/src/PoissonRecon/Src/FEMTree.IsoSurface.specialized.inl (Line 1858)\n"
    "          Extract\n          bad average roots: 3\n"
)


def write(text: str) -> None:
    os.write(2, text.encode())


def test_only_what_poisson_says_is_left_out(capfd: pytest.CaptureFixture) -> None:
    with warnings_of_poisson_unsaid():
        write(f"before\n{WARNING}{WARNING}after\n")
    write(WARNING)
    assert capfd.readouterr().err == f"before\nafter\n{WARNING}"


def test_it_ends_with_an_error_and_with_other_threads(capfd: pytest.CaptureFixture) -> None:
    def fail(number: int) -> None:
        with warnings_of_poisson_unsaid():
            write(f"{WARNING}thread {number}\n")
            raise RuntimeError

    with ThreadPoolExecutor(8) as threads:
        assert all(isinstance(each.exception(), RuntimeError) for each in [threads.submit(fail, k) for k in range(64)])
    write("end\n")
    lines = capfd.readouterr().err.splitlines()
    assert sorted(lines[:-1]) == sorted(f"thread {k}" for k in range(64)) and lines[-1] == "end"


def test_an_object_is_enclosed_without_it(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    """`disconerf objects` and `export` printed it."""
    made = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson
    warned = lambda *given, **options: (write(WARNING), made(*given, **options))[1]
    monkeypatch.setattr(open3d.geometry.TriangleMesh, "create_from_point_cloud_poisson", warned)
    ball = torch.nn.functional.normalize(torch.randn(400, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    one = torch.ones(len(ball))
    assert ClosedSurface.through(SeenRays(2 * ball, -ball, one, one), torch.tensor([[-1.1] * 3, [1.1] * 3])) is not None
    assert capfd.readouterr().err == ""
