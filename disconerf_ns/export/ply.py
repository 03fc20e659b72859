"""PLY files as tables: the element `vertex`, one row for each point or gaussian."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
"""Names of types of properties, and numpy's."""
NAMES = {
    "i1": "char",
    "u1": "uchar",
    "i2": "short",
    "u2": "ushort",
    "i4": "int",
    "u4": "uint",
    "f4": "float",
    "f8": "double",
}
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}
LONGEST_HEADER = 2**20
"""Bytes of a header, at most."""


class NotPly(ValueError):
    """A file that does not begin as a PLY file does."""


class Header(NamedTuple):
    """What a PLY file says of its content."""

    order: str
    """Byte order as numpy writes it; "=" for text."""
    elements: dict[str, tuple[int, np.dtype | None]]
    """Rows and type of each element, in the order of the file; no type where rows differ in length."""
    end: int
    """Bytes of the header."""

    def names(self, element: str) -> tuple[str, ...]:
        """Properties of an element; none if there is no such element, or its rows differ in length."""
        _, kind = self.elements.get(element, (0, None))
        return (kind.names or ()) if kind is not None else ()


def ply_bytes(rows: np.ndarray) -> bytes:
    """A binary, little endian PLY file of a structured array, as the element `vertex`."""
    little = rows.astype(rows.dtype.newbyteorder("<"))
    properties = [f"property {NAMES[little.dtype[name].str[1:]]} {name}" for name in little.dtype.names or ()]
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}", *properties, "end_header", ""]
    return "\n".join(lines).encode() + little.tobytes()


def read_header(path: Path) -> Header:
    """Read the header of a PLY file.

    Raises:
        NotPly: it has none.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        begin = file.read(LONGEST_HEADER)
    if not begin.startswith((b"ply\n", b"ply\r")):
        raise NotPly("it does not begin with ply")
    head, found, rest = begin.partition(b"end_header")
    if not found:
        raise NotPly("its header does not end")
    end = len(head) + len(found) + (2 if rest.startswith(b"\r\n") else 1)
    order, elements, fields = "", {}, []
    try:
        for line in head.decode("ascii", "replace").splitlines()[1:]:
            match line.split():
                case ["format", name, _]:
                    order = ORDERS[name]
                case ["element", name, count]:
                    fields = []
                    elements[name] = int(count), fields
                case ["property", "list", _, _, _]:
                    fields.append(None)
                case ["property", kind, name]:
                    fields.append((name, TYPES[kind]))
                case ["comment" | "obj_info", *_] | []:
                    pass
                case _:
                    raise NotPly(f"its header has a line {line!r}")
        types = {
            name: (
                count,
                None if None in fields else np.dtype([(name, order.replace("=", "") + kind) for name, kind in fields]),
            )
            for name, (count, fields) in elements.items()
        }
    except (KeyError, ValueError) as error:
        raise NotPly(f"its header is wrong: {error}") from error
    if not order or any(count < 0 for count, _ in types.values()):
        raise NotPly("its header names no format, or less than no rows")
    return Header(order, types, end)


def read_vertices(path: Path, header: Header) -> np.ndarray:
    """The rows of the element `vertex`; none if there is no such element.

    Raises:
        ValueError: the file is shorter than its header says, or rows of different length come before.
        OSError: the file cannot be read.
    """
    skipped = 0
    for name, (count, kind) in header.elements.items():
        if kind is None:
            raise ValueError(f"its element {name} has lists")
        if name != "vertex":
            skipped += count if header.order == "=" else count * kind.itemsize
            continue
        if header.order == "=":
            lines = path.read_bytes()[header.end :].splitlines()[skipped : skipped + count]
            if len(lines) < count:
                raise ValueError(f"it has {len(lines)} rows of {count}")
            return np.loadtxt(io.BytesIO(b"\n".join(lines)), kind, ndmin=1)
        size = path.stat().st_size - header.end - skipped
        if size < count * kind.itemsize:
            raise ValueError(f"it has {size // max(kind.itemsize, 1)} rows of {count}")
        return np.fromfile(path, kind, count, offset=header.end + skipped)
    return np.zeros(0)
