"""How a program ends: drawing is ended while pools still take work."""

from __future__ import annotations

import subprocess
import sys

ENDING = """
import time
from concurrent.futures import ThreadPoolExecutor
from disconerf_ns.compat.process import before_threads_end

pool = ThreadPoolExecutor(1)

class Drawing:
    def close(self):
        print(pool.submit(lambda: "still taken").result())

class Gone:
    def close(self):
        print("called although it is gone")

drawing = Drawing()
before_threads_end(drawing.close)
before_threads_end(Gone().close)
"""


def test_what_is_to_end_before_threads_is_ended_while_pools_take_work() -> None:
    """Ctrl-C while a picture became sharp said "cannot schedule new futures after shutdown"."""
    ended = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "still taken\n"), ended.stderr
