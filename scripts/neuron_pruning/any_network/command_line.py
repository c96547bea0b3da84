"""``neuron-pruning``: look at a trained network, prune it, evaluate what came out.

Results go to the standard output, progress and errors to the standard error. The exit code is 0,
1 for input that the user can fix, 2 for wrong arguments, and 130 after Ctrl-C.

Arguments are read and checked here, without torch, which takes seconds to load;
:mod:`commands` does the work.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args

from neuron_pruning.any_network.options import (
    RANDOM_DRAWS,
    SOURCES,
    Across,
    BatchNormRule,
    Goal,
    Method,
    NetworkCompensation,
    Order,
)
from neuron_pruning.core.errors import UserError
from neuron_pruning.pruning.techniques import find_technique

NAME = "neuron-pruning"
LOOK = 256  # images that inspect looks at
Value = TypeVar("Value", str, float)


class UsageError(UserError):
    """Wrong arguments of the command line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: without the name of the program; None: those that it was started with.

    Returns:
        The exit code.
    """
    try:
        given = parsed(arguments)
        from neuron_pruning.any_network.commands import COMMANDS  # with torch

        with redirect_stdout(sys.stderr):  # what a user's factory prints is no result
            result, text = COMMANDS[given.command](given)
        print(json.dumps(result, indent=2) if given.json else text, flush=True)
    except (UserError, OSError) as error:
        tell(f"{NAME}: error: {error}")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        tell(f"{NAME}: interrupted")
        return 130
    return 0


def tell(line: str) -> None:
    """Print a line that is no result."""
    print(line, file=sys.stderr, flush=True)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Arguments of a command; those of ``prune`` hold its ``options`` for the function.

    Raises:
        UsageError: arguments that are unknown, missing, or do not go together.
    """
    given = build_parsers()[0].parse_args(arguments)
    if given.command == "prune":
        try:
            given.options = _prune_options(given)
        except UserError as error:
            raise UsageError(f"{error} (see {NAME} prune --help)") from error
    return given


def _prune_options(given: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments of :func:`neuron_pruning.prune`, checked."""
    layers, budget, settings = map(_by_name, (given.layers, given.budget, given.settings))
    settings = find_technique(given.technique).parsed_settings(settings or {})
    known = vars(given) | {"layers": layers, "budget": budget, "settings": settings}
    goal, method = ({f.name: known[f.name] for f in fields(kind)} for kind in (Goal, Method))
    Goal(**goal).check_technique(Method(**method).chosen)
    return {**goal, **method, "random_draws": given.random_draws}


def _by_name(pairs: Sequence[tuple[str, Value]] | None) -> dict[str, Value] | None:
    """Values by name; None where none is given."""
    if pairs is None:
        return None
    names = [name for name, _ in pairs]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise UserError(f"{repeated[0]} is given more than once: give one value for it")
    return dict(pairs)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the user's, like all others."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise UsageError(f"{message}; {self.prog} --help lists what there is")


def build_parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser of all commands, and that of each by its name."""
    parser = Parser(prog=NAME, description="Remove units from a trained image classifier.")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="command"
    )
    found: dict[str, argparse.ArgumentParser] = {}
    for name, add, what in (
        ("inspect", _add_inspect, "Show what could be removed from a network, in seconds."),
        ("prune", _add_prune, "Write a smaller network, and say what it lost."),
        ("evaluate", _add_evaluate, "Measure accuracy, size and latency of a pruned network."),
    ):
        found[name] = commands.add_parser(name, help=what, description=what)
        add(found[name])
    return parser, found


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    _add_network(parser)
    _add_images(parser, required=False, limit=LOOK)
    parser.add_argument(
        "--all", action="store_true", help="list each layer that cannot be pruned, and why"
    )


def _add_prune(parser: argparse.ArgumentParser) -> None:
    _add_network(parser)
    _add_images(parser, required=True, limit=None)
    parser.add_argument(
        "--evaluation", type=Path, metavar="FOLDER",
        help="images that judge the result; default: a quarter of those of --data",
    )  # fmt: skip
    _add_goal(parser.add_argument_group("how much (one of the first four, or --max-loss)"))
    _add_method(parser.add_argument_group("how"))
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the network and its plan"
    )
    parser.add_argument("--onnx", action="store_true", help="write model.onnx too, checked")
    parser.add_argument("--pt2", action="store_true", help="write model.pt2 too, checked")
    parser.add_argument(
        "--figure", type=_picture, metavar="FILE",
        help="draw what each layer lost, as .png, .pdf or .svg",
    )  # fmt: skip


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="what prune has written")
    parser.add_argument(
        "source", metavar="SOURCE", nargs="?",
        help="of the unpruned network; default: the one that the plan names",
    )  # fmt: skip
    _add_images(parser, required=True, limit=None)


def _add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help=SOURCES)
    parser.add_argument("--weights", type=Path, metavar="FILE", help=".safetensors or state dict")


def _add_images(parser: argparse.ArgumentParser, required: bool, limit: int | None) -> None:
    """Images, how they are prepared, and what all commands share."""
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", required=required,
        help="images: a folder per class, or a flat folder without labels",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=int, metavar="N", default=limit,
        help=f"images of a folder at most, as many of each class; default: {limit or 'all'}",
    )  # fmt: skip
    parser.add_argument(
        "--no-labels", dest="labelled", action="store_false", default=None,
        help="class folders say nothing about the network's classes",
    )  # fmt: skip
    parser.add_argument(
        "--class-names", type=Path, metavar="FILE",
        help="class folders in the order of the network's outputs, one per line",
    )  # fmt: skip
    parser.add_argument("--classes", type=int, metavar="N", help="of a torchvision or timm network")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"),
        help="of what the network reads; with --mean and --std, where its metadata does not say it",
    )  # fmt: skip
    for name, what in (("mean", "mean"), ("std", "deviation")):
        parser.add_argument(
            f"--{name}", type=float, nargs="+", metavar="X",
            help=f"{what} of each channel of values in [0, 1]",
        )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, metavar="N", default=Method.seed,
        help="of what is drawn; default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_goal(group: Any) -> None:
    """How much is removed."""
    group.add_argument(
        "--amount", type=float, metavar="A", help="of every layer: a share below 1, or units"
    )
    group.add_argument(
        "--angle", type=float, metavar="DEGREES",
        help="for techniques that decide by it how many units go, such as distinctiveness",
    )  # fmt: skip
    group.add_argument(
        "--layer", dest="layers", action="append", type=_number_by_name, metavar="NAME=A",
        help="amount, or angle, of one layer; may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--budget", action="append", type=_number_by_name, metavar="COST=X",
        help="macs=0.5 or parameters=0.5 of the network's, or latency_ms=X of one image",
    )  # fmt: skip
    group.add_argument(
        "--max-loss", type=float, metavar="POINTS",
        help="the largest cut that loses no more accuracy (agreement, without labels), with 95 %% "
        "confidence; within --budget if there is one",
    )  # fmt: skip
    group.add_argument(
        "--across", choices=get_args(Across), default=Goal.across,
        help="amount of each layer, or of all ranked together; default: %(default)s",
    )  # fmt: skip
    group.add_argument(
        "--coupled",
        action="store_true",
        help="also units that several layers write (residuals, attention heads)",
    )
    group.add_argument(
        "--round-to", type=int, metavar="N", default=Goal.round_to,
        help="kept units are a multiple of N; default: %(default)s",
    )  # fmt: skip


def _add_method(group: Any) -> None:
    """How units are chosen, and what the rest gets."""
    group.add_argument(
        "--technique", metavar="NAME", default=Method.technique,
        help="which units go; default: %(default)s",
    )  # fmt: skip
    group.add_argument(
        "--setting", dest="settings", action="append", type=_text_by_name, metavar="NAME=VALUE",
        help="of the technique, for instance centring=mean; may be repeated",
    )  # fmt: skip
    for name, known, what in (
        ("compensation", NetworkCompensation, "what the kept units get"),
        ("batch-norm", BatchNormRule, "statistics of batch normalisation"),
        ("order", Order, "each layer measured behind the cuts in front of it, or all at once"),
    ):
        group.add_argument(
            f"--{name}", choices=get_args(known), default=getattr(Method, name.replace("-", "_")),
            help=f"{what}; default: %(default)s",
        )  # fmt: skip
    group.add_argument(
        "--draws", type=int, metavar="N", dest="random_draws", default=RANDOM_DRAWS,
        help="random removals to compare with; default: %(default)s",
    )  # fmt: skip


def _picture(text: str) -> Path:
    """Path of a picture."""
    if not text.endswith((".png", ".pdf", ".svg")):
        raise argparse.ArgumentTypeError(f"{text}: give a name that ends in .png, .pdf or .svg")
    return Path(text)


def _text_by_name(text: str) -> tuple[str, str]:
    """``NAME=VALUE`` as a name and a value."""
    name, _, value = text.rpartition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _number_by_name(text: str) -> tuple[str, float]:
    """``NAME=A`` as a name and a number."""
    try:
        name, value = _text_by_name(text)
        return name, float(value)
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=NUMBER") from error


if __name__ == "__main__":
    sys.exit(main())
