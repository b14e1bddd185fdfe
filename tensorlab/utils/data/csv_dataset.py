"""Tables of numbers and categories from CSV files."""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from tensorlab._tensor import Tensor, wrap
from tensorlab.utils.data.dataset import Dataset

__all__ = ["CSVDataset"]

Column = str | int
_MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "None")
_GZIP = b"\x1f\x8b"


class CSVDataset(Dataset[Any]):
    """The rows of a CSV file: features as one float32 tensor, and perhaps a target.

    An item is `(features, target)`, or `features` alone without a target column; `features` has
    shape `(F,)`. The file is read at once and checked; an error names the line.

    A column holds numbers, or categories (text). Category `k` of a column, in alphabetical order,
    becomes the number `k`. A column with both numbers and text is an error unless it is named in
    `categorical`, as a misspelt number should not go unnoticed.

    Args:
        path: a `.csv` file, or one packed by gzip.
        target: the column to predict: its name, or its number from 0 (or from the end, as -1).
            Text and whole numbers give int64 targets, as `cross_entropy` wants them (whole numbers
            as they are), other numbers float32.
        features: the columns to use, in this order; all others by default.
        categorical: columns to take as categories although they hold numbers.
        categories: the categories of columns from elsewhere, such as `train.categories` for the
            test file, so that both have the same numbers for them.
        missing: what to do about missing values: "error"; "drop", leave the row out; "nan", put
            NaN in their place (not for a target of categories or whole numbers).
        missing_values: what counts as missing, after spaces around it are taken away.
        header: whether the first line names the columns; otherwise they are "0", "1", …
        delimiter: what stands between values.
        encoding: of the text.

    Attributes:
        data: float32 tensor `(N, F)`.
        targets: tensor `(N,)`, or None.
        feature_names, target_name: the columns' names.
        categories: name of a categorical column → its categories, by number.

    Raises:
        ValueError: a row of another length, a value that does not fit its column, a missing value,
            a file that is empty or no text; with the line's number.
        KeyError: there is no such column.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> file = Path(folder.name, "iris.csv")
    >>> _ = file.write_text("length,colour,kind\\n5.1,red,setosa\\n6.3,blue,virginica\\n")
    >>> dataset = CSVDataset(file, target="kind")
    >>> dataset[1]
    (tensor([6.3000, 0.0000]), tensor(1))
    >>> dataset.categories
    {'colour': ['blue', 'red'], 'kind': ['setosa', 'virginica']}
    >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        target: Column | None = None,
        *,
        features: Sequence[Column] | None = None,
        categorical: Sequence[Column] = (),
        categories: Mapping[str, Sequence[str]] | None = None,
        missing: Literal["error", "drop", "nan"] = "error",
        missing_values: Sequence[str] = _MISSING,
        header: bool = True,
        delimiter: str = ",",
        encoding: str = "utf-8-sig",
    ) -> None:
        if missing not in ("error", "drop", "nan"):
            raise ValueError(f"missing should be 'error', 'drop' or 'nan', but got {missing!r}")
        self.path = Path(path)
        table = _Table(self.path, header, delimiter, encoding)
        self.target_name = None if target is None else table.name_of(target)
        if features is None:
            self.feature_names = [name for name in table.names if name != self.target_name]
        else:
            self.feature_names = [table.name_of(column) for column in features]
        used = list(self.feature_names)
        if self.target_name is not None:
            used.append(self.target_name)
        table.handle_missing(used, missing, frozenset(missing_values))
        self.categories: dict[str, list[str]] = {
            name: list(map(str, known)) for name, known in (categories or {}).items()
        }
        forced = {table.name_of(column) for column in categorical}

        def numbers(name: str) -> np.ndarray:
            return table.numbers(name, name in forced, self.categories)

        columns = [numbers(name) for name in self.feature_names]
        rows = np.empty((len(table.lines), len(columns)), np.float32)
        for i, column in enumerate(columns):
            rows[:, i] = column
        self.data: Tensor = wrap(rows)
        self.targets: Tensor | None = None
        if self.target_name is not None:
            found = numbers(self.target_name)
            is_class = self.target_name in self.categories or table.is_whole(self.target_name)
            if is_class and np.isnan(found).any():
                line = table.lines[int(np.isnan(found).argmax())]
                raise ValueError(
                    f"{self.path}, line {line}: the target {self.target_name!r} is missing, and there is "
                    "no NaN among classes: use missing='drop'"
                )
            self.targets = wrap(found.astype(np.int64 if is_class else np.float32))

    @property
    def classes(self) -> list[str]:
        """The categories of the target by number; empty if it is a number."""
        return self.categories.get(self.target_name or "", [])

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> Any:
        if self.targets is None:
            return self.data[index]
        return self.data[index], self.targets[index]

    def _collated(self, indices: Sequence[int]) -> Any:
        """The batch that collating `self[i] for i in indices` would give, read in one go."""
        picked = list(indices)
        if type(self).__getitem__ is not CSVDataset.__getitem__ or set(map(type, picked)) != {int}:
            return None
        batch = self[picked]
        return batch if self.targets is None else list(batch)

    def __repr__(self) -> str:
        target = "" if self.target_name is None else f" → {self.target_name}"
        return f"CSVDataset({len(self)} rows: {', '.join(self.feature_names)}{target})"


class _Table:
    """A file's values as text, by column, with the line that each row stands in."""

    def __init__(self, path: Path, header: bool, delimiter: str, encoding: str) -> None:
        self.path = path
        rows = list(_rows(path, delimiter, encoding))
        if not rows:
            raise ValueError(f"{path} is empty")
        first = [value.strip() for value in rows[0][1]]
        self.names = first if header else [str(i) for i in range(len(first))]
        for i, name in enumerate(self.names):
            if name in self.names[:i]:
                raise ValueError(f"{path}, line {rows[0][0]}: two columns are called {name!r}")
        rows = rows[1:] if header else rows
        if not rows:
            raise ValueError(f"{path} has a header and no rows")
        for line, row in rows:
            if len(row) != len(self.names):
                raise ValueError(
                    f"{path}, line {line}: expected {len(self.names)} values "
                    f"({', '.join(self.names)}), got {len(row)}. A value with a {delimiter!r} in it must "
                    "stand in quotes; another separator is given as delimiter="
                )
        self.lines = [line for line, _ in rows]
        by_column = zip(*(row for _, row in rows), strict=True)
        self.values = {
            name: [value.strip() for value in column]
            for name, column in zip(self.names, by_column, strict=True)
        }
        self.missing: dict[str, list[bool]] = {}

    def name_of(self, column: Column) -> str:
        """The name of a column that is given by name or number."""
        if isinstance(column, str) and column in self.values:
            return column
        if isinstance(column, int) and -len(self.names) <= column < len(self.names):
            return self.names[column]
        raise KeyError(f"{self.path} has no column {column!r}, only {', '.join(self.names)}")

    def handle_missing(self, used: list[str], how: str, missing_values: frozenset[str]) -> None:
        """Find the missing values of the columns in use; refuse them or drop their rows."""
        for name in used:
            self.missing[name] = [value in missing_values for value in self.values[name]]
        if how == "error":
            for name in used:
                if any(self.missing[name]):
                    line = self.lines[self.missing[name].index(True)]
                    raise ValueError(
                        f"{self.path}, line {line}: {name!r} is missing. Leave such rows out with "
                        "missing='drop', or have NaN with missing='nan'"
                    )
        elif how == "drop":
            keep = [not any(flags) for flags in zip(*self.missing.values(), strict=True)]
            for part in (self.values, self.missing):
                for name, column in part.items():
                    part[name] = [v for v, kept in zip(column, keep, strict=True) if kept]
            self.lines = [line for line, kept in zip(self.lines, keep, strict=True) if kept]

    def numbers(self, name: str, is_forced: bool, categories: dict[str, list[str]]) -> np.ndarray:
        """A column in float64, NaN where missing; fills in the categories if it is one of text."""
        values, missing = self.values[name], self.missing[name]
        present = [i for i, flag in enumerate(missing) if not flag]
        if name not in categories:
            parsed = {i: _number(values[i]) for i in present}
            text = [i for i in present if parsed[i] is None]
            if text and len(text) < len(present) and not is_forced:
                number = next(i for i in present if parsed[i] is not None)
                raise ValueError(
                    f"{self.path}: the column {name!r} has numbers (line {self.lines[number]}: "
                    f"{values[number]!r}) and text (line {self.lines[text[0]]}: {values[text[0]]!r}). "
                    "Correct it, add the text to missing_values, or name the column in categorical"
                )
            if not text and not is_forced:
                return self._filled(parsed)
            categories[name] = sorted({values[i] for i in present})
        codes = {category: code for code, category in enumerate(categories[name])}
        for i in present:
            if values[i] not in codes:
                raise ValueError(
                    f"{self.path}, line {self.lines[i]}: {values[i]!r} is none of the categories of "
                    f"{name!r}: {', '.join(categories[name])}"
                )
        return self._filled({i: codes[values[i]] for i in present})

    def _filled(self, present: Mapping[int, float | None]) -> np.ndarray:
        column = np.full(len(self.lines), np.nan)
        column[list(present)] = list(present.values())
        return column

    def is_whole(self, name: str) -> bool:
        """Whether every value of the column that is there is written as a whole number."""
        pairs = zip(self.values[name], self.missing[name], strict=True)
        return all(value.lstrip("+-").isdecimal() for value, flag in pairs if not flag)


def _rows(path: Path, delimiter: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a file that are not blank, each with the number of its last line."""
    with _opened(path, encoding) as file:
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path}, after line {reader.line_num}: the text is not {encoding}: {error.reason}. "
                    "Try encoding='latin-1', or see whether it is a CSV file"
                ) from None
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise ValueError(
                    f"{path}, after line {reader.line_num}: the packed file is damaged: {error}"
                ) from None
            if any(row):
                yield reader.line_num, row


def _opened(path: Path, encoding: str) -> IO[str]:
    with open(path, "rb") as file:
        is_packed = file.read(2) == _GZIP
    # newline="": the reader sees to the ends of lines, within quotes too
    opener: Any = gzip.open if is_packed else open
    return opener(path, "rt", encoding=encoding, newline="")


def _number(text: str) -> float | None:
    """The number that a text stands for, or None. Python's 1_000 is none in a table."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None
