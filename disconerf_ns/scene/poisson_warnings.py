"""PoissonRecon, which is part of open3d, warns whatever open3d's verbosity is, in lines about its own source code."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

STDERR = 2
WARNING = re.compile(rb"\[WARNING\] [^\n]*/PoissonRecon/[^\n]*\n(?:[ \t]+[^\n]*\n)*")
"""The line that names its source file, and the indented ones that follow."""
_turn = threading.Lock()


@contextmanager
def warnings_of_poisson_unsaid() -> Iterator[None]:
    """Print none of them; what else comes to standard error meanwhile, from any thread, is printed afterwards."""
    with _turn, TemporaryFile(buffering=0) as kept:
        shown = os.dup(STDERR)
        os.dup2(kept.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(shown, STDERR)
            os.close(shown)
            kept.seek(0)
            os.write(STDERR, WARNING.sub(b"", kept.read()))
