"""Files of a splatfacto run, as nerfstudio writes them."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import torch
import yaml
from nerfstudio.configs.method_configs import method_configs

from disconerf_ns.gaussians.spherical_harmonics import C0
from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.scene.similarity import Similarity


def write_splatfacto_run(
    folder: Path, splats: Splats, sh_degree: int, to_scene: Similarity, background: str = "random", **more: torch.Tensor
) -> Path:
    """Write config.yml, a checkpoint and the frame of a splatfacto run; returns its folder.

    Args:
        splats: gaussians, in the capture's coordinates.
        sh_degree: the run's; with 0, colours are before a sigmoid.
        to_scene: takes the capture's coordinates to the run's scene.
        background: the run's `background_color`.
        more: further parameters of the model.
    """
    config = copy.deepcopy(method_configs["splatfacto"])
    config.pipeline.model.sh_degree, config.pipeline.model.background_color = sh_degree, background
    (folder / "nerfstudio_models").mkdir(parents=True)
    (folder / "config.yml").write_text(yaml.dump(config))
    matrix = to_scene.matrix[:3].float() / to_scene.scale
    (folder / "dataparser_transforms.json").write_text(
        json.dumps({"transform": matrix.tolist(), "scale": to_scene.scale})
    )
    mine = splats.placed(to_scene)
    flat = mine.sh[:, 0] if sh_degree else (mine.sh[:, 0] * C0 + 0.5).clamp(0.01, 0.99).logit()
    columns = {
        "means": mine.means, "scales": mine.log_scales, "quats": mine.quaternions, "features_dc": flat,
        "features_rest": mine.sh[:, 1:], "opacities": mine.opacity_logits[:, None],
    }  # fmt: skip
    state = {f"_model.gauss_params.{name}": value for name, value in columns.items()}
    state |= {f"_model.{name}": value for name, value in more.items()}
    torch.save({"pipeline": state, "step": 9}, folder / "nerfstudio_models" / "step-000000009.ckpt")
    return folder
