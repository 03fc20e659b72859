"""Cameras on one side of a scene that look down: nerfstudio's up leans to that side, which is said with the remedy."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from masks.test_check import check, write
from nerfstudio.cameras.camera_utils import auto_orient_and_center_poses
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManagerConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from tiny_run import tiny_config

from disconerf_ns.compat.leaning import lean, said_to_lean

Method = Literal["up", "vertical"]


def arc(degrees: float, down: float, views: int, roll: float = 0.0) -> np.ndarray:
    """Level cameras on an arc around the origin, z up, which look down at it, rolled to and fro in their pictures."""
    poses = []
    for number in range(views):
        around, below = math.radians(degrees * (number + 0.5) / views), math.radians(down)
        back = np.array([math.cos(around) * math.cos(below), math.sin(around) * math.cos(below), math.sin(below)])
        right = np.cross([0, 0, 1], back) / math.cos(below)
        up, turn = np.cross(back, right), math.radians(roll) * (-1) ** number
        right, up = math.cos(turn) * right + math.sin(turn) * up, math.cos(turn) * up - math.sin(turn) * right
        poses.append(np.vstack([np.stack([right, up, back, 3 * back], 1), [0, 0, 0, 1]]))
    return np.stack(poses)


def turned(poses: np.ndarray, method: Method = "up") -> Cameras:
    oriented, _ = auto_orient_and_center_poses(torch.from_numpy(poses).float(), method)
    return Cameras(oriented[:, :3], 80.0, 80.0, 48.0, 36.0, 96, 72)


def test_how_far_up_leans_on_half_a_circle() -> None:
    """The cameras' up is cos(down) up and sin(down) inwards; inwards is 2 / pi long in the mean over half a circle."""
    expected = math.degrees(math.atan(math.tan(math.radians(45)) * 2 / math.pi))
    assert lean(turned(arc(180, 45, 180))) == pytest.approx(expected, abs=0.05)
    assert lean(turned(arc(360, 45, 180))) == pytest.approx(0, abs=0.05)
    assert lean(turned(arc(180, 45, 180), "vertical")) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    "poses", [arc(5, 45, 20), arc(180, 45, 20, roll=30), arc(180, 45, 2)], ids=["side by side", "rolled", "two"]
)
def test_horizons_that_do_not_tell(poses: np.ndarray) -> None:
    assert lean(turned(poses)) is None


def test_only_the_mean_of_ups_is_blamed() -> None:
    cameras = turned(arc(180, 45, 20))
    assert "33 degrees off" in (said_to_lean(NerfstudioDataParserConfig(), cameras) or "")
    assert said_to_lean(NerfstudioDataParserConfig(orientation_method="none"), cameras) is None
    assert said_to_lean(NerfstudioDataParserConfig(), turned(arc(180, 5, 20))) is None


def on_half_a_circle(root: Path) -> Path:
    """A dataset with masks."""
    file = write(root) / "transforms.json"
    content = json.loads(file.read_text())
    for frame, pose in zip(content["frames"], arc(180, 45, len(content["frames"]))):
        frame["transform_matrix"] = pose.tolist()
    file.write_text(json.dumps(content))
    return root


def test_check_says_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    code, said = check(on_half_a_circle(tmp_path), capsys)
    assert code == 0 and "masks: 1 finding, which does not stop the training." in said
    assert "degrees off their horizons" in said and "`nerfstudio-data --orientation-method vertical`" in said


@pytest.mark.parametrize("method", ["up", "vertical"])
def test_training_says_it(method: Method, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    config = tiny_config(on_half_a_circle(tmp_path / "data"), tmp_path / "out").pipeline.datamanager
    assert isinstance(config, VanillaDataManagerConfig) and isinstance(config.dataparser, NerfstudioDataParserConfig)
    config.dataparser.orientation_method = method
    config.setup(device="cpu", test_mode="val")
    assert ("--orientation-method vertical" in capsys.readouterr().out) == (method == "up")
