"""`disconerf export splats`: 3D gaussians of every object, sampled from the scene or taken from a splat of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from disconerf_ns.consoles import track
from disconerf_ns.errors import UserError
from disconerf_ns.files import check_folder
from disconerf_ns.options import COUNT, GRANULARITY, Range, check_options
from disconerf_ns.runs import EditedRun, read_splats

if TYPE_CHECKING:
    from disconerf_ns.api import Scene
    from disconerf_ns.export.splats_apart import OwnedSplats
    from disconerf_ns.export.splats_frame import GivenSplats
    from disconerf_ns.scene.similarity import Similarity

SCENE = "scene.ply"
"""File of all sampled gaussians together, in the order of the table of labels."""
OF_GIVEN, OF_SAMPLED = ("straddling", "splats_frame"), ("gaussians", "degree", "rays")
"""Options that count where gaussians are given, and where they are sampled."""


@dataclass
class ExportSplats:
    """Write one PLY file of 3D gaussians per object of a run, as edited in the viewer, and one of the rest."""

    load_config: Path
    """config.yml of the run."""
    output_dir: Path = Path("exports/splats")
    """Folder of the PLY files, of the table labels.npz and of splats.json, which lists them; where gaussians are
    sampled, scene.ply has them all. Files of the same gaussians that are there already are written again and stay
    listed; for other gaussians, another edit or other options name another folder, or pass --replace."""
    replace: bool = False
    """Replace splats.json of an earlier export in the folder; its files stay where the new ones have other names."""
    splats: Path | None = None
    """Gaussians of the same capture that are taken apart: a PLY file, or config.yml or folder of a splatfacto run.
    Without it, gaussians are sampled from the surface of the radiance field; of a run on splats, its own are taken."""
    objects: tuple[str, ...] = ()
    """Names of the objects that get a file, such as object_03 or a name given in the viewer; by default all but those
    that are hidden, which are left out. All other gaussians, if there are any, are in rest.ply."""
    granularity: float | None = None
    """How fine objects are, from 0, the coarsest, to 1; by default as saved in the viewer, or else 0.5."""
    edit: Path | None = None
    """An edit.json to take in the place of the one that was saved in the run's folder."""
    straddling: Literal["keep", "drop", "split"] = "keep"
    """Given gaussians straddle a border if no object has four fifths of them: keep each with the object that has most,
    drop it, or split it until each half is on one side."""
    splats_frame: Literal["auto", "scene", "capture"] = "auto"
    """Coordinates of a given PLY file: "scene" as nerfstudio trains, which ns-export writes; "capture" as the camera
    poses in the data. "auto" looks in which of them the gaussians lie on the scene's surface."""
    frame: Literal["same", "scene", "capture"] = "same"
    """Coordinates of the written files. "same" keeps the frame of given gaussians, or of those that the scene is made
    of; sampled gaussians are then written in the capture's frame."""
    supersplat: bool = False
    """Turn what is written by 180 degrees about z, which SuperSplat turns back when it opens it."""
    gaussians: int = 200_000
    """Most gaussians that are sampled."""
    degree: int = 0
    """Degree of the spherical harmonics of sampled gaussians, from 0, the same colour from all sides, to 3."""
    rays: int = 1_000_000
    """Rays of the training views, about, from which gaussians are sampled."""
    complete: bool = True
    """Complete objects where no photograph looked, by continuing their seen surface; otherwise sample what the radiance
    field made up there."""

    def __call__(self) -> None:
        """Sample or read the gaussians, say whose each is, and write them.

        Raises:
            UserError: the run has no objects, no object of a given name, an option is out of range, the gaussians
                cannot be read, or they lie nowhere on the surface of the scene.
        """
        self._check_options()
        check_folder(self.output_dir, "name another folder with --output-dir.")
        edited = EditedRun(self.load_config, self.granularity, self.edit, self.complete, test_mode="test")
        chosen = edited.find(self.objects)
        read = None if self.splats is None else read_splats(self.splats)

        from rich.console import Console
        from rich.table import Table

        from disconerf_ns.api import Scene
        from disconerf_ns.export.earlier import tell_earlier
        from disconerf_ns.export.splats_files import MANIFEST, earlier_objects, write_splats
        from disconerf_ns.export.splats_frame import SUPERSPLAT
        from disconerf_ns.export.splats_ply import write_ply
        from disconerf_ns.scene.objects import REST, called

        pipeline = edited.pipeline
        scene = Scene(pipeline, pipeline.model.current.value)
        given = scene.own_splats if read is None else scene.placed_splats(read, self.splats_frame)
        now = {"source": self._source(edited, given), "options": self._counting(given)}
        names = set() if self.replace else earlier_objects(self.output_dir, now)
        names |= {each.name for each in chosen}
        hidden = [each for each in scene.objects if each.id in scene.edit.hidden and each.name not in names]
        owned, to_capture, said = self._sampled(scene) if given is None else self._apart(scene, given)
        owned = owned.without(each.id for each in hidden).standing(
            scene.edit.standing, to_capture.inverse() @ scene.capture
        )
        if self.supersplat:
            owned, to_capture = owned.placed(SUPERSPLAT), to_capture @ SUPERSPLAT.inverse()
        whole = [SCENE] if given is None else []
        for name in whole:
            write_ply(self.output_dir / name, owned.splats)
        shown = [each for each in scene.objects if each.number is not None and each not in hidden]
        named = [each for each in shown if each.name in names or not chosen]
        facts = {**now, "frame": said, "scene": next(iter(whole), None)}
        written = write_splats(self.output_dir, owned, named, to_capture, facts)
        table = Table("object", "gaussians", "file")
        for each in written:
            table.add_row(each.name, f"{each.gaussians:,}", each.file.name)
        Console().print(table)
        if hidden:
            said = ", ".join(map(called, hidden))
            print(f"export splats: {said} {'is' if len(hidden) == 1 else 'are'} hidden, and left out.")
        print(f"export splats: {len(written)} PLY files of {len(owned.splats):,} gaussians are in {self.output_dir}")
        files = [each.file.name for each in written] + whole
        tell_earlier(self.output_dir, ("object_*.ply", f"{REST}.ply", SCENE), MANIFEST, files)

    def _source(self, edited: EditedRun, given: GivenSplats | None) -> dict[str, Any]:
        """All that says which gaussians are taken apart, and by which objects."""
        from disconerf_ns.export.joined import source_of
        from disconerf_ns.training.checkpoint_files import newest_whole

        checkpoint = newest_whole(self.load_config, "--load-config")
        return {
            **source_of(checkpoint, edited.shown_edit, self.complete and given is None),
            "splats": None if self.splats is None else str(self.splats),
            "splats_sha256": None if given is None else given.splats.sha256,
        }

    def _counting(self, given: GivenSplats | None) -> dict[str, Any]:
        """The options that what is written depends on."""
        names = OF_SAMPLED if given is None else OF_GIVEN
        return {name: getattr(self, name) for name in ("frame", "supersplat", *names)}

    def _check_options(self) -> None:
        for option in fields(self):
            idle = option.name in (("splats_frame",) if self.splats is None else (*OF_SAMPLED, "complete"))
            if idle and getattr(self, option.name) != option.default:
                name, given = option.name.replace("_", "-"), "without" if self.splats is None else "with"
                raise UserError(f"export splats: --{name} says nothing {given} --splats; leave one of them out.")
        check_options("export splats", self, gaussians=COUNT, rays=COUNT, degree=Range(0, 3), granularity=GRANULARITY)
        if self.splats is not None and not self.splats.exists():
            raise UserError(
                f"export splats: there is no {self.splats}; pass a PLY file of gaussians or a splatfacto run with "
                "--splats, or leave it out to sample gaussians from the radiance field."
            )

    def _sampled(self, scene: Scene) -> tuple[OwnedSplats, Similarity, str]:
        from disconerf_ns.export.splats_sampled import look_at_all, sample_splats
        from disconerf_ns.scene.similarity import Similarity

        views = track(scene.training_rays(self.rays), "looking at the surface", total=len(scene.cameras()))
        looks = look_at_all(scene.arranged, views, track(scene.objects, "completing objects"))
        sampled = sample_splats(scene.arranged, looks, self.gaussians, self.degree)
        if self.frame == "scene":
            return sampled, scene.capture, "scene"
        return sampled.placed(scene.capture), Similarity(), "capture"

    def _apart(self, scene: Scene, given: GivenSplats) -> tuple[OwnedSplats, Similarity, str]:
        from disconerf_ns.export.splats_apart import take_apart
        from disconerf_ns.scene.similarity import Similarity

        print(f"splats: {len(given.splats):,} gaussians, in the frame {given.said}")
        if broken := int((~given.splats.finite).sum()):
            print(f"splats: {broken:,} of them have a value that is not finite; they are left out")
        print("splats: they stay as they are; what no photograph shows of an object is completed in sampled ones only")
        apart = take_apart(scene.arranged, given.splats, self.straddling, given.to_scene)
        places = {
            "same": (Similarity(), scene.capture @ given.to_scene, "same as given"),
            "scene": (given.to_scene, scene.capture, "scene"),
            "capture": (scene.capture @ given.to_scene, Similarity(), "capture"),
        }
        placement, to_capture, said = places[self.frame]
        return apart.placed(placement), to_capture, said
