"""Running the parts of one computation on several processors, without Python in between.

A kernel that takes tens of microseconds gains from a second processor only if that one begins at once. A
Python thread does not: it has to be woken, to get Python's lock, and to take the kernel's arguments apart,
which takes as long as the kernel. So the threads here stay in compiled code and look for work for a while,
before they sleep; what they get is the address of a kernel and of its arguments, taken apart already.

The parts of a computation lie ready, and whoever has time takes the next one: the caller too. A thread that
comes late, or that the system has given to somebody else, costs nothing but its help. What a part computes
does not depend on who does it, so results are the same from run to run.

    caller                                  helper
    write the job, open it                  look whether a job is open
    take parts until there are none         come inside
    close it                                still open: take parts until there are none
    wait until nobody is inside             go outside

Each reads what the other writes after writing itself, in an order that both agree on (sequential
consistency): either the helper finds the job closed, or the caller finds the helper inside.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import threading
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tensorlab.kernels.cpu.native.compile import Kernel, compiled
from tensorlab.kernels.threads import get_num_threads

__all__ = ["entry_of", "run_parts"]

_i64, _i8p, _void = ir.IntType(64), ir.IntType(8).as_pointer(), ir.VoidType()
#: A part is run by `run(arguments, limits)`.
_run_type = ir.FunctionType(_void, [_i8p, _i64.as_pointer()])

# The board where jobs are written: words of 8 bytes, each alone in two lines of the cache, which are
# fetched in pairs.
APART = 16
_BUSY, _OPEN, _INSIDE, _NEXT, _COUNT, _HELPERS, _RUN, _DATA, _PARTS, _WIDTH, _JOBS = range(11)
WORDS = 11 * APART

#: Looks between two offers to let other threads of the machine run.
_LOOKS = 64
#: The system's function for such an offer.
_YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
if sys.platform == "win32":
    _address = ctypes.cast(ctypes.windll.kernel32.SwitchToThread, ctypes.c_void_p).value
    binding.add_symbol(_YIELD, _address)


def _int(value: int) -> ir.Constant:
    return ir.Constant(_i64, value)


class _Board:
    """The words of a board in the code that is being built."""

    def __init__(self, builder: ir.IRBuilder, address: Any) -> None:
        self.builder = builder
        self.words = builder.inttoptr(address, _i64.as_pointer())

    def at(self, word: int) -> Any:
        return self.builder.gep(self.words, [_int(word * APART)])

    def read(self, word: int) -> Any:
        return self.builder.load_atomic(self.at(word), "seq_cst", 8)

    def write(self, word: int, value: Any) -> None:
        self.builder.store_atomic(value, self.at(word), "seq_cst", 8)

    def add(self, word: int, value: int) -> Any:
        """Add to a word; what was there before."""
        return self.builder.atomic_rmw("add", self.at(word), _int(value), "seq_cst")


def _pause(builder: ir.IRBuilder) -> None:
    """Tell the processor that a loop is waiting, where there is an instruction for it."""
    machine = builder.module.triple
    if machine.startswith(("x86_64", "i686")):
        name, given = "llvm.x86.sse2.pause", []
    elif machine.startswith(("aarch64", "arm64")):
        name, given = "llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]
    else:
        return
    kind = ir.FunctionType(_void, [each.type for each in given])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), given)


def _let_others_run(builder: ir.IRBuilder) -> None:
    kind = ir.FunctionType(ir.IntType(32), [])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, _YIELD), [])


def _take_parts(builder: ir.IRBuilder, board: _Board) -> None:
    """Run parts of the open job until there are none."""
    count = board.read(_COUNT)
    run = builder.inttoptr(board.read(_RUN), _run_type.as_pointer())
    data = builder.inttoptr(board.read(_DATA), _i8p)
    parts = builder.inttoptr(board.read(_PARTS), _i64.as_pointer())
    width = board.read(_WIDTH)
    head, body, after = (builder.append_basic_block(name) for name in ("take", "part", "none"))
    builder.branch(head)
    builder.position_at_end(head)
    number = board.add(_NEXT, 1)
    builder.cbranch(builder.icmp_signed("<", number, count), body, after)
    builder.position_at_end(body)
    builder.call(run, [data, builder.gep(parts, [builder.mul(number, width)])])
    builder.branch(head)
    builder.position_at_end(after)


def _wait(builder: ir.IRBuilder, board: _Board, word: int) -> None:
    """Until a word is zero."""
    head, body, after = (builder.append_basic_block(name) for name in ("look", "wait", "seen"))
    looks = cgutils.alloca_once_value(builder, _int(0))
    builder.branch(head)
    builder.position_at_end(head)
    builder.cbranch(builder.icmp_signed("==", board.read(word), _int(0)), after, body)
    builder.position_at_end(body)
    _pause(builder)
    count = builder.add(builder.load(looks), _int(1))
    builder.store(count, looks)
    with builder.if_then(builder.icmp_signed("==", builder.and_(count, _int(_LOOKS - 1)), _int(0))):
        _let_others_run(builder)
    builder.branch(head)
    builder.position_at_end(after)


@intrinsic
def _help(typingctx: Any, address: Any, index: Any, last: Any) -> Any:
    """Look whether a job other than `last` is open, and help with it: its number, or `last` if none is."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        board = _Board(builder, args[0])
        found = cgutils.alloca_once_value(builder, args[2])
        job = board.read(_OPEN)
        new = builder.and_(
            builder.icmp_signed("!=", job, _int(0)), builder.icmp_signed("!=", job, args[2])
        )
        with builder.if_then(new):
            board.add(_INSIDE, 1)
            still = builder.icmp_signed("==", board.read(_OPEN), job)
            wanted = builder.icmp_signed("<", args[1], board.read(_HELPERS))
            with builder.if_then(builder.and_(still, wanted)):
                _take_parts(builder, board)
            board.add(_INSIDE, -1)
            builder.store(job, found)
        return builder.load(found)

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def _rest(typingctx: Any, count: Any) -> Any:
    """A moment in a loop that waits."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        _pause(builder)
        with builder.if_then(
            builder.icmp_signed("==", builder.and_(args[0], _int(_LOOKS - 1)), _int(_LOOKS - 1))
        ):
            _let_others_run(builder)
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@compiled("int64(int64, int64, int64, int64)")
def _serve(board, index, last, patience):
    """Help with jobs until `patience` looks in a row have found none; the number of the last job."""
    looks = 0
    while looks < patience:
        job = _help(board, index, last)
        if job != last:
            last, looks = job, 0
        else:
            _rest(looks)
            looks += 1
    return last


def _fork(width: int, cut: int | None) -> Any:
    """The intrinsic `fork(board, kernel, helpers, parts, shared)`, of parts of so many numbers.

    It runs the kernel at the address `kernel` for each part, with what is in the tuple `shared`; the result
    is whether all went well. The kernel gets the numbers of the part as its last arguments, or its share of
    flat arrays: see `compiled`.
    """

    def typed(typingctx, board, kernel, helpers, parts, shared):  # type: ignore[no-untyped-def]
        return types.boolean(board, kernel, helpers, parts, shared), codegen

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        board = _Board(builder, args[0])
        shared = list(signature.args[4])
        packer = context.get_data_packer(shared)
        packed = packer.as_data(
            builder, [builder.extract_value(args[4], i) for i in range(len(shared))]
        )
        # What a helper needs of the caller, who waits for it: whether a part has failed, the kernel's
        # address, its arguments.
        call = cgutils.alloca_once(builder, ir.LiteralStructType([_i64, _i64, packed.type]))
        for i, value in enumerate((_int(0), args[1], packed)):
            builder.store(value, cgutils.gep_inbounds(builder, call, 0, i))
        run = _runner(context, builder.module, shared, width, cut, call.type)
        array = context.make_array(signature.args[3])(context, builder, args[3])
        limits, count = array.data, cgutils.unpack_tuple(builder, array.shape)[0]
        data = builder.bitcast(call, _i8p)
        free = builder.extract_value(
            builder.cmpxchg(board.at(_BUSY), _int(0), _int(1), "seq_cst", "seq_cst"), 1
        )
        with builder.if_else(free) as (ours, taken):
            with ours:
                for word, value in [
                    (_RUN, builder.ptrtoint(run, _i64)),
                    (_DATA, builder.ptrtoint(data, _i64)),
                    (_PARTS, builder.ptrtoint(limits, _i64)),
                    (_WIDTH, _int(width)),
                    (_COUNT, count),
                    (_HELPERS, args[2]),
                    (_NEXT, _int(0)),
                ]:
                    board.write(word, value)
                board.write(_OPEN, builder.add(board.add(_JOBS, 1), _int(1)))
                _take_parts(builder, board)
                board.write(_OPEN, _int(0))
                _wait(builder, board, _INSIDE)
                board.write(_BUSY, _int(0))
            # The helpers are another caller's: this one does its parts itself.
            with taken, cgutils.for_range(builder, count) as loop:
                place = builder.gep(limits, [builder.mul(loop.index, _int(width))])
                builder.call(run, [data, place])
        failed = builder.load(cgutils.gep_inbounds(builder, call, 0, 0))
        return builder.icmp_signed("==", failed, _int(0))

    return intrinsic(typed)


def _runner(
    context: Any, module: Any, shared: list[Any], width: int, cut: int | None, call: Any
) -> ir.Function:
    """The function that runs one part: it takes the arguments up again and calls the kernel."""
    function = ir.Function(module, _run_type, name=module.get_unique_name("run_part"))
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block())
    call = builder.bitcast(function.args[0], call)
    failed, address, packed = (cgutils.gep_inbounds(builder, call, 0, i) for i in range(3))
    limits = [builder.load(builder.gep(function.args[1], [_int(i)])) for i in range(width)]
    given = [value for _, value in context.get_data_packer(shared).load(builder, packed)]
    kinds = list(shared)
    if cut is None:
        given += limits
        kinds += [types.int64] * width
    else:
        for i in range(cut, len(given)):
            if isinstance(shared[i], types.Array) and shared[i].ndim == 1:
                given[i] = _between(context, builder, shared[i], given[i], *limits)
    kernel_type = context.call_conv.get_function_type(types.void, kinds)
    kernel = builder.inttoptr(builder.load(address), kernel_type.as_pointer())
    status, _ = context.call_conv.call_function(builder, kernel, types.void, kinds, given)
    with builder.if_then(status.is_error):
        builder.store_atomic(_int(1), failed, "seq_cst", 8)
    builder.ret_void()
    return function


def _between(
    context: Any, builder: ir.IRBuilder, kind: Any, value: Any, first: Any, last: Any
) -> Any:
    """The elements of a flat array from `first` to `last`."""
    array = context.make_array(kind)(context, builder, value)
    count = builder.sub(last, first)
    array.data = builder.gep(array.data, [first])
    array.nitems = count
    array.shape = cgutils.pack_array(builder, [count])
    return array._getvalue()


@functools.cache
def _entry(shared: tuple[Any, ...], width: int, cut: int | None) -> Kernel:
    """`entry(board, kernel, helpers, parts, *shared)` for all kernels that take arguments of these types.

    What Numba compiles takes a fixed number of arguments, so this function is written out.
    """
    names = ", ".join(f"a{i}" for i in range(len(shared)))
    name = f"entry_{width}" if cut is None else f"entry_cut_{cut}"
    text = (
        f"def {name}(board, kernel, helpers, parts, {names}):\n"
        f"    return fork(board, kernel, helpers, parts, ({names},))"
    )
    made: dict[str, Any] = {"fork": _fork(width, cut), "__name__": __name__}
    exec(text, made)
    limits = types.Array(types.int64, 2, "C", readonly=True)
    signature = types.boolean(types.int64, types.int64, types.int64, limits, *shared)
    return Kernel(made[name], signature)


@functools.cache
def entry_of(kernel: Kernel) -> tuple[Kernel, int]:
    """What runs the parts of a kernel, and the kernel's address; both are compiled now."""
    kernel.ready()
    (found,) = kernel.overloads.values()
    given = tuple(found.signature.args)
    address = found.library.get_pointer_to_function(found.fndesc.llvm_func_name)
    if kernel.cut is None:
        entry = _entry(given[: -kernel.limits], kernel.limits, None)
    else:
        entry = _entry(given, 2, kernel.cut)
    entry.ready()
    return entry, address


class _Team:
    """The helpers of a process: threads that look for work in compiled code, or sleep."""

    #: How many times a helper looks for work before it sleeps: a tenth of a millisecond, or two.
    PATIENCE = 5_000

    def __init__(self) -> None:
        words = np.zeros(WORDS + APART, np.int64)
        self._words = words
        self.board = -(-words.ctypes.data // (8 * APART)) * 8 * APART
        self._count = self._calls = 0
        self._asleep: list[threading.Lock] = []

    def call(self, count: int) -> None:
        """See to it that there are so many helpers, and that none sleeps."""
        while self._count < count:
            _serve.ready()
            name = f"tensorlab-kernels-{self._count + 1}"
            threading.Thread(target=self._help, args=(self._count,), name=name, daemon=True).start()
            self._count += 1
        self._calls += 1
        while self._asleep:
            try:
                self._asleep.pop().release()
            except IndexError:  # another caller has woken the last one
                break

    def _help(self, index: int) -> None:
        last, bed = 0, threading.Lock()
        bed.acquire()
        while True:
            calls = self._calls
            last = _serve(self.board, index, last, self.PATIENCE)
            self._asleep.append(bed)
            if self._calls != calls:
                # Called meanwhile, by one who perhaps looked before this one lay down: get up again.
                with contextlib.suppress(ValueError):  # woken already
                    self._asleep.remove(bed)
                    bed.release()
            bed.acquire()


_team = _Team()


def _new_team() -> None:
    """In a forked child: the helpers have stayed with the parent, one of them perhaps amid a job."""
    global _team
    _team = _Team()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_team)


def run_parts(kernel: Any, parts: np.ndarray, *shared: Any) -> None:
    """Run a kernel for each row of `parts`, side by side; returns when all are done.

    The kernel gets `shared`, and of the part what `compiled` says. Ctrl-C waits for the end.

    Args:
        kernel: without a result, and compiled with `limits` or `cut`.
        parts: the numbers of each part, of `split`, say; how they are cut must not depend on who runs them.

    Raises:
        MemoryError: a part had no room for what it works with.
    """
    if len(parts) == 1:
        if kernel.cut is None:
            kernel(*shared, *parts[0].tolist())
        else:
            kernel(*shared)
        return
    team = _team
    entry, address = entry_of(kernel)
    helpers = min(get_num_threads(), len(parts)) - 1
    team.call(helpers)
    if not entry(team.board, address, helpers, parts, *shared):
        raise MemoryError(f"{kernel.name} had no memory to work in")
