"""`%tensorlab` and `%%tensorlab`: parse the line, run the command, show its report."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.display import display

from tensorlab.learn import (
    CheckInterrupted,
    CourseError,
    ProgressError,
    UnknownExercise,
    UnknownLesson,
)

from . import coursework, gradients_command, instruments, kernel_command, tensor_command
from .arguments import BadArguments, HelpAsked, Parser, build_parser, parse
from .notebook import Notebook

__all__ = ["TensorlabMagics"]

_COMMANDS: dict[str | None, Callable[[Notebook, Namespace], Iterable[object]]] = {
    None: coursework.status,
    "check": coursework.check,
    "hint": coursework.hint,
    "solution": coursework.solution,
    "predict": coursework.predict,
    "progress": coursework.progress,
    "reset": coursework.reset,
    "seed": instruments.seed,
    "doctor": instruments.doctor,
    "graph": instruments.graph,
    "summary": instruments.summary,
    "grads": gradients_command.grads,
    "view": tensor_command.view,
}


_CELL_COMMANDS: dict[str, Callable[[Notebook, Namespace, str], Iterable[object]]] = {
    "kernel": kernel_command.kernel,
    "profile": instruments.profile,
}


@magics_class
class TensorlabMagics(Magics):
    """The one magic. Mistakes in its line end in IPython's `UsageError`: one line, no traceback.

    Results are displayed and not returned: a magic's value is shown only if it stands last in its
    cell, and `%tensorlab check` should report wherever it stands.
    """

    def __init__(self, shell: InteractiveShell, parser: Parser | None = None) -> None:
        super().__init__(shell)
        self.parser = parser or build_parser()
        self.notebook = Notebook(shell)

    @line_cell_magic
    def tensorlab(self, line: str, cell: str | None = None) -> None:
        """The tensorlab course and its instruments: `%tensorlab --help` lists the commands.

        %tensorlab               where you stand, and the next step
        %tensorlab check 01.1    check an exercise
        %%tensorlab profile      time the operations of this cell
        %%tensorlab kernel       run this cell's GPU kernels, and report what they did
        """
        __tracebackhide__ = True
        try:
            args = parse(self.parser, line)
        except HelpAsked as asked:
            print(asked.args[0], end="")
            return
        except BadArguments as error:
            raise UsageError(str(error)) from None
        try:
            for result in self._run(args, cell):
                display(result)
        except (UnknownExercise, UnknownLesson, CourseError, ProgressError) as error:
            raise UsageError(_one_line(error)) from None
        except CheckInterrupted as interrupt:
            raise UsageError(_one_line(interrupt)) from None

    def _run(self, args: Namespace, cell: str | None) -> Iterable[object]:
        takes_cell = _CELL_COMMANDS.get(args.command)
        if takes_cell is not None:
            if cell is None:
                raise UsageError(
                    f"{args.command} runs a cell: write %%tensorlab {args.command} as the cell's "
                    "first line"
                )
            return takes_cell(self.notebook, args, cell)
        if cell is not None:
            known = " and ".join(sorted(_CELL_COMMANDS))
            raise UsageError(f"only {known} take a cell; write the other commands with one %")
        return _COMMANDS[args.command](self.notebook, args)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
