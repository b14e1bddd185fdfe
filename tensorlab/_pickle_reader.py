"""Reading a pickle without running anything that it asks for.

Python's unpickler imports and calls whatever the file names: loading a pickle from a stranger is
running a program from a stranger. This reader runs the same stack machine, but knows only the
opcodes that build plain data, and a "global" is looked up in a table instead of being imported.
What is not in the table is refused by name.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["DAMAGED", "Global", "PLAIN", "Stateful", "load_pickle"]

#: What the parts of a damaged pickle may raise here.
DAMAGED = (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, struct.error)

# The names that modules had when protocol 2 was made.
_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}

_MARK = object()

_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_ALLOWED = frozenset([
    "PROTO", "FRAME", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2",
    "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "SHORT_BINSTRING", "BINSTRING", "EMPTY_DICT",
    "EMPTY_LIST", "EMPTY_TUPLE", "EMPTY_SET", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET",
    "APPEND", "APPENDS", "ADDITEMS", "SETITEM", "SETITEMS", "BINPUT", "LONG_BINPUT", "MEMOIZE",
    "BINGET", "LONG_BINGET", "GLOBAL", "STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD", "BINPERSID",
    "STOP",
])  # fmt: skip


class Global(NamedTuple):
    """A name that a pickle may use: `build(*args)` answers its calls; None for a mere mark."""

    name: str
    build: Callable[..., Any] | None


class Stateful:
    """Base class of what a global may build and the pickle may then give a state."""

    def set_state(self, state: Any) -> None:
        """Check the state and take it."""
        raise NotImplementedError


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes are written in latin1, got {encoding!r}")
    return text.encode("latin-1")


def _bytearray(data: Any = b"", encoding: str = "latin-1") -> bytearray:
    if not isinstance(data, (bytes, str)):
        raise TypeError(f"a bytearray is made of bytes, got {type(data).__name__}")
    return bytearray(_encode(data, encoding) if isinstance(data, str) else data)


def _container(kind: Callable[..., Any]) -> Callable[..., Any]:
    def build(items: Any = ()) -> Any:
        if not isinstance(items, (list, tuple, dict)):
            raise TypeError(f"a container is made of a container, got {type(items).__name__}")
        return kind(items)

    return build


def _complex(real: float, imag: float) -> complex:
    if not all(isinstance(x, (int, float)) for x in (real, imag)):
        raise TypeError("a complex number is made of two numbers")
    return complex(real, imag)


#: The globals that plain data needs.
PLAIN: dict[str, Any] = {
    f"{module}.{name}": Global(name, build)
    for module, name, build in [
        ("collections", "OrderedDict", _container(OrderedDict)),
        ("collections", "Counter", _container(Counter)),
        ("builtins", "set", _container(set)),
        ("builtins", "frozenset", _container(frozenset)),
        ("builtins", "bytearray", _bytearray),
        ("builtins", "complex", _complex),
        ("builtins", "bytes", lambda: b""),
        ("_codecs", "encode", _encode),
    ]
}


def load_pickle(
    file: Any,
    names: Mapping[str, Any],
    persistent: Callable[[Any], Any] | None = None,
    *,
    strings: Callable[[bytes], Any] = bytes.decode,
) -> Any:
    """The object that the pickle at the position of `file` describes.

    names: what globals stand for: a `Global`, or a value. persistent: called with the ids of
    objects that are kept outside of the pickle. strings: what the byte strings of Python 2, which
    were used for text, stand for.

    Raises `pickle.UnpicklingError` for a global that is not in `names` and for opcodes that plain
    data does not need, and one of `DAMAGED` if it is not a complete pickle.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def pop_to_mark() -> list[Any]:
        for i in range(len(stack) - 1, -1, -1):
            if stack[i] is _MARK:
                items = stack[i + 1 :]
                del stack[i:]
                return items
        raise ValueError("a mark is missing")

    def pop(count: int) -> list[Any]:
        items = stack[len(stack) - count :] if count else []
        if len(items) < count or any(x is _MARK for x in items):
            raise IndexError("the stack is empty")
        del stack[len(stack) - count :]
        return items

    for opcode, arg in _instructions(file):
        match opcode:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(_MARK)
            case "NONE":
                stack.append(None)
            case "NEWTRUE":
                stack.append(True)
            case "NEWFALSE":
                stack.append(False)
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4" | "BINFLOAT":
                stack.append(arg)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8":
                stack.append(arg)
            case "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8" | "BYTEARRAY8":
                stack.append(arg)
            case "SHORT_BINSTRING" | "BINSTRING":  # written by Python 2
                stack.append(strings(arg.encode("latin-1")))
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_SET":
                stack.append(set())
            case "TUPLE":
                stack.append(tuple(pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(pop(int(opcode[-1]))))
            case "FROZENSET":
                stack.append(frozenset(pop_to_mark()))
            case "APPEND":
                target, item = pop(2)
                _only(target, list, "APPEND").append(item)
                stack.append(target)
            case "APPENDS":
                items = pop_to_mark()
                _only(stack[-1], list, "APPENDS").extend(items)
            case "ADDITEMS":
                items = pop_to_mark()
                _only(stack[-1], set, "ADDITEMS").update(items)
            case "SETITEM":
                target, key, value = pop(3)
                _only(target, dict, "SETITEM")[key] = value
                stack.append(target)
            case "SETITEMS":
                items = pop_to_mark()
                target = _only(stack[-1], dict, "SETITEMS")
                for key, value in zip(items[::2], items[1::2], strict=True):
                    target[key] = value
            case "BINPUT" | "LONG_BINPUT":
                memo[arg] = _top(stack)
            case "MEMOIZE":
                memo[len(memo)] = _top(stack)
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[arg])
            case "GLOBAL":
                module, _, name = arg.partition(" ")
                stack.append(_find(names, module, name))
            case "STACK_GLOBAL":
                module, name = pop(2)
                stack.append(_find(names, module, name))
            case "REDUCE" | "NEWOBJ":
                function, args = pop(2)
                stack.append(_call(function, args))
            case "BUILD":
                target, state = pop(2)
                _set_state(target, state)
                stack.append(target)
            case "BINPERSID":
                (key,) = pop(1)
                if persistent is None:
                    raise pickle.UnpicklingError(f"unexpected reference to an object {key!r}")
                stack.append(persistent(key))
            case "STOP":
                (result,) = pop(1)
                if stack:
                    raise ValueError("values are left over at the end")
                return result
    raise ValueError("the pickle has no end")


def _instructions(file: Any) -> Iterator[tuple[str, Any]]:
    """The names and arguments of the opcodes; one that is not known ends it before it is decoded."""
    while byte := file.read(1):
        opcode = _OPCODES.get(byte.decode("latin-1"))
        if opcode is None:
            raise ValueError(f"the pickle has an unknown opcode {byte!r}")
        if opcode.name not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"refused: the pickle uses the opcode {opcode.name}, which plain data does not need"
            )
        if opcode.name == "GLOBAL":
            lines = file.readline(), file.readline()
            if not lines[1].endswith(b"\n"):
                raise ValueError("a name is incomplete")
            yield opcode.name, " ".join(line[:-1].decode() for line in lines)
        else:
            yield opcode.name, None if opcode.arg is None else opcode.arg.reader(file)


def _top(stack: list[Any]) -> Any:
    if stack[-1] is _MARK:
        raise ValueError("a mark can't be remembered")
    return stack[-1]


def _only(target: Any, kind: type, opcode: str) -> Any:
    """`target`, which must be a plain container of this kind."""
    if not isinstance(target, kind):
        raise pickle.UnpicklingError(
            f"{opcode} is for a {kind.__name__} only, got {type(target).__name__}"
        )
    return target


def _find(names: Mapping[str, Any], module: Any, name: Any) -> Any:
    wanted = f"{_MODULES.get(str(module), module)}.{name}"
    found = names.get(wanted, _MARK)
    if found is _MARK:
        raise pickle.UnpicklingError(_refusal(wanted))
    return found


def _refusal(wanted: str) -> str:
    if wanted.startswith("torch.") and wanted.count(".") == 1:
        return (
            f"refused: the file wants {wanted}, which tensorlab has not: convert it with PyTorch, "
            "for instance with .float(), and save it again"
        )
    message = (
        f"refused: the file wants {wanted}, and only tensors and plain containers are loaded, "
        "because anything else could run code on this computer."
    )
    if wanted.startswith(("numpy.", "numpy._core.")):
        return f"{message} Save numbers with .item() and arrays as tensors."
    if not wanted.startswith(("torch.", "builtins.", "os.", "posix.", "nt.", "subprocess.")):
        return f"{message} If it is a model or an optimizer, save its state_dict() instead."
    return message


def _call(function: Any, args: Any) -> Any:
    if not isinstance(function, Global) or function.build is None:
        what = function.name if isinstance(function, Global) else type(function).__name__
        raise pickle.UnpicklingError(f"refused: the file calls {what}, which is no function")
    if type(args) is not tuple:
        raise ValueError(f"the arguments of {function.name} are no tuple")
    return function.build(*args)


def _set_state(target: Any, state: Any) -> None:
    """Give an OrderedDict its attributes; a state_dict has `_metadata`."""
    if isinstance(target, Stateful):
        target.set_state(state)
        return
    if type(target) is not OrderedDict or not isinstance(state, dict):
        raise pickle.UnpicklingError(
            f"refused: the file sets attributes of a {type(target).__name__}"
        )
    for name, value in state.items():
        if not isinstance(name, str) or hasattr(OrderedDict, name):
            raise pickle.UnpicklingError(f"refused: the file replaces OrderedDict.{name}")
        setattr(target, name, value)
