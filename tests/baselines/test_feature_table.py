import zipfile

import numpy as np
import openpyxl
import pytest

from neuron_pruning import UserError
from neuron_pruning.baselines.descriptors import read_features
from neuron_pruning.baselines.feature_table import COLUMNS, match_features, read_workbook
from neuron_pruning.core.parquet import read_rows, write_rows

HEADER = [None, "label", "LPQ", None, None, None, None, "PHOG", None, None, None, None]
ROWS = [
    ["Film_1.mat", 1, *range(10)],
    ["Film_2.mat", 1, *range(10, 20)],
    ["Film_1.mat", 2, *range(20, 30)],
    ["Film_3.mat", 2, *range(30, 40)],
]
IMAGES = ["Cat/Film_1.png", "Cat/Film_2.jpg", "Dog/Film_3.png", "Dog/Film_1.png"]
INDEX = [{"image": name, "label": name.split("/")[0]} for name in IMAGES]


@pytest.fixture
def write(tmp_path):
    def written(rows, header=HEADER):
        book = openpyxl.Workbook()
        for row in [header, *rows]:
            book.active.append(row)
        book.save(tmp_path / "sheet.xlsx")
        return tmp_path / "sheet.xlsx"

    return written


def read(path):
    return read_workbook(path, ["Dog", "Cat"])


def changed(row, column, value):
    rows = [list(r) for r in ROWS]
    rows[row][column] = value
    return rows


def test_features_find_their_images_by_class_and_name(write):
    table = read(write(ROWS))
    assert table.names == ("Film_1", "Film_2", "Film_1", "Film_3")
    assert table.labels == ("Cat", "Cat", "Dog", "Dog")
    assert match_features(table, INDEX)[:, 0].tolist() == [0, 10, 30, 20]
    np.testing.assert_array_equal(match_features(table, INDEX)[3], np.arange(20, 30))


@pytest.mark.parametrize("value", [None, "n/a"])
def test_a_row_without_a_number_is_reported_and_not_used(write, value):
    table = read(write(changed(1, 8, value)))
    fault = next(f for f in table.faults if f.row == 3)
    assert fault.name == "Film_2" and "no number for PHOG 2;" in fault.fault
    features = match_features(table, INDEX)
    assert np.isnan(features[1]).all() and not np.isnan(features[[0, 2, 3]]).any()


def test_names_that_stand_twice_are_reported(write):
    (fault,) = read(write(ROWS)).faults
    assert (fault.row, fault.name) == (4, "Film_1")
    assert "of row 2 again, with other numbers, under Dog after Cat" in fault.fault
    same = [*ROWS[:2], ["Film_1.mat", 2, *range(10)], ROWS[3]]
    assert "with the same numbers" in read(write(same)).faults[0].fault


def test_of_a_row_repeated_in_its_class_the_first_counts(write):
    table = read(write([*ROWS, ["Film_2.mat", 1, *range(90, 100)]]))
    assert match_features(table, INDEX)[1, 0] == 10
    assert "the first row counts" in table.faults[-1].fault and table.faults[-1].row == 6


def test_rows_are_counted_as_in_the_file(write):
    table = read(write([*ROWS[:2], [None] * 12, *changed(3, 5, None)[2:]]))
    assert table.rows == (2, 3, 5, 6) and [f.row for f in table.faults] == [5, 6]


def test_a_name_that_is_no_image_of_its_class(write):
    table = read(write(changed(0, 0, "Other_9.mat")))
    with pytest.raises(UserError, match=r"sheet.xlsx: 1 name\(s\) are no image .*Cat/Other_9;"):
        match_features(table, INDEX)
    swapped = read(write(changed(1, 1, 2)))
    with pytest.raises(UserError, match=r"no image of their class: Dog/Film_2;.*correct their"):
        match_features(swapped, INDEX)


def test_images_without_a_row(write):
    more = [*INDEX, *({"image": f"Dog/x{n:02}.png", "label": "Dog"} for n in range(12))]
    with pytest.raises(UserError, match=r"12 image\(s\) have no row: Dog/x00, .* and 2 more; add"):
        match_features(read(write(ROWS)), more)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([row[:11] for row in ROWS], HEADER[:11], r"needs the columns name, .*: 12, but has 11"),
        ([[*row, 1] for row in ROWS], HEADER, r": 12, but has 13"),
        (ROWS, [None, "class", *HEADER[2:]], r"second column is 'class', not 'label'"),
        ([[*row[:3], "x", *row[4:]] for row in ROWS], HEADER, r"column 4, LPQ 2, holds no number"),
        (changed(1, 1, 3), HEADER, r"row 3: the label is 3; it must be one of 1 Cat, 2 Dog"),
        (changed(1, 1, 1.5), HEADER, r"row 3: the label is 1.5"),
        (changed(1, 1, "Cat"), HEADER, r"row 3: the label is 'Cat'"),
        (changed(1, 1, None), HEADER, r"row 3: the label is None"),
        (changed(2, 0, None), HEADER, r"row 4: the name is None"),
        (changed(2, 0, 12), HEADER, r"row 4: the name is 12"),
        ([], HEADER, r"no rows below the header"),
    ],
)
def test_other_tables(write, rows, header, message):
    with pytest.raises(UserError, match=rf"(?s)sheet\.xlsx.*{message}"):
        read(write(rows, header))


@pytest.mark.parametrize("content", [None, b"name,label\n", b"PK\x03\x04 no archive"])
def test_files_that_are_no_workbook(tmp_path, content):
    path = tmp_path / "sheet.xlsx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"sheet.xlsx is no readable xlsx workbook .*baseline.feature_table"
    ):
        read(path)


def test_a_workbook_with_garbled_contents(write, tmp_path):
    with zipfile.ZipFile(write(ROWS)) as whole, zipfile.ZipFile(tmp_path / "x.xlsx", "w") as broken:
        for name in whole.namelist():
            garbled = name == "xl/worksheets/sheet1.xml"
            broken.writestr(name, b"<worksheet" if garbled else whole.read(name))
    with pytest.raises(UserError, match=r"x.xlsx is no readable xlsx workbook"):
        read(tmp_path / "x.xlsx")


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "sheet.csv").write_text("name,label\n")
    with pytest.raises(UserError, match=r"sheet.csv is no readable xlsx workbook"):
        read(tmp_path / "sheet.csv")


def test_the_rule_writes_features_and_faults(write, tmp_path):
    from neuron_pruning.data.index import INDEX_SCHEMA
    from read_feature_table import read_feature_table

    blank = dict.fromkeys(INDEX_SCHEMA.names)
    rows = [{**blank, **row, "position": n} for n, row in enumerate(INDEX)]
    write_rows(tmp_path / "index.parquet", rows, INDEX_SCHEMA)
    table, out = write(changed(1, 8, None)), [tmp_path / n for n in ("f.parquet", "e.parquet")]
    mirrored = read_feature_table(table, tmp_path / "index.parquet", *out)
    images, features = read_features(out[0])
    assert images == IMAGES and np.isnan(features[1]).all() and features[3, 9] == 29
    assert [row["row"] for row in read_rows(out[1])] == [3, 4]
    assert mirrored.metrics == {"rows": 4, "faults": 2}
    with pytest.raises(UserError, match=r"baseline\.feature_table is not set"):
        read_feature_table([], tmp_path / "index.parquet", *out)


def test_columns_are_as_many_as_in_the_published_sheet():
    assert len(COLUMNS) == 12 and COLUMNS[2] == "LPQ 1" and COLUMNS[-1] == "PHOG 5"
