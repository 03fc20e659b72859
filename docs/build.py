"""Write the API's pages from its docstrings: the public names first, then every room.

python docs/build.py [OUTPUT]
"""

from __future__ import annotations

import sys
from pathlib import Path
from pkgutil import iter_modules

import pdoc

import disconerf_ns


def build(output: Path) -> None:
    """Write the pages, which begin with disconerf_ns.html."""
    for name in disconerf_ns.__all__:  # pdoc looks for names that are there, not for those that come when used
        setattr(disconerf_ns, name, getattr(disconerf_ns, name))
    rooms = [module.name for module in iter_modules(disconerf_ns.__path__, "disconerf_ns.")]
    pdoc.render.configure(docformat="google")
    pdoc.pdoc("disconerf_ns", *rooms, output_directory=output)


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "build/docs"))
