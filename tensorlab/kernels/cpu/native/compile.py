"""How kernels are compiled: each for its one signature, when it is first called or put into another."""

# What Numba's classes have is not declared.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic

from tensorlab._apply import KernelUnavailable
from tensorlab.kernels.cpu.native.cache import Kept

__all__ = ["KERNELS", "Kernel", "apart", "compiled"]

#: All kernels of the modules that are imported, in order.
KERNELS: list[Kernel] = []

_OPTIONS = {
    "nopython": True,
    "nogil": True,
    "no_cfunc_wrapper": True,  # for callers in C, of whom there are none
    "boundscheck": None,
    "error_model": "numpy",
    # A product and a sum may become one instruction. NaN, infinities, signed zeros and the order of
    # sums stay what they are; functions in `maths` that reorder a sum say so.
    "fastmath": {"contract"},
}

#: What makes an array in a kernel. Numba counts the references to an array, to free it after the last one, and
#: each function counts up and down for all that it is given. Where two processors do that in one place, they wait
#: for each other for longer than a small function takes. So only kernels that have arrays of their own count,
#: and nobody else sees those; what a kernel is given stays its caller's.
_MAKERS = {"empty", "full", "zeros"}


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits for the end of the block: an exception amid LLVM's work may bring the process down."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    waiting: list[Any] = []
    signal.signal(signal.SIGINT, lambda *given: waiting.append(given))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            before(*waiting[0])


class Kernel(CPUDispatcher):
    """A function that is compiled for one signature at its first use, to run without Python's lock.

    Numba compiles a function with a signature where it is defined. A model uses some kernels of a module
    and not others: those cost nothing here. Once compiled, a call is Numba's own.

    Raises:
        KernelUnavailable: it does not compile here; where kernels are called, the generic path goes on.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        signature: Any,
        limits: int = 0,
        cut: int | None = None,
    ) -> None:
        makes_arrays = not _MAKERS.isdisjoint(function.__code__.co_names)
        super().__init__(function, targetoptions={**_OPTIONS, "_nrt": makes_arrays})
        self.signature, self.limits, self.cut = signature, limits, cut
        self.module = function.__module__.rpartition(".")[2]
        self.name = f"{self.module}.{function.__name__}"
        self.failure: Exception | None = None
        self._cache = Kept(function, signature)

    @property
    def runs_in_parts(self) -> bool:
        return self.limits > 0 or self.cut is not None

    def ready(self) -> None:
        """Compile it, or load it from disk, if that has not been done."""
        if not self._can_compile:
            return
        with (
            _undisturbed(),
            global_compiler_lock,
        ):  # parts of one computation may come here side by side
            if self.failure is not None:
                raise KernelUnavailable(self.name, self.failure)
            if not self._can_compile:
                return
            self._compilation_chain_init_hook()
            try:
                self.compile(self.signature)
            except Exception as error:  # whatever a compiler may raise
                self.failure = error
                raise KernelUnavailable(self.name, error) from error
            self.disable_compile()

    # Numba calls these two when no compiled code suits the arguments: from Python, and in another kernel.

    def _compile_for_args(self, *args: Any, **kws: Any) -> Any:
        self.ready()
        return self

    def get_call_template(self, args: Any, kws: Any) -> Any:
        self.ready()
        return super().get_call_template(args, kws)


def compiled(
    signature: str, *, limits: int = 0, cut: int | None = None
) -> Callable[[Callable[..., Any]], Any]:
    """Make a function a `Kernel` of this signature.

    The other arguments say how `team.run_parts` tells it which part of a computation to do.

    Args:
        limits: so many integers, its last arguments, are numbers of the part: where it begins and ends, say.
        cut: from this argument on, it gets of its flat arrays what is between the two numbers of the part.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        kernel = Kernel(function, signature, limits, cut)
        KERNELS.append(kernel)
        return kernel

    return decorate


@intrinsic
def apart(typingctx: Any) -> Any:
    """A promise, in a kernel's first line: no two arrays that it is given share memory.

    LLVM cannot know. In front of each loop over rows it asks of each array that is written, and each other
    one, whether they overlap, which takes longer than the loop itself where rows are short.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for argument in builder.function.args:
            if isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return types.void(), codegen
