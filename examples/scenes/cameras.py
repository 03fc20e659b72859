"""The cameras' poses, and nerfstudio's `transforms.json`. Poses are OpenGL: x right, y up, looking along -z."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.scenes.scene import Orbit, Walk


@dataclass(frozen=True)
class Pinhole:
    """A pinhole camera with square pixels and the principal point in the middle."""

    width: int
    height: int
    focal: float
    """Pixels."""

    @classmethod
    def from_fov(cls, width: int, height: int, horizontal_fov: float) -> Pinhole:
        """The camera that sees `horizontal_fov` degrees across its width."""
        return cls(width, height, width / 2 / np.tan(np.radians(horizontal_fov) / 2))

    def project(self, points: np.ndarray, camera_to_world: np.ndarray) -> np.ndarray:
        """(N, 3) world points to (N, 3): x and y in pixels (the first pixel's centre is 0.5, 0.5), and the depth."""
        rotation, position = camera_to_world[:3, :3], camera_to_world[:3, 3]
        right, up, back = ((points - position) @ rotation).T
        depth = -back
        x = self.width / 2 + self.focal * right / depth
        y = self.height / 2 - self.focal * up / depth
        return np.stack([x, y, depth], axis=1)


def look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(4, 4) OpenGL camera-to-world of an upright camera; z is up in the world."""
    back = position - target
    back = back / np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(back, right), back, position], axis=1)
    return pose


def camera_path(path: Orbit | Walk, views: int) -> np.ndarray:
    """(views, 4, 4) poses along either kind of path."""
    return spiral(path, views) if isinstance(path, Orbit) else rounds(path, views)


def spiral(orbit: Orbit, views: int) -> np.ndarray:
    """(views, 4, 4) poses along the orbit, lowest first; the azimuth starts in front (-y)."""
    t = (np.arange(views) + 0.5) / views
    azimuth = 2 * np.pi * orbit.turns * t - np.pi / 2
    elevation = np.radians(orbit.elevation[0] + (orbit.elevation[1] - orbit.elevation[0]) * t)
    radius = _swing(orbit.radius, 5.3 * t)
    center = np.asarray(orbit.center)
    direction = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], axis=1
    )
    return np.stack([look_at(center + r * d, center) for r, d in zip(radius, direction, strict=True)])


def rounds(walk: Walk, views: int) -> np.ndarray:
    """(views, 4, 4) poses of a walk; it starts at the largest x and goes counter-clockwise."""
    t = (np.arange(views) + 0.5) / views
    azimuth = 2 * np.pi * walk.turns * t
    offset = np.stack([walk.radius[0] * np.cos(azimuth), walk.radius[1] * np.sin(azimuth)], axis=1)
    height = _swing(walk.height, 5.3 * t)
    heading = np.arctan2(-offset[:, 1], -offset[:, 0]) + np.radians(np.resize(walk.headings, views))
    pitch = np.radians(_swing(walk.pitch, 8.7 * t))
    direction = np.stack([np.cos(pitch) * np.cos(heading), np.cos(pitch) * np.sin(heading), np.sin(pitch)], axis=1)
    position = np.concatenate([np.asarray(walk.center) + offset, height[:, None]], axis=1)
    return np.stack([look_at(p, p + d) for p, d in zip(position, direction, strict=True)])


def _swing(limits: tuple[float, float], phase: np.ndarray) -> np.ndarray:
    """Values that go up and down between the limits, once per unit of the phase."""
    low, high = limits
    return low + (high - low) * (0.5 + 0.5 * np.sin(2 * np.pi * phase))


def transforms(camera: Pinhole, poses: np.ndarray, names: list[str], holdout: int = 8) -> dict:
    """The content of `transforms.json`; the middle one of every `holdout` views is for evaluation."""
    held_out = [name for i, name in enumerate(names) if i % holdout == holdout // 2]
    return {
        "camera_model": "OPENCV",
        "w": camera.width,
        "h": camera.height,
        "fl_x": camera.focal,
        "fl_y": camera.focal,
        "cx": camera.width / 2,
        "cy": camera.height / 2,
        "k1": 0.0,
        "k2": 0.0,
        "p1": 0.0,
        "p2": 0.0,
        "train_filenames": [name for name in names if name not in held_out],
        "val_filenames": held_out,
        "test_filenames": held_out,
        "frames": [
            {"file_path": name, "transform_matrix": pose.round(9).tolist()}
            for name, pose in zip(names, poses, strict=True)
        ],
    }
