"""Gaussians in the PLY file of 3D Gaussian Splatting, which splat viewers, editors and converters open.

One element `vertex` in binary, little endian, all values 32-bit floats: x y z, nx ny nz (0), f_dc_0..2 (degree 0 of
red, green and blue), f_rest_* (higher degrees, all of red first), opacity before the sigmoid, scale_0..2 as logarithms,
rot_0..3 as a quaternion (w, x, y, z).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from disconerf_ns.errors import UserError, reason
from disconerf_ns.export.ply import NotPly, ply_bytes, read_header, read_vertices
from disconerf_ns.files import write_whole
from disconerf_ns.gaussians.spherical_harmonics import C0, LARGEST_DEGREE, bases
from disconerf_ns.gaussians.splats import Splats

POSITION, NORMAL = ("x", "y", "z"), ("nx", "ny", "nz")
FLAT = tuple(f"f_dc_{k}" for k in range(3))
SCALES, TURN = tuple(f"scale_{k}" for k in range(3)), tuple(f"rot_{k}" for k in range(4))
PACKED = "packed_position"
"""Property of the compressed PLY files of SuperSplat."""
RGB = ("red", "green", "blue")
"""Bytes in the place of `FLAT` where `ns-export gaussian-splat --ply-color-mode rgb` wrote the file."""

FLAT_THICKNESS = math.log(1e-6)
"""Scale along the third axis of 2D gaussians, whose files have none; SuperSplat takes the same."""

OTHER_FORMATS = ((b"\x1f\x8b", "SPZ"), (b"NGSP", "SPZ"), (b"glTF", "GLB"), (b"PK", "SOG"))
"""First bytes of files in which splats come as well."""
WITHOUT_MARK = {".splat": "SPLAT", ".ksplat": "KSPLAT"}
"""Formats of splats whose first bytes say nothing, by the ends of their files' names."""
REMEDY = "open it in SuperSplat or another converter, save it as an uncompressed PLY, and pass that with --splats."


def write_ply(path: Path, splats: Splats) -> None:
    """Write a PLY file of gaussians, whole or not at all."""
    rest = splats.sh[:, 1:].mT.flatten(1)
    names = (*POSITION, *NORMAL, *FLAT, *(f"f_rest_{k}" for k in range(rest.shape[1])), "opacity", *SCALES, *TURN)
    columns = (
        splats.means,
        torch.zeros_like(splats.means),
        splats.sh[:, 0],
        rest,
        splats.opacity_logits[:, None],
        splats.log_scales,
        splats.quaternions,
    )
    table = torch.cat(columns, 1).cpu().numpy().astype("<f4")
    rows = np.ascontiguousarray(table).view([(name, "<f4") for name in names])[:, 0]
    write_whole(path, ply_bytes(rows))


def read_ply(path: Path) -> Splats:
    """Read a PLY file of gaussians, in text or binary; of other properties, such as normals, nothing is kept.

    2D gaussians (2D Gaussian Splatting), whose files have no third scale, are 3D gaussians as thin as a sheet.

    Raises:
        UserError: the file is missing, broken, or no plain PLY file of 3D gaussians.
    """
    begin = _first_bytes(path)
    others = [name for magic, name in OTHER_FORMATS if begin.startswith(magic)]
    if not begin.startswith(b"ply"):
        others += [name for suffix, name in WITHOUT_MARK.items() if path.suffix.lower() == suffix]
    if others:
        raise UserError(f"splats: {path} is a file of format {others[0]}, which is not read here; {REMEDY}")
    try:
        header = read_header(path)
        compressed = PACKED in header.names("vertex")
        rows = np.zeros(0) if compressed else read_vertices(path, header)
    except NotPly as error:
        raise UserError(f"splats: {path} is not a PLY file ({error}); {REMEDY}") from error
    except (ValueError, OSError) as error:
        raise UserError(f"splats: {path} is cut off or damaged ({reason(error)}); export it again.") from error
    if compressed:
        raise UserError(f"splats: {path} is a compressed PLY file of SuperSplat; {REMEDY}")
    return _splats(path, rows, "face" in header.elements)


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise UserError(
            f"splats: {path} cannot be read ({error.strerror}); pass a PLY file of gaussians, or config.yml of a "
            "splatfacto run, with --splats."
        ) from error


def _splats(path: Path, rows: np.ndarray, is_mesh: bool) -> Splats:
    properties = rows.dtype.names or ()
    flat = RGB if "opacity" in properties and FLAT[0] not in properties else FLAT
    needed = (*POSITION, *flat, "opacity", *SCALES[:2], *TURN)
    if missing := [name for name in needed if name not in properties]:
        kind = "a mesh" if is_mesh else "a PLY file without gaussians"
        raise UserError(
            f"splats: {path} is {kind}: its points have no {missing[0]}; pass the PLY file that a splat trainer wrote, "
            "such as that of `ns-export gaussian-splat`."
        )

    def column(*names: str) -> Float[Tensor, "rows names"]:
        values = np.stack([rows[name] for name in names], 1) if names else np.zeros((len(rows), 0))
        return torch.from_numpy(values.astype(np.float32))

    base = column(*FLAT) if flat == FLAT else (column(*RGB) / 255 - 0.5) / C0
    rest = [name for name in properties if name.startswith("f_rest_")]
    degrees = {3 * (bases(degree) - 1): degree for degree in range(LARGEST_DEGREE + 1)}
    numbers = [f"f_rest_{k}" for k in range(len(rest))]
    if len(rest) not in degrees or {*rest} != {*numbers}:
        raise UserError(
            f"splats: {path} has {len(rest)} values f_rest_*; spherical harmonics of degrees 0 to 3 have 0, 9, 24 or "
            "45, numbered from 0; export it again with one of these degrees."
        )
    higher = column(*numbers).view(len(rows), 3, len(rest) // 3).mT
    sh = torch.cat([base[:, None], higher], 1)
    scales = column(*[name for name in SCALES if name in properties])
    scales = torch.nn.functional.pad(scales, (0, 3 - scales.shape[1]), value=FLAT_THICKNESS)
    return Splats(column(*POSITION), scales, column(*TURN), column("opacity")[:, 0], sh)
