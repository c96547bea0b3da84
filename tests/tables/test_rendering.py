import pandas as pd
import pyarrow as pa
import pytest

from neuron_pruning.core.parquet import column, read_rows, schema
from neuron_pruning.tables.rendering import count, degrees, percent, share, write_table

TABLE = schema(
    column("model", pa.string(), "network"), column("removed", pa.float64(), "units"), run=False
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (percent(0.2296), "22.96"),
        (percent(0.2296, 0.012), "22.96 ± 1.20"),
        (percent(None), "–"),
        (percent(float("nan"), 0.1), "–"),
        (percent(0.5, float("nan")), "50.00"),
        (share(0.214, 0.03), "0.21 ± 0.03"),
        (count(95.0, 0.0), "95 ± 0"),
        (count(95.0, float("nan")), "95"),
        (count(94.5, 0.7), "94.5 ± 0.7"),
        (count(95.0, 1.2), "95.0 ± 1.2"),
        (degrees(15.0), "15°"),
        (degrees(7.5), "7.5°"),
    ],
)
def test_figures_as_a_reader_sees_them(text, wanted):
    assert text == wanted


def test_one_table_in_five_formats(tmp_path):
    rows = pd.DataFrame({"model": ["A_1", "B"], "removed": [95.0, float("nan")]})
    display = pd.DataFrame({"Model": ["A_1", "B"], "Removed %": ["95 ± 1", "–"], "At": ["5°", ""]})
    rendered = [tmp_path / f"t.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    write_table(rows, display, "Table 9. In %.", TABLE, tmp_path / "t.parquet", rendered)
    assert read_rows(tmp_path / "t.parquet") == [
        {"model": "A_1", "removed": 95.0},
        {"model": "B", "removed": None},
    ]
    csv, md, tex, html = (path.read_text() for path in rendered)
    assert csv == "model,removed\nA_1,95.0\nB,\n"
    assert md.startswith("Table 9. In %.\n\n| Model") and "| 95 ± 1" in md
    assert r"95 $\pm$ 1" in tex and r"A\_1" in tex and r"5$^{\circ}$" in tex
    assert r"\caption{Table 9. In \%.}" in tex and r"Removed \%" in tex
    assert "<caption>Table 9. In %.</caption>" in html and "95 ± 1" in html


def test_markdown_cells_end_where_the_table_says(tmp_path):
    rows = pd.DataFrame({"model": ["a|<b>"], "removed": [1.0]})
    text = tmp_path / "t.md"
    write_table(rows, rows[["model"]], "", TABLE, tmp_path / "t.parquet", [text])
    assert r"| a\|&lt;b> |" in text.read_text()


def test_a_column_too_few_is_refused(tmp_path):
    rows = pd.DataFrame({"model": ["A"]})
    with pytest.raises(ValueError, match="removed"):
        write_table(rows, rows, "", TABLE, tmp_path / "t.parquet", [])
