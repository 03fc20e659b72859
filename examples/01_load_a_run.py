"""A finished run in Python: its objects, the largest first.

python examples/01_load_a_run.py outputs/.../config.yml
"""

import sys

from disconerf_ns import load

scene = load(sys.argv[1])
for each in scene.objects:
    print(f"{each.name} {each.title:12} {each.share:6.1%} of the surface, confidence {each.confidence:.2f}")
print("outputs:", ", ".join(scene.outputs))
