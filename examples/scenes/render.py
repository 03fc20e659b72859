"""Path-traced views and exact labels of a scene, by Mitsuba 3; Open Image Denoise removes what grain is left."""

from __future__ import annotations

import ctypes.util
import functools
import operator
import os
from collections.abc import Callable

import numpy as np

from examples.scenes.cameras import Pinhole
from examples.scenes.scene import AreaLight, Material, Part, Scene

try:
    import drjit as dr
    import mitsuba as mi
    import pyoidn
except ImportError as error:
    raise SystemExit("Making scenes needs Mitsuba 3 and pyoidn: run `pip install -e .[scenes]`.") from error

SAMPLES_PER_PASS = 64
FIREFLY = 8.0
"""Radiance, in multiples of white, above which one pass of a pixel is cut off."""
DEPTH = 7
"""Vertices of a path of light, at most."""
CROSSED = 16
"""Surfaces of an invisible object that a camera's ray passes, at most."""


def choose_variant() -> str:
    """Switch Mitsuba to its vectorised CPU variant, or to the scalar one where no LLVM library is found."""
    library = next(
        filter(None, (ctypes.util.find_library(f"LLVM-{version}") for version in (21, 20, 19, 18, 17))), None
    )
    if library:
        os.environ.setdefault("DRJIT_LIBLLVM_PATH", library)
    mi.set_variant("llvm_ad_rgb" if "DRJIT_LIBLLVM_PATH" in os.environ else "scalar_rgb")
    return mi.variant()


class Renderer:
    """A scene loaded into Mitsuba.

    Mitsuba numbers shapes in the order of their names, so the names sort as the parts are listed, lights last.
    """

    def __init__(self, scene: Scene):
        self.scene = scene
        parts = [(label, part) for label, item in enumerate(scene.objects, start=1) for part in item.parts]
        number = {about: label for label, about in enumerate(scene.parts, start=1)}
        others = [0] * (len(scene.lights) + 1)
        self._label_of_shape = np.array([*(label for label, _ in parts), *others], dtype=np.uint16)
        self._part_of_shape = np.array([*(number[label, part.name] for label, part in parts), *others], dtype=np.uint16)
        content = {"type": "scene", "integrator": {"type": "path", "max_depth": DEPTH}}
        content |= {f"part_{i:03d}": _shape(part) for i, (_, part) in enumerate(parts)}
        content |= {f"zlight_{i}": _light(light) for i, light in enumerate(scene.lights)}
        content["ambient"] = {"type": "constant", "radiance": {"type": "rgb", "value": list(scene.ambient)}}
        self._mitsuba = mi.load_dict(content, optimize=False)

    def radiance(
        self, camera: Pinhole, pose: np.ndarray, samples: int, seed: int = 0, invisible: int | None = None
    ) -> np.ndarray:
        """(H, W, 3) linear radiance, the mean of `samples` paths per pixel.

        Args:
            camera: the lens.
            pose: (4, 4) camera to world.
            samples: paths per pixel.
            seed: of the random numbers.
            invisible: label of an object that the camera looks through; it casts its shadow nevertheless.
        """
        sensor, integrator = mi.load_dict(_sensor(camera, pose)), self._integrator(invisible)
        passes = -(-samples // SAMPLES_PER_PASS)
        total = np.zeros((camera.height, camera.width, 3))
        for i in range(passes):
            spp, number = min(samples, SAMPLES_PER_PASS), seed * 10_000 + i
            image = mi.render(self._mitsuba, sensor=sensor, integrator=integrator, spp=spp, seed=number)
            total += np.minimum(np.array(image, dtype=np.float64)[..., :3], FIREFLY / self.scene.exposure)
        return total / passes

    def photo(self, camera: Pinhole, pose: np.ndarray, samples: int, seed: int = 0) -> np.ndarray:
        """(H, W, 3) uint8 sRGB picture, denoised."""
        return self.denoised(self.radiance(camera, pose, samples, seed), camera, pose)

    def denoised(self, radiance: np.ndarray, camera: Pinhole, pose: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 sRGB picture of a radiance of this scene's surfaces, whatever light fell on them."""
        albedo, normal = self.features(camera, pose)
        exposed = (radiance * self.scene.exposure).astype(np.float32)
        return developed(pyoidn.denoise(exposed, albedo=albedo, normal=normal, hdr=True))

    def features(self, camera: Pinhole, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) float32 albedo and normal of what is seen, which tell the denoiser texture from grain."""
        integrator = mi.load_dict({"type": "aov", "aovs": "albedo:albedo,normal:sh_normal"})
        sensor = mi.load_dict(_sensor(camera, pose))
        image = np.array(mi.render(self._mitsuba, sensor=sensor, integrator=integrator, spp=SAMPLES_PER_PASS))
        return tuple(
            np.ascontiguousarray(image[..., -6:][..., part], dtype=np.float32) for part in (slice(3), slice(3, 6))
        )

    def labels(self, camera: Pinhole, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) uint16 twice: object and part that the ray through each pixel's centre meets; 0 for none."""
        sensor = mi.load_dict(_sensor(camera, pose))
        x, y = np.meshgrid(
            (np.arange(camera.width) + 0.5) / camera.width, (np.arange(camera.height) + 0.5) / camera.height
        )
        shape = _traced(lambda *point: self._shape_at(sensor, mi.Point2f(*point)), x.ravel(), y.ravel())
        shape = np.where(shape >= len(self._label_of_shape), -1, shape).reshape(x.shape)
        return self._label_of_shape[shape], self._part_of_shape[shape]

    def distances(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """(N,) distances to what (N, 3) rays of unit direction meet first; infinite where they meet nothing."""
        return _traced(self._distance, *origins.T, *directions.T)

    def _integrator(self, invisible: int | None) -> mi.Integrator:
        if invisible is None:
            return self._mitsuba.integrator()
        return behind(np.flatnonzero(self._label_of_shape == invisible).tolist())

    def _shape_at(self, sensor: mi.Sensor, position: mi.Point2f) -> mi.UInt32:
        ray, _ = sensor.sample_ray(0.0, 0.5, position, mi.Point2f(0.5))
        return self._mitsuba.ray_intersect_preliminary(ray).shape_index

    def _distance(self, *ray: mi.Float) -> mi.Float:
        return self._mitsuba.ray_intersect_preliminary(mi.Ray3f(mi.Point3f(*ray[:3]), mi.Vector3f(*ray[3:]))).t


def behind(shapes: list[int]) -> mi.Integrator:
    """Mitsuba's path tracer for what a camera sees behind some shapes, by index, which still take and give light."""

    class Behind(mi.SamplingIntegrator):
        def sample(self, scene, sampler, ray, medium=None, active=True):
            del medium
            ray = mi.RayDifferential3f(ray)
            for _ in range(CROSSED):
                met = scene.ray_intersect_preliminary(ray, coherent=True, active=active)
                through = functools.reduce(operator.or_, (met.shape_index == shape for shape in shapes))
                beyond = met.compute_surface_interaction(ray).spawn_ray(ray.d)
                ray.o = dr.select(through & met.is_valid(), beyond.o, ray.o)
            return paths.sample(scene, sampler, ray, None, active)

    paths = mi.load_dict({"type": "path", "max_depth": DEPTH})
    return Behind(mi.Properties())


def _traced(function: Callable, *columns: np.ndarray) -> np.ndarray:
    """`function` of the numbers in every row: of all rows at once, or row by row in Mitsuba's scalar variant."""
    if mi.variant().startswith("scalar"):
        return np.array([function(*map(float, row)) for row in zip(*columns, strict=True)])
    return np.array(function(*map(mi.Float, columns)))


def developed(radiance: np.ndarray) -> np.ndarray:
    """(H, W, 3) linear radiance to uint8 sRGB: straight in the shadows, with a soft shoulder towards white."""
    knee = 0.6
    over = np.clip(radiance - knee, 0, None)
    toned = np.minimum(radiance, knee) + (1 - knee) * (1 - np.exp(-over / (1 - knee)))
    encoded = np.where(toned < 0.0031308, 12.92 * toned, 1.055 * np.power(np.maximum(toned, 1e-9), 1 / 2.4) - 0.055)
    return (255 * np.clip(encoded, 0, 1) + 0.5).astype(np.uint8)


def _sensor(camera: Pinhole, pose: np.ndarray) -> dict:
    """Mitsuba's camera looks along +z with x to the left, OpenGL's along -z with x to the right."""
    return {
        "type": "perspective",
        "fov_axis": "x",
        "fov": float(np.degrees(2 * np.arctan(camera.width / 2 / camera.focal))),
        "near_clip": 0.01,
        "far_clip": 100.0,
        "to_world": mi.ScalarTransform4f(pose @ np.diag([-1.0, 1.0, -1.0, 1.0])),
        "film": {
            "type": "hdrfilm",
            "width": camera.width,
            "height": camera.height,
            "pixel_format": "rgb",
            "rfilter": {"type": "box"},
        },
        "sampler": {"type": "independent"},
    }


def _shape(part: Part) -> mi.Mesh:
    properties = mi.Properties()
    properties["mesh_bsdf"] = mi.load_dict(_bsdf(part.material))
    source = part.mesh
    mesh = mi.Mesh(
        "part",
        len(source.points),
        len(source.faces),
        has_vertex_normals=True,
        has_vertex_texcoords=True,
        props=properties,
    )
    values = mi.traverse(mesh)
    values["vertex_positions"] = source.points.astype(np.float32).ravel()
    values["vertex_normals"] = source.normals.astype(np.float32).ravel()
    values["vertex_texcoords"] = source.uv.astype(np.float32).ravel()
    values["faces"] = source.faces.astype(np.uint32).ravel()
    values.update()
    return mesh


def _bsdf(material: Material) -> dict:
    surface = {
        "type": "principled",
        "base_color": _texture(material.color),
        "roughness": material.roughness,
        "specular": material.specular,
        "clearcoat": material.clearcoat,
        "clearcoat_gloss": 0.8,
    }
    if material.bump is not None:
        height = {**_texture(material.bump[..., None]), "raw": True}
        surface = {"type": "bumpmap", "height": height, "scale": material.bump_scale, "bsdf": surface}
    return {"type": "twosided", "bsdf": surface}


def _texture(image: np.ndarray) -> dict:
    if image.ndim == 1:
        image = image[None, None]
    image = np.ascontiguousarray(image[::-1])
    bitmap = (
        mi.Bitmap((255 * image + 0.5).astype(np.uint8)) if image.shape[2] == 3 else mi.Bitmap(image.astype(np.float32))
    )
    return {"type": "bitmap", "bitmap": bitmap}


def _light(light: AreaLight) -> dict:
    to_world = mi.ScalarTransform4f().look_at(light.position, light.target, [0.0, 1.0, 0.001])
    return {
        "type": "rectangle",
        "to_world": to_world @ mi.ScalarTransform4f().scale(light.size / 2),
        "emitter": {"type": "area", "radiance": {"type": "rgb", "value": list(light.radiance)}},
    }
