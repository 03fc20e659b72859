"""The kernels compile for GPUs, without one: down to machine code, within registers and every GPU's shared memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
SCRIPT = Path(__file__).parent / "compiled.py"
SHARED = 99 * 1024
"""Bytes of shared memory that a program can have on GPUs of capability 8.6 and 8.9; 8.0 and 9.0 have more."""

ADDS = {"encode_backward", "variation_backward", "nerf_encode_backward_tables"}
"""Kernels that add two features at once where a GPU can."""


def compiled(capability: int, dtype: str, *slots: int) -> list[dict]:
    command = [sys.executable, str(SCRIPT), str(capability), dtype, *map(str, slots)]
    search = os.pathsep.join([str(SCRIPT.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "TRITON_INTERPRET": "0", "PYTHONPATH": search}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(kernels: list[dict], capability: int) -> None:
    assert [k for k in kernels if k["stack"] > 0] == [], "registers are spilled"
    assert [k for k in kernels if k["shared"] > SHARED] == []
    together = {k["kernel"] for k in kernels if k["adds_pairs"]}
    assert together == (ADDS if capability >= 90 else set())


def test_kernels_compile_for_an_a100_under_autocast() -> None:
    kernels = compiled(80, "float16", 120)
    assert len(kernels) == 21
    check(kernels, 80)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("capability", [80, 90])
def test_kernels_compile_for_all_sizes(capability: int, dtype: str) -> None:
    check(compiled(capability, dtype, 5, 17, 40, 64, 120, 200, 300, 512), capability)
