"""The buttons that do something with the selection: each says what it does, and is grey where it can do nothing."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import viser

from disconerf_ns.compat.viser_panel import HtmlButton
from disconerf_ns.compat.viser_values import given_value
from disconerf_ns.viewer.selection import Selection


class Tool(NamedTuple):
    """A button of the panel."""

    label: str
    hint: str
    use: Callable[[], None]
    useful: Callable[[], bool]
    """Whether it can do anything now."""
    key: tuple[str, str | None] | None = None
    """A key and what is held with it, where viser knows keys (since 1.1)."""
    is_on: Callable[[], bool] = lambda: False
    """Whether what it switches is on."""
    wide: bool = False
    """Whether there are two in a line, not four."""

    @property
    def html(self) -> str:
        """What the button shows before its label."""
        said = html.escape(self.hint, quote=True)
        return f'<div class="dn-tool{" dn-on" * self.is_on()}{" dn-half" * self.wide}" title="{said}"></div>'


def edit_tools(selection: Selection) -> tuple[Tool, ...]:
    """Changes of the edit."""
    editor = selection.editor
    some = lambda: bool(selection.ids)
    edit = lambda: editor.edit
    return (
        Tool("hide", "Remove the selected objects and their copies, or bring them back", selection.toggle, some,
             ("H", None), lambda: some() and edit().hidden.issuperset(selection.ids)),
        Tool("show only", "Show the selected objects alone; once more for everything", selection.isolate, some,
             ("H", "shift")),
        Tool("show all", "Bring back everything that is hidden", editor.show_all,
             lambda: bool(edit().hidden or edit().hidden_copies)),
        Tool("own colour", "Give the selected objects their own colours back", selection.reset_colors,
             lambda: not edit().colors.keys().isdisjoint(selection.ids)),
        Tool("merge", "Make the selected objects one", selection.merge, lambda: len(selection.ids) > 1),
        Tool("split", "Open the selected objects into their parts, or into pieces that do not touch",
             selection.split, some),
        Tool("copy", "Put a copy of the selected object beside it", selection.copy, some),
        Tool("put back", "Let the selected objects stand where they were photographed, without copies",
             selection.put_back, lambda: not edit().places.keys().isdisjoint(selection.ids)),
    )  # fmt: skip


def history_tools(selection: Selection) -> tuple[Tool, ...]:
    """Changes taken back, and made again."""
    editor = selection.editor
    return (
        Tool("undo", "Take the last change back", editor.undo, lambda: editor.can_undo, ("Z", "cmd/ctrl")),
        Tool("redo", "Make the change again that was taken back", editor.redo, lambda: editor.can_redo,
             ("Z", "cmd/ctrl+shift")),
    )  # fmt: skip


class Toolbar:
    """Tools in lines of four or two, where the panel's elements are being added.

    Args:
        ask: puts a tool's action into the queue of wishes.
    """

    def __init__(self, gui: viser.GuiApi, tools: Sequence[Tool], ask: Callable[[Callable[[], None]], None]):
        self._buttons = [(tool, HtmlButton(gui, tool.html, tool.label)) for tool in tools]
        for tool, button in self._buttons:
            button.handle.on_click(lambda _, use=tool.use: ask(use))
            if tool.key is not None:
                add_key(gui, tool, ask)

    def refresh(self) -> None:
        """Grey out what can do nothing."""
        for tool, button in self._buttons:
            button.update(tool.html, tool.label)
            button.handle.disabled = not tool.useful()


def add_key(gui: Any, tool: Tool, ask: Callable[[Callable[[], None]], None]) -> None:
    """Let a key do what a tool does, where viser knows keys."""
    if tool.key is not None and hasattr(gui, "add_command"):
        key, modifier = tool.key
        command = gui.add_command(tool.label, description=tool.hint, hotkey=key, modifier=modifier)
        command.on_trigger(lambda _: tool.useful() and ask(tool.use))


def on_change(field: Any, ask: Callable[..., None], wish: Callable[[Any], None]) -> None:
    """Ask for something with a field's value when a person changes it; a change that a program made has no client.

    Args:
        ask: puts a wish into the queue; of several about the same field the last one counts.
        wish: called with the value.
    """
    field.on_update(
        lambda event: None if event.client_id is None else ask(wish, given_value(event.target), what=id(event.target))
    )
