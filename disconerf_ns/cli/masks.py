"""`disconerf masks`: propose masks for every image of a dataset and keep them beside the dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from disconerf_ns import __version__
from disconerf_ns.cli.making import Work, make_masks
from disconerf_ns.errors import UserError
from disconerf_ns.masks.freshness import stale
from disconerf_ns.masks.images import find_images, misread
from disconerf_ns.masks.making import Job
from disconerf_ns.masks.proposers import PROPOSERS, config_class
from disconerf_ns.masks.proposers.graph import GraphConfig
from disconerf_ns.masks.proposers.sam import SamConfig
from disconerf_ns.masks.proposers.transformers import TransformersConfig
from disconerf_ns.masks.report import describe, measure
from disconerf_ns.masks.say import in_short
from disconerf_ns.masks.store import MaskStore

AnyProposer = (
    Annotated[SamConfig, tyro.conf.subcommand("sam")]
    | Annotated[TransformersConfig, tyro.conf.subcommand("transformers")]
    | Annotated[GraphConfig, tyro.conf.subcommand("graph")]
)


@dataclass
class Masks(Work):
    """Propose 2D masks for every image of a dataset and keep them in DATA/masks/; a stopped run can be resumed."""

    data: Path
    """The dataset's folder, or its transforms file."""
    proposer: AnyProposer = field(default_factory=SamConfig)
    """Method that finds the masks."""
    images: Path | None = None
    """Folder of the images, within DATA; by default the frames of the transforms file, or DATA/images."""
    output: Path | None = None
    """Folder of the masks; by default DATA/masks/ plus the proposer's name."""

    def __call__(self) -> None:
        """Make the missing masks and print a summary.

        Raises:
            UserError: there are no images, the folder of the masks cannot be written, the proposer cannot run, existing
                masks were made with other parameters, or images cannot be read.
        """
        self.check()
        images = find_images(self.data, self.images)
        if sentence := misread(images.values()):
            print(f"masks: {sentence}")
        name = next(name for name in PROPOSERS if isinstance(self.proposer, config_class(name)))
        root = self.output or (self.data if self.data.is_dir() else self.data.parent) / "masks" / name
        manifest = {"generator": name, "version": __version__, "parameters": self.proposer.recipe()}
        store = MaskStore(root)
        if not self.overwrite:
            store.check_recipe(manifest)
        existing = set() if self.overwrite else {key for key in images if store.holds(key)}
        absent = [key for key in images if key not in existing]
        lost = [key for key in images if key in existing and not images[key].is_file()]
        changed = [] if self.overwrite else stale(store, images)
        if changed:
            print(
                f"masks: {len(changed)} images have changed since their masks were made, such as {changed[0]}; "
                "their masks are made anew."
            )
        jobs = [Job(key, images[key]) for key in absent + changed]
        broken = [f"there is no image {images[key]}" for key in lost]
        broken += make_masks(self.proposer, jobs, store, manifest, self) if jobs else []
        print(describe(store.root, measure(store, [key for key in images if store.holds(key)])))
        if broken:
            raise UserError(f"masks: {len(broken)} of {len(images)} images have failed: {in_short(broken)}")
