"""The rooms of the package: no circle, nothing imports upwards, and saved runs find the classes that they name."""

from __future__ import annotations

import ast
from pathlib import Path
from pkgutil import resolve_name

import pytest

import disconerf_ns
from benchmarks.structure import import_graph, in_circles

ROOT = Path(disconerf_ns.__file__).parent
ORDER = (
    "errors", "consoles", "options", "files", "small_json", "spacing", "palette", "gpus", "masks", "kernels", "field",
    "optimizer", "surface", "scene", "discovery", "training", "compat", "gaussians", "config",
    "radiance_transfer", "rendering", "filming", "evaluation", "export",
    "facts", "report", "viewer", "datamanager", "object_model", "model",
    "splat_model", "taken_scene", "object_stage", "steps", "pipeline", "trainer", "method", "runs",
    "composition", "api", "cli",
)  # fmt: skip
"""Rooms and the modules beside them, from the lowest to the highest; each imports itself and lower ones."""
SAVED = (
    "disconerf_ns.config:DiscoNerfMachineConfig",
    "disconerf_ns.config:DiscoNerfDataManagerConfig",
    "disconerf_ns.config:DiscoNerfModelConfig",
    "disconerf_ns.config:SplatSceneModelConfig",
    "disconerf_ns.config:DiscoNerfPipelineConfig",
    "disconerf_ns.config:DiscoNerfTrainerConfig",
    "disconerf_ns.field:ObjectFieldConfig",
    "disconerf_ns.optimizer:FusedAdamConfig",
    "disconerf_ns.pipeline:DiscoNerfPipeline",
    "disconerf_ns.datamanager:DiscoNerfDataManager",
    "disconerf_ns.model:DiscoNerfModel",
    "disconerf_ns.splat_model:SplatSceneModel",
    "disconerf_ns.trainer:DiscoNerfTrainer",
)
"""Classes that config.yml files of finished runs name."""


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


GRAPH = import_graph(ROOT)


def test_no_circle() -> None:
    assert in_circles(GRAPH) == set()
    assert "disconerf_ns.model" in GRAPH["disconerf_ns.steps"], "imports are seen"


def test_circles_by_hand() -> None:
    assert in_circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == {"b", "c"}


def test_nothing_imports_upwards() -> None:
    upwards = [
        f"{module} imports {target}"
        for module, targets in GRAPH.items()
        for target in targets
        if room(module) and room(target) and ORDER.index(room(target)) > ORDER.index(room(module))
    ]
    assert upwards == []


@pytest.mark.parametrize("name", ORDER)
def test_every_room_says_its_idea(name: str) -> None:
    path = ROOT / name / "__init__.py" if (ROOT / name).is_dir() else ROOT / f"{name}.py"
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text and "TODO" not in text and text.splitlines()[0].endswith((".", "`."))


@pytest.mark.parametrize("path", SAVED)
def test_classes_of_saved_runs_stay_where_they_are(path: str) -> None:
    assert resolve_name(path).__module__ == path.split(":")[0]
