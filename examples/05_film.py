"""Turntables of an object with a soft shadow below it: a video with transparency, and a GIF for a README.

python examples/05_film.py outputs/.../config.yml object_01
"""

import sys

from disconerf_ns import load, save_film

scene, name = load(sys.argv[1]), sys.argv[2]
frames = list(scene.film(name, frames=24, size=128, transparent=True, shadow=True))
for kind in ("webm", "gif"):
    save_film(f"{name}.{kind}", frames, fps=12)
print(f"wrote {name}.webm and {name}.gif")
