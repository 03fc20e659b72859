"""The command `disconerf`: each subcommand is a dataclass of options, which is called after they are parsed."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib import import_module

from disconerf_ns.compat.quiet import hide_warnings
from disconerf_ns.compat.signals import Terminated, sigterm_raises
from disconerf_ns.consoles import escape_what_cannot_be_shown, reader_left
from disconerf_ns.errors import UserError

COMMANDS = {
    "masks": ("disconerf_ns.cli.masks:Masks", "make 2D masks of every image and keep them beside the data"),
    "masks convert": ("disconerf_ns.cli.convert:Convert", "convert masks from other programs, or for them"),
    "masks ground-truth": ("disconerf_ns.cli.convert:GroundTruth", "make masks from the true labels in DATA/labels/"),
    "masks show": ("disconerf_ns.cli.show:Show", "write contact sheets and print a report of masks"),
    "masks refine": (
        "disconerf_ns.cli.refine:Refine",
        "ask for masks of a run's objects that a view's masks miss",
    ),
    "masks check": ("disconerf_ns.cli.check:Check", "look for faults of photographs, poses and masks before training"),
    "objects": ("disconerf_ns.cli.objects:Objects", "list the objects that a run discovered"),
    "objects rename": ("disconerf_ns.cli.edits:Rename", "give an object a name"),
    "objects name": ("disconerf_ns.cli.naming:Name", "name all objects by an image-text model and a list of words"),
    "objects hide": ("disconerf_ns.cli.edits:Hide", "take objects out of the edited scene"),
    "objects show": ("disconerf_ns.cli.edits:Show", "put hidden objects back"),
    "objects merge": ("disconerf_ns.cli.edits:Merge", "make objects one object"),
    "objects split": ("disconerf_ns.cli.edits:Split", "take objects apart"),
    "objects move": ("disconerf_ns.cli.places:Move", "move, turn and scale objects"),
    "objects copy": ("disconerf_ns.cli.places:Copy", "put copies of objects somewhere"),
    "objects put-back": ("disconerf_ns.cli.places:PutBack", "let objects stand where they were photographed"),
    "objects recolor": ("disconerf_ns.cli.places:Recolor", "give an object other colours"),
    "objects granularity": ("disconerf_ns.cli.edits:Granularity", "show finer or coarser objects from now on"),
    "objects reset": ("disconerf_ns.cli.edits:Reset", "take all changes of a run's edit back"),
    "objects undo": ("disconerf_ns.cli.edits:Undo", "take the last change of a run's edit back"),
    "objects redo": ("disconerf_ns.cli.edits:Redo", "make the change again that was taken back"),
    "eval": ("disconerf_ns.cli.eval:Eval", "score a run's objects on views with true labels"),
    "relocate": ("disconerf_ns.cli.relocate:Relocate", "write the new place of a run's data into its config.yml"),
    "export": ("disconerf_ns.cli.export:Export", "write every object as mesh, points, picture, masks and USDZ"),
    "export splats": (
        "disconerf_ns.cli.export_splats:ExportSplats",
        "write 3D gaussians of every object, sampled or taken from a splat of the capture",
    ),
    "compose": ("disconerf_ns.cli.compose:Compose", "render objects of several runs together"),
    "render": (
        "disconerf_ns.cli.render:Render",
        "film every object: turntables and other paths, also with transparency",
    ),
    "report": ("disconerf_ns.cli.report:Report", "write one page about a scene and its objects, which opens offline"),
}
"""Class and purpose of every subcommand by name; the class is imported when its subcommand runs."""


def entrypoint() -> None:
    """Run `disconerf` with the arguments of the command line."""
    escape_what_cannot_be_shown()
    hide_warnings()
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        if not reader_left():
            raise
        code = 1
    sys.exit(code)


def main(arguments: list[str]) -> int:
    """Run a subcommand.

    Args:
        arguments: name and options of the subcommand.
    Returns:
        The exit code: 0, 1 after an error that is explained on stderr, 130 after Ctrl-C, or 143 after SIGTERM.
    """
    words = 2 if " ".join(arguments[:2]) in COMMANDS else 1
    name, options = " ".join(arguments[:words]) or "--help", arguments[words:]
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name not in COMMANDS:
        alike = get_close_matches(name, COMMANDS, 1)
        meant = f" Did you mean {alike[0]}?" if alike else ""
        print(f"{usage()}\n\ndisconerf: there is no command {name}.{meant}", file=sys.stderr)
        return 1

    import tyro

    module, attribute = COMMANDS[name][0].split(":")
    command = getattr(import_module(module), attribute)
    if {"-h", "--help"} & set(options):
        import_module("disconerf_ns.cli.help_text").join_lines(command)
    config = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.CascadeSubcommandArgs)
    try:
        with sigterm_raises():
            tyro.cli(command, prog=f"disconerf {name}", args=options, config=config)()
    except (UserError, OSError) as error:
        if not (isinstance(error, BrokenPipeError) and reader_left()):
            print(f"disconerf: {error}", file=sys.stderr)
        return 1
    except UnicodeEncodeError as error:
        lacking = error.object[error.start : error.end]
        print(
            f"disconerf: this system's encoding {error.encoding} has no {lacking}, which a file's name needs; set "
            "PYTHONUTF8=1 or a locale of UTF-8.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt as error:
        print("disconerf: interrupted; all written files are whole.", file=sys.stderr)
        return 143 if isinstance(error, Terminated) else 130
    return 0


def usage() -> str:
    """The list of all subcommands with their purposes."""
    rows = "\n".join(f"  {name:20} {purpose}" for name, (_, purpose) in COMMANDS.items())
    return f"usage: disconerf COMMAND [OPTIONS]\n\n{rows}\n\n`disconerf COMMAND --help` lists a command's options."
