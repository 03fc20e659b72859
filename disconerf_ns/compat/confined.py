"""A folder that strangers may name files in, and nothing outside."""

from __future__ import annotations

import os
from pathlib import Path


class ConfinedFolder(type(Path())):
    """A folder whose `folder / name` stays below it: of a name that leads out, the words become one file name in it.

    viser joins the path of a request to the folder that it serves, and nerfstudio's tab Render joins what a client
    typed to the folder of camera paths; neither looks where the result lies.
    """

    def __truediv__(self, name: str | os.PathLike[str]) -> ConfinedFolder:
        leads_out = Path(name).is_absolute() or ".." in Path(name).parts
        inside = "_".join(part for part in Path(name).parts if part.strip("./\\")) or "_" if leads_out else name
        return type(self)(super().__truediv__(inside))
