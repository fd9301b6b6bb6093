"""The `dals` command."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from dals import __version__
from dals.cli import demo, evaluate, info, prepare, refine, train
from dals.cli.devices import prepare_for
from dals.errors import DalsError, DalsWarning

_COMMANDS: dict[str, ModuleType] = {
    "prepare": prepare,
    "train": train,
    "refine": refine,
    "evaluate": evaluate,
    "info": info,
    "demo": demo,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for an error that a user can cure)."""
    parser = _parser()
    options = parser.parse_args(arguments)
    prepare_for(getattr(options, "device", None))
    with warnings.catch_warnings():
        warnings.simplefilter("always", DalsWarning)  # and not once for each place in the code: each case has its own
        warnings.showwarning = _show_warning
        try:
            status: int = options.run(options)
        except DalsError as error:
            print(f"dals {options.command}: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            outcome = getattr(_COMMANDS[options.command], "WHEN_STOPPED", "no unfinished file was left behind")
            print(f"dals {options.command}: stopped; {outcome}.", file=sys.stderr)
            return 130
        except BrokenPipeError:  # the reader of our output has gone: `dals info | head`
            sys.stderr.close()
            return 0
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dals", description="Whole organ surfaces from very little.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.SUMMARY,
            formatter_class=_HelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, except of flags and of options that are not set."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        unset = action.default is None or action.default is False
        return action.help if unset else super()._get_help_string(action)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    prefix = "warning" if issubclass(category, DalsWarning) else category.__name__
    print(f"dals: {prefix}: {message}", file=sys.stderr)
