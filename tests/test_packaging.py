"""The package says what it needs: declared dependencies, their pins, light imports, and help for every option."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

tomllib = pytest.importorskip("tomllib", reason="needs the TOML reader of Python 3.11")

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "disconerf_ns").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = packages_distributions()

OPTIONAL = {"tinycudann", "triton"}
"""Used where they are found: no registry has tinycudann, so it can't be declared; Triton comes with torch on Linux."""


EXTRAS = ("ray", "transformers")
"""Extras whose packages are imported where an option asks for them."""


def optional(extra: str) -> list[str]:
    return PROJECT["optional-dependencies"][extra]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def top_level_imports(source: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(source.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    of_a_module = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    return {name.partition(".")[0] for name in plain | of_a_module}


@pytest.mark.parametrize("source", SOURCES, ids=relative)
def test_every_import_is_a_declared_dependency(source: Path):
    third_party = top_level_imports(source) - set(sys.stdlib_module_names) - OPTIONAL - {"disconerf_ns"}
    declared = names(PROJECT["dependencies"]) | names([text for extra in EXTRAS for text in optional(extra)])
    undeclared = {
        name for name in third_party if not declared & set(map(canonicalize_name, DISTRIBUTIONS.get(name, [name])))
    }
    assert not undeclared


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==", 1) for line in lines if not line.startswith("#"))


def test_every_dependency_is_pinned():
    extras = PROJECT["optional-dependencies"]
    declared = names(PROJECT["dependencies"]) | names([text for extra in extras.values() for text in extra])
    assert not declared - {canonicalize_name(name) for name in pins()}


def test_every_pin_satisfies_what_is_declared():
    versions = {canonicalize_name(name): version.partition(" ;")[0] for name, version in pins().items()}
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])


def test_constraints_are_names_and_versions_only():
    pin = re.compile(r'[\w.-]+==[\w.]+( ; python_version >= "3\.\d+")?')
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#") and not pin.fullmatch(line)] == []
    assert not any("://" in line or "@ file" in line for line in lines)


@pytest.mark.parametrize("module", ["disconerf_ns", "disconerf_ns.compat.ffmpeg"])
def test_what_every_command_imports_is_light(module: str):
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).split()
    third_party = {name.partition(".")[0] for name in loaded} & {"torch", "numpy", "scipy", "nerfstudio", "viser"}
    assert not third_party


def config_classes() -> list:
    trees = [(source, ast.parse(source.read_text())) for source in SOURCES]
    return [
        pytest.param(node, id=f"{relative(source)}:{node.name}")
        for source, tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith("Config")
    ]


def is_docstring(node: ast.stmt | None) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@pytest.mark.parametrize("config", config_classes())
def test_every_option_has_a_help_text(config: ast.ClassDef):
    following = zip(config.body, [*config.body[1:], None], strict=True)
    silent = [ast.unparse(node.target) for node, below in following if is_field(node) and not is_docstring(below)]
    assert silent == []


def is_field(node: ast.stmt) -> bool:
    """Whether a line of a class body is an option; nerfstudio's `_target` names the class to build and is none."""
    return isinstance(node, ast.AnnAssign) and not ast.unparse(node.target).startswith("_")


def figures(text: str, row: str) -> dict[str, str]:
    """The figures of a table's row by its columns, of a table in Markdown or as `disconerf eval` prints it."""
    lines = text.splitlines()
    index = next(i for i, line in enumerate(lines) if row in line)
    values = re.findall(r"\d+\.\d", lines[index].split(row)[1])
    return dict(zip(("IoU", "IoU (best)", "BD", "BD (truth)", "SBD", "PQ"), values))


@pytest.mark.parametrize("row", ["2D masks, per view", "field, per view", "field, whole scene"])
def test_readme_and_status_tell_the_same_scores(row: str):
    """README's table is of the run that docs/status.md describes."""
    shown = figures((ROOT / "README.md").read_text(), row)
    status = re.findall(
        r"\d+\.\d", next(line for line in (ROOT / "docs/status.md").read_text().splitlines() if row in line)
    )
    assert status == [shown[name] for name in ("IoU", "BD", "BD (truth)", "SBD", "PQ")]
