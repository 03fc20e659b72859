"""Print the constraints file of the environment that runs this: `make constraints` writes it to constraints.txt.

A release that does not install on the oldest Python of pyproject.toml is pinned from the oldest Python that it names.
"""

from __future__ import annotations

import platform
from importlib.metadata import distributions

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
NOT_PINNED = {"disconerf-ns", "pip", "setuptools", "wheel"}


def main() -> None:
    python = platform.python_version()
    print("# The releases that the tests are run with, for `pip install -c constraints.txt -e '.[dev]'`.")
    print(f"# Made by `make constraints` with Python {python}, after installing all extras.")
    for name, pin in sorted({canonicalize_name(d.name): pin_of(d) for d in distributions()}.items()):
        if name not in NOT_PINNED:
            print(pin)


def pin_of(distribution) -> str:
    supported = SpecifierSet(distribution.metadata["Requires-Python"] or "")
    oldest = next(python for python in PYTHONS if supported.contains(f"{python}.99"))
    marker = "" if oldest == PYTHONS[0] else f' ; python_version >= "{oldest}"'
    return f"{distribution.name}=={Version(distribution.version).public}{marker}"


if __name__ == "__main__":
    main()
