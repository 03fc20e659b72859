"""The edit that a run begins with: that of the run whose checkpoints it goes on from, or a named one."""

from __future__ import annotations

from pathlib import Path

from nerfstudio.utils.rich_utils import CONSOLE

from disconerf_ns.errors import UserError
from disconerf_ns.files import write_whole
from disconerf_ns.scene.edit import EDIT, Edit, draft_of
from disconerf_ns.scene.tree import ObjectTree


def inherit_edit(file: Path, named: Path | None, before: Path | None, tree: ObjectTree) -> None:
    """Copy the edit that a run goes on with into its own folder, and what was not saved yet, unless it has its own.

    Args:
        file: of the run's edit.
        named: the edit that was asked for; by default that of the run before.
        before: folder of the checkpoints that the run goes on from; None for a run that begins anew.
        tree: of the run's objects.

    Raises:
        UserError: an edit was named for a run that begins anew, or is none of this run's objects.
    """
    if before is None:
        if named is not None:
            raise UserError(
                f"edit: {named} is about the objects of a trained run, and this one begins anew; pass that run's "
                "checkpoints with --load-dir, or leave --pipeline.edit out."
            )
        return
    source = named or before.parent / EDIT
    if not file.exists() and (named is not None or source.exists()):
        Edit.load(source, tree).save(file)
        CONSOLE.log(f"edit: taken over from {source}")
    if named is None and draft_of(source).exists() and not draft_of(file).exists():
        write_whole(draft_of(file), draft_of(source).read_bytes())
