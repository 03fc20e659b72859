"""Objects taken out of a scene and put into another one, beside a path-traced truth of the same arrangement.

python -m benchmarks.edits alone --run RUN --data DATA --layout table        objects alone: amodal masks
python -m benchmarks.edits turned --run RUN --data DATA --layout table       objects alone, from all around
python -m benchmarks.edits colors --run RUN --data DATA --layout table       objects alone: their colours
python -m benchmarks.edits removed --run RUN --data DATA --layout table      objects removed: what is left of them
python -m benchmarks.edits composed --run RUN --data DATA --layout room --guest-run RUN --guest-layout table ...

This needs the extra `scenes`. Photographs and cameras are those of `examples/scenes/make_scene.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from nerfstudio.cameras.cameras import Cameras
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from benchmarks.table import commit
from disconerf_ns import Scene, load
from disconerf_ns.composition import Composition, compose
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.filming.frames import alone
from disconerf_ns.filming.layers import first_of_guests, layers_of
from disconerf_ns.filming.shots import orbit
from disconerf_ns.runs import capture_frame, config_of
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.scene.similarity import Similarity
from examples.scenes.cameras import Pinhole
from examples.scenes.dataset import read_cameras, read_labels
from examples.scenes.layouts import LAYOUTS
from examples.scenes.render import Renderer, choose_variant
from examples.scenes.scene import Scene as Truth
from examples.scenes.scene import SceneObject as TrueObject

BACKGROUND = 1
"""Label of what surrounds a scene, which is no object to be taken out."""
CHANGED = 2 / 255
"""Difference of two colours, in [0, 1], from which on they count as different."""
VISIBLE = 10 / 255
"""Mean difference of two colours' channels, in [0, 1], from which on a person sees it."""
REMOVED = "residue", "residue where seen", "ghost", "ghost where seen", "unseen"


@dataclass
class Arguments:
    """A trained run and its truth."""

    run: Path
    """config.yml of a disconerf run."""
    data: Path
    """Its dataset, as `make_scene` wrote it."""
    layout: str
    """The scene's name in `examples.scenes.layouts`."""
    output: Path | None = None
    """JSON file of the rows; by default benchmarks/results/COMMAND_LAYOUT.json."""
    views: int = 5
    """Held-out views, at most."""
    samples: int = 64
    """Paths per pixel of the truth's pictures."""

    def write(self, command: str, rows: list[dict]) -> None:
        """Write the rows beside the options, and the seed of the run, that they are for."""
        path = self.output or Path(f"benchmarks/results/{command}_{self.layout}.json")
        options = {name: value for name, value in asdict(self).items() if not isinstance(value, Path | None)}
        about = {
            **options,
            "seed": config_of(self.run).machine.seed,
            "commit": commit(),
            "machine": machine(),
            "versions": versions(),
        }
        path.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")

    def save(self, command: str, rows: list[dict]) -> None:
        self.write(command, rows)
        table = Table(*rows[0])
        for row in rows:
            table.add_row(*map(str, row.values()))
        Console().print(table)


@dataclass
class Held:
    """Held-out views of a run: cameras of both, and true labels."""

    scene: Scene
    truth: Truth
    camera: Pinhole
    poses: list[np.ndarray]
    labels: list[np.ndarray]
    frame: Similarity
    """From scene coordinates to the capture's."""

    @classmethod
    def of(cls, arguments: Arguments) -> Held:
        choose_variant()
        scene = load(arguments.run)
        camera, poses, keys = read_cameras(arguments.data)
        by_key = dict(zip(keys, poses, strict=True))
        chosen = [path.stem for path in scene.run.datamanager.eval_dataset.image_filenames][: arguments.views]
        labels = [read_labels(arguments.data, key) for key in chosen]
        poses, frame = [by_key[key] for key in chosen], capture_frame(arguments.run)
        return cls(scene, LAYOUTS[arguments.layout](), camera, poses, labels, frame)

    def cameras(self) -> Iterator:
        every = self.scene.cameras("test")
        return (every[view : view + 1] for view in range(len(self.poses)))

    def alone(self) -> Iterator[tuple[int, Renderer, np.ndarray]]:
        """Label, scene and amodal masks (views, height, width) of each true object alone; not of what surrounds all."""
        for label, thing in enumerate(track(self.truth.objects, "objects alone"), 1):
            if label != BACKGROUND:
                only = Renderer(replace(self.truth, objects=[thing]))
                yield label, only, np.stack([only.labels(self.camera, pose)[0] > 0 for pose in self.poses])

    def photos(self, of: Renderer, samples: int) -> np.ndarray:
        """Path-traced pictures of a scene (views, height, width, RGB in [0, 1])."""
        return np.stack([of.photo(self.camera, pose, samples) for pose in self.poses]) / 255.0

    def matched(self) -> dict[int, SceneObject]:
        """The found object of each true label, matched one to one by IoU over all views."""
        found = {each.label_number: each for each in self.scene.objects if each.number is not None}
        seen = [self.scene.render("label", camera)[..., 0].long().numpy() for camera in self.cameras()]
        ours, true = np.concatenate([m.ravel() for m in seen]), np.concatenate([m.ravel() for m in self.labels])
        numbers, values = sorted(found), sorted(set(true.tolist()) - {0})
        table = np.array([[iou(true == value, ours == number) for number in numbers] for value in values])
        pairs = zip(*linear_sum_assignment(-table), strict=True)
        return {values[i]: found[numbers[j]] for i, j in pairs if table[i, j] > 0}


def shown_alone(held: Held, scene: ArrangedScene, thing: SceneObject) -> np.ndarray:
    """An object alone in all held-out views (views, height, width, RGBA), as `disconerf render` draws it."""
    body = scene.bodies.clean(thing.id)
    return np.stack([alone(scene, thing.id, camera, body) for camera in held.cameras()])


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks; 0 if both are empty."""
    return float((a & b).sum() / max((a | b).sum(), 1))


@dataclass
class Alone(Arguments):
    """Each object alone, everything in front of it taken away: IoU of its mask with the amodal truth.

    `amodal IoU` is of `object_NN_mask`, the radiance field's own; `completed` of what `disconerf render` shows.
    """

    def __call__(self) -> None:
        held, rows = Held.of(self), []
        found = held.matched()
        for label, _, truth in held.alone():
            seen, thing = np.stack(held.labels) == label, found.get(label)
            field = own = np.zeros_like(truth)
            if thing is not None:
                field = np.stack([held.scene.render(f"{thing.name}_mask", c)[..., 0].numpy() for c in held.cameras()])
                own = shown_alone(held, held.scene.arranged, thing)[..., 3] > 0.5
            rows.append(
                {
                    "object": held.truth.objects[label - 1].name,
                    "found": thing.name if thing is not None else "-",
                    "amodal IoU": round(iou(truth, field > 0.5), 4),
                    "completed": round(iou(truth, own), 4),
                    "hidden": round(1 - (seen & truth).sum() / max(truth.sum(), 1), 4),
                }
            )
        rows.append({"object": "mean", "found": "", **means(rows, "amodal IoU", "completed", "hidden")})
        self.save("alone", rows)


@dataclass
class Turned(Arguments):
    """Each object alone, in a turn around it as `disconerf render` films it: IoU of its mask with the amodal truth.

    Held-out views look from where photographs were taken. A turn also looks from between things that stand side by
    side, where photographs hardly did.
    """

    frames: int = 8
    """Pictures of a turn."""
    size: int = 96
    """Their side in pixels."""

    def __call__(self) -> None:
        held, rows = Held.of(self), []
        found, completed = held.matched(), held.scene.arranged
        plain = completed.with_options(complete=False)
        for label, only, _ in held.alone():
            if label not in found:
                continue
            turn = Turn.around(found[label], held, only, self.frames, self.size)
            row: dict = {"object": held.truth.objects[label - 1].name, "found": found[label].name}
            for name, scene in ("the field", plain), ("completed", completed):
                shown = turn.shown(scene)
                row[name] = round(iou(turn.truth, shown), 4)
                row[f"{name}: beyond"] = share(shown & ~turn.truth, turn.truth)
            rows.append(row)
        rows.append({"object": "mean", "found": "", **means(rows, *list(rows[0])[2:])})
        self.save("turned", rows)


@dataclass
class Turn:
    """Pictures of a turn around an object, as `disconerf render` films it."""

    thing: SceneObject
    cameras: Cameras
    truth: np.ndarray
    """The true object's masks (pictures, height, width)."""

    @classmethod
    def around(cls, thing: SceneObject, held: Held, only: Renderer, frames: int, size: int) -> Turn:
        """The turn around an object, whose truth a scene of it alone draws."""
        cameras, frame = orbit(held.scene.arranged, thing, held.scene.cameras(), frames, size).cameras, held.frame
        lens, poses = Pinhole(size, size, float(cameras.fx[0])), cameras.camera_to_worlds
        truth = np.stack([only.labels(lens, in_capture(pose, frame))[0] > 0 for pose in poses])
        return cls(thing, cameras, truth)

    def shown(self, scene: ArrangedScene) -> np.ndarray:
        """The object's masks (pictures, height, width) in a scene."""
        body, each = scene.bodies.clean(self.thing.id), (self.cameras[k : k + 1] for k in range(len(self.truth)))
        return np.stack([alone(scene, self.thing.id, camera, body)[..., 3] > 0.5 for camera in each])


def in_capture(pose: torch.Tensor, frame: Similarity) -> np.ndarray:
    """A camera's pose (3, 4) in scene coordinates as one (4, 4) in the capture's."""
    axes, position = frame.directions(pose[:, :3].T.double()).T, frame.points(pose[:, 3].double())
    return np.concatenate([torch.cat([axes, position[:, None]], 1).numpy(), [[0, 0, 0, 1]]])


def share(part: np.ndarray, of: np.ndarray) -> float:
    """Pixels of a mask as a fraction of another one's."""
    return round(float(part.sum() / max(of.sum(), 1)), 4)


@dataclass
class Colors(Arguments):
    """Each object alone: mean difference between its colours, in [0, 1], and those of a path-traced picture.

    In the truth light comes through where other things stood, and they cast no shadow; the field knows neither, so no
    way gets to 0. A pixel counts if it is the object's in the truth and in both pictures: as the radiance field has it,
    and completed. Completion changes the colours of some of them; `beside` is about these alone.
    """

    def __call__(self) -> None:
        held, rows = Held.of(self), []
        found, completed = held.matched(), held.scene.arranged
        plain = completed.with_options(complete=False)
        for label, only, truth in held.alone():
            if label not in found:
                continue
            photos = held.photos(only, self.samples)
            pictures = [shown_alone(held, scene, found[label]) for scene in (plain, completed)]
            both = truth & (pictures[0][..., 3] > 0.5) & (pictures[1][..., 3] > 0.5)
            changed = both & (np.abs(pictures[0] - pictures[1])[..., :3].max(-1) > CHANGED)
            field, own = (np.abs(picture[..., :3] - photos).mean(-1) for picture in pictures)
            rows.append(
                {
                    "object": held.truth.objects[label - 1].name,
                    "the field": mean(field[both]),
                    "completed": mean(own[both]),
                    "changed": mean(changed[both]),
                    "the field beside": mean(field[changed]),
                    "completed beside": mean(own[changed]),
                }
            )
        columns = "the field", "completed", "changed", "the field beside", "completed beside"
        rows.append({"object": "mean", **means(rows, *columns)})
        self.save("colors", rows)


@dataclass
class Removed(Arguments):
    """Each object removed: how much of its pixels looks more like the object than like what is truly behind it.

    Without the object there is no shadow of it, and light comes through where it stood, which photographs of the scene
    cannot tell. `ghost` is about the object alone: it looks more like the object than like what is truly behind it in
    either light, that of the scene with the object or without it. Pixels that hardly differ from one of these, as where
    a block hides one like it, do not count.
    """

    def __call__(self) -> None:
        held, rows = Held.of(self), []
        found, full = held.matched(), Renderer(held.truth)
        with_all = held.photos(full, self.samples)
        for label, thing in enumerate(track(held.truth.objects, "objects removed"), 1):
            if label == BACKGROUND or label not in found:
                continue
            without = Renderer(replace(held.truth, objects=[each for each in held.truth.objects if each is not thing]))
            scene = held.scene.edited(Edit().hide(found[label].id))
            views: list[dict[str, float | None]] = []
            for pose, camera, labels, before in zip(held.poses, held.cameras(), held.labels, with_all, strict=True):
                pixels = labels == label
                if not pixels.any():
                    continue
                edited = scene.render("edited", camera).numpy()[pixels]
                blind = scene.render("unseen", camera)[..., 0].numpy()[pixels] > 0.5
                lit = full.radiance(held.camera, pose, self.samples, invisible=label)
                dark = without.denoised(lit, held.camera, pose)[pixels] / 255.0
                behind = without.photo(held.camera, pose, self.samples)[pixels] / 255.0
                remains, apart = difference(edited, before[pixels]), difference(edited, behind)
                nearest = np.minimum(apart, difference(edited, dark))
                residue, ghost = remains < apart, (remains < nearest) & (nearest > VISIBLE)
                values = residue, residue[~blind], ghost, ghost[~blind], blind
                views.append(dict(zip(REMOVED, map(mean, values), strict=True)))
            rows.append({"object": thing.name, **means(views, *REMOVED)})
        rows.append({"object": "mean", **means(rows, *REMOVED)})
        self.save("removed", rows)


@dataclass
class Composed(Arguments):
    """Objects of another run put into this one: IoU of their labels, and pixels whose order in depth is right."""

    guest_run: Path = Path()
    """config.yml of the run that the objects are from."""
    guest_data: Path = Path()
    """Its dataset."""
    guest_layout: str = "table"
    """Its scene's name."""
    guests: tuple[str, ...] = ("teapot",)
    """Names of true objects of that scene."""
    at: tuple[Annotated[tuple[float, float, float], tyro.conf.arg(metavar="X Y Z")], ...] = ((0.75, -0.25, 0.74),)
    """Where each stands, in coordinates of this run's dataset."""
    size: float = 1.0
    """Scale of the guests."""

    def __call__(self) -> None:
        guest = Held.of(replace(self, run=self.guest_run, data=self.guest_data, layout=self.guest_layout))
        held, found = Held.of(self), guest.matched()
        names = [thing.name for thing in guest.truth.objects]
        chosen = [names.index(name) + 1 for name in self.guests]
        entries = [
            {"run": str(self.guest_run.resolve()), "object": found[label].name, "at": list(at), "scale": self.size}
            for label, at in zip(chosen, self.at, strict=True)
        ]
        file = (self.output or Path("benchmarks/results/composed.json")).with_suffix(".scene.json")
        file.write_text(json.dumps({"scene": str(self.run.resolve()), "objects": entries}))
        composed = compose(Composition.load(file))
        file.unlink()
        placed = [
            moved(guest.truth.objects[label - 1], held.frame @ each.place @ guest.frame.inverse())
            for label, each in zip(chosen, composed.scene.guests, strict=True)
        ]
        truth = Renderer(replace(held.truth, objects=[*held.truth.objects, *placed]))
        first, rows = first_of_guests(composed.scene), []
        for number, name in enumerate(self.guests):
            pictures, right = [], []
            alone = Renderer(replace(held.truth, objects=[placed[number]]))
            for pose, camera in zip(held.poses, held.cameras(), strict=True):
                true = truth.labels(held.camera, pose)[0] == len(held.truth.objects) + number + 1
                ours = layers_of(composed.scene, camera).labels == first + number
                anywhere = alone.labels(held.camera, pose)[0] > 0
                pictures.append((true, ours))
                if anywhere.any():
                    right.append((true == ours)[anywhere].mean())
            true, ours = (np.stack(part) for part in zip(*pictures, strict=True))
            rows.append(
                {
                    "object": name,
                    "at": self.at[number],
                    "IoU": round(iou(true, ours), 4),
                    "right order": mean(right),
                    "views": len(right),
                }
            )
        self.save("composed", rows)


def moved(thing: TrueObject, place: Similarity) -> TrueObject:
    """A true object somewhere else."""
    parts = [
        replace(
            part,
            mesh=replace(
                part.mesh,
                points=place.points(torch.from_numpy(part.mesh.points).double()).numpy(),
                normals=place.directions(torch.from_numpy(part.mesh.normals).double()).numpy(),
            ),
        )
        for part in thing.parts
    ]
    return replace(thing, parts=parts)


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean difference of the channels of colours (n, RGB)."""
    return np.abs(a - b).mean(-1)


def mean(values: Sequence[float] | np.ndarray) -> float | None:
    return round(float(np.mean(values)), 4) if len(values) else None


def means(rows: list[dict], *columns: str) -> dict[str, float | None]:
    return {column: mean([row[column] for row in rows if row[column] is not None]) for column in columns}


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict(
        {"alone": Alone, "turned": Turned, "colors": Colors, "removed": Removed, "composed": Composed}
    )()
