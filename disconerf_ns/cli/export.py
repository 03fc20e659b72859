"""`disconerf export`: objects as files that other programs open."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from disconerf_ns.errors import UserError
from disconerf_ns.files import check_folder
from disconerf_ns.options import COUNT, DOWNSCALE, GRANULARITY, NONE_OR_MORE, SIDE, VISIBLE, Range, check_options
from disconerf_ns.runs import EditedRun, capture_frame

FOLDER = Path("exports")
"""Folder of the files where none is named."""
AROUND = "surrounds the cameras"
"""Why an object is left out that is named nowhere."""
OF_SPLATS = "load_config", "output_dir", "replace", "objects", "granularity", "edit", "splats"
"""Options that also count where a splat is taken apart."""


@dataclass
class Export:
    """Write each object of a run as mesh, points and picture, as edited in the viewer, in the capture's own frame."""

    load_config: Path
    """config.yml of the run."""
    output_dir: Path | None = None
    """Folder of the files, by default exports, and exports/splats for splats; manifest.json in it, or splats.json, says
    which is which. Files of the same scene are added to those that are there already; where checkpoint or edit have
    changed, name another folder, or pass --replace."""
    replace: bool = False
    """Replace the manifest of an earlier export in the folder; its files stay where the new ones have other names."""
    objects: tuple[str, ...] = ()
    """Names of the objects, such as object_03 or a name given in the viewer; by default all objects but those that are
    hidden, those that surround the cameras, which masks show all the same, and the rest."""
    granularity: float | None = None
    """How fine objects are, from 0, the coarsest, to 1; by default as saved in the viewer, or else 0.5."""
    edit: Path | None = None
    """An edit.json to take in the place of the one that was saved in the run's folder."""
    splats: Path | None = None
    """Take a splat of the same capture apart instead: a PLY file of gaussians, or a splatfacto run. `disconerf export
    splats` has more options, and samples gaussians where there is no splat."""
    what: tuple[Literal["meshes", "points", "thumbnails", "masks", "alphas", "usdz"], ...] = (
        "meshes",
        "points",
        "thumbnails",
    )
    """Kinds of files. meshes; points, as PLY; thumbnails, as PNG with alpha; masks: the labels of every training view,
    as 16-bit PNGs and COCO's JSON; alphas: each object's opacity in every training view, with what hides it removed;
    usdz, for simulators, with convex pieces that collide. manifest.json always has the oriented boxes."""
    formats: tuple[Literal["glb", "ply", "obj"], ...] = ("glb", "ply")
    """Formats of the meshes."""
    resolution: int = 96
    """Cubes along the longest side of an object in which its surface is looked for, at least: more are taken where thin
    parts, such as the legs of a chair, would be lost."""
    faces: int = 30_000
    """Triangles of a mesh, at most; 0 keeps all."""
    watertight: bool = True
    """Close surfaces where no training camera sees them, such as undersides; otherwise they are left open."""
    complete: bool = True
    """Complete objects where no photograph looked, by continuing their seen surface; otherwise take what the radiance
    field made up there."""
    texture: int = 0
    """Height and width in pixels of a baked texture of GLB, OBJ and USDZ, at least 64; 0 gives colours to the vertices
    instead."""
    points: int = 50_000
    """Points of a point cloud."""
    thumbnail_size: int = 256
    """Height and width of thumbnails in pixels."""
    hulls: int = 1
    """Convex pieces that collide in USDZ, at most: 1 is the convex hull."""
    downscale: int = 1
    """Masks and alphas are written at 1 / downscale of the photographs' size, at least 16 pixels along each side."""
    metres_per_unit: float | None = None
    """Length of the capture's unit in metres, if you know it; GLB and USDZ are then in metres, and PLY, OBJ and the
    manifest stay in the capture's unit."""

    def __call__(self) -> None:
        """Export and write the manifest.

        Raises:
            UserError: the run has no objects, no object of a given name, or an option is out of range.
        """
        self._check()
        if self.splats is None:
            self._export()
        else:
            from disconerf_ns.cli.export_splats import ExportSplats

            said = {name: getattr(self, name) for name in OF_SPLATS}
            ExportSplats(**{name: value for name, value in said.items() if value is not None})()

    def _export(self) -> None:
        from nerfstudio.utils.rich_utils import CONSOLE

        from disconerf_ns.evaluation.views import check_downscale, dataset_of, views_of
        from disconerf_ns.export.earlier import tell_earlier
        from disconerf_ns.export.exporter import MANIFEST, ExportOptions, boxed_around, export
        from disconerf_ns.export.frames import Capture
        from disconerf_ns.export.joined import earlier_in, source_of
        from disconerf_ns.export.mesh import LOST
        from disconerf_ns.scene.objects import REST
        from disconerf_ns.training.checkpoint_files import newest_whole

        folder = self.output_dir or FOLDER
        check_folder(folder, "name another folder with --output-dir.")
        capture = Capture(capture_frame(self.load_config), self.metres_per_unit)
        edited = EditedRun(self.load_config, self.granularity, self.edit, self.complete)
        chosen, checkpoint = edited.find(self.objects), newest_whole(self.load_config, "--load-config")
        source = source_of(checkpoint, edited.shown_edit, self.complete)
        alphas = self.downscale if "alphas" in self.what else None
        earlier = {} if self.replace else earlier_in(folder / MANIFEST, source, capture.facts(), alphas)
        run = edited.pipeline
        scene = run.model.current.value
        if {"masks", "alphas"} & set(self.what):
            check_downscale("export: --downscale", self.downscale, views_of(run, "train"))
        left_out = {}
        if not chosen:
            around = boxed_around(scene, dataset_of(run, "train").cameras.camera_to_worlds[:, :, 3].cpu())
            reasons = {each.name: _reason(each, scene.edit.hidden, around) for each in scene.objects}
            left_out = {name: why for name, why in reasons.items() if why}
        objects = [scene.find(each.name) for each in chosen or scene.objects if each.name not in left_out]
        said = ", ".join(f"{name} ({why})" for name, why in left_out.items())
        if not objects:
            raise UserError(f"export: no object is left without {said}; name those to export with --objects.")
        around = [name for name, why in left_out.items() if why == AROUND]
        if left_out:
            are = "is" if len(left_out) == 1 else "are"
            CONSOLE.print(f"export: {said} {are} left out{labelled_too(around, self.what)}.")
        options = ExportOptions(
            what=self.what,
            formats=self.formats,
            resolution=self.resolution,
            faces=self.faces,
            watertight=self.watertight,
            texture=self.texture,
            points=self.points,
            thumbnail=self.thumbnail_size,
            hulls=self.hulls,
            downscale=self.downscale,
        )
        added, manifest = export(run, scene, objects, capture, folder, options, left_out, source, earlier, around)
        for each in added["left_out"]:
            if each["name"] not in left_out:
                CONSOLE.print(f"export: {each['reason']}")
        for each in added["objects"]:
            for kind, why in each["missing"].items():
                CONSOLE.print(f"export: {each['title'] or each['name']} has no file {kind}: {why}")
            if each.get("lost", 0) > LOST:
                CONSOLE.print(mesh_leaves_out(each))
        written, others = len(added["objects"]), len(manifest["objects"]) - len(added["objects"])
        beside = f", and {others} of earlier exports" if others else ""
        said = f"{written} object{'s' if written != 1 else ''}"
        print(f"export: {said}; {folder / MANIFEST} lists {'them' if written != 1 else 'it'}{beside}.")
        files = [file for each in manifest["objects"] for file in each["files"].values()]
        patterns = "*/object_*.*", f"*/{REST}.*", "masks/alpha/*"
        tell_earlier(folder, patterns, MANIFEST, files)

    def _check(self) -> None:
        check_options(
            "export", self, resolution=Range(8, 1_024), faces=NONE_OR_MORE, points=COUNT,
            texture=Range(64, SIDE.high, also=0), thumbnail_size=VISIBLE, hulls=Range(1, 1_024), downscale=DOWNSCALE,
            metres_per_unit=Range(1e-9, 1e9), granularity=GRANULARITY,
        )  # fmt: skip
        for option in ("what", "formats"):
            if not getattr(self, option):
                raise UserError(f"export: --{option} is empty; name something to write, or leave the option out.")
        if self.splats is not None:
            for option in fields(self):
                if option.name not in OF_SPLATS and getattr(self, option.name) != option.default:
                    name = option.name.replace("_", "-")
                    raise UserError(f"export: --{name} says nothing about splats; leave it out, or leave out --splats.")
        if "usdz" in self.what:
            from disconerf_ns.export.usd import check_usd

            check_usd()


def mesh_leaves_out(row: Mapping[str, Any]) -> str:
    """Say which mesh lacks a part of its object, and which resolution finds more, by its row of the manifest."""
    return (
        f"export: the mesh of {row['title'] or row['name']} leaves out {row['lost']:.0%} of what is solid of it, "
        f"with {row['resolution']} cubes along it; --resolution {2 * row['resolution']} looks for more."
    )


def _reason(each, hidden, around) -> str:
    """Why an object is not exported unless it is named; empty if it is."""
    if each.number is None:
        return "no object"
    if each.id in hidden:
        return "hidden"
    return AROUND if each.id in around else ""


def labelled_too(around: Sequence[str], what: Collection[str]) -> str:
    """The end of a sentence about what is left out: which of it label maps show."""
    return f"; masks show {' and '.join(around)} too" if around and "masks" in what else ""
