"""PLY tables, beside a reader and writer that is not ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from disconerf_ns.export.ply import NotPly, ply_bytes, read_header, read_vertices

KINDS = [("x", "f4"), ("y", "f8"), ("red", "u1"), ("id", "i4"), ("small", "i2")]


def table(count: int = 7) -> np.ndarray:
    rows = np.zeros(count, KINDS)
    for name, _ in KINDS:
        rows[name] = np.arange(count) * (1 if name == "red" else -3)
    return rows


def read(path: Path) -> np.ndarray:
    return read_vertices(path, read_header(path))


def test_others_read_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(ply_bytes(table()))
    data = PlyData.read(str(tmp_path / "a.ply"))
    assert data.byte_order == "<" and [element.name for element in data.elements] == ["vertex"]
    np.testing.assert_array_equal(data["vertex"].data, table())
    np.testing.assert_array_equal(read(tmp_path / "a.ply"), table())


@pytest.mark.parametrize(("text", "order"), [(True, "="), (False, "<"), (False, ">")])
def test_what_others_write_is_read(tmp_path: Path, text: bool, order: str) -> None:
    before, faces = np.zeros(3, [("w", "f8")]), np.zeros(1, [("vertex_indices", "i4", (3,))])
    parts = [(before, "camera"), (table(), "vertex"), (faces, "face")]
    elements = [PlyElement.describe(rows, name) for rows, name in parts]
    PlyData(elements, text, order, comments=["by hand"]).write(str(tmp_path / "a.ply"))
    rows = read(tmp_path / "a.ply")
    for name, _ in KINDS:
        np.testing.assert_array_equal(rows[name], table()[name])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"solid cube", "does not begin with ply"),
        (b"ply\nformat ascii 1.0\n", "does not end"),
        (b"ply\nformat text 1.0\nend_header\n", "header is wrong"),
        (b"ply\nelement vertex 3\nend_header\n", "names no format"),
        (b"ply\nformat ascii 1.0\nelement vertex -3\nend_header\n", "less than no rows"),
        (b"ply\nformat ascii 1.0\nelement vertex many\nend_header\n", "header is wrong"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty half x\nend_header\n", "header is wrong"),
        (b"ply\nformat ascii 1.0\nnonsense\nend_header\n", "a line 'nonsense'"),
    ],
)
def test_what_is_no_ply_file(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.ply").write_bytes(content)
    with pytest.raises(NotPly, match=said):
        read_header(tmp_path / "a.ply")


def test_a_file_that_is_too_short_is_never_filled_up(tmp_path: Path) -> None:
    """Also where the header asks for more memory than there is."""
    whole = ply_bytes(table())
    for content, said in (
        (whole[:-1], "6 rows of 7"),
        (whole.replace(b"vertex 7", b"vertex 70000000000000"), "7 rows of 70000000000000"),
    ):
        (tmp_path / "a.ply").write_bytes(content)
        with pytest.raises(ValueError, match=said):
            read(tmp_path / "a.ply")
