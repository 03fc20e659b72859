"""An edit is a value: hide an object, recolour another one, draw the result, and keep it for the viewer.

python examples/03_edit.py outputs/.../config.yml
"""

import sys
from pathlib import Path

import mediapy

from disconerf_ns import load

config = Path(sys.argv[1])
scene = load(config)
hidden, painted = scene.objects[1:3]
edit = scene.edit.hide(hidden.id).recolor(painted.id, (0.1, 0.3, 0.9)).rename(painted.id, "blue thing")
picture = scene.edited(edit).render("edited", scene.cameras()[0:1])
mediapy.write_image("edited.png", picture.numpy())
edit.save(config.parent / "edit.json")  # ns-viewer, ns-render (output `edited`) and disconerf render take it from there
print(f"wrote edited.png without {hidden.name}, and {config.parent / 'edit.json'}")
