"""Objects discovered over gaussians, beside those over the radiance field that the gaussians were sampled from.

    python -m benchmarks.splat_scene --run outputs/table/disconerf-small/TIME/config.yml --data data/table

The gaussians are written as a splatfacto run; `ns-train --pipeline.radiance-field` takes it, and `disconerf eval`
scores both runs on the held-out views. Pictures of the gaussians as a radiance field are compared with the same
gaussians drawn by benchmarks/rasterizer.py. Sampled gaussians are no trained ones: where the field is fuzzy they leave
holes, which no object fills.
"""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch
import tyro
import yaml
from nerfstudio.configs.method_configs import method_configs

from benchmarks.rasterizer import rasterize
from benchmarks.table import commit
from disconerf_ns.api import Scene, load
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole
from disconerf_ns.gaussians.radiance import SplatRadiance
from disconerf_ns.gaussians.spherical_harmonics import C0
from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.runs import config_of
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


@dataclass
class SplatScene:
    """Compare a run over gaussians with the run that they were sampled from."""

    run: Path
    """config.yml of a disconerf run."""
    data: Path
    """Its dataset, with true labels in `labels/`."""
    gaussians: int = 200_000
    """Most gaussians."""
    rays: int = 1_000_000
    """Rays of the training views, about, from which they are sampled."""
    iterations: int = 400
    """Iterations of the object stage over the gaussians."""
    views: int = 3
    """Held-out views whose pictures are compared, at most."""
    output: Path | None = None
    """File of the figures; by default benchmarks/results/splat_scene_NAME.json, with the dataset's name."""

    def __call__(self) -> None:
        """Sample, train, score, compare, and write the figures."""
        source = load(self.run)
        splats = source.splats(gaussians=self.gaussians, degree=1, rays=self.rays).splats
        with tempfile.TemporaryDirectory() as folder:
            over = self.trained(write_splatfacto_run(Path(folder) / "splatfacto", splats, 1, source.capture.inverse()))
            scores = {"radiance field": self.scores(self.run), "gaussians": self.scores(over)}
            pictures = self.compared(load(over))
        content = {
            "run": self.data.name,
            "gaussians": len(splats),
            "scores of the whole scene": scores,
            "pictures": pictures,
            "commit": commit(),
            "machine": machine(),
            "versions": versions(),
        }
        output = self.output or Path("benchmarks/results") / f"splat_scene_{self.data.name}.json"
        write_whole(output, json.dumps(content, indent=1) + "\n")
        print(json.dumps(content, indent=1))

    def trained(self, splatfacto: Path) -> Path:
        """config.yml of a run over a splatfacto run, with the masks, the seed and the object stage of the first one."""
        before, outputs = config_of(self.run), splatfacto.parent / "outputs"
        options = {
            "data": self.data,
            "output-dir": outputs,
            "timestamp": "run",
            "vis": "tensorboard",
            "machine.device-type": before.machine.device_type,
            "machine.seed": before.machine.seed,
            "max-num-iterations": self.iterations,
            "pipeline.radiance-field": splatfacto,
            "pipeline.datamanager.masks": before.pipeline.datamanager.masks,
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        subprocess.run([str(Path(sys.executable).with_name("ns-train")), before.method_name, *arguments], check=True)
        (config,) = outputs.glob("*/*/run/config.yml")
        return config

    def scores(self, run: Path) -> dict[str, float]:
        """IoU and SBD over all held-out views, in percent."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "scores.json"
            labels = ("--ground-truth", str(self.data / "labels"), "--output", str(file))
            program = str(Path(sys.executable).with_name("disconerf"))
            subprocess.run([program, "eval", "--load-config", str(run), *labels], check=True)
            found = json.loads(file.read_text())["scores"]["scene"]
        return {name: round(100 * found[name], 1) for name in ("IoU", "SBD")}

    def compared(self, scene: Scene) -> dict[str, float]:
        """Means over held-out views of what tells marched gaussians from drawn ones."""
        radiance, cameras = scene.arranged.trained.radiance, scene.cameras("test")
        assert isinstance(radiance, SplatRadiance)
        psnr, alpha, seconds = [], [], []
        for view in range(min(self.views, len(cameras))):
            camera = cameras[view]
            drawn = rasterize(radiance.splats, camera)
            onto = drawn.rgb + (1 - drawn.alpha[..., None]) * radiance.background
            start = time.time()
            rgb, accumulation = (scene.render(name, camera) for name in ("rgb", "accumulation"))
            seconds.append(time.time() - start)
            psnr.append(-10 * math.log10(float((rgb - onto.clamp(0, 1)).square().mean())))
            alpha.append(float((accumulation[..., 0] - drawn.alpha).abs().mean()))
        return {
            "PSNR": round(mean(psnr), 1),
            "difference in alpha": round(mean(alpha), 4),
            "seconds a picture": round(mean(seconds), 1),
        }


if __name__ == "__main__":
    tyro.cli(SplatScene)()
