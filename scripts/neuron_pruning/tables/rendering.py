"""How tables look: figures as text, and one set of rows in five formats."""

import html
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.files import write_text
from neuron_pruning.core.parquet import as_dicts, write_rows

DISPLAY_NAMES = {"alexnet": "AlexNet", "vgg": "VGG"}
SVM_NAMES = {
    "images": "SVM on LPQ and PHOG of the faces",
    "feature_table": "SVM on the published features",
}

LATEX_SIGNS = {
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "±": r"$\pm$", "°": r"$^{\circ}$", "–": "--", "−": "$-$",
}  # fmt: skip


def display_name(model: str) -> str:
    """Name of a model as a reader knows it."""
    return DISPLAY_NAMES.get(model, model)


def network_name(model: str, state: str, layer: str = "") -> str:
    """``AlexNet fc2, untrained``; a trained network carries no mark."""
    name = f"{display_name(model)} {layer}".strip()
    return name if state == "trained" else f"{name}, untrained"


def percent(mean: float | None, deviation: float | None = None, digits: int = 2) -> str:
    """``22.96 ± 1.20`` of shares, in percent; a dash where there is no figure."""
    return _figure(mean, deviation, 100.0, digits)


def signed(difference: float | None) -> str:
    """``+1.5`` or ``−0.7`` points of a difference of shares; a dash where there is none."""
    if difference is None or pd.isna(difference):
        return "–"
    text = f"{100 * difference:+.1f}"
    return text.replace("-", "−") if float(text) else "0.0"


def interval(low: float | None, high: float | None) -> str:
    """``[34, 50]`` of shares, in percent; a dash where there is none."""
    if low is None or high is None or pd.isna([low, high]).any():
        return "–"
    return f"[{100 * low:.0f}, {100 * high:.0f}]"


def share(mean: float | None, deviation: float | None = None) -> str:
    """``0.21 ± 0.03``; a dash where there is no figure."""
    return _figure(mean, deviation, 1.0, 2)


def count(mean: float | None, deviation: float | None = None) -> str:
    """``95.0 ± 1.2`` units; a whole number where nothing varies."""
    whole = mean is not None and float(mean).is_integer()  # NaN is none
    return _figure(mean, deviation, 1.0, 0 if whole and not (deviation or 0) > 0 else 1)


def _figure(mean: float | None, deviation: float | None, scale: float, digits: int) -> str:
    if mean is None or pd.isna(mean):
        return "–"
    shown = [mean] if deviation is None or pd.isna(deviation) else [mean, deviation]
    return " ± ".join(f"{value * scale:.{digits}f}" for value in shown)


def counted(number: int, noun: str) -> str:
    """``1 seed`` or ``3 seeds``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def over_seeds(seeds: int) -> str:
    """``mean ± standard deviation over 3 seeds``, or ``of one seed``."""
    return "of one seed" if seeds == 1 else f"mean ± standard deviation over {seeds} seeds"


def figures_are(rows: pd.DataFrame) -> str:
    """The sentence of a caption that says what the figures are, without a full stop."""
    return f"Figures are {over_seeds(int(rows['seeds'].max()))}"


def degrees(angle: float) -> str:
    """``15°`` or ``7.5°``."""
    return f"{angle:g}°"


def write_table(
    rows: pd.DataFrame,
    display: pd.DataFrame,
    caption: str,
    table_schema: pa.Schema,
    parquet: Path,
    rendered: Iterable[Path],
) -> None:
    """Write the figures as Parquet and, by suffix, as CSV; the display as md, tex or html.

    Texts, which may be names of folders, stay texts in every format.
    """
    missing = rows.astype(object).where(rows.notna(), None)
    write_rows(parquet, as_dicts(missing), table_schema)
    writers = {
        ".csv": lambda: _with_texts(rows, csv_text).to_csv(index=False),
        ".md": lambda: markdown_table(display, caption),
        ".tex": lambda: _latex(display, caption),
        ".html": lambda: _html(display, caption),
    }
    for path in rendered:
        write_text(path, writers[path.suffix]())


def _with_texts(table: pd.DataFrame, escape: Callable[[str], str]) -> pd.DataFrame:
    """Cells and headings that are texts as one format writes them."""
    cells = table.map(lambda value: escape(value) if isinstance(value, str) else value)
    return cells.set_axis([escape(str(name)) for name in table.columns], axis=1)


def one_line(text: str) -> str:
    """``text`` without line breaks and control characters."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text)


def csv_text(text: str) -> str:
    """An apostrophe in front of what a spreadsheet would take for a formula, in one line.

    A line break would begin a cell of its own in readers that know carriage returns.
    """
    text = one_line(text)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def markdown_text(text: str) -> str:
    """Signs that end a cell, or begin a tag, a formula, code, emphasis or a link, are escaped.

    Between letters ``_`` begins nothing, and names stay as they are typed.
    """
    signs = r"[\\`*|$~^]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=[(\[])"
    return re.sub(signs, r"\\\g<0>", html.escape(one_line(text), quote=False))


def html_text(text: str) -> str:
    """Signs that begin a tag or an entity, or end an attribute, are escaped."""
    return html.escape(one_line(text))


def latex_text(text: str) -> str:
    """Signs that LaTeX reads as commands are escaped; ± and ° as it writes them."""
    escaped = "".join(LATEX_SIGNS.get(sign, sign) for sign in one_line(text))
    return re.sub(r"^\s*[\[*]", r"{\g<0>}", escaped)  # else an argument of the line before


def markdown_table(display: pd.DataFrame, caption: str) -> str:
    """A pipe table under its caption."""
    return f"{markdown_text(caption)}\n\n{markdown_rows(display)}"


def markdown_rows(display: pd.DataFrame) -> str:
    """A pipe table."""
    table = _with_texts(display, markdown_text)
    return f"{table.to_markdown(index=False, disable_numparse=True)}\n"


def _html(display: pd.DataFrame, caption: str) -> str:
    styled = _with_texts(display, html_text).style.hide(axis="index")
    text = styled.set_caption(html_text(caption)).to_html(
        table_attributes='class="table"', table_uuid="table", cell_ids=False
    )
    return f"{text}\n"


def _latex(display: pd.DataFrame, caption: str) -> str:
    """A booktabs table."""
    styled = _with_texts(display, latex_text).style.hide(axis="index")
    return str(styled.to_latex(hrules=True, caption=latex_text(caption)))
