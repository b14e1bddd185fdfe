"""The `tensorlab` program: `tensorlab lab | doctor | check | bench`, the same as `python -m tensorlab`.

Exit statuses: 0 all is well, 1 something failed or is not healthy, 2 the command line is wrong,
130 interrupted. What went wrong is said in one line on standard error, never with a traceback.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tensorlab import __version__
from tensorlab._cli import CommandError

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose complaint is one line and names the closest word it knows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program on `argv` (default: the command line) and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except CommandError as error:
        print(f"tensorlab: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output (head, say) has gone: no error of ours. Python would stumble over
        # the closed pipe once more when it flushes at the end, so give it another place to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(words: list[str]) -> int:
    parser, commands = _build()
    # What stands behind "--" is for JupyterLab as it is.
    words, passed_on = _split(words)
    first = next((word for word in words if not word.startswith("-")), None)
    if first is not None and first not in commands:
        close = difflib.get_close_matches(first, commands, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the commands are {', '.join(commands)}"
        raise CommandError(f"there is no command {first!r}; {hint}", 2)
    arguments, unknown = parser.parse_known_args(words)
    further = [*unknown, *passed_on]
    if arguments.command == "lab":
        arguments.options = further
    elif further:
        commands.get(arguments.command, parser).error(f"unexpected argument {further[0]!r}")
    if arguments.command is None:
        parser.print_help()
        return 2
    return arguments.run(arguments)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _build() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog="tensorlab",
        description="Learn deep learning by building the library, lesson by lesson, in JupyterLab.",
        epilog="tensorlab COMMAND --help tells more about a command.",
    )
    parser.add_argument("--version", action="version", version=f"tensorlab {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    commands: dict[str, _Parser] = {}

    def command(
        name: str, run: Callable[[argparse.Namespace], int], summary: str, more: str
    ) -> _Parser:
        made = subparsers.add_parser(name, help=summary, description=f"{summary}.\n\n{more}")
        made.set_defaults(run=run)
        commands[name] = made
        return made

    lab = command(
        "lab",
        _lab,
        "Open the course in JupyterLab",
        "Puts the lessons' notebooks into DIR and starts JupyterLab there, on this computer only, with\n"
        "a random token. Notebooks that you have changed are never touched: a newer lesson is put\n"
        "beside yours. Every option that is not listed here goes to JupyterLab: write --name=value, or\n"
        "put it behind a lone --.",
    )
    lab.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        type=Path,
        default=Path("tensorlab-course"),
        help="your folder for the course (default: ./tensorlab-course)",
    )
    lab.add_argument(
        "--no-browser", action="store_true", help="do not open the browser; print the address"
    )
    lab.add_argument(
        "--port",
        metavar="N",
        type=_port,
        help="the port to use (default: the first free one from 8888)",
    )
    lab.add_argument(
        "--reset",
        metavar="LESSON",
        action="append",
        default=[],
        help="start a lesson (01 or tensors) again; yours is kept in DIR/backups",
    )
    lab.add_argument(
        "--no-start",
        action="store_true",
        help="put the notebooks into DIR and stop: for VS Code or a Jupyter that runs already",
    )

    doctor = command(
        "doctor",
        _doctor,
        "Examine the installation",
        "Looks at versions, the kernel, the widgets' front end, the CPU, the BLAS and the GPU.\n"
        "Exit status: 0 if the course can run here (with --warm: if all kernels compiled), else 1.",
    )
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.add_argument(
        "--warm", action="store_true", help="compile all CPU kernels now, not when first needed"
    )

    check = command(
        "check",
        _check,
        "Run the checks of a notebook without opening it",
        "Runs your notebook from top to bottom in a fresh kernel and checks every exercise of its\n"
        "lesson. The notebook itself is not changed, and nothing is written to your progress.\n"
        "Exit status: 0 if every check passed, 1 if one did not.",
    )
    check.add_argument("notebook", metavar="NOTEBOOK", type=Path, help="your copy of a lesson")
    check.add_argument(
        "--timeout",
        metavar="S",
        type=_seconds,
        default=120.0,
        help="seconds that one cell may take (default: 120)",
    )
    check.add_argument("--json", action="store_true", help="print the results as JSON")

    bench = command(
        "bench",
        _bench,
        "Time tensorlab beside PyTorch",
        "Runs the workloads of tests/benchmarks in a checkout, both libraries by turns, and prints for each\n"
        "the median times and their ratio (below 1: tensorlab is faster), what it computes or moves a\n"
        "second, and how near that is to the limit of this machine, whose peaks are measured first.",
    )
    bench.add_argument(
        "workloads",
        metavar="WORKLOAD",
        nargs="*",
        help="only these: names, patterns ('matmul-*') or groups (models, ops, eager, …)",
    )
    bench.add_argument("--list", action="store_true", help="list the workloads and stop")
    bench.add_argument(
        "--rounds",
        metavar="N",
        type=_count,
        default=9,
        help="of how many rounds the median is taken (default: 9)",
    )
    bench.add_argument(
        "--threads", metavar="N", type=_count, help="threads of either library (default: all)"
    )
    bench.add_argument(
        "--compile", action="store_true", help="time torch.compile too; needs a C++ compiler"
    )
    bench.add_argument(
        "--processor-time",
        action="store_true",
        help="measure time of the processor: for a busy machine, with --threads 1",
    )
    bench.add_argument(
        "--memory",
        action="store_true",
        help="measure the peak memory of training steps too (Linux)",
    )
    bench.add_argument("--json", action="store_true", help="print the measurements as JSON")
    return parser, commands


def _port(word: str) -> int:
    if word.isdigit() and int(word) <= 65535:
        return int(word)
    raise argparse.ArgumentTypeError(
        f"expected a number from 0 (any free port) to 65535, got {word!r}"
    )


def _count(word: str) -> int:
    if word.isdigit() and 0 < int(word) <= 1000:
        return int(word)
    raise argparse.ArgumentTypeError(f"expected a number from 1 to 1000, got {word!r}")


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if 0 < seconds <= 3600:
        return seconds
    raise argparse.ArgumentTypeError(
        f"expected seconds, more than 0 and at most 3600, got {word!r}"
    )


# Each command imports what it needs when it runs: --help and --version stay quick.


def _lab(arguments: argparse.Namespace) -> int:
    from tensorlab._cli.lab import lab

    return lab(
        arguments.directory,
        reset=arguments.reset,
        browser=not arguments.no_browser,
        port=arguments.port,
        start=not arguments.no_start,
        options=arguments.options,
    )


def _doctor(arguments: argparse.Namespace) -> int:
    from tensorlab import _doctor as doctor

    if arguments.warm:
        return 0 if doctor.warm() else 1
    findings = doctor.examine()
    print(doctor.as_json(findings) if arguments.json else doctor.as_text(findings))
    return 0 if doctor.healthy(findings) else 1


def _check(arguments: argparse.Namespace) -> int:
    from tensorlab._cli.check import check

    return check(arguments.notebook, timeout=arguments.timeout, as_json=arguments.json)


def _bench(arguments: argparse.Namespace) -> int:
    from tensorlab._cli.bench import bench

    return bench(
        arguments.workloads,
        only_list=arguments.list,
        rounds=arguments.rounds,
        threads=arguments.threads,
        compile=arguments.compile,
        processor_time=arguments.processor_time,
        memory=arguments.memory,
        as_json=arguments.json,
    )


if __name__ == "__main__":
    raise SystemExit(main())
