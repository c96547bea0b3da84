"""How tables look: figures as text, and one set of rows in five formats."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.files import write_text
from neuron_pruning.core.parquet import as_dicts, write_rows

DISPLAY_NAMES = {"alexnet": "AlexNet", "vgg": "VGG"}
SVM_NAMES = {
    "images": "SVM on LPQ and PHOG of the faces",
    "feature_table": "SVM on the published features",
}


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
    """Write the figures as Parquet and, by suffix, as CSV; the display as md, tex or html."""
    missing = rows.astype(object).where(rows.notna(), None)
    write_rows(parquet, as_dicts(missing), table_schema)
    display = display.map(one_line)
    writers = {
        ".csv": lambda: rows.to_csv(index=False),
        ".md": lambda: _markdown(display, caption),
        ".tex": lambda: _latex(display, caption),
        ".html": lambda: _html(display, caption),
    }
    for path in rendered:
        write_text(path, writers[path.suffix]())


def one_line(value: Any) -> Any:
    """Texts, which may be names of folders, without line breaks and control characters."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", value) if isinstance(value, str) else value


def _markdown(display: pd.DataFrame, caption: str) -> str:
    """A pipe table; signs that would end a cell or begin a tag are escaped."""
    escaped = display.replace({r"\|": r"\|", "<": "&lt;"}, regex=True)
    return f"{caption}\n\n{escaped.to_markdown(index=False, disable_numparse=True)}\n"


def _html(display: pd.DataFrame, caption: str) -> str:
    styled = display.style.hide(axis="index").set_caption(caption)
    styled = styled.format(escape="html").format_index(escape="html", axis=1)
    attributes = 'class="table"'
    return f"{styled.to_html(table_attributes=attributes, table_uuid='table', cell_ids=False)}\n"


def _latex(display: pd.DataFrame, caption: str) -> str:
    """A booktabs table; ± and ° as LaTeX writes them."""
    styled = display.style.hide(axis="index").format(escape="latex")
    styled = styled.format_index(escape="latex", axis=1)
    text = styled.to_latex(hrules=True, caption=caption.replace("%", r"\%"))
    for sign, command in {"±": r"$\pm$", "°": r"$^{\circ}$", "–": "--", "−": "$-$"}.items():
        text = text.replace(sign, command)
    return text
