"""The page: HTML of a scene's contents, in one string that needs no other file."""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from urllib.parse import quote

from disconerf_ns.facts.listing import sides
from disconerf_ns.facts.measure import Extent
from disconerf_ns.report.contents import Card, Overview, Photo, Spot
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.tree import ObjectTree

BEST = 2
"""Photographs that a card names."""
EDGE = 0.15
"""Fraction of the picture's width next to its sides in which a label is written inwards."""


def page(
    title: str,
    summary: str,
    overview: Overview,
    cards: Sequence[Card],
    tree: str,
    run: Mapping[str, str],
    unit: float,
    folder: Path,
) -> str:
    """The whole page.

    Args:
        title: the scene's name.
        summary: one sentence about it.
        overview: the scene's picture.
        cards: its objects.
        tree: HTML of the tree of sizes; empty without one.
        run: facts of the run by name.
        unit: units of the capture in one of the scene.
        folder: where the page is written; links to files begin there.
    """
    style, script, frame = (_static(name) for name in ("report.css", "report.js", "page.html"))
    body = f"""
<a class="skip" href="#objects">To the objects</a>
<header><h1>{escape(title)}</h1><p class="summary">{escape(summary)}</p>
<button id="theme" type="button">Light or dark</button></header>
<main>
{_overview(overview)}
<h2 id="objects">Objects</h2>
{_table(cards, unit)}
<h2>One by one</h2>
<div class="cards">
{"".join(_card(card, cards, unit, folder) for card in cards)}
</div>
{f"<h2>Objects of every size</h2>{tree}" if tree else ""}
<h2>The run</h2>
<dl class="run">{_facts((escape(name), escape(value)) for name, value in run.items())}</dl>
</main>
<footer>Sizes are in the units of the capture. Sides of an object that no photograph shows are made up.</footer>"""
    meshes = "\n".join(
        f'<script type="text/plain" id="mesh-{card.each.name}">{card.mesh.packed()}</script>'
        for card in cards
        if card.mesh is not None
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(frame).substitute(
        title=escape(title), style=style, script=script, script_hash=f"sha256-{digest}", body=body, meshes=meshes
    )


def _static(name: str) -> str:
    return (files("disconerf_ns.report") / "static" / name).read_text(encoding="utf-8")


def rgb(color: tuple[float, float, float]) -> str:
    """A colour of CSS."""
    return f"rgb({' '.join(str(round(255 * channel)) for channel in color)})"


def _swatch(each: SceneObject) -> str:
    return f'<span class="swatch" style="--c:{rgb(each.color)}"></span>'


def _overview(overview: Overview) -> str:
    size = f'width="{overview.width}" height="{overview.height}"'
    scene = "The edited scene" if overview.edited else "The scene"
    return f"""<figure class="compare"><div class="layers" style="--ratio:{overview.width / overview.height:.4f}">
<img {size} src="{overview.scene}" alt="{scene}">
<img class="over" {size} src="{overview.objects}" alt="{scene} with every object in its colour">
<input type="range" min="0" max="100" value="50" aria-label="How much of the objects' colours is shown">
{"".join(map(_spot, overview.spots))}</div>
<figcaption>{scene}, and its objects in their colours, from the camera of {escape(overview.photograph)}.
Move the line; a dot leads to its object.</figcaption></figure>"""


def _spot(spot: Spot) -> str:
    x, y = spot.at
    side = " left" if x < EDGE else " right" if x > 1 - EDGE else ""
    style = f"--x:{100 * x:.2f}%;--y:{100 * y:.2f}%;--c:{rgb(spot.each.color)}"
    return f'<a class="spot{side}" href="#{spot.each.name}" style="{style}"><span>{escape(spot.each.label)}</span></a>'


def size_of(extent: Extent | None, unit: float) -> str:
    """Length, width and height in the capture's units; a dash for what has no extent."""
    return " × ".join(sides(extent, unit)) or "–"


def in_three_digits(value: float) -> str:
    """A number that is not negative in three digits, never with an exponent: 65,700 of a table in centimetres."""
    decimals = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{round(value, decimals):,.{max(decimals, 0)}f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _table(cards: Sequence[Card], unit: float) -> str:
    head = "".join(
        f'<th class="{kind}">{name}</th>'
        for name, kind in (
            ("", "picture"),
            ("Object", "name"),
            ("Length × width × height, in the capture’s units", "number"),
            ("Of the surface", "number wide"),
            ("Confidence", "number wide"),
            ("Views", "number wide"),
        )
    )
    rows = "".join(_row(card, unit) for card in cards)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(card: Card, unit: float) -> str:
    name = f"{_swatch(card.each)}{escape(card.each.label)}"
    return f"""<tr><td><img src="{card.thumbnail}" alt="" loading="lazy"></td>
<td class="name"><a href="#{card.each.name}">{name}</a></td>
<td class="number">{size_of(card.measured.extent, unit * card.scale)}</td>
<td class="number wide">{_percent(card.each.share)}</td>
<td class="number wide">{100 * card.each.confidence:.0f} %</td>
<td class="number wide">{card.measured.views}</td></tr>
"""


def _card(card: Card, cards: Sequence[Card], unit: float, folder: Path) -> str:
    each, known = card.each, card.measured
    names = {other.each.id: other.each for other in cards}
    beside = "".join(f"<li>{_swatch(names[other.id])}{_link(names[other.id])}</li>" for other in known.neighbours)
    extent, unit = known.extent, unit * card.scale
    facts = [
        ('<abbr title="length × width × height">Size</abbr>', size_of(extent, unit)),
        ("Volume", "–" if extent is None else in_three_digits(unit**3 * extent.volume)),
        ("Of the surface", _percent(each.share)),
        ("Of all pixels", _percent(known.pixels)),
        ("Confidence", f'<span class="bar"><i style="--w:{100 * each.confidence:.0f}%"></i></span>'
                       f"{100 * each.confidence:.0f} %"),
        ("Seen in", f"{known.views} photographs"),
        ("Best in", escape(", ".join(sight.view for sight in known.best_views[:BEST])) or "–"),
    ]  # fmt: skip
    code = f"<code>{each.name}</code>" if each.title else ""
    marks = "".join(f"<li>{words}</li>" for words in card.changes)
    return f"""<article class="card" id="{each.name}" aria-labelledby="{each.name}-title">
<header>{_swatch(each)}<h3 id="{each.name}-title">{escape(each.label)}</h3>{code}</header>
{f'<ul class="marks">{marks}</ul>' if marks else ""}
{_panes(card)}
<dl>{_facts(facts)}</dl>
{f'<ul class="beside"><li class="soft">Beside</li>{beside}</ul>' if beside else ""}
{_files(card.files, folder)}</article>
"""


def _link(each: SceneObject) -> str:
    return f'<a href="#{each.name}">{escape(each.label)}</a>'


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)


def _panes(card: Card) -> str:
    """The ways to look at an object, one at a time: a film, its mesh, its photographs."""
    label, name = escape(card.each.label), card.each.name
    size = 'width="400" height="400"'
    film = f'<img {size} src="{card.film or card.thumbnail}" alt="{label}" loading="lazy">'
    if card.film is not None:
        still = f'<source media="(prefers-reduced-motion: reduce), print" srcset="{card.thumbnail}">'
        film = f"<picture>{still}{film}</picture>"
    panes = [("film", "Film" if card.film else "Picture", film)]
    if card.mesh is not None:
        keys = "drag it or press arrow keys to turn it, + and - to come closer, 0 to begin anew"
        canvas = (
            f'<canvas tabindex="0" role="img" aria-label="Mesh of {label}: {keys}" data-mesh="mesh-{name}"></canvas>'
        )
        panes.append(("mesh", "Mesh", canvas))
    if card.photos:
        panes.append(("photos", "Photographs", "".join(map(_photo, card.photos))))
    tabs = "".join(
        f'<button type="button" data-pane="{key}" aria-pressed="{str(number == 0).lower()}">{word}</button>'
        for number, (key, word, _) in enumerate(panes)
    )
    boxes = "".join(
        f'<div class="pane {key}{" on" if number == 0 else ""}">{content}</div>'
        for number, (key, _, content) in enumerate(panes)
    )
    remark = f'<p class="remark">{escape(card.remark)}.</p>' if card.remark else ""
    return f"""<div class="panes">{boxes}</div>
<div class="tabs" role="group" aria-label="Ways to look">{tabs}</div>{remark}"""


def _photo(photo: Photo) -> str:
    name = escape(photo.name)
    return f'<figure><img src="{photo.picture}" alt="In {name}" loading="lazy"><figcaption>{name}</figcaption></figure>'


def _files(paths: Sequence[Path], folder: Path) -> str:
    if not paths:
        return ""
    rows = ((_address(path, folder), escape(f"{path.parent.name}/{path.name}")) for path in paths)
    links = "".join(f'<li><a href="{address}">{name}</a></li>' for address, name in rows)
    return f'<ul class="files">{links}</ul>'


def _address(path: Path, folder: Path) -> str:
    relative = Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    return escape(quote(relative if relative.startswith("../") else f"./{relative}"))


def tree_of(every: Sequence[SceneObject], tree: ObjectTree, on_cards: Collection[ObjectId]) -> str:
    """The tree of objects of every size as nested lists; empty where all have one size.

    Args:
        every: the discovered objects of all sizes, in the order of their names.
        tree: how they hold each other.
        on_cards: objects that have a card.
    """
    if tree.is_flat:
        return ""

    def grow(nodes: Collection[int]) -> str:
        rows = []
        for each in every:
            if each.id in nodes:
                name = _link(each) if each.id in on_cards else f'<span class="elsewhere">{escape(each.label)}</span>'
                line = f'<span>{_swatch(each)}{name}<span class="soft">{_percent(each.share)}</span></span>'
                rows.append(f"<li>{line}{grow(tree.children(each.id))}</li>")
        return f"<ul>{''.join(rows)}</ul>" if rows else ""

    return grow(tree.roots).replace("<ul>", '<ul class="tree">', 1)
