"""The structure of the package in numbers: modules, imports between them, circles, the largest modules.

python -m benchmarks.structure [--package disconerf_ns]
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import tyro

Graph = dict[str, set[str]]
"""The modules that each module imports, also inside of functions and for type checkers."""


def import_graph(package: Path) -> Graph:
    """Imports between the modules of a package, by their names."""
    paths = {_name(path, package): path for path in sorted(package.rglob("*.py"))}
    graph: Graph = {}
    for name, path in paths.items():
        nodes = ast.walk(ast.parse(path.read_text()))
        targets = [_targets(node, paths) for node in nodes if isinstance(node, ast.ImportFrom)]
        graph[name] = set().union(*targets)
    return graph


def _name(path: Path, package: Path) -> str:
    return ".".join((package.name, *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__")


def _targets(node: ast.ImportFrom, paths: dict[str, Path]) -> set[str]:
    submodules = {f"{node.module}.{alias.name}" for alias in node.names} & paths.keys()
    return submodules or {node.module} & paths.keys()


def in_circles(graph: Graph) -> set[str]:
    """Modules that import themselves by way of others."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(graph[start])
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting += graph[module]
        return seen

    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return {module for module in graph if module in reached(module)}
    return set()


@dataclass
class Structure:
    """Print the structure of a package."""

    package: Path = Path("disconerf_ns")
    """Folder of the package."""

    def __call__(self) -> None:
        """Print it."""
        graph = import_graph(self.package)
        lines = {path: len(path.read_text().splitlines()) for path in self.package.rglob("*.py")}
        flat = [path for path in lines if path.parent == self.package]
        circles = in_circles(graph)
        print(f"modules            {len(graph)}, {len(flat)} of them beside the rooms")
        print(f"imports            {sum(map(len, graph.values()))}")
        print(f"in circles         {len(circles)} modules: {', '.join(sorted(circles)) or 'none'}")
        print(f"lines              {sum(lines.values())}")
        for path, count in sorted(lines.items(), key=lambda item: -item[1])[:5]:
            print(f"  {count:5} {path.relative_to(self.package)}")


if __name__ == "__main__":
    tyro.cli(Structure)()
