"""An object of one run in the scene of another, described by a file that `disconerf compose` reads too.

python examples/09_compose.py outputs/kitchen/.../config.yml outputs/table/.../config.yml object_02 0.5 0.2 0.9
"""

import json
import sys
from pathlib import Path

import mediapy

from disconerf_ns import compose

place, run, thing = sys.argv[1:4]
at = [float(coordinate) for coordinate in sys.argv[4:7]]  # of its underside's middle, as in the photographs' poses
arrangement = {
    "scene": str(Path(place).resolve()),
    "objects": [{"run": str(Path(run).resolve()), "object": thing, "at": at, "turn": 30, "scale": 1.0}],
}
Path("scene.json").write_text(json.dumps(arrangement, indent=2))
scene = compose("scene.json")
mediapy.write_image("composed.png", scene.render("edited", scene.cameras()[0:1]).numpy())
print("wrote scene.json and composed.png")
