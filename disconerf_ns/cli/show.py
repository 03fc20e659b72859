"""`disconerf masks show`: contact sheets of a set of masks, and a report in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from disconerf_ns.consoles import progress
from disconerf_ns.errors import UserError
from disconerf_ns.files import check_folder, write_whole
from disconerf_ns.masks.images import find_images, read_image
from disconerf_ns.masks.report import FEW, ViewMasks, describe, measure_view
from disconerf_ns.masks.sheet import sheet, tile
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.options import COUNT, NONE_OR_MORE, VISIBLE, check_options
from disconerf_ns.spacing import evenly_spaced

LARGEST = 100_000_000
"""Maximum number of pixels of the photographs on a sheet."""
NAME = 40
"""Maximum number of characters of an image's name in a caption."""


@dataclass
class Show:
    """Show how good masks are: contact sheets of photographs beside their masks, and a report."""

    data: Path
    """The dataset's folder, or its transforms file."""
    masks: Path | None = None
    """Folder of the masks; by default the newest set in DATA/masks/."""
    images: Path | None = None
    """Folder of the images, within DATA; by default the frames of the transforms file, or DATA/images."""
    output: Path | None = None
    """Folder of the sheets; by default DATA/masks/NAME_sheets."""
    views: int = 24
    """Number of evenly spaced views to show; 0 shows all."""
    per_sheet: int = 12
    """Number of views per sheet, at least 1."""
    size: int = 400
    """Longer side of a photograph on a sheet in pixels, at least 1."""

    def __call__(self) -> None:
        """Write the sheets and print the report.

        Raises:
            UserError: an option is out of range, the images have no masks, the sheets cannot be written, or images
                cannot be read.
        """
        check_options("masks", self, views=NONE_OR_MORE, per_sheet=COUNT, size=VISIBLE)
        if self.size**2 * self.per_sheet > LARGEST:
            raise UserError(
                f"masks: a sheet of {self.per_sheet} photographs of {self.size} pixels is too large to view; "
                "lower --size or --per-sheet."
            )
        images = find_images(self.data, self.images)
        store = MaskStore.find(self.data) if self.masks is None else MaskStore.open(self.masks)
        stored = store.files_for(images)
        keys = [key for key in images if key in stored]
        if not keys:
            raise UserError(
                f"masks: {store.root} holds masks of none of the {len(images)} images of {self.data}; name "
                "another set with --masks."
            )
        folder = self.output or store.root.with_name(f"{store.root.name}_sheets")
        check_folder(folder, "name another place with --output.")
        reports, unread, total = {}, [], len(keys)
        for key in keys:
            try:
                reports[key] = measure_view(stored[key], store.load(stored[key]))
            except UserError as error:
                unread.append(str(error))
        if not (keys := list(reports)):
            raise UserError(f"masks: no file of masks can be read: {'; '.join(unread)}.")
        shown = evenly_spaced(len(keys), self.views or len(keys))
        for old in folder.glob("sheet_*.jpg"):
            old.unlink()
        pages, drawn = [shown[start : start + self.per_sheet] for start in range(0, len(shown), self.per_sheet)], 0
        with progress("drawing sheets", len(shown)) as advance:
            for number, page in enumerate(pages, 1):
                tiles = []
                for i in page:
                    advance()
                    try:
                        image = read_image(images[keys[i]])
                    except UserError as error:
                        unread.append(str(error))
                        continue
                    tiles.append(tile(image, store.load(stored[keys[i]]), *caption(reports[keys[i]]), self.size))
                if not tiles:
                    continue
                drawn += len(tiles)
                content = BytesIO()
                Image.fromarray(sheet(tiles)).save(content, format="JPEG", quality=88)
                write_whole(folder / f"sheet_{number:02d}.jpg", content.getvalue())
        print(describe(store.root, list(reports.values())))
        if total < len(images):
            print(f"  missing    {len(images) - total} of {len(images)} images have no file of masks")
        print(f"  sheets     {folder} ({len(pages)} pages, {drawn} of {total} views)")
        if unread:
            raise UserError(f"masks: {len(unread)} of {total} views could not be shown: {'; '.join(unread)}.")


def caption(view: ViewMasks) -> tuple[str, bool]:
    """Caption of a view, and whether it is a warning; a long name is shortened to its end."""
    name = view.key if len(view.key) <= NAME else f"...{view.key[-NAME:]}"
    return f"{view.count} masks, {view.coverage:.0%} covered: {name}", view.count < FEW
