"""One object alone: a picture with transparency from the first photograph's camera, and a turntable film.

python examples/02_render_one_object.py outputs/.../config.yml object_01
"""

import sys

import mediapy

from disconerf_ns import load

scene, name = load(sys.argv[1]), sys.argv[2]
mediapy.write_image(f"{name}.png", scene.cutout(name, scene.cameras()[0:1]).numpy())
mediapy.write_video(f"{name}.mp4", [frame.numpy() for frame in scene.film(name, frames=24, size=128)], fps=24)
print(f"wrote {name}.png and {name}.mp4")
