import io
import re
from xml.etree import ElementTree

import markdown_it
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_pruning.core.parquet import column, read_rows, schema
from neuron_pruning.tables.rendering import (
    LATEX_SIGNS,
    count,
    csv_text,
    degrees,
    html_text,
    latex_text,
    markdown_text,
    percent,
    share,
    write_table,
)

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
    assert r"| a\|&lt;b&gt; |" in text.read_text()


def test_a_column_too_few_is_refused(tmp_path):
    rows = pd.DataFrame({"model": ["A"]})
    with pytest.raises(ValueError, match="removed"):
        write_table(rows, rows, "", TABLE, tmp_path / "t.parquet", [])


HOSTILE = [
    "$x^{$", "$5 and $6", "`id`", "a|b", "<img src=x onerror=alert(1)>", r"\input{/etc/passwd}",
    "_x_", "x^2", "a\nb", "![](http://tracker.example/x.png)", "[a][b]", "**bold**", "~~gone~~",
    "&amp;", "%", "#", "{}", "[1ex]", "*", "\\", "\\\\|", "'\"", "=HYPERLINK(1)", "+1", "-1", "@x",
    "\t=1", "\r=1",
]  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.sampled_from("$`|<>\\_^\n*[]()!&#~{}%=+-@'\" ax"), max_size=12),
)


def in_one_line(name):
    return re.sub(r"[\n\t\r]+", " ", name)


@given(NAMES)
def test_spreadsheets_take_no_name_for_a_formula(name):
    text = csv_text(name)
    assert text.removeprefix("'") == in_one_line(name).removeprefix("'")
    assert not text.lstrip().startswith(("=", "+", "-", "@"))


def shown_by_markdown(text):
    """What a reader of GitHub's Markdown sees of a cell; fails if that is more than text."""
    parser = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = parser.parse(f"| a | b |\n|---|---|\n| x | {text} |\n")
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 4
    assert {token.type for token in cells[-1].children} <= {"text", "text_special"}
    return "".join(token.content for token in cells[-1].children)


@given(NAMES)
def test_markdown_shows_names_as_they_are(name):
    assert shown_by_markdown(markdown_text(name)) == in_one_line(name).strip()
    assert not re.search(r"(?<!\\)(\\\\)*\$", markdown_text(name))  # no formula either


@given(NAMES)
def test_html_shows_names_as_they_are(name):
    text = html_text(name)
    element = ElementTree.fromstring(f"<a b='{text}'>{text}</a>")
    assert not list(element) and (element.text or "") == element.get("b") == in_one_line(name)


@given(NAMES)
def test_latex_sees_no_command_of_a_name(name):
    text = latex_text(name)
    assert not text.startswith(("[", "*"))
    text = re.sub(r"^\{(\s*[\[*])\}", r"\1", text)
    for sign, written in sorted(LATEX_SIGNS.items(), key=lambda pair: -len(pair[1])):
        if sign not in "±°–−":
            text = text.replace(written, "")
    assert not set(text) & set("\\$&%#_{}~^<>|")


def test_hostile_names_in_five_formats(tmp_path):
    """As cells and as headings, where classes stand too."""
    rows = pd.DataFrame({"model": HOSTILE, "removed": -1.5})
    display = pd.DataFrame({"Model": HOSTILE, **dict.fromkeys(HOSTILE, "–")})
    rendered = [tmp_path / f"t.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    write_table(rows, display, "Of $x|<b>.", TABLE, tmp_path / "t.parquet", rendered)
    assert [row["model"] for row in read_rows(tmp_path / "t.parquet")] == HOSTILE
    csv, md, tex, page = (path.read_text() for path in rendered)
    found = pd.read_csv(io.StringIO(csv), keep_default_na=False)
    assert list(found["model"]) == [csv_text(name) for name in HOSTILE]
    assert set(found["removed"]) == {-1.5}  # our own negative numbers
    assert "'=HYPERLINK(1)" in csv
    assert len({line.count("|") - line.count(r"\|") for line in md.splitlines()[2:]}) == 1
    assert not re.search(r"(?<!\\)\]\(", md) and "<" not in md
    assert r"\input" not in tex and r"\caption{Of \$x\textbar{}\textless{}b\textgreater{}.}" in tex
    assert "<img" not in page and "<b>" not in page
