"""From a program that shows a difference to the shortest that still shows it, and to a script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from .program import Mismatch, Program

NAME = r"\b[atg]\d+\b"


def shrink(program: Program, check: Callable[[Program], Mismatch | None], kind: str) -> Program:
    """The shortest found program for which `check` still gives a mismatch of this kind.

    Every smaller program is tried in turn; the first that still fails is the new start. The order
    goes from bold to careful: many lines at once, one line, a line merged into the next ones, less
    in a line.
    """
    found = True
    while found:
        found = False
        for smaller in _smaller(program):
            mismatch = check(smaller)
            if mismatch is not None and mismatch.kind == kind:
                program, found = smaller, True
                break
    return program


def _smaller(program: Program) -> Iterator[Program]:
    count = len(program)
    size = count // 2
    while size:  # without a run of lines
        for start in range(count - size, -1, -1):
            yield program[:start] + program[start + size :]
        size //= 2
    for i, line in enumerate(program):  # with a tensor replaced by one that it was made from
        made = re.match(rf"(?:with lib.no_grad\(\): )?({NAME})", line)
        if made and " = " in line:
            target = made.group(1)
            for source in dict.fromkeys(re.findall(NAME, line.partition(" = ")[2])):
                rest = tuple(re.sub(rf"\b{target}\b", source, later) for later in program[i + 1 :])
                yield program[:i] + rest
    for i, line in enumerate(program):  # with less in a line
        for simpler in _simpler(line):
            if simpler != line and len(simpler) < len(line):
                yield (*program[:i], simpler, *program[i + 1 :])


def _simpler(line: str) -> Iterator[str]:
    yield line.removeprefix("with lib.no_grad(): ")
    for text in (", requires_grad=True", ", retain_graph=True", "retain_graph=True", ", create_graph=True",
                 ", allow_unused=True", ", *_", ".detach()", ".clone()"):  # fmt: skip
        yield line.replace(text, "", 1)
    made = re.fullmatch(r"(a\d+) = lib\.tensor\((\[.*\]), (dtype=.*)\)", line)
    if made:
        name, values, rest = made.groups()
        data = eval(values)
        yield f"{name} = lib.tensor({data[0]}, {rest})"
        yield f"{name} = lib.tensor({data[:1]}, {rest})"
        if len(data) > 2:
            yield f"{name} = lib.tensor({data[:-1]}, {rest})"
        if isinstance(data[0], list) and len(data[0]) > 1:
            yield f"{name} = lib.tensor({[row[:-1] for row in data]}, {rest})"
    yield line.replace("lib.float64", "lib.float32")
    terms = re.fullmatch(r"\((.*)\)(\.backward\(.*\))", line)
    if terms and " + " in terms.group(1):
        first, _, second = terms.group(1).partition(" + ")
        yield f"({first}){terms.group(2)}"
        yield f"({second}){terms.group(2)}"
    yield re.sub(r"\((t\d+|a\d+) \* \1\)\.sum\(\)", r"\1.sum()", line)
    yield re.sub(r"\.tanh\(\)\.sum\(\)", ".sum()", line)
    yield re.sub(r"\((t\d+|a\d+) \* 3\)\.sum\(\)", r"\1.sum()", line)
    if not line.startswith("a"):
        yield re.sub(r"lib\.tensor\(.*?, dtype=lib\.\w+\)", "1.0", line)


def script(program: Program, mismatch: Mismatch, failing: set[int]) -> str:
    """The program as a script that runs in both libraries and prints what differs.

    `failing` are the numbers of the lines that raise an error, in either library.
    """
    body = []
    for number, line in enumerate(program):
        if line == "observe()":
            continue
        if number in failing:
            body += ["    try:", f"        {line}", "    except Exception as error:",
                     "        print(f'  {type(error).__name__}: {error}')"]  # fmt: skip
        else:
            body.append(f"    {line}")
    subject = mismatch.what.replace(".values", "")
    subject = subject.replace(".memory", ".data_ptr()").replace(".shares", ".data_ptr()")
    if mismatch.what != "error":
        body.append(f"    print('  {subject} =', {subject})")
    head = ["import tensorlab", "import torch", "", f"# {mismatch}", "for lib in (torch, tensorlab):",
            "    print(lib.__name__)"]  # fmt: skip
    if any("log" in line for line in program):
        head.append("    log = []")
    return "\n".join([*head, *body])
