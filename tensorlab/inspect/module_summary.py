"""What a model is made of: a row per module, measured by running it once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import tensorlab
from tensorlab._tensor import Tensor
from tensorlab.inspect._memory import Ledger
from tensorlab.nn import Module

__all__ = ["ModuleRow", "Summary", "summary"]

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModuleRow:
    """One module of the model.

    Attributes:
        name: dotted name; empty for the model itself.
        type: class name.
        depth: 0 for the model, 1 for its children, …
        calls: how often it ran in one pass.
        output_shapes: of the tensors its (first) call returned; empty if it never ran.
        parameters, trainable: numbers in its own parameters, those of modules below it left out.
            A parameter that several modules share counts at the first of them.
        parameter_bytes: memory of these parameters and of its own buffers.
        output_bytes: memory of what its calls returned; an array that several modules return
            (a container returns its last child's) counts at the innermost.
        shares_parameters: whether it has a parameter that was counted at an earlier row.

    As a dict, `to_dict()`: the same keys.
    """

    name: str
    type: str
    depth: int
    calls: int
    output_shapes: tuple[Shape, ...]
    parameters: int
    trainable: int
    parameter_bytes: int
    output_bytes: int
    shares_parameters: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Summary:
    """The rows, parents before children, and the shapes that went in. Totals are sums over rows.

    As a dict, `to_dict()`: `schema` ("tensorlab.summary/1"), `rows` (dicts of `ModuleRow`),
    `input_shapes`, `input_bytes` and the totals `parameters`, `trainable`, `parameter_bytes` and
    `output_bytes`.
    """

    rows: tuple[ModuleRow, ...]
    input_shapes: tuple[Shape, ...]
    input_bytes: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": "tensorlab.summary/1",
            **asdict(self),
            "parameters": self.parameters,
            "trainable": self.trainable,
            "parameter_bytes": self.parameter_bytes,
            "output_bytes": self.output_bytes,
        }

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        return sum(row.trainable for row in self.rows)

    @property
    def parameter_bytes(self) -> int:
        return sum(row.parameter_bytes for row in self.rows)

    @property
    def output_bytes(self) -> int:
        return sum(row.output_bytes for row in self.rows)


def summary(model: Module, *inputs: Any) -> Summary:
    """Run `model` once on `inputs` and report its modules.

    The pass runs in eval mode and without gradients; every module is put back into the mode it
    was in, and no hook stays behind, also if the pass fails.

    Args:
        model: the module.
        inputs: what to call it with. A shape, a tuple of whole numbers, stands for float zeros of
            that shape on the model's device.

    Raises:
        TypeError: `model` is not a module.
        RuntimeError: the model does not accept the inputs; the message names the module that
            refused, and the original error is its cause.

    Example:
        >>> from tensorlab import nn
        >>> s = summary(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), (2, 4))
        >>> [(row.name, row.type, row.output_shapes, row.parameters) for row in s.rows]
        [('', 'Sequential', ((2, 3),), 0), ('0', 'Linear', ((2, 3),), 15), ('1', 'ReLU', ((2, 3),), 0)]
        >>> s.parameters, s.parameter_bytes
        (15, 60)
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary expects a module, got {type(model).__name__}")
    values = [_as_input(model, value) for value in inputs]
    watch = _Watch()
    names = {module: name for name, module in model.named_modules()}
    with tensorlab.no_grad(), _eval_mode(model), watch.hooked(model):
        try:
            model(*values)
        except Exception as error:
            module = watch.running[-1] if watch.running else model
            where = f"{names.get(module) or 'the model'} ({type(module).__name__})"
            raise RuntimeError(f"{where} does not accept its input: {error}") from error
    given = list(_tensors(values))
    return Summary(
        rows=tuple(_rows(model, watch)),
        input_shapes=tuple(_shape(tensor) for tensor in given),
        input_bytes=sum(tensor._data.nbytes for tensor in given),
    )


def _as_input(model: Module, value: Any) -> Any:
    if not (isinstance(value, tuple) and all(type(size) is int for size in value)):
        return value
    first = next(iter(model.parameters()), None)
    return tensorlab.zeros(value) if first is None else tensorlab.zeros(value, device=first.device)


@contextmanager
def _eval_mode(model: Module) -> Iterator[None]:
    """Eval mode for the block; then each module gets its own mode back, for they may differ."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


class _Watch:
    """What the hooks saw: calls and outputs of each module, and which modules are running."""

    def __init__(self) -> None:
        self.calls: dict[Any, int] = {}
        self.shapes: dict[Any, tuple[Shape, ...]] = {}
        self.bytes: dict[Any, int] = {}
        self.running: list[Any] = []
        self._ledger = Ledger()
        # A container returns its child's output: it has to be known as long as the pass runs.
        self._alive: list[Any] = []

    @contextmanager
    def hooked(self, model: Module) -> Iterator[None]:
        with ExitStack() as stack:
            for module in model.modules():
                for handle in (
                    module.register_forward_pre_hook(self._enter),
                    module.register_forward_hook(self._leave),
                ):
                    stack.callback(handle.remove)
            yield

    def _enter(self, module: Any, _args: Any) -> None:
        self.running.append(module)

    def _leave(self, module: Any, _args: Any, output: Any) -> None:
        self.running.pop()
        tensors = list(_tensors(output))
        self.calls[module] = self.calls.get(module, 0) + 1
        self.shapes.setdefault(module, tuple(_shape(tensor) for tensor in tensors))
        arrays = [tensor._data for tensor in tensors]
        self._alive += arrays
        fresh = self._ledger.add(arrays)
        self.bytes[module] = self.bytes.get(module, 0) + fresh


def _rows(model: Module, watch: _Watch) -> Iterator[ModuleRow]:
    counted: set[int] = set()
    for name, module in model.named_modules():
        own = list(module.parameters(recurse=False))
        fresh = [parameter for parameter in own if id(parameter) not in counted]
        counted.update(id(parameter) for parameter in own)
        buffers = [b for _, b in module._named_members(lambda m: m._buffers.items(), recurse=False)]
        yield ModuleRow(
            name=name,
            type=type(module).__name__,
            depth=name.count(".") + 1 if name else 0,
            calls=watch.calls.get(module, 0),
            output_shapes=watch.shapes.get(module, ()),
            parameters=sum(parameter._data.size for parameter in fresh),
            trainable=sum(parameter._data.size for parameter in fresh if parameter.requires_grad),
            parameter_bytes=sum(tensor._data.nbytes for tensor in [*fresh, *buffers]),
            output_bytes=watch.bytes.get(module, 0),
            shares_parameters=len(fresh) < len(own),
        )


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in what a module takes or returns: one, or nested lists, tuples and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)


def _shape(tensor: Tensor) -> Shape:
    return tuple(tensor._data.shape)
