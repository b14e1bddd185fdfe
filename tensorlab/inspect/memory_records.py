"""The records of `inspect.memory`, and the live tensors of the whole process."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from tensorlab._graph import Node
from tensorlab._tensor import Tensor
from tensorlab.inspect._memory import owner
from tensorlab.inspect.recording import Source, source_of
from tensorlab.nn import Module, Parameter
from tensorlab.optim import Optimizer

__all__ = ["MemoryEvent", "MemoryRow", "MemoryTensor", "live_tensors"]


@dataclass(frozen=True, slots=True)
class MemoryTensor:
    """A piece of memory that holds an array; views of it are part of it.

    Attributes:
        bytes, shape, dtype: of the array that owns the memory.
        kind: "parameter", "buffer", "gradient" (a `.grad`), "optimizer" (its state), "activation"
            (an operation's result), "backward" (a gradient on its way), "saved" (kept by a node of
            a graph) or "tensor" (any other).
        name: of the parameter, the buffer or the leaf; else "".
        op: the operation that made it, where it was seen; else "".
        module: dotted name of the module that made it or owns it; "" if none, or not known.
        source: the line that made it; None if it was not seen.

    As a dict, `to_dict()`: the same keys, `source` a dict or None.
    """

    bytes: int
    shape: tuple[int, ...]
    dtype: str
    kind: str
    name: str
    op: str
    module: str
    source: Source | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "bytes": self.bytes,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "kind": self.kind,
            "name": self.name,
            "op": self.op,
            "module": self.module,
            "source": None if self.source is None else self.source.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class MemoryEvent:
    """Memory was taken or given back.

    Attributes:
        seconds: since the block began.
        bytes: how much; below 0 when it was given back.
        live: how much is in use after it, what was there before the block included.
        kind: of the tensor, as in `MemoryTensor`.
        name: the operation that ran (`mul`), or the name of a parameter; of a gradient rule `mul
            backward`.
        module: the module it belongs to; "" if none.

    As a list, `to_list()`: `[seconds, bytes, live, kind, name, module]`.
    """

    seconds: float
    bytes: int
    live: int
    kind: str
    name: str
    module: str

    def to_list(self) -> list[Any]:
        return [self.seconds, self.bytes, self.live, self.kind, self.name, self.module]


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """All tensors of one module, line, operation or kind. As a dict, `to_dict()`: the same keys."""

    name: str
    bytes: int
    count: int

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "bytes": self.bytes, "count": self.count}


class Found(NamedTuple):
    """An array that is alive, and what is known of it."""

    array: Any
    kind: str
    name: str
    module: str
    op: str
    source: Source | None


def live_tensors(model: Module | Mapping[str, Module] | None = None) -> list[MemoryTensor]:
    """Every tensor of the process that is alive now, the largest first.

    Memory counts once: views, and the arrays that a graph keeps of a tensor, are part of it. Arrays
    that only a graph keeps are listed too ("saved"): these are what forgetting `no_grad`, or keeping
    a list of losses, costs. It looks through all objects of the garbage collector, which takes some
    hundredths of a second.

    model: a module, or names for several (`{"encoder": encoder}`), for the names of parameters,
        buffers and their modules.

    >>> import tensorlab as tl
    >>> from tensorlab import nn
    >>> layer = nn.Linear(1000, 1000)
    >>> row = next(row for row in live_tensors(layer) if row.name == "weight")
    >>> row.bytes, row.kind, row.shape
    (4000000, 'parameter', (1000, 1000))
    """
    rows = [_row(found) for found in live_arrays(model)]
    return sorted(rows, key=lambda row: (-row.bytes, row.kind, row.name, row.shape))


def live_arrays(model: Module | Mapping[str, Module] | None) -> Iterator[Found]:
    """Every array that tensors and graphs hold, once, under the best name that it has."""
    seen: set[int] = set()
    tensors: list[Tensor] = []
    nodes: list[Node] = []
    optimizers: list[Optimizer] = []
    gc.collect()  # what only a cycle of dead objects holds is not alive
    for each in gc.get_objects():
        kind = type(
            each
        )  # not isinstance: an object may lie about its class, and run code to do it
        if issubclass(kind, Tensor):
            tensors.append(each)
        elif kind is Node:
            nodes.append(each)
        elif issubclass(kind, Optimizer):
            optimizers.append(each)
    for found in chain(
        _of_models(model), _of_optimizers(optimizers), _of_tensors(tensors), _of_nodes(nodes)
    ):
        array = owner(found.array)
        if id(array) not in seen:
            seen.add(id(array))
            yield found._replace(array=array)


def named(model: Module | Mapping[str, Module] | None) -> dict[str, Module]:
    """The models by name; a single one has the name "".

    Raises `TypeError` for anything but a module or a mapping of modules.
    """
    if not isinstance(model, (Module, Mapping)) and model is not None:
        raise TypeError(
            f"memory expects a module or a mapping of modules, got {type(model).__name__}"
        )
    found = {"": model} if isinstance(model, Module) else dict(model or {})
    for each in found.values():
        if not isinstance(each, Module):
            raise TypeError(f"memory expects modules, got {type(each).__name__}")
    return found


def parameters_of(model: Module | Mapping[str, Module] | None) -> Iterator[tuple[str, Tensor, str]]:
    """Name, tensor and kind of all parameters and buffers."""
    for prefix, each in named(model).items():
        dot = f"{prefix}." if prefix else ""
        for name, parameter in each.named_parameters():
            yield f"{dot}{name}", parameter, "parameter"
        for name, buffer in each.named_buffers():
            yield f"{dot}{name}", buffer, "buffer"


def _of_models(model: Module | Mapping[str, Module] | None) -> Iterator[Found]:
    for name, tensor, kind in parameters_of(model):
        module = name.rpartition(".")[0]
        yield Found(tensor._data, kind, name, module, "", None)
        if tensor._grad is not None:
            yield Found(tensor._grad._data, "gradient", name, module, "", None)


def _of_optimizers(optimizers: Iterable[Optimizer]) -> Iterator[Found]:
    for optimizer in optimizers:
        for tensor in state_of(optimizer):
            yield Found(tensor._data, "optimizer", "", "", type(optimizer).__name__, None)


def state_of(optimizer: Optimizer) -> Iterator[Tensor]:
    """The tensors that an optimizer remembers."""
    for state in optimizer.state.values():
        if isinstance(state, dict):
            yield from (value for value in state.values() if isinstance(value, Tensor))


def _of_tensors(tensors: Iterable[Tensor]) -> Iterator[Found]:
    for tensor in tensors:
        grad = tensor._grad
        if grad is not None:
            yield Found(grad._data, "gradient", "", "", "", None)
    for tensor in tensors:
        node = tensor._node
        made = node is not None and node.op is not None and tensor._view is None
        kind = "activation" if made else "parameter" if isinstance(tensor, Parameter) else "tensor"
        op = node.op.name if made else ""  # type: ignore[union-attr]
        yield Found(tensor._data, kind, "", "", op, source_of(node) if made else None)  # type: ignore[arg-type]


def _of_nodes(nodes: Iterable[Node]) -> Iterator[Found]:
    for node in nodes:
        for array in node.saved_arrays():
            if hasattr(array, "nbytes"):
                yield Found(array, "saved", "", "", node.name(), source_of(node))


def _row(found: Found) -> MemoryTensor:
    array = found.array
    return MemoryTensor(
        bytes=array.nbytes,
        shape=tuple(array.shape),
        dtype=str(array.dtype),
        kind=found.kind,
        name=found.name,
        op=found.op,
        module=found.module,
        source=found.source,
    )
