"""`disconerf report`: one page about a scene and its objects, which opens offline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from disconerf_ns.consoles import progress
from disconerf_ns.errors import UserError
from disconerf_ns.files import check_file, write_whole
from disconerf_ns.options import FRAMES, GRANULARITY, VISIBLE, check_options
from disconerf_ns.runs import EditedRun, capture_frame, config_of, manifest_of
from disconerf_ns.scene.objects import ObjectId, load_manifest

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import TrainerConfig

    from disconerf_ns.pipeline import DiscoNerfPipeline
    from disconerf_ns.report.exported import Export
    from disconerf_ns.scene.arranged import ArrangedScene


class Turntables(NamedTuple):
    """The films of objects on a page."""

    frames: int
    """Frames of each."""
    size: int
    """Side of a frame in pixels."""


ON_GPU, ON_CPU = Turntables(24, 240), Turntables(16, 160)


@dataclass
class Report:
    """Write one HTML page about a scene: its picture, every object with film, mesh and facts, and the run.

    The page is one file that needs nothing else and asks no host for anything: send it to whom you like. Only links
    to exported files lead out of it.
    """

    load_config: Path
    """config.yml of the run."""
    output: Path = Path("report.html")
    """The page, an .html file."""
    export_dir: Path | None = None
    """Folder that `disconerf export` wrote: its meshes are shown and its files linked; otherwise solid voxels are."""
    title: str | None = None
    """Heading of the page; by default the name of the data's folder."""
    granularity: float | None = None
    """How fine objects are, from 0, the coarsest, to 1; by default as saved in the viewer, or else 0.5."""
    frames: int | None = None
    """Frames of each turntable, which takes 4 seconds; by default 24 on a GPU and 16 on a CPU."""
    size: int | None = None
    """Side of the turntables in pixels; by default 240 on a GPU and 160 on a CPU."""
    scene_size: int = 960
    """Longer side of the scene's picture in pixels."""

    def __call__(self) -> None:
        """Render, measure what is not measured yet, and write the page.

        Raises:
            UserError: an option is out of range, the run has no objects, the folder holds no export, or a file cannot
                be read or written.
        """
        check_options("report", self, frames=FRAMES, size=VISIBLE, scene_size=VISIBLE, granularity=GRANULARITY)
        if self.output.suffix.lower() not in (".html", ".htm"):
            raise UserError(f"report: --output is {self.output}; name an .html file.")
        if self.export_dir is not None and not self.export_dir.is_dir():
            raise UserError(f"report: there is no folder {self.export_dir}; name one of `disconerf export`.")
        check_file(self.output, "name another place with --output.")
        tree, frame = load_manifest(manifest_of(self.load_config)).tree, capture_frame(self.load_config)

        from disconerf_ns.cli.measured import kept_of, measure_and_keep
        from disconerf_ns.report.contents import Options, cards, overview
        from disconerf_ns.report.exported import Export
        from disconerf_ns.report.page import page, tree_of

        export = None if self.export_dir is None else Export.read(self.export_dir)
        turn = self._turntables()
        run = EditedRun(self.load_config, self.granularity).pipeline
        scene = run.model.current.value
        if not scene.objects:
            raise UserError("report: this run has discovered no object yet; train it further.")
        measured = measure_and_keep(run, scene, kept_of(self.load_config))
        files = {} if export is None else unchanged_files(scene, export)
        with progress("picturing the scene and its objects", 1 + len(scene.objects)) as advance:
            seen = overview(run, scene, measured, self.scene_size)
            advance()
            made = cards(run, scene, measured, files, frame.inverse(), Options(*turn, self.scene_size), advance)
        config = config_of(self.load_config)
        views = len(run.datamanager.train_dataset)
        text = page(
            self.title or Path(config.data or "scene").name,
            f"{scene.counted} objects, found in {views} photographs",
            seen,
            made,
            tree_of(scene.all_objects, tree, {each.id for each in scene.objects}),
            run_facts(run, config, scene),
            frame.scale,
            self.output.parent,
        )
        write_whole(self.output, text)
        print(f"report: {self.output} ({len(text.encode()) / 1e6:.1f} MB, {len(made)} objects)")

    def _turntables(self) -> Turntables:
        """How long and how large the turntables are: what was said, or the defaults of this machine."""
        import torch

        gpu = torch.cuda.is_available()
        default = ON_GPU if gpu else ON_CPU
        if not gpu and None in (self.frames, self.size):
            print(
                f"report: without a GPU a frame takes long, so turntables have {default.frames} frames of "
                f"{default.size} pixels unless --frames and --size say more."
            )
        return Turntables(self.frames or default.frames, self.size or default.size)


def unchanged_files(scene: ArrangedScene, export: Export) -> dict[ObjectId, list[Path]]:
    """The files of an export that show the objects as they are; says which others there are."""
    from nerfstudio.utils.rich_utils import CONSOLE

    every = export.files_of(scene.objects)
    same = {each.id for each in export.unchanged(scene.objects, scene.edit)}
    changed = [each.name for each in scene.objects if every[each.id] and each.id not in same]
    if changed:
        CONSOLE.print(
            f"report: the files of {', '.join(changed)} in {export.folder} are left out, since objects, names, colours "
            "or places have changed; run `disconerf export` again."
        )
    return {id: files if id in same else [] for id, files in every.items()}


def run_facts(run: DiscoNerfPipeline, config: TrainerConfig, scene: ArrangedScene) -> dict[str, str]:
    """Facts of a run for the end of the page, by their titles."""
    from disconerf_ns.evaluation.provenance import versions

    dataset, masks = run.datamanager.train_dataset, run.config.datamanager.masks
    height, width = int(dataset.cameras.height[0]), int(dataset.cameras.width[0])
    pixels, held_out = f"{width} × {height} pixels", len(run.datamanager.eval_dataset)
    return {
        "Method": str(config.method_name),
        "Data": Path(config.data or "").name,
        "Photographs": f"{len(dataset)} of {pixels} taught it, {held_out} were held out",
        "Masks": "the newest set of the data" if masks is None else masks.name,
        "Iterations": f"{config.max_num_iterations:,}",
        "Object slots": str(scene.trained.slots),
        "Granularity": f"{scene.edit.granularity:g}",
        "Run": config.timestamp,
        "Software": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "This page": date.today().isoformat(),
    }
