"""Puts measurements into README.md beside this file: `python tests/benchmarks/results.py FIRST.json MORE.json …`.

Each is a file that `tensorlab bench --json` printed. What the first lacks, peak memory or the ratio to
torch.compile, is taken from others with as many threads (one may come from `--memory`, one from `--compile`);
of one with more threads there is a column of ratios. The table between the two marks in README.md is replaced;
the words around it are written by hand.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"


def table(first: dict[str, Any], more: list[dict[str, Any]]) -> str:
    """The reports side by side, as Markdown."""
    for report in more:
        if report["threads"] == first["threads"]:
            _fill(first["results"], report["results"])
    others = [report for report in more if report["threads"] != first["threads"]]
    ratios = [{row["name"]: row["ratio"] for row in report["results"]} for report in others]
    heads = [
        "workload",
        "tensorlab",
        "PyTorch",
        "ratio",
        "to torch.compile",
        "rate",
        "of the limit",
    ]
    heads += ["peak MiB", "PyTorch", *(f"ratio, {_threads(report)}" for report in others)]
    lines = [
        f"{first['date']}, {first['processor']}; tensorlab {first['tensorlab']}, PyTorch {first['torch']}, "
        f"NumPy {first['numpy']}, Python {first['python']}. "
        + " ".join(_limits(report) for report in (first, *others)),
        "",
        f"Times, rates and memory are with {_threads(first)}, medians of {first['rounds']} rounds"
        + (", in time of the processor." if first["processor_time"] else "."),
        "",
        f"| {' | '.join(heads)} |",
        f"| --- |{' ---: |' * (len(heads) - 1)}",
    ]
    for row in first["results"]:
        cells = [row["name"], _ms(row["tensorlab"]), _ms(row["torch"]), _ratio(row["ratio"])]
        cells += [_ratio(row["ratio_compiled"]), _rate(row)]
        cells.append("" if row["share"] is None else f"{row['share']:.0%}")
        cells += [_mib(row["memory"]), _mib(row["memory_torch"])]
        cells += [_ratio(found.get(row["name"])) for found in ratios]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _fill(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """What is missing in `rows`, from the rows of the same names in `others`."""
    by_name = {row["name"]: row for row in others}
    for row in rows:
        found = by_name.get(row["name"], {})
        row.update({key: found.get(key) for key, value in row.items() if value is None})


def _threads(report: dict[str, Any]) -> str:
    return f"{report['threads']} thread{'' if report['threads'] == 1 else 's'}"


def _limits(report: dict[str, Any]) -> str:
    return (
        f"Peak with {_threads(report)}: {report['peak_flops'] / 1e9:.0f} GFLOP/s, "
        f"{report['bandwidth'] / 1e9:.0f} GB/s from memory."
    )


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _mib(size: int | None) -> str:
    return "" if size is None else f"{size / (1 << 20):.1f}"


def _rate(row: dict[str, Any]) -> str:
    if row["flops"]:
        return f"{row['flops'] / row['tensorlab'] / 1e9:.3g} GFLOP/s"
    return f"{row['traffic'] / row['tensorlab'] / 1e9:.3g} GB/s" if row["traffic"] else ""


def main(files: list[str]) -> int:
    if not files:
        print(__doc__, file=sys.stderr)
        return 2
    text = README.read_text("utf-8")
    before, after = text.index(BEGIN) + len(BEGIN), text.index(END)
    first, *more = [json.loads(Path(file).read_text("utf-8")) for file in files]
    README.write_text(f"{text[:before]}\n{table(first, more)}\n{text[after:]}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
