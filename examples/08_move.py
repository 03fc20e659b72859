"""Objects moved, copied and in other colours; what no photograph saw is marked for an inpainting program.

python examples/08_move.py outputs/.../config.yml object_02
"""

import math
import sys

import mediapy

from disconerf_ns import Edit, Hue, Similarity, load

scene = load(sys.argv[1])
thing = scene.find(sys.argv[2])
middle = scene.arranged.bodies.solid(thing.id).centre
quarter = (math.cos(math.pi / 4), 0.0, 0.0, math.sin(math.pi / 4))  # a quaternion: a quarter turn about the vertical
turned = Similarity.about(middle, turn=quarter, move=(0.1, 0.2, 0.0))
small = Similarity.about(middle, scale=0.5, move=(0.0, -0.2, 0.2))
edited = scene.edited(Edit().move(thing.id, turned).copy(thing.id, small).recolor(thing.id, Hue(120.0)))

camera = scene.cameras()[0:1]
mediapy.write_image("moved.png", edited.render("edited", camera).numpy())
mediapy.write_image("unseen.png", edited.render("unseen", camera)[..., 0].numpy())
print(f"wrote moved.png with {thing.label} in {len(edited.edit.places_of(thing.id))} places, and unseen.png")
