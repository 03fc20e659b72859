"""3D gaussians of every object, in files that splat viewers open: sampled from the scene, or from a splat of your own.

python examples/07_splats.py outputs/.../config.yml [splat.ply or the config.yml of a splatfacto run]
"""

import sys
from pathlib import Path

from disconerf_ns import load
from disconerf_ns.export.splats_ply import write_ply

scene, given = load(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
splats = scene.splats(given, straddling="split")  # in the coordinates of the capture
for each in scene.objects:
    mine = splats.of(each.id)
    write_ply(Path(f"{each.file_name}.ply"), mine)
    print(f"{each.file_name}.ply: {len(mine)} gaussians")
