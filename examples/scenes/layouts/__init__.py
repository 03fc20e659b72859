"""The scenes that `make_scene` knows, by name; a new scene is one more file here and one more line below."""

from __future__ import annotations

from examples.scenes.layouts.clutter import clutter
from examples.scenes.layouts.rehearsal import rehearsal
from examples.scenes.layouts.room import room
from examples.scenes.layouts.sheet import sheet
from examples.scenes.layouts.study import study
from examples.scenes.layouts.table import table

LAYOUTS = {
    "table": table,
    "room": room,
    "clutter": clutter,
    "sheet": sheet,
    "study": study,
    "rehearsal": rehearsal,
}
