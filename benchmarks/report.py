"""Writes the tables and plots of docs/results.md from the figures in benchmarks/results.

python -m benchmarks.report
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import tyro

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.table import write_tables

NAMES = {
    "masks": "2D masks alone",
    "scene": "**as shipped** (matching by scene)",
    "scene, spare slots": "as shipped, twice the most masks as slots",
    "view": "matching by view (the paper's), twice the most masks as slots",
    "view, agreed slots": "matching by view, as many slots as the masks agree on",
    "consensus": "the masks' consensus, no field",
    "panoptic lifting": "Panoptic Lifting's loss, twice the most masks as slots",
    "panoptic lifting, agreed slots": "Panoptic Lifting's loss, as many slots as the masks agree on",
    "contrastive": "contrastive field, our clustering",
    "contrastive, authors' settings": "contrastive field, its authors' clustering",
    "true labels": "*true labels of the nearest training point*",
}
ALONE = "2D masks alone, IoU in each view"
"""What masks are called where others have the IoU of the scene."""
MARKERS = "osD^v<>Pp*h"
"""Markers of the methods in plots."""
LEVELS = ("clean", "mild", "middle", "heavy", "mixed-mild", "mixed", "mixed-heavy", "sparse", "sparse-heavy")
"""Sets of masks, in the order of the tables."""
LEAST_PIXELS = 30
"""A tenth of the confidences with fewer pixels is not drawn."""
WHOLE = ("mild", "middle", "heavy")
"""Sets whose masks mean whole objects."""
METRICS = ("IoU", "BD", "BD (truth)", "SBD")
BRIEF = (("views", "IoU"), ("views", "SBD"), ("scene", "IoU"))
SURFACES = ("learned", "true")


@dataclass
class Report:
    """Write the tables and the plot of docs/results.md."""

    results: Path = Path("benchmarks/results")
    """Folder of the figures."""
    page: Path = Path("docs/results.md")
    """Page whose tables are replaced; the plots, quality.png and confidence.png, are put beside it."""


EARLIER = "before_tree"
"""Folder of figures from before discovery kept a tree: variants of matching by view."""


Rows = list[dict]


def read_rows(folder: Path, kind: str = "quality") -> Rows:
    """Rows of all scenes, from the files of a kind."""
    return [row for file in sorted(folder.glob(f"{kind}_*.json")) for row in json.loads(file.read_text())["rows"]]


def spread(values: list[float]) -> str:
    """A mean in %, and the least and most of several."""
    mean = f"{100 * np.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({100 * min(values):.1f} to {100 * max(values):.1f})"


def measured(rows: Rows, part: str, metric: str) -> str:
    """The spread of a metric of the masks, the views or the scene; empty if a row was not scored with it."""
    values = [row["scores"][part].get(metric) for row in rows]
    return " " if None in values else spread(values)


def by(rows: Rows, key: str) -> dict[str, Rows]:
    """Rows by their value of a key."""
    groups: dict[str, Rows] = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return groups


def table(rows: Rows) -> list[str]:
    """Lines of one scene with one set of masks."""
    methods = by(rows, "method")
    columns = [(part, metric) for part in ("views", "scene") for metric in METRICS]
    heads = [metric if part == "views" else f"scene {metric}" for part, metric in columns]
    lines = ["| | " + " | ".join(heads) + " | objects | seeds |", "|---" * (3 + len(heads)) + "|"]
    masks = [measured(rows[:1], "masks", metric) for metric in METRICS]
    lines.append("| " + " | ".join([NAMES["masks"], *masks, *[" "] * (2 + len(METRICS))]) + " |")
    for method, name in NAMES.items():
        if some := methods.get(method):
            values = [measured(some, part, metric) for part, metric in columns]
            objects = "/".join(str(row["objects"]) for row in some)
            lines.append("| " + " | ".join([name, *values, objects, str(len(some))]) + " |")
    return lines


def brief(rows: Rows) -> list[str]:
    """The cells under IoU, SBD, scene IoU and objects, means over seeds; empty without rows."""
    if not rows:
        return [" "] * 4
    scores = [row["scores"] for row in rows]
    columns = [[score[part][metric] for score in scores] for part, metric in BRIEF]
    return [*(f"{100 * np.mean(column):.1f}" for column in columns), "/".join(str(row["objects"]) for row in rows)]


SIZES = {
    "IoU": ("scores", "IoU"),
    "SBD": ("scores", "SBD"),
    "best cut IoU": ("best", "IoU"),
    "best cut SBD": ("best", "SBD"),
    "parts IoU": ("parts", "IoU"),
    "parts SBD": ("parts", "SBD"),
    "best cut parts IoU": ("best parts", "IoU"),
    "best cut parts SBD": ("best parts", "SBD"),
}
"""Columns of the table of sizes: kind of score in a row, and metric of the scene."""


def sizes(rows: Rows) -> list[str]:
    """Lines of one scene with one set of masks: all views at once, instances and parts, default cut and best.

    The last columns are the share of predicted objects' pixels outside of any true object, islands in held-out views,
    and objects at the default cut, the best cut and the best cut for parts. Empty without rows that know parts.
    """
    rows = [row for row in rows if "parts" in row]
    if not rows:
        return []
    heads = [*SIZES, "outside", "islands", "objects"]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    for method, name in NAMES.items():
        if some := by(rows, "method").get(method):
            cells = [spread([row[kind]["scene"][metric] for row in some]) for kind, metric in SIZES.values()]
            cells.append(spread([row["outside"] for row in some]))
            cells.append("/".join(str(row["islands"]) for row in some))
            counts = [(row["objects"], row["best"]["objects"], row["best parts"]["objects"]) for row in some]
            cells.append("; ".join(", ".join(map(str, each)) for each in counts))
            lines.append("| " + " | ".join([name, *cells]) + " |")
    return lines


def rates(content: dict) -> list[str]:
    """Lines of every method's scores by learning rate; the chosen ones are bold."""
    methods = by(content["rows"], "method")
    tried = sorted({row["rate"] for row in content["rows"]})
    lines = [
        "| scene IoU / SBD by learning rate | " + " | ".join(map(str, tried)) + " |",
        "|---" * (1 + len(tried)) + "|",
    ]
    for method, rows in methods.items():
        cells = []
        for rate in tried:
            scenes = [row["scores"]["scene"] for row in rows if row["rate"] == rate]
            means = [f"{100 * np.mean([scene[metric] for scene in scenes]):.1f}" for metric in ("IoU", "SBD") if scenes]
            cell = " / ".join(means) or " "
            cells.append(f"**{cell}**" if content["winners"][method] == rate else cell)
        lines.append("| " + " | ".join([NAMES[method], *cells]) + " |")
    return lines


def ablations(rows: Rows, matching: str, level: str = "middle") -> list[str]:
    """Lines of all variants of a matching, "scene" or "view", scene by scene, with one level of noise."""
    here = [row for row in rows if row["masks"] == level and row["method"].split(",")[0] == matching]
    scenes = sorted(by(here, "scene"))
    methods = by(here, "method")
    cells = [f"{scene} {metric}" for scene in scenes for metric in ("IoU", "SBD", "scene IoU", "objects")]
    lines = ["| matching by | " + " | ".join(cells) + " |", "|---" * (1 + len(cells)) + "|"]
    for name in sorted(methods):
        found = by(methods[name], "scene")
        cells = [cell for scene in scenes for cell in brief(found.get(scene, []))]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return lines


def swaps(rows: Rows) -> list[str]:
    """Lines of the learned and the true surface side by side, as shipped and with true labels, first seed."""
    first = [row for row in rows if row["seed"] == 0]
    cells = [f"{surface} surface {metric}" for surface in SURFACES for metric in ("IoU", "SBD", "scene IoU", "objects")]
    lines = ["| | " + " | ".join(cells) + " |", "|---" * (1 + len(cells)) + "|"]
    for scene, here in sorted(by(first, "scene").items()):
        for level in WHOLE:
            for method in ("scene", "true labels"):
                some = by([row for row in here if row["masks"] == level and row["method"] == method], "surface")
                cells = [cell for surface in SURFACES for cell in brief(some.get(surface, []))]
                lines.append("| " + " | ".join([f"{scene}, {level}: {NAMES[method]}", *cells]) + " |")
    return lines


LIMITS = {
    "as it is": ("learned", "middle", "scene"),
    "clean masks": ("learned", "clean", "scene"),
    "true surface": ("true", "middle", "scene"),
    "true labels on the learned surface": ("learned", "middle", "true labels"),
}
"""Surface, masks and method of each column in which the truth replaces one part."""


def limits(rows: Rows) -> list[str]:
    """Lines of each scene's scene IoU with one part at a time replaced by the truth."""
    lines = ["| | " + " | ".join(LIMITS) + " |", "|---" * (1 + len(LIMITS)) + "|"]
    for scene, here in sorted(by(rows, "scene").items()):
        cells = []
        for about in LIMITS.values():
            found = [row for row in here if (row["surface"], row["masks"], row["method"]) == about]
            cells.append(brief(found)[2])
        lines.append("| " + " | ".join([scene, *cells]) + " |")
    return lines


def levels(rows: Rows) -> list[str]:
    """Lines of every method with every set of masks."""
    lines = ["| | IoU | SBD | scene IoU | objects |", "|---" * 5 + "|"]
    for level, some in sorted(by(rows, "masks").items(), key=lambda group: LEVELS.index(group[0])):
        masks = some[0]["scores"]["masks"]
        lines.append(f"| {level}: {NAMES['masks']} | {100 * masks['IoU']:.1f} | {100 * masks['SBD']:.1f} |   |   |")
        for method, found in by(some, "method").items():
            lines.append("| " + " | ".join([f"{level}: {NAMES.get(method, method)}", *brief(found)]) + " |")
    return lines


def draws(rows: Rows) -> list[str]:
    """Lines of the consensus by draws: IoU of each order and doubt over all draws, and of what is made of them."""
    kinds = list(dict.fromkeys((row["order"], row["doubt"]) for row in rows))
    heads = [order if doubt is None else f"{order}, {'with' if doubt else 'without'} doubt" for order, doubt in kinds]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    for scene, masks in sorted({(row["scene"], row["masks"]) for row in rows}, key=_by_level):
        some = [row for row in rows if (row["scene"], row["masks"]) == (scene, masks)]
        each = [spread([row["iou"] for row in some if (row["order"], row["doubt"]) == kind]) for kind in kinds]
        lines.append("| " + " | ".join([f"{scene}, {masks}", *each]) + " |")
    return lines


def _by_level(kind: tuple[str, str]) -> tuple[str, int]:
    scene, masks = kind
    return scene, LEVELS.index(masks)


def plot(rows: Rows, path: Path) -> None:
    """Scene IoU of every method on every set of masks, and the masks' own IoU in each view, one panel per scene."""
    scenes = by(rows, "scene")
    figure, axes = plt.subplots(-(-len(scenes) // 2), 2, figsize=(10.4, 9.0), sharey=True, squeeze=False)
    for axis in axes.flat[len(scenes) :]:
        axis.remove()
    for axis, (scene, here) in zip(axes.flat, sorted(scenes.items())):
        levels = [level for level in LEVELS[1:] if level in by(here, "masks")]
        masks = [by(here, "masks")[level][0]["scores"]["masks"]["IoU"] for level in levels]
        axis.plot(range(len(levels)), [100 * m for m in masks], "x", color="0.2", ms=7, label=ALONE)
        for number, (method, name) in enumerate(list(NAMES.items())[1:]):
            points = {
                i: [100 * r["scores"]["scene"]["IoU"] for r in by(here, "masks")[level] if r["method"] == method]
                for i, level in enumerate(levels)
            }
            points = {i: values for i, values in points.items() if values}
            if points:
                mean = [np.mean(v) for v in points.values()]
                reach = [(m - min(v), max(v) - m) for m, v in zip(mean, points.values())]
                shipped = method == "scene"
                aside = 0 if shipped else 0.09 * (number - 5)
                axis.errorbar(
                    [i + aside for i in points], mean, np.transpose(reach), ls="none", marker=MARKERS[number],
                    ms=9 if shipped else 6, color="black" if shipped else f"C{number}", label=name.replace("*", ""),
                    zorder=3 if shipped else 2,
                )  # fmt: skip
        axis.set_xticks(range(len(levels)), levels, rotation=30, ha="right")
        axis.set_title(scene)
        axis.grid(alpha=0.3, axis="y")
    for row in axes:
        row[0].set_ylabel("scene IoU in %")
    every = {label: line for axis in axes.flat for line, label in zip(*axis.get_legend_handles_labels())}
    names = [label for label in (ALONE, *(name.replace("*", "") for name in NAMES.values())) if label in every]
    figure.tight_layout()
    figure.legend([every[name] for name in names], names, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 0.0))
    figure.savefig(path, dpi=110, bbox_inches="tight")


def plot_confidence(files: list[Path], path: Path) -> None:
    """How often pixels are right over how sure the field is: a dot for each tenth, as large as it has pixels."""
    figure, axis = plt.subplots(figsize=(4.6, 4.0))
    axis.plot([0, 100], [0, 100], "--", color="0.5", lw=1, label="as often right as sure")
    for file in files:
        content = json.loads(file.read_text())
        bins = [b for b in content["bins"] if b["pixels"] >= LEAST_PIXELS]
        sizes = [8 + 400 * b["pixels"] / sum(each["pixels"] for each in bins) for b in bins]
        label = f"{content['scene']} (error {100 * content['calibration_error']:.1f} %)"
        axis.scatter(
            [100 * b["confidence"] for b in bins], [100 * b["correct"] for b in bins], sizes, alpha=0.6, label=label
        )
    axis.set_xlabel("confidence in %")
    axis.set_ylabel("pixels that are right in %")
    axis.grid(alpha=0.3)
    for handle in axis.legend(fontsize=9).legend_handles[1:]:
        handle.set_sizes([40])
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main(report: Report) -> None:
    rows = [row for row in read_rows(report.results) if row["surface"] == "learned"]
    text = []
    for scene, here in by(rows, "scene").items():
        for level, some in sorted(by(here, "masks").items(), key=lambda group: LEVELS.index(group[0])):
            text += [f"### {scene}, {level} {'noise' if level in WHOLE else 'masks'}", "", *table(some), ""]
            if sized := sizes(some):
                text += [*sized, ""]
    if (file := report.results / "rates.json").exists():
        text += ["### Learning rates, on a scene that is not reported", "", *rates(json.loads(file.read_text())), ""]
    found = [json.loads(file.read_text()) for file in sorted(report.results.glob("draws_*.json"))]
    if found:
        drawn = [{"scene": content["scene"], **row} for content in found for row in content["rows"]]
        text += ["### The consensus by draws of cells: IoU on training views", "", *draws(drawn), ""]
    first = [row for row in rows if row["seed"] == 0 and row["scene"] != "sheet"]
    if variants := read_rows(report.results, "ablations"):
        text += ["### Ablations, middle noise, first seed", "", *ablations([*first, *variants], "scene"), ""]
    if truths := read_rows(report.results, "truths"):
        text += ["### One part replaced by the truth: scene IoU, middle noise", "", *limits([*first, *truths]), ""]
        text += ["### Learned and true surface, first seed", "", *swaps([*first, *truths]), ""]
    for scene, longer in by(read_rows(report.results, "longer"), "scene").items():
        text += [f"### {scene}, a longer radiance field", "", *levels(longer), ""]
    text += ["## Measured before objects had sizes", ""]
    earlier = read_rows(report.results / EARLIER)
    learned = [row for row in earlier if row["surface"] == "learned"]
    text += ["### Variants of matching by view, middle noise", "", *ablations(learned, "view"), ""]
    write_tables(report.page, text)
    plot(rows, report.page.parent / "quality.png")
    if confidences := sorted(report.results.glob("confidence_*.json")):
        plot_confidence(confidences, report.page.parent / "confidence.png")


if __name__ == "__main__":
    main(tyro.cli(Report))
