"""`disconerf masks check`: look at photographs, poses and masks together before hours of training."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path

from PIL import Image

from disconerf_ns.cli.show import caption
from disconerf_ns.errors import UserError
from disconerf_ns.files import check_file, write_whole
from disconerf_ns.masks.frames import TRANSFORMS, frames_of, lists_of, pose_of
from disconerf_ns.masks.freshness import changed, fingerprint
from disconerf_ns.masks.image_masks import ImageMasks, same_shape
from disconerf_ns.masks.images import find_images, frame_file, headers_of, misread_modes, misread_sentence, read_image
from disconerf_ns.masks.misfit import AS_THEY_ARE, BESIDE, align
from disconerf_ns.masks.orientation import STORED, orientation_of
from disconerf_ns.masks.report import describe, measure_view
from disconerf_ns.masks.sheet import sheet, tile
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.spacing import evenly_spaced

LISTED = 3
"""Largest number of names in a line."""
SHOWN = 12
"""Largest number of views on the sheet."""
HARMLESS = {0: "nothing that would spoil the training was found", 1: "1 finding, which does not stop the training"}
"""The last line by the number of findings of which none is wrong; otherwise that number is said."""


@dataclass(frozen=True)
class Finding:
    """A fault or an oddity, in one sentence with its remedy."""

    text: str
    wrong: bool = False
    """Whether it stops the training, or is surely wrong."""


@dataclass
class Check:
    """Look at photographs, poses and masks together before hours of training, and name what is wrong."""

    data: Path
    """The dataset's folder, or its transforms file."""
    masks: Path | None = None
    """Folder of the masks; by default the newest set in DATA/masks/."""
    images: Path | None = None
    """Folder of the images, within DATA; by default the frames of the transforms file, or DATA/images."""
    output: Path | None = None
    """JPEG file of a contact sheet; by default masks_check.jpg beside the folder of the masks."""

    def __call__(self) -> None:
        """Print the report and write the contact sheet.

        Raises:
            UserError: the sheet cannot be written, or something stops the training or is surely wrong.
        """
        images = find_images(self.data, self.images)
        store = MaskStore.find(self.data) if self.masks is None else MaskStore.open(self.masks)
        output = self.output or store.root.with_name(f"{store.root.name}_check.jpg")
        check_file(output, "name another place with --output.")
        sizes, findings = look_at_photographs(images)
        findings += [*look_at_transforms(self.data, sizes, images), *look_at_dataset(self.data, images)]
        pairs = store.files_for(images)
        masks, of_masks = look_at_masks(store, pairs, images, sizes)
        findings += [*look_at_names(store, pairs, images), *of_masks]
        aligned = align(store, {key: pairs[key] for key in masks if key in sizes}, images)
        findings += look_at_alignment(aligned.best, {name: aligned.mean(name) for name in aligned.fits})
        print(describe(store.root, [measure_view(key, view) for key, view in masks.items()]))
        print(f"  alignment  {aligned.mean(AS_THEY_ARE):.2f}: edges along the masks' borders; 1 is chance")
        for finding in findings:
            print(f"masks: {'WRONG: ' if finding.wrong else ''}{finding.text}")
        draw(output, images, {key: masks[key] for key in masks if key in sizes})
        wrong = sum(finding.wrong for finding in findings)
        if wrong:
            raise UserError(
                f"masks: {wrong} of {len(findings)} findings stop the training or are surely wrong; see above."
            )
        print(f"masks: {HARMLESS.get(len(findings), f'{len(findings)} findings, none of which stops the training')}.")


def draw(path: Path, images: Mapping[str, Path], masks: Mapping[str, ImageMasks]) -> None:
    """Write a contact sheet of evenly spaced views, unless there are no masks, and say where it is."""
    keys = list(masks)
    chosen = [keys[i] for i in evenly_spaced(len(keys), SHOWN)]
    tiles = [tile(read_image(images[k]), masks[k], *caption(measure_view(k, masks[k])), 400) for k in chosen]
    if tiles:
        content = BytesIO()
        Image.fromarray(sheet(tiles)).save(content, format="JPEG", quality=88)
        write_whole(path, content.getvalue())
        print(f"masks: photographs beside their masks are in {path}")


def look_at_photographs(images: Mapping[str, Path]) -> tuple[dict[str, tuple[int, int]], list[Finding]]:
    """Heights and widths of the photographs that can be read, and what is unusual about the files."""
    sizes, turned, broken, prints = {}, [], [], {}
    misread = misread_modes(headers_of(images.values()))
    for key, path in images.items():
        try:
            sizes[key] = read_image(path).shape[:2]
            if orientation_of(path) != STORED:
                turned.append(key)
            prints[key] = fingerprint(path)["sha256"]
        except UserError as error:
            if path not in misread:
                broken.append(str(error))
    findings = [Finding(sentence, True)] if (sentence := misread_sentence(misread)) else []
    if broken:
        findings.append(Finding(f"{len(broken)} photographs cannot be used: {listed(broken)}; restore them.", True))
    if turned:
        findings.append(
            Finding(
                f"{len(turned)} of {len(images)} photographs have an EXIF orientation ({listed(turned)}); nerfstudio "
                "uses the stored pixels, so masks have to lie on these (`disconerf masks convert` sees to it)."
            )
        )
    for twins in groups(prints):
        findings.append(Finding(f"photographs {listed(twins)} are the same file; delete all but one."))
    return sizes, findings


def look_at_transforms(
    data: Path, sizes: Mapping[str, tuple[int, int]], images: Mapping[str, Path]
) -> Iterator[Finding]:
    """Find poses that are not finite, poses that are equal, and sizes that differ from the photographs' sizes."""
    files = lists_of(data)
    if not files:
        return
    frames = frames_of(files[0])
    keys = {path.resolve(): key for key, path in images.items()}
    other, broken, poses = [], [], {}
    for name, frame in frames.items():
        key = keys.get(frame_file(files[0].parent, name).resolve())
        if key is None:
            continue
        size = frame.get("h"), frame.get("w")
        if key in sizes and None not in size and size != sizes[key]:
            other.append(f"{key} is {sizes[key][1]} x {sizes[key][0]}, not {size[1]} x {size[0]}")
        pose = pose_of(frame)
        if pose is None:
            broken.append(key)
        else:
            poses[key] = pose.tobytes()
    if other:
        yield Finding(
            f"{len(other)} photographs have another size than `w` and `h` of {files[0]} say: {listed(other)}; use the "
            "photographs that the poses were computed from.",
            True,
        )
    if broken:
        yield Finding(f"{len(broken)} poses are no finite 4 x 4 matrices: {listed(broken)}; remove these frames.", True)
    for twins in groups(poses):
        yield Finding(f"the poses of {listed(twins)} are the same; unless the camera stood still, compute them anew.")


def look_at_dataset(data: Path, images: Mapping[str, Path]) -> Iterator[Finding]:
    """Find why nerfstudio cannot read a dataset, photographs without a pose, and whether it puts its scene askew."""
    from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig

    from disconerf_ns.compat.leaning import said_to_lean
    from disconerf_ns.compat.named_dataset import dataset_named, parser_of

    if (parser := parser_of(data)) is None:
        if not lists_of(data):
            yield Finding(f"poses were not looked at: {data} has neither {TRANSFORMS} nor COLMAP's sparse/0.")
        return
    try:
        with redirect_stdout(StringIO()), dataset_named(parser, data):
            outputs = parser.setup().get_dataparser_outputs("train")
    except UserError as error:
        yield Finding(str(error).removeprefix("data: "), True)
        return
    posed = {path.resolve() for path in outputs.image_filenames}
    if isinstance(parser, ColmapDataParserConfig) and (
        lost := [key for key, path in images.items() if path.resolve() not in posed]
    ):
        yield Finding(
            f"{len(lost)} of {len(images)} photographs have no pose in {data / parser.colmap_path}, so the training "
            f"leaves them out: {listed(lost)}."
        )
    if sentence := said_to_lean(parser, outputs.cameras):
        yield Finding(sentence.removeprefix("data: "))


def look_at_names(store: MaskStore, pairs: Mapping[str, str], images: Mapping[str, Path]) -> Iterator[Finding]:
    """Photographs without masks, and masks without a photograph."""
    absent = [key for key in images if key not in pairs]
    if absent:
        yield Finding(
            f"{len(absent)} of {len(images)} photographs have no masks in {store.root}: {listed(absent)}; make them, "
            "name the masks like the photographs, or train with --pipeline.datamanager.allow-missing-masks True (those "
            "that are held out need none).",
            len(absent) == len(images),
        )
    used = set(pairs.values())
    if strangers := [key for key in store.keys() if key not in used]:
        yield Finding(f"{len(strangers)} files of masks in {store.root} fit no photograph: {listed(strangers)}.")


def look_at_masks(
    store: MaskStore, pairs: Mapping[str, str], images: Mapping[str, Path], sizes: Mapping[str, tuple[int, int]]
) -> tuple[dict[str, ImageMasks], list[Finding]]:
    """The masks that can be read, by the images' keys, and what is unusual about them."""
    masks, broken, shapes, twins, stale = {}, [], [], Counter(), []
    for key, name in pairs.items():
        try:
            view = store.load(name)
        except UserError as error:
            broken.append(str(error))
            continue
        if key in sizes:
            if not same_shape((view.height, view.width), sizes[key]):
                shapes.append(f"{key} is {view.width} x {view.height}, not {sizes[key][1]} x {sizes[key][0]}")
                continue
            if changed(store, name, images[key]):
                stale.append(key)
        masks[key] = view
        twins[key] = len(view) - len({mask.rle["counts"] for mask in view.annotations})
    lines = (
        (broken, True, "files of masks are broken: {}; make them anew"),
        (shapes, True, "files of masks have another shape than their photograph: {}; make them from these photographs"),
        (stale, True, "photographs have changed since their masks were made: {}; make the masks anew"),
        (list(+twins), False, "views have the same mask more than once: {}; it counts more than others"),
    )
    found = [Finding(f"{len(names)} {text.format(listed(names))}.", wrong) for names, wrong, text in lines if names]
    return masks, found


def look_at_alignment(best: str | None, fits: Mapping[str, float]) -> Iterator[Finding]:
    """Masks that fit better otherwise."""
    if best not in (None, AS_THEY_ARE):
        names = "rename them, to give each photograph its own masks"
        remedy = names if best in BESIDE else "convert or make them anew from the stored photographs"
        yield Finding(
            f"the masks fit the photographs better when they are {best} ({fits[best]:.2f}) than as they are "
            f"({fits[AS_THEY_ARE]:.2f}; 1 is chance): {remedy}.",
            True,
        )
    elif best is None and fits[AS_THEY_ARE] < 1:
        yield Finding(
            f"borders of masks lie on edges of the photographs no more often than by chance ({fits[AS_THEY_ARE]:.2f}); "
            "look at the sheet."
        )


def groups(values: Mapping[str, Hashable]) -> list[list[str]]:
    """Names that share a value."""
    by_value = defaultdict(list)
    for name, value in values.items():
        by_value[value].append(name)
    return [names for names in by_value.values() if len(names) > 1]


def listed(names: Iterable[str]) -> str:
    """The first names, and how many follow."""
    names = list(names)
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
