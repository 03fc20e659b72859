"""Compiles what the kernels' Python launches, for a GPU that need not be there: python compiled.py 80 float16 120

Arguments are the GPU's compute capability, the hidden features' type and numbers of slots. Prints a line of JSON per
kernel: registers and bytes of stack of a thread, bytes of shared memory, whether it adds two floats atomically at once.
It is a process of its own because the tests' has Triton's interpreter.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from nerfstudio.field_components.spatial_distortions import SceneContraction
from nerfstudio.fields.density_fields import HashMLPDensityField
from nerfstudio.fields.nerfacto_field import NerfactoField
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from disconerf_ns.kernels import (
    composite_triton,
    encode,
    nerf_encode,
    ray_density,
    ray_density_triton,
    resample_triton,
    union_losses_triton,
    variation,
)
from disconerf_ns.kernels.grid import TritonHashGrid

TYPES = {torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16", torch.int64: "*i64"}


def compile_for(capability: int, kernel, values: dict, options: dict):
    """What the first launch with these arguments would compile: tensors are aligned, counts are 32-bit."""
    constants = {p.name: values[p.name] for p in kernel.params if p.is_constexpr}
    signature, aligned = {}, {}
    for index, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name] = "constexpr"
        elif isinstance(values[name], torch.Tensor):
            signature[name], aligned[(index,)] = TYPES[values[name].dtype], [["tt.divisibility", 16]]
        else:
            signature[name] = "i32"
    source = ASTSource(kernel, signature, constexprs=constants, attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def resources(cubin: bytes) -> dict[str, int]:
    """Registers and stack bytes of a thread, by the tool that comes with Triton."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.check_output([tool, "--dump-resource-usage", file.name], text=True)
    return {
        key: int(re.search(rf"{name}:(\d+)", text)[1]) for key, name in {"registers": "REG", "stack": "STACK"}.items()
    }


def run_grid(dtype: torch.dtype) -> None:
    grid, positions = TritonHashGrid(8, 16, 512, 19, 2), torch.zeros(100, 3)
    encode.encode(positions, grid.levels, grid.entries(), list(grid.tables), dtype).sum().backward()
    variation.variation(positions, grid.levels, grid.entries(), list(grid.tables)).backward()


def run_nerf_encode(dtype: torch.dtype) -> None:
    """nerfacto's own grid at its smallest table, with the gradients of both."""
    tables, scalings = torch.zeros(16 * 2**10, 2, requires_grad=True), torch.full((16,), 16.0)
    nerf_encode.encode(torch.zeros(100, 3, requires_grad=True), tables, scalings, dtype).sum().backward()


def run_ray_density(dtype: torch.dtype) -> None:
    """nerfacto's field and a proposal network, each with its own table and a copy, and one without hidden units."""
    box, shape = torch.tensor([[-1.0, -1, -1], [1, 1, 1]]), {"log2_hashmap_size": 10, "implementation": "torch"}
    contraction, rays = SceneContraction(order=float("inf")), torch.zeros(9, 3)
    field = NerfactoField(box, 1, spatial_distortion=contraction, **shape)
    small = HashMLPDensityField(box, hidden_dim=16, num_levels=5, spatial_distortion=contraction, **shape)
    linear = HashMLPDensityField(box, num_levels=5, use_linear=True, **shape)
    for network, frozen in ((field, False), (field, True), (small, False), (small, True), (linear, False)):
        ray_density.RayDensity.of(network, dtype, frozen)(rays, rays, torch.zeros(9, 4))


def run_resample() -> None:
    """From 96 to 48 and from 48 to 48 samples, as disconerf's frozen field takes them."""
    for samples, count in ((96, 49), (48, 49)):
        density, edges, end = torch.zeros(9, samples), torch.zeros(9, samples + 1), torch.zeros(9, 1)
        resample_triton.resample(density, edges, edges, end, end, count, 0.01, piecewise=True)


def run_composite(dtype: torch.dtype, slots: int) -> None:
    hidden = torch.zeros(100, 32, dtype=dtype, requires_grad=True)
    weight, bias = torch.zeros(slots, 32, requires_grad=True), torch.zeros(slots, requires_grad=True)
    composite_triton.composite(hidden, weight, bias, torch.zeros(50)).sum().backward()


def run_union_losses(slots: int) -> None:
    """Half as many masks as slots, in half precision as in training: of rays pixel by pixel, of views mask by mask."""
    masks = -(-slots // 2)
    image, sets = torch.zeros(2, 100, slots, requires_grad=True), torch.zeros(2, masks, slots)
    by_pixel, rest = torch.zeros(2, 100, masks).half(), (sets, sets[..., :1], torch.zeros(2))
    for members in (by_pixel, by_pixel.mT.contiguous().mT):
        sum(union_losses_triton.union_losses(image, members, *rest)).backward()


def main(capability: int, dtype: torch.dtype, slots: list[int]) -> None:
    def launch(kernel, programs: int, *arguments, **options) -> None:
        values = dict(zip(kernel.arg_names, arguments)) | {k: v for k, v in options.items() if k in kernel.arg_names}
        options = {k: v for k, v in options.items() if k not in values}
        compiled = compile_for(capability, kernel, values, options)
        facts = {"kernel": kernel.__name__, "slots": values.get("slots"), "shared": compiled.metadata.shared}
        pairs = "add.v2.f32" in compiled.asm["ptx"]
        print(json.dumps(facts | resources(compiled.asm["cubin"]) | {"adds_pairs": pairs}), flush=True)

    for module in (
        composite_triton,
        encode,
        nerf_encode,
        ray_density_triton,
        resample_triton,
        union_losses_triton,
        variation,
    ):
        module.launch = launch
    composite_triton.runs_on = ray_density.runs_on = lambda tensor: True
    ray_density.gpu_runs_triton = lambda: True
    run_grid(dtype)
    run_nerf_encode(dtype)
    run_ray_density(dtype)
    run_resample()
    for count in slots:
        run_composite(dtype, count)
        run_union_losses(count)


if __name__ == "__main__":
    main(int(sys.argv[1]), getattr(torch, sys.argv[2]), [int(count) for count in sys.argv[3:]])
