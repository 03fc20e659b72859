"""Fewer triangles for the same surface."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped

from disconerf_ns.errors import UserError
from disconerf_ns.scene.needs_open3d import PACKAGES, open3d_fault


def simplified(
    vertices: Float[np.ndarray, "n 3"], faces: Shaped[np.ndarray, "f 3"], most: int
) -> tuple[Float[np.ndarray, "m 3"], Shaped[np.ndarray, "g 3"]]:
    """A closed surface with at most so many faces; the same one where it would not stay closed.

    Edges are collapsed where the quadric error is least (Garland and Heckbert, 1997), by open3d.

    Args:
        vertices: positions.
        faces: corners of the triangles.
        most: number of faces, at most.
    Raises:
        UserError: open3d cannot be imported.
    """
    if len(faces) <= most:
        return vertices, faces
    if (fault := open3d_fault()) is not None:
        raise UserError(
            f"export: open3d, which makes meshes smaller, cannot be imported ({fault}); install the system packages "
            f"{PACKAGES}, or keep all triangles with --faces 0."
        )
    from open3d import geometry, utility
    from trimesh import Trimesh

    mesh = geometry.TriangleMesh(
        utility.Vector3dVector(vertices.astype(np.float64)), utility.Vector3iVector(faces.astype(np.int32))
    ).simplify_quadric_decimation(most)
    fewer, corners = np.asarray(mesh.vertices), np.asarray(mesh.triangles)
    closed = Trimesh(fewer, corners, process=False).is_watertight
    return (fewer.copy(), corners.copy()) if closed else (vertices, faces)
