"""The one exception for errors that the user can fix, and what turns others into it."""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(ValueError):
    """Wrong input: the message names the file or key, what is wrong and what to do."""


class NotFinite(UserError):
    """Outputs of a network are NaN or infinite: what they predict means nothing."""


def reason_of(error: Exception) -> str:
    """First line of an error's message; its type where there is none.

    Without addresses in memory, which differ from run to run and explain nothing.
    """
    text = re.sub(r" ?<[^<>]* at 0x[0-9A-Fa-f]+>", "", str(error))
    lines = (line for line in text.splitlines() if line.strip())
    return next(lines, type(error).__name__)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known names that a wrong one may stand for, as the end of a sentence; else nothing."""
    close = difflib.get_close_matches(name, list(known))
    return f"; did you mean {' or '.join(close)}?" if close else ""


@contextmanager
def refuse_unreadable(problem: str, remedy: str) -> Iterator[None]:
    """Around what takes a file from outside apart: whatever it raises becomes a UserError.

    Garbled files have no exception of their own: openpyxl and torch.load raise a dozen types each.

    Args:
        problem: names the file and says what it is not.
        remedy: what to do about it.

    Raises:
        UserError: ``problem (reason); remedy``.
    """
    try:
        yield
    except Exception as error:
        raise UserError(f"{problem} ({reason_of(error)}); {remedy}") from error


@contextmanager
def naming_network(path: Path) -> Iterator[None]:
    """Around what evaluates the network of a file: the message says which one is not finite.

    Raises:
        UserError: outputs of the network are not finite.
    """
    try:
        yield
    except NotFinite as error:
        raise UserError(
            f"{path}: {error}; the network has diverged or is damaged: train it with a lower "
            "learning rate or another recipe, or delete the file and run again"
        ) from error
