"""A kernel as data: typed expressions and statements, made by `_reader`, carried out by `simulator`.

Each expression has one dtype, fixed when the kernel is read for the types of its arguments, as a
compiler for the GPU does it. So the simulator computes in float32 where the GPU does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tensorlab.cuda.jit._source import Source

__all__ = [
    "Array",
    "Assign",
    "Atomic",
    "Barrier",
    "Binary",
    "Break",
    "Call",
    "Cast",
    "Compare",
    "Const",
    "Continue",
    "Evaluate",
    "Expr",
    "For",
    "If",
    "Load",
    "Local",
    "Logic",
    "Math",
    "Param",
    "Program",
    "Return",
    "Scalar",
    "Select",
    "Shuffle",
    "Site",
    "Size",
    "Special",
    "Stmt",
    "Store",
    "SyncWarp",
    "Unary",
    "Vote",
    "While",
]


@dataclass(eq=False)
class Array:
    """An array that a kernel names: an argument (`space` global), or of the block or the thread.

    `shape` is known when the kernel is read for shared and local arrays; arguments have `ndim` only.
    """

    name: str
    space: str  # "global", "shared" or "local"
    dtype: np.dtype[Any]
    ndim: int
    shape: tuple[int, ...] = ()
    line: int = 0


@dataclass(eq=False)
class Site:
    """A place in the source where memory is touched."""

    index: int
    line: int
    array: Array
    kind: str  # "read", "write" or "atomic"
    text: str  # the access as it is written


# Expressions --------------------------------------------------------------------------------


@dataclass(eq=False, kw_only=True)
class Expr:
    dtype: np.dtype[Any]
    line: int


@dataclass(eq=False, kw_only=True)
class Const(Expr):
    value: Any
    weak: bool = False  # a Python number: takes the dtype of what it is combined with


@dataclass(eq=False, kw_only=True)
class Scalar(Expr):
    """A number that the kernel was launched with."""

    name: str


@dataclass(eq=False, kw_only=True)
class Local(Expr):
    name: str


@dataclass(eq=False, kw_only=True)
class Special(Expr):
    """threadIdx.x and its kind: `name` is the word, `axis` 0, 1 or 2."""

    name: str
    axis: int = 0


@dataclass(eq=False, kw_only=True)
class Size(Expr):
    """array.shape[axis]; axis -1 is the number of elements."""

    array: Array
    axis: int


@dataclass(eq=False, kw_only=True)
class Binary(Expr):
    op: str
    left: Expr
    right: Expr


@dataclass(eq=False, kw_only=True)
class Unary(Expr):
    op: str  # "-", "~" or "not"
    value: Expr


@dataclass(eq=False, kw_only=True)
class Compare(Expr):
    op: str
    left: Expr
    right: Expr


@dataclass(eq=False, kw_only=True)
class Logic(Expr):
    """`and`, `or`: what stands on the right is only looked at where it matters."""

    op: str
    left: Expr
    right: Expr


@dataclass(eq=False, kw_only=True)
class Select(Expr):
    test: Expr
    yes: Expr
    no: Expr


@dataclass(eq=False, kw_only=True)
class Math(Expr):
    name: str
    args: tuple[Expr, ...]


@dataclass(eq=False, kw_only=True)
class Cast(Expr):
    value: Expr


@dataclass(eq=False, kw_only=True)
class Load(Expr):
    array: Array
    index: tuple[Expr, ...]
    site: Site


@dataclass(eq=False, kw_only=True)
class Atomic(Expr):
    op: str
    array: Array
    index: tuple[Expr, ...]
    values: tuple[Expr, ...]
    site: Site
    used: bool = True  # whether anybody asks for the old value


@dataclass(eq=False, kw_only=True)
class Shuffle(Expr):
    kind: str  # "idx", "up", "down" or "xor"
    mask: Expr
    value: Expr
    lane: Expr
    width: int


@dataclass(eq=False, kw_only=True)
class Vote(Expr):
    kind: str  # "ballot", "any", "all" or "active"
    mask: Expr | None = None
    value: Expr | None = None


@dataclass(eq=False, kw_only=True)
class Call(Expr):
    """A device function, read for the types of these arguments."""

    program: Program
    args: tuple[Expr | Array, ...]


# Statements ---------------------------------------------------------------------------------


@dataclass(eq=False, kw_only=True)
class Stmt:
    line: int


@dataclass(eq=False, kw_only=True)
class Assign(Stmt):
    name: str
    value: Expr


@dataclass(eq=False, kw_only=True)
class Store(Stmt):
    array: Array
    index: tuple[Expr, ...]
    value: Expr
    site: Site


@dataclass(eq=False, kw_only=True)
class Evaluate(Stmt):
    value: Expr


@dataclass(eq=False, kw_only=True)
class If(Stmt):
    test: Expr
    body: list[Stmt]
    orelse: list[Stmt]


@dataclass(eq=False, kw_only=True)
class While(Stmt):
    test: Expr
    body: list[Stmt]


@dataclass(eq=False, kw_only=True)
class For(Stmt):
    name: str
    start: Expr
    stop: Expr
    step: Expr
    body: list[Stmt]
    private: bool = False  # whether nothing outside of the loop reads the loop's variable


@dataclass(eq=False, kw_only=True)
class Return(Stmt):
    value: Expr | None = None


@dataclass(eq=False, kw_only=True)
class Break(Stmt):
    pass


@dataclass(eq=False, kw_only=True)
class Continue(Stmt):
    pass


@dataclass(eq=False, kw_only=True)
class Barrier(Stmt):
    pass


@dataclass(eq=False, kw_only=True)
class SyncWarp(Stmt):
    mask: Expr


# The whole ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Param:
    """What an argument is: an array of `ndim` dimensions, or a number (`ndim` None).

    A device function can be given shared and local arrays too; these have a `shape`.
    """

    dtype: np.dtype[Any]
    ndim: int | None
    space: str = "global"
    shape: tuple[int, ...] = ()


@dataclass(eq=False)
class Program:
    """A kernel or device function, read for the types of its arguments."""

    name: str
    params: tuple[tuple[str, Param], ...]
    body: list[Stmt] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    locals: dict[str, np.dtype[Any]] = field(default_factory=dict)
    sites: list[Site] = field(default_factory=list)
    written: set[str] = field(default_factory=set)  # arguments that it writes
    returns: np.dtype[Any] | None = None
    calls: list[Program] = field(default_factory=list)
    notes: list[tuple[int, str, str]] = field(default_factory=list)  # (line, what, advice)
    # Names from outside, each by the function that says it, and what they were.
    constants: dict[tuple[Source, str], Any] = field(default_factory=dict)

    @property
    def shared(self) -> list[Array]:
        return [a for a in self.arrays.values() if a.space == "shared"]
