"""From a template of this folder and numbers to text, and how the templates write numbers."""

import re
import textwrap
from collections.abc import Mapping
from itertools import count as numbers_from
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from neuron_pruning.statistics.significance import SIGNIFICANT, p_words
from neuron_pruning.tables.rendering import (
    count,
    counted,
    degrees,
    display_name,
    interval,
    over_seeds,
    percent,
    signed,
)

HARD_SPACE = "\N{NO-BREAK SPACE}"


def render(template: str, context: Mapping[str, Any]) -> str:
    """A template of ``templates/`` filled in."""
    return environment().get_template(template).render(context)


def environment() -> Environment:
    """What templates are read with: the filters below, also as functions, and numbered figures.

    Texts from the data are escaped in HTML; charts, which are :class:`markupsafe.Markup`, are not.
    """
    found = Environment(
        loader=PackageLoader("neuron_pruning.reporting"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= FILTERS
    found.globals |= {**FILTERS, "next_figure": numbers_from(1).__next__}
    found.tests |= {"known": pd.notna, "significant": lambda p: p < SIGNIFICANT}
    return found


def percentage(share: float, digits: int = 1) -> str:
    """``22.9 %``, which no line end parts."""
    return f"{100 * share:.{digits}f}{HARD_SPACE}%"


def points(difference: float) -> str:
    """``12.1 points`` of a difference of shares, without its sign."""
    return f"{100 * abs(difference):.1f}{HARD_SPACE}points"


def p_value(p: float) -> str:
    """``p = 0.03``, which no line end parts."""
    return p_words(p).replace(" ", HARD_SPACE)


def tenth(number: float) -> str:
    """A whole number, or one with a tenth where it is not whole."""
    return f"{number:.0f}" if number == round(number) else f"{number:.1f}"


def duration(seconds: float) -> str:
    """``2 h 5 min``, ``3 min 20 s`` or ``12 s``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


FIGURES = (degrees, display_name, interval, over_seeds, percent, signed)  # as tables write them
WORDS = (counted, duration, p_value, percentage, points, tenth)
FILTERS = {"amount": count, **{function.__name__: function for function in (*FIGURES, *WORDS)}}


def fill_markdown(text: str, width: int = 100) -> str:
    """Paragraphs and list items filled to lines of ``width``; all other blocks as they are."""
    blocks = []
    for block in re.split(r"\n{2,}", text.strip()):
        if not block.startswith(("#", "|", ">", "`")):
            items = re.split(r"\n(?=- )", block)
            block = "\n".join(_fill(item, width) for item in items)
        blocks.append(block)
    return "\n\n".join(blocks) + "\n"


def _fill(paragraph: str, width: int) -> str:
    """One paragraph or list item in lines of ``width``, words and addresses whole."""
    indent = "  " if paragraph.startswith("- ") else ""
    whole: Any = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(" ".join(paragraph.split()), width, subsequent_indent=indent, **whole)
