"""A run by tinycudann trains and loads, where the package is; the same test with torch shows that it can pass."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from tiny_run import tiny_config, train

from disconerf_ns.runs import load_pipeline

BUILT = find_spec("tinycudann") is not None and torch.cuda.is_available()
MISSING = pytest.mark.skipif(not BUILT, reason="needs tinycudann and a GPU")


@pytest.mark.parametrize("implementation", ["torch", pytest.param("tcnn", marks=MISSING)])
def test_a_run_trains_and_loads(small_scene: Path, tmp_path: Path, implementation: str) -> None:
    config = tiny_config(small_scene, tmp_path, iterations=3)
    config.mixed_precision, model = True, config.pipeline.model
    model.implementation = model.object_field.implementation = implementation
    pipeline = train(config).pipeline
    trained, start = pipeline.state_dict(), config.pipeline.setup(device=str(pipeline.device)).state_dict()
    for part in ("field.mlp_base", "proposal_networks.0", "object_field.grid"):
        keys = [key for key in trained if key.startswith(f"_model.{part}")]
        assert any(trained[key].shape == start[key].shape and (trained[key] != start[key]).any() for key in keys), part
    loaded = load_pipeline(config.get_base_dir() / "config.yml", test_mode="test")
    assert all(torch.equal(value, trained[key]) for key, value in loaded.state_dict().items())
    pipeline.eval()
    camera = pipeline.datamanager.eval_dataset.cameras[:1].to(pipeline.device)
    for name in ("rgb", "confidence"):
        before, after = (p.model.get_outputs_for_camera(camera)[name] for p in (pipeline, loaded))
        assert before.isfinite().all() and torch.equal(before, after)
