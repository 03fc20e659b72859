"""The command `disconerf`: a subcommand is a dataclass of options that is called once they are parsed."""

from __future__ import annotations

import sys
from importlib import import_module

from disconerf_ns.errors import UserError

COMMANDS = {
    "masks": ("disconerf_ns.cli.masks:Masks", "2D masks of every image, once, kept beside the data"),
    "masks convert": ("disconerf_ns.cli.convert:Convert", "masks of other programs into ours, and back"),
    "masks ground-truth": ("disconerf_ns.cli.convert:GroundTruth", "masks of the true labels in DATA/labels/"),
    "masks show": ("disconerf_ns.cli.show:Show", "contact sheets and a report of masks"),
    "objects": ("disconerf_ns.cli.objects:Objects", "the table of the objects that a run discovered"),
    "eval": ("disconerf_ns.cli.eval:Eval", "scores of a run's objects on views with true labels"),
    "render": ("disconerf_ns.cli.render:Render", "a turntable video of every object"),
}
"""Name, class and purpose of every subcommand; the class is imported when it is asked for."""


def entrypoint() -> None:
    """Run `disconerf` as typed."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run a subcommand.

    Args:
        arguments: its name and options.
    Returns:
        The exit code: 0, 1 after a mistake that was said in one sentence on stderr, or 130 after Ctrl-C.
    """
    words = 2 if " ".join(arguments[:2]) in COMMANDS else 1
    name, options = " ".join(arguments[:words]) or "--help", arguments[words:]
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name not in COMMANDS:
        print(f"disconerf: there is no command {name}.\n{usage()}", file=sys.stderr)
        return 1

    import tyro

    module, attribute = COMMANDS[name][0].split(":")
    command = getattr(import_module(module), attribute)
    config = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.CascadeSubcommandArgs)
    try:
        tyro.cli(command, prog=f"disconerf {name}", args=options, config=config)()
    except (UserError, OSError) as error:
        print(f"disconerf: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("disconerf: interrupted; what was written is whole, and the same command goes on.", file=sys.stderr)
        return 130
    return 0


def usage() -> str:
    """What the commands are."""
    rows = "\n".join(f"  {name:18} {purpose}" for name, (_, purpose) in COMMANDS.items())
    return f"usage: disconerf COMMAND [OPTIONS]\n\n{rows}\n\n`disconerf COMMAND --help` lists a command's options."
