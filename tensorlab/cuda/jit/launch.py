"""Kernels as objects: made by a decorator, launched with brackets, watched in a `with`."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from tensorlab import _backend
from tensorlab._graph import mode
from tensorlab._tensor import Tensor
from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit import _types as types
from tensorlab.cuda.jit._reader import read
from tensorlab.cuda.jit._source import Source
from tensorlab.cuda.jit._translate import run, translate
from tensorlab.cuda.jit.report import Finding, KernelReport, Triple, Watch
from tensorlab.cuda.jit.simulator import simulate
from tensorlab.cuda.jit.trace import Tracer

__all__ = ["DeviceFunction", "Kernel", "KernelError", "KernelWarning", "device", "kernel", "watch"]


class KernelError(RuntimeError):
    """A kernel did what would crash or hang a GPU: it left an array, or waits for ever.

    Attributes:
        report: what the simulator saw of the launch.
    """

    def __init__(self, report: KernelReport) -> None:
        self.report = report
        finding, *more = report.errors
        extra = f"\n({len(more)} more: see kernel.report)" if more else ""
        super().__init__(f"kernel {report.kernel!r}: {_without_mark(finding)}{extra}")


class KernelWarning(UserWarning):
    """A kernel did what gives wrong results on a GPU without a word, such as a data race."""


def kernel(function: Callable[..., Any]) -> Kernel:
    """Make a GPU kernel of a function that says what one thread does.

    The function is not run by Python. It is read, once for each combination of argument types, and
    translated for the GPU if its arrays are there; else the simulator carries it out and watches it.
    `tensorlab.cuda.jit` says which words and types a kernel may use.

    Launched as `kernel[blocks, threads](*args)`: `blocks` and `threads` (of a block) are numbers or
    tuples of up to three. Arguments are tensors and NumPy or CuPy arrays, all on one device, and
    numbers. Results are written to arguments; a kernel returns nothing. Autograd does not see what
    a kernel does: to differentiate it, put it into an `autograd.Function`.

    Raises:
        CompileError: (a `TypeError`) when decorated or launched, if the function says something
            that a GPU can't do; the message says what to write instead.
        NotImplementedError: at the launch, if that is what the function's body raises.
        TypeError, ValueError: at the launch, for arguments or a configuration that can't be.
        KernelError: (a `RuntimeError`) by the simulator, if the kernel leaves an array or never
            ends; not inside of `watch`, which reports it. A race is a `KernelWarning`.

    >>> import tensorlab as tl
    >>> from tensorlab.cuda import jit
    >>> @jit.kernel
    ... def double(x, out):
    ...     i = jit.grid(1)
    ...     if i < len(x):
    ...         out[i] = 2 * x[i]
    >>> x = tl.arange(5.0)
    >>> out = tl.empty(5)
    >>> double[1, 32](x, out)
    >>> out
    tensor([0., 2., 4., 6., 8.])
    >>> double.report.counts.global_loads
    5
    """
    return Kernel(function)


def device(function: Callable[..., Any]) -> DeviceFunction:
    """Make a function that kernels (and other device functions) can call.

    It may take arrays and numbers, and return one number. It has no shared arrays and no
    `syncthreads()` of its own, and does not call itself.

    Raises:
        CompileError: as `kernel`.

    >>> from tensorlab.cuda import jit
    >>> @jit.device
    ... def relu(x):
    ...     return max(x, 0.0)
    >>> relu
    <device function relu>
    """
    return DeviceFunction(function)


class DeviceFunction:
    """A function that runs on the GPU, called by kernels; made by `jit.device`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.source = Source(function)
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{self.source.name} is a device function: call it inside of a kernel")

    def __repr__(self) -> str:
        return f"<device function {self.source.name}>"


class Kernel:
    """A GPU kernel; made by `jit.kernel`, launched as `kernel[blocks, threads](*args)`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.source = Source(function)
        self._report: KernelReport | None = None
        self._programs: dict[tuple[ir.Param, ...], ir.Program] = {}
        self._compiled: dict[Any, Any] = {}
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        name = self.source.name
        raise TypeError(
            f"{name} is a kernel: launch it as {name}[blocks, threads](…), such as "
            f"{name}[(n + 255) // 256, 256](…)"
        )

    def __getitem__(self, configuration: Any) -> Callable[..., None]:
        grid, block = _configuration(self.source.name, configuration)
        return functools.partial(self._launch, grid, block)

    def __repr__(self) -> str:
        return (
            f"<kernel {self.source.name}({', '.join(a.arg for a in self.source.tree.args.args)})>"
        )

    @property
    def report(self) -> KernelReport:
        """What the simulator saw of the last launch that it carried out.

        Raises `RuntimeError` if there was none: a GPU tells nothing of the kind. On a GPU's arrays
        the simulator carries out what is launched in a `with jit.watch():`.
        """
        if self._report is None:
            self.source.check_written()
            raise RuntimeError(
                f"kernel {self.source.name!r} has not run in the simulator yet: launch it on arrays of "
                "the CPU, or in a with jit.watch():"
            )
        return self._report

    def program(self, *args: Any) -> ir.Program:
        """The kernel as it is read for arguments like these; see `tensorlab.cuda.jit._program`."""
        return self._read([_Argument.of(self.source.name, i, a) for i, a in enumerate(args)])

    def cuda_text(self, *args: Any) -> str:
        """The kernel as it is handed to `cupyx.jit` for arguments like these: Python, all types said."""
        return translate(self.program(*args)).text

    def _launch(self, grid: Triple, block: Triple, *args: Any) -> None:
        found = [_Argument.of(self.source.name, i, a) for i, a in enumerate(args)]
        program = self._read(found)
        self._check(program, found)
        if len({str(a.device) for a in found if a.is_array}) > 1:
            where = ", ".join(
                f"{name} on {a.device}"
                for (name, _), a in zip(program.params, found, strict=True)
                if a.is_array
            )
            raise RuntimeError(
                f"kernel {self.source.name!r}: Expected all tensors to be on the same device, but "
                f"found {where}; move them with .to(…)"
            )
        if not _watching and any(a.is_array and a.kind == "cuda" for a in found):
            run(self._compiled, program, grid, block, [a.value for a in found])
        else:
            self._simulate(program, grid, block, found)
        for (name, _), argument in zip(program.params, found, strict=True):
            if name in program.written and argument.tensor is not None:
                argument.tensor._version_cell[0] += 1

    def _simulate(
        self, program: ir.Program, grid: Triple, block: Triple, found: Sequence[_Argument]
    ) -> None:
        watcher = _watching[-1] if _watching else None
        options = watcher.options() if watcher else {}
        host = [_backend.to_numpy(a.value) if a.is_array else a.value for a in found]
        report = simulate(self.source, program, host, grid, block, **options)
        for (name, _), argument, array in zip(program.params, found, host, strict=True):
            if argument.is_array and argument.kind == "cuda" and name in program.written:
                argument.value[...] = _backend.to_device(array, argument.device)
        self._report = report
        if watcher is not None:
            watcher.watch.add(report)
        elif report.stopped or report.of_kind("out-of-bounds"):
            raise KernelError(report)
        elif report.errors:
            first, *more = report.errors
            extra = f" ({len(more)} more: see kernel.report)" if more else ""
            warnings.warn(
                f"kernel {report.kernel!r}: {_without_mark(first)}{extra}",
                KernelWarning,
                stacklevel=3,
            )

    def _read(self, found: Sequence[_Argument]) -> ir.Program:
        self.source.check_written()
        key = tuple(a.param for a in found)
        program = self._programs.get(key)
        if program is not None and self._still_holds(program):
            return program
        program = read(self.source, key)
        self._programs[key] = program
        return program

    def _still_holds(self, program: ir.Program) -> bool:
        """Whether the names from outside that a program was read with are what they were."""
        for (source, name), value in program.constants.items():
            try:
                now = source.outside(name)
            except NameError:
                return False
            if now is not value and now != value:
                return False
        return True

    def _check(self, program: ir.Program, found: Sequence[_Argument]) -> None:
        for (name, _), argument in zip(program.params, found, strict=True):
            if name not in program.written:
                continue
            if argument.tensor is not None and argument.tensor._requires_grad and mode.grad:
                raise RuntimeError(
                    f"kernel {self.source.name!r} writes to {name}, which requires grad, and autograd "
                    f"does not see it: hand over {name}.detach(), or launch it in an autograd.Function"
                )
            if isinstance(argument.value, np.ndarray) and not argument.value.flags.writeable:
                raise ValueError(
                    f"kernel {self.source.name!r} writes to {name}, which is read-only: hand over a copy"
                )


class _Argument:
    """An argument of a launch: the array or number in it, and where it is."""

    def __init__(self, value: Any, param: ir.Param, tensor: Tensor | None) -> None:
        self.value, self.param, self.tensor = value, param, tensor
        self.is_array = param.ndim is not None
        backend = _backend.backend_of(value) if self.is_array else None
        self.kind = backend.kind if backend else "cpu"
        self.device = backend.device(value) if backend else _backend.CPU

    @classmethod
    def of(cls, name: str, number: int, value: Any) -> _Argument:
        what = f"argument {number + 1} of kernel {name!r}"
        if isinstance(value, np.generic):
            if value.dtype not in types.ELEMENTS:
                raise TypeError(f"{what} is {value.dtype}, which kernels have not: use float32")
            return cls(value.item(), ir.Param(types.of_number(value), None), None)
        if isinstance(value, (bool, int, float)):
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ValueError(f"{what} is {value}, which does not fit into 64 bits")
            return cls(value, ir.Param(types.of_number(value), None), None)
        tensor = value if isinstance(value, Tensor) else None
        array = value._data if isinstance(value, Tensor) else value
        try:
            _backend.backend_of(array)
        except TypeError:
            raise TypeError(
                f"{what}: expected a tensor, an array or a number, got {type(value).__name__}"
                + ("; make it a tensor: tensorlab.tensor(…)" * isinstance(value, (list, tuple)))
            ) from None
        dtype = np.dtype(array.dtype)
        if dtype not in types.ELEMENTS:
            shown = tensor.dtype if tensor is not None else dtype
            raise TypeError(
                f"{what} is of {shown}; kernels have bool, whole numbers, float16, float32 and float64: "
                "convert it, such as with .float()"
            )
        if array.size >= 2**31:
            raise ValueError(
                f"{what} has {array.size:,} elements; kernels count up to 2,147,483,647"
            )
        return cls(array, ir.Param(dtype, array.ndim), tensor)


# Configuration ------------------------------------------------------------------------------

_MOST_BLOCKS = (2**31 - 1, 65535, 65535)
_MOST_THREADS = (1024, 1024, 64)


def _configuration(name: str, given: Any) -> tuple[Triple, Triple]:
    if not isinstance(given, tuple) or len(given) != 2:
        raise TypeError(
            f"{name}[…] takes two things, blocks and threads: {name}[blocks, threads](…); "
            f"got {len(given) if isinstance(given, tuple) else 1}"
        )
    grid = _sizes(name, "blocks", given[0], _MOST_BLOCKS)
    block = _sizes(name, "threads", given[1], _MOST_THREADS)
    if math.prod(block) > 1024:
        raise ValueError(
            f"{name}[…]: a block of {' × '.join(map(str, block))} = {math.prod(block):,} threads; "
            "1,024 is the most: use more blocks of fewer threads"
        )
    return grid, block


def _sizes(name: str, what: str, given: Any, most: Triple) -> Triple:
    sizes = given if isinstance(given, (tuple, list)) else (given,)
    if not 1 <= len(sizes) <= 3:
        raise ValueError(f"{name}[…]: {what} has {len(sizes)} dimensions; a GPU has 1 to 3")
    found = []
    for size, limit, axis in zip(sizes, most, "xyz", strict=False):
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
            raise TypeError(
                f"{name}[…]: {what} are whole numbers, got {size!r}; divide with //, and round up: "
                "(n + 255) // 256"
            )
        if not 1 <= size <= limit:
            raise ValueError(
                f"{name}[…]: {what}.{axis} is {size:,}; it can be from 1 to {limit:,}"
                + ("; launch nothing if there is nothing to do" * (size == 0))
            )
        found.append(int(size))
    return (*found, *(1,) * (3 - len(found)))  # type: ignore[return-value]


# Watching -----------------------------------------------------------------------------------


class _Watcher:
    def __init__(self, seed: int, limit: int, trace: Any, steps: int) -> None:
        self.watch = Watch()
        self._seed, self._limit, self._trace, self._steps = seed, limit, trace, steps

    def options(self) -> dict[str, Any]:
        tracer = None
        if self._trace is not None and self._trace is not False:
            tracer = Tracer(0 if self._trace is True else self._trace, self._steps)
        return {"seed": self._seed, "limit": self._limit, "tracer": tracer}


_watching: list[_Watcher] = []


@contextmanager
def watch(
    *,
    trace: bool | int | Sequence[int] | None = None,
    seed: int = 0,
    limit: int = 100_000,
    steps: int = 2000,
) -> Iterator[Watch]:
    """Collect the reports of all launches in a `with` block; nothing that kernels do is raised.

    Inside, the simulator carries out every launch, those on a GPU's arrays too.

    Args:
        trace: write down step by step what a block does, for `replay`: True for block 0, or the
            number (or the index, such as (1, 2)) of another block.
        seed: draws the order in which warps run. Another seed may give other values where a
            kernel has races.
        limit: how many passes through a `while` loop are taken for endless.
        steps: how many steps are written down at most.

    >>> import tensorlab as tl
    >>> from tensorlab.cuda import jit
    >>> @jit.kernel
    ... def shift(x):
    ...     i = jit.grid(1)
    ...     x[i] = x[i + 1]
    >>> with jit.watch() as launches:
    ...     shift[1, 64](tl.zeros(64))
    >>> [finding.kind for finding in launches.findings]
    ['out-of-bounds', 'race']
    """
    watcher = _Watcher(seed, limit, trace, steps)
    _watching.append(watcher)
    try:
        yield watcher.watch
    finally:
        _watching.remove(watcher)


def _without_mark(finding: Finding) -> str:
    return str(finding).removeprefix(f"{finding.mark} ")
