"""CSV files: numbers, categories, missing values, and errors that name the line."""

from __future__ import annotations

import csv
import gzip

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.utils.data import CSVDataset, DataLoader, default_collate

TABLE = """size, colour ,price,kind
1.5,red,10,b
2.5,"blue, dark",20,a
-3e2,red,30,b
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_columns(write):
    data = CSVDataset(write(TABLE), target="kind")
    assert data.feature_names == ["size", "colour", "price"]
    assert data.data.tolist() == [[1.5, 1, 10], [2.5, 0, 20], [-300, 1, 30]]
    assert data.data.dtype is tl.float32
    assert data.targets.tolist() == [1, 0, 1]
    assert data.targets.dtype is tl.int64
    assert data.classes == ["a", "b"]
    assert data.categories == {"colour": ["blue, dark", "red"], "kind": ["a", "b"]}
    assert len(data) == 3
    x, y = data[-1]
    assert (x.shape, y.item()) == ((3,), 1)
    assert repr(data) == "CSVDataset(3 rows: size, colour, price → kind)"


def test_kinds_of_targets(write):
    path = write(TABLE)
    whole = CSVDataset(path, "price")
    assert whole.targets.dtype is tl.int64
    assert whole.targets.tolist() == [10, 20, 30]
    real = CSVDataset(path, 0, features=["price", -1])
    assert real.targets.dtype is tl.float32
    assert real.targets.tolist() == [1.5, 2.5, -300]
    assert real.data.tolist() == [[10, 1], [20, 0], [30, 1]]
    assert real.classes == []
    classes = CSVDataset(path, "price", categorical=["price"])
    assert classes.targets.tolist() == [0, 1, 2]
    assert classes.classes == ["10", "20", "30"]
    alone = CSVDataset(path, features=["size"])
    assert alone.targets is None
    assert alone[0].tolist() == [1.5]


@pytest.mark.parametrize("target", ["kind", None])
def test_batches(write, target):
    data = CSVDataset(write(TABLE), target)
    (fast,) = DataLoader(data, batch_size=3)
    slow = default_collate([data[i] for i in range(3)])
    for one, other in zip(*((fast, slow) if target else ([fast], [slow])), strict=True):
        assert one.tolist() == other.tolist()
        assert one.dtype is other.dtype

    class Doubled(CSVDataset):
        def __getitem__(self, index):
            return super().__getitem__(index)[0] * 2

    (batch,) = DataLoader(Doubled(data.path, "kind"), batch_size=3)
    assert batch[:, 0].tolist() == [3, 5, -600]


def test_forms_of_files(write):
    expected = CSVDataset(write(TABLE), "kind").data.tolist()
    for text in (
        gzip.compress(TABLE.encode()),
        TABLE.replace("\n", "\r\n"),
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\n\n"),
        TABLE.rstrip(),
    ):
        assert CSVDataset(write(text), "kind").data.tolist() == expected
    tabs = write("a\tb\n1\t2\n")
    assert CSVDataset(tabs, delimiter="\t").data.tolist() == [[1, 2]]
    assert CSVDataset(write("1,2\n3,4\n"), target=-1, header=False).targets.tolist() == [2, 4]
    latin = write("größe\n1\n".encode("latin-1"))
    assert CSVDataset(latin, encoding="latin-1").feature_names == ["größe"]


def test_missing_values(write):
    path = write("a,b,y\n1,x,0\n,y,1\n3,NA,2\n4,x,\n5, ? ,3\n6,y,4\n")
    with pytest.raises(ValueError, match=r"line 3: 'a' is missing.*missing='drop'"):
        CSVDataset(path, "y")
    dropped = CSVDataset(path, "y", missing="drop")
    assert dropped.data.tolist() == [[1, 0], [6, 1]]
    assert dropped.targets.tolist() == [0, 4]
    kept = CSVDataset(path, missing="nan", features=["a", "b"])
    np.testing.assert_array_equal(
        kept.data.numpy(), [[1, 0], [np.nan, 1], [3, np.nan], [4, 0], [5, np.nan], [6, 1]]
    )
    with pytest.raises(ValueError, match=r"line 5: the target 'y' is missing.*missing='drop'"):
        CSVDataset(path, "y", missing="nan")
    only = CSVDataset(path, features=["a"], missing="drop")
    assert len(only) == 5  # other columns don't matter
    own = write("a\n1\n-999\n")
    assert len(CSVDataset(own, missing="drop", missing_values=["-999"])) == 1
    with pytest.raises(ValueError, match="'error', 'drop' or 'nan', but got 'fill'"):
        CSVDataset(path, missing="fill")


def test_categories_of_another_file(write):
    train = CSVDataset(write("c,y\nred,a\ngreen,b\n"), "y")
    test = write("c,y\nred,b\n", "test.csv")
    assert CSVDataset(test, "y").targets.tolist() == [0]
    same = CSVDataset(test, "y", categories=train.categories)
    assert same.data.tolist() == [[1]]
    assert same.targets.tolist() == [1]
    with pytest.raises(
        ValueError, match=r"line 2: 'blue' is none of the categories of 'c': green, red"
    ):
        CSVDataset(write("c,y\nblue,b\n"), "y", categories=train.categories)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n", "has a header and no rows"),
        ("a,b\n1,2\n\n3\n", r"line 4: expected 2 values \(a, b\), got 1"),
        ("a,b\n1,2\n1,2,3\n", "line 3: expected 2 values .* got 3"),
        ("a,a\n1,2\n", "line 1: two columns are called 'a'"),
        (
            "a\n1\n2\n3.x\n",
            r"'a' has numbers \(line 2: '1'\) and text \(line 4: '3.x'\).*categorical",
        ),
        ("a\n1_000\n2\n", "and text .line 2: '1_000'"),
        ('a\n"1\n2\n', "line 3: unexpected end of data"),
        ('a\n"1"2\n', "line 2: ',' expected after '\"'"),
        (b"a\n\xff\xfe\n", "the text is not utf-8.*invalid start byte.*encoding='latin-1'"),
        # Without a time in it, which would be in the test's name.
        (gzip.compress(TABLE.encode() * 50, mtime=0)[:-20], "the packed file is damaged"),
        (gzip.compress(TABLE.encode(), mtime=0)[:10] + b"\xff" * 40, "the packed file is damaged"),
        (
            "a\n" + "1" * (csv.field_size_limit() + 1) + "\n",
            "line 2: field larger than field limit",
        ),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_errors_name_the_line(write, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        CSVDataset(write(text))
    assert "table.csv" in str(caught.value)


def test_unknown_columns(write):
    for wrong in (
        {"target": "cost"},
        {"features": ["cost"]},
        {"target": 4},
        {"categorical": ["x"]},
    ):
        with pytest.raises(KeyError, match="has no column .* only size, colour, price, kind"):
            CSVDataset(write(TABLE), **wrong)
    with pytest.raises(FileNotFoundError):
        CSVDataset("nothing.csv")


def test_numbers_come_back(write, rng):
    table = rng.standard_normal((50, 4)).astype(np.float32)
    lines = [",".join(map(repr, row.tolist())) for row in table]
    found = CSVDataset(write("\n".join(["a,b,c,d", *lines])))
    np.testing.assert_array_equal(found.data.numpy(), table)
