"""One object as a mesh in the capture's own frame, and what is known of it. `disconerf export` does this for all.

python examples/06_export.py outputs/.../config.yml object_01
"""

import sys
from pathlib import Path

from disconerf_ns import load
from disconerf_ns.export.exporter import ExportOptions, export
from disconerf_ns.export.frames import Capture
from disconerf_ns.runs import capture_frame

config, name = Path(sys.argv[1]), sys.argv[2]
scene, capture = load(config), Capture(capture_frame(config))
options = ExportOptions(what=("meshes",), formats=("glb",), resolution=32)
written = export(scene.run, scene.arranged, [scene.find(name)], capture, Path("exports"), options, {})
for row in written.manifest["objects"]:
    print(f"{row['files']['glb']}: {row['faces']} faces; centre {row['centre']}, up is {capture.up_axis}")
