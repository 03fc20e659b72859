"""The machine's ceilings: bytes copied, table entries gathered and added, and multiplications, in a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.clock import timed


@dataclass
class Ceilings:
    """Rates of the best that torch's own operations reach."""

    copy_gb_s: float
    """Bytes read and written by a copy, in GB/s."""
    gathered_g_s: float
    """Random entries of 8 bytes, as two features of a hash grid's finest level are read, in 10^9/s."""
    scattered_g_s: float
    """Random single numbers of such a table added to, in 10^9/s."""
    gflop_s: float
    """Multiplications and additions of a product of matrices, half precision on a GPU, else single, in 10^9/s."""


def fastest(run: Callable[[], object], repeats: int) -> float:
    """Least time of a run, in seconds: of the processor on a CPU, by the clock on a GPU."""
    run()
    best = float("inf")
    for _ in range(repeats):
        with timed() as lap:
            run()
        best = min(best, lap.seconds if torch.cuda.is_available() else lap.cpu_seconds)
    return best


def measure(table: int = 2**19, repeats: int = 5) -> Ceilings:
    """Measure this machine.

    Args:
        table: entries of the table that is gathered from.
        repeats: measurements, of which the fastest counts.
    """
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    numbers = torch.zeros(2**28 if gpu else 2**24, device=device)
    target = torch.empty_like(numbers)
    entries, sums = torch.rand(table, device=device, dtype=torch.float64), torch.zeros(table, device=device)
    at = torch.randint(table, (2**26 if gpu else 2**21,), device=device)
    ones = torch.ones(len(at), device=device)
    matrix = torch.rand(8192 if gpu else 1024, 8192 if gpu else 1024, device=device)
    matrix = matrix.half() if gpu else matrix
    return Ceilings(
        copy_gb_s=8e-9 * len(numbers) / fastest(lambda: target.copy_(numbers), repeats),
        gathered_g_s=1e-9 * len(at) / fastest(lambda: entries.index_select(0, at), repeats),
        scattered_g_s=1e-9 * len(at) / fastest(lambda: sums.scatter_add_(0, at, ones), repeats),
        gflop_s=2e-9 * len(matrix) ** 3 / fastest(lambda: matrix @ matrix, repeats),
    )
