"""The rooms of the package: no circle, nothing imports upwards, and saved runs find the classes that they name."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path
from pkgutil import resolve_name

import pytest

import disconerf_ns

ROOT = Path(disconerf_ns.__file__).parent
ORDER = (
    "errors", "files", "palette", "masks", "kernels", "field", "optimizer", "surface", "scene", "discovery", "training",
    "compat", "config", "rendering", "evaluation", "viewer", "datamanager", "model", "pipeline", "method", "cli", "api",
)  # fmt: skip
"""Rooms and the modules beside them, from the lowest to the highest; each imports itself and lower ones."""
SAVED = (
    "disconerf_ns.config:DiscoNerfMachineConfig",
    "disconerf_ns.config:DiscoNerfDataManagerConfig",
    "disconerf_ns.config:DiscoNerfModelConfig",
    "disconerf_ns.config:DiscoNerfPipelineConfig",
    "disconerf_ns.field:ObjectFieldConfig",
    "disconerf_ns.optimizer:FusedAdamConfig",
    "disconerf_ns.pipeline:DiscoNerfPipeline",
    "disconerf_ns.datamanager:DiscoNerfDataManager",
    "disconerf_ns.model:DiscoNerfModel",
)
"""Classes that config.yml files of finished runs name."""


def module_name(path: Path) -> str:
    return ".".join(("disconerf_ns", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


def imports() -> dict[str, set[str]]:
    """The modules of the package that each of them imports, also inside of functions and for type checkers."""
    paths = {module_name(path): path for path in ROOT.rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        graph[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("disconerf_ns"):
                named = {f"{node.module}.{alias.name}" for alias in node.names} & paths.keys()
                graph[name] |= named or {node.module}
    return graph


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_no_circle() -> None:
    order = list(TopologicalSorter(imports()).static_order())
    assert order.index("disconerf_ns.errors") < order.index("disconerf_ns.pipeline")


def test_nothing_imports_upwards() -> None:
    upwards = [
        f"{module} imports {target}"
        for module, targets in imports().items()
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
