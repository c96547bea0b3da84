"""The one exception for errors that the user can fix, and what turns others into it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Wrong input: the message names the file or key, what is wrong and what to do."""


def reason_of(error: Exception) -> str:
    """First line of an error's message; its type where there is none.

    Without addresses in memory, which differ from run to run and explain nothing.
    """
    text = re.sub(r" ?<[^<>]* at 0x[0-9A-Fa-f]+>", "", str(error))
    lines = (line for line in text.splitlines() if line.strip())
    return next(lines, type(error).__name__)


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
