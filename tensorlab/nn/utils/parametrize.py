"""Parametrizations: a parameter that is computed from others whenever it is read.

`register_parametrization(layer, "weight", P)` makes `layer.weight` the result of `P(original)`. Training
changes the original; what the layer sees keeps the form that P gives it (symmetric, of length 1, orthogonal …).

How: the module's class becomes a subclass of its own with a property for each such name, and the originals move
to `module.parametrizations.<name>.original`, from where the property computes the value.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.autograd import no_grad
from tensorlab.nn.modules.container import ModuleDict, ModuleList
from tensorlab.nn.modules.module import Module
from tensorlab.nn.parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_cache_depth = 0
_cache: dict[tuple[int, str], Any] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once only while the block runs: for one that is read often.

    >>> from tensorlab import nn
    >>> from tensorlab.nn.utils import parametrize, parametrizations
    >>> layer = parametrizations.weight_norm(nn.Linear(3, 2))
    >>> with parametrize.cached():
    ...     print(layer.weight is layer.weight)
    True
    """
    global _cache_depth
    _cache_depth += 1
    try:
        yield
    finally:
        _cache_depth -= 1
        if not _cache_depth:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied in turn, and what they start from.

    Args:
        modules: one or more modules. The `right_inverse` of a module, if it has one, gives what the module
            makes the value of; it may give several tensors, which the first module then takes.
        original: the tensor that is parametrized.
        unsafe: do not check that the result has the dtype and shape of `original`.

    Attributes:
        original: the tensor that is trained; `original0`, `original1` … if the first module takes several.

    Raises:
        ValueError: results that do not fit.
    """

    original: Any

    def __init__(self, modules: Sequence[Module], original: Any, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        with no_grad():
            new: Any = original
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    try:
                        new = module.right_inverse(new)
                    except NotImplementedError:
                        continue  # it maps one way only: start from the value itself
        if not isinstance(new, (Tensor, Sequence)):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
                f"{type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        parts: Any = [new] if self.is_tensor else list(new)
        single: Any = parts[0] if parts else None
        self.ntensors = len(parts)
        if self.is_tensor:
            for what in ("dtype", "device"):
                if getattr(original, what) != getattr(single, what):
                    raise ValueError(
                        f"When `right_inverse` outputs one tensor, it may not change the {what}.\n"
                        f"original.{what}: {getattr(original, what)}\n"
                        f"right_inverse(original).{what}: {getattr(single, what)}"
                    )
            original.data = single.detach()
            _register(self, "original", original)
        else:
            for i, part in enumerate(parts):
                if not isinstance(part, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
                        f"element {i} of the sequence with type {type(part).__name__}."
                    )
                if isinstance(original, Parameter):
                    part = Parameter(part.detach(), original.requires_grad)
                part.requires_grad_(original.requires_grad)
                _register(self, f"original{i}", part)
        if not unsafe:
            _check_result(self(), dtype, shape)

    def originals(self) -> list[Any]:
        """The tensors that the first module takes."""
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals to what makes the parametrized tensor `value`."""
        new: Any = value
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                new = module.right_inverse(new)
        if self.is_tensor and not isinstance(new, Tensor):
            raise ValueError(f"`right_inverse` should return a tensor. Got {type(new).__name__}")
        if not self.is_tensor and not isinstance(new, Sequence):
            raise ValueError(
                f"'right_inverse' must return a sequence of tensors. Got {type(new).__name__}."
            )
        parts: Any = [new] if self.is_tensor else list(new)
        if len(parts) != self.ntensors:
            raise ValueError(
                f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. Got a sequence "
                f"of length {len(parts)}."
            )
        for i, (part, original) in enumerate(zip(parts, self.originals(), strict=True)):
            if part.dtype != original.dtype:
                name = "original" if self.is_tensor else f"original{i}"
                raise ValueError(
                    f"The tensor returned by `right_inverse` has dtype {part.dtype} while `{name}` has dtype "
                    f"{original.dtype}"
                )
            original.data = part.detach()

    def forward(self) -> Tensor:
        first, *rest = self
        value = first(*self.originals())
        for module in rest:
            value = module(value)
        return value


def _register(module: Module, name: str, value: Any) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _check_result(value: Any, dtype: Any, shape: Any, what: str = "unparametrized") -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(value).__name__}.")
    for name, before, after in (("dtype", dtype, value.dtype), ("shape", shape, value.shape)):
        if before != after:
            raise ValueError(
                f"Registering a parametrization may not change the {name} of the tensor, unless the `unsafe` "
                f"flag is enabled.\n{what} {name}: {before}\nparametrized {name}: {after}"
            )


# The class of a parametrized module -------------------------------------------------------


def _give_own_class(module: Module) -> None:
    """Make the module's class a subclass that only it has, so that properties can be added to it."""

    def __getstate__(self: Module) -> Any:
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(): save that, and load "
            "it into a module that is parametrized in the same way"
        )

    def __deepcopy__(self: Module, memo: dict[int, Any]) -> Module:
        if id(self) not in memo:
            replica = object.__new__(type_before_parametrizations(self))
            memo[id(self)] = replica
            replica.__dict__.update(copy.deepcopy(self.__dict__, memo))
            _give_own_class(replica)
            for name in replica.parametrizations:
                _add_property(replica, name)
        return memo[id(self)]

    cls = type(module)
    members = {"__getstate__": __getstate__, "__deepcopy__": __deepcopy__}
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), members)


def _add_property(module: Module, name: str) -> None:
    def value(self: Any) -> Tensor:
        if not _cache_depth:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def assign(self: Any, new: Tensor) -> None:
        self.parametrizations[name].right_inverse(new)

    setattr(type(module), name, property(value, assign))


# Public functions -------------------------------------------------------------------------


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Make `module.<tensor_name>` the result of `parametrization`, computed whenever it is read.

    Assigning to it afterwards goes through the parametrization's `right_inverse(value)`, if it has one. A second
    parametrization is applied to the result of the first.

    Args:
        module: holds the tensor.
        tensor_name: a parameter or buffer of it.
        parametrization: a module from tensor to tensor.
        unsafe: do not check that shape and dtype stay.

    Returns:
        `module`.

    Raises:
        ValueError: no such tensor, or one whose dtype or shape would change.

    >>> import tensorlab
    >>> from tensorlab import nn
    >>> from tensorlab.nn.utils import parametrize
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = nn.Linear(3, 3)
    >>> _ = parametrize.register_parametrization(layer, "weight", Symmetric())
    >>> tensorlab.equal(layer.weight, layer.weight.T)
    True
    >>> list(layer.state_dict())
    ['bias', 'parametrizations.weight.original']
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        found: Any = module.parametrizations[tensor_name]
        if not unsafe:
            _check_another(getattr(module, tensor_name), parametrization, tensor_name)
        found.append(parametrization)
        found.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        made = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _give_own_class(module)
            module.parametrizations = ModuleDict()
        _add_property(module, tensor_name)
        module.parametrizations[tensor_name] = made
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    return module


def _check_another(value: Tensor, parametrization: Any, name: str) -> None:
    """Whether a further parametrization fits the tensor, in both directions."""
    result = parametrization(value)
    _check_result(result, value.dtype, value.shape, f"module.{name}")
    if not hasattr(parametrization, "right_inverse"):
        return
    try:
        back = parametrization.right_inverse(result)
    except NotImplementedError:
        return
    if not isinstance(back, Tensor):
        raise ValueError(
            f"parametrization.right_inverse must return a tensor. Got: {type(back).__name__}"
        )
    for what in ("dtype", "shape"):
        if getattr(back, what) != getattr(value, what):
            raise ValueError(
                f"The tensor returned by parametrization.right_inverse must have the same {what} as "
                f"module.{name}, unless the `unsafe` flag is enabled.\n"
                f"module.{name}.{what}: {getattr(value, what)}\nreturned {what}: {getattr(back, what)}"
            )


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module has a parametrized tensor, or one of this name."""
    found = module.__dict__.get("_modules", {}).get("parametrizations")
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make a parametrized tensor an ordinary one again.

    Args:
        module: holds the tensor.
        tensor_name: its name.
        leave_parametrized: keep its present value; else the original's.

    Returns:
        `module`, of its first class again if nothing else is parametrized.

    Raises:
        ValueError: it is not parametrized, or made of several tensors and not left as it is.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    made: Any = module.parametrizations[tensor_name]
    if made.is_tensor:
        original = made.original
        if leave_parametrized:
            with no_grad():
                original.data = getattr(module, tensor_name).detach()
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of "
            "a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The module's class as it was without parametrizations.

    >>> from tensorlab import nn
    >>> from tensorlab.nn.utils import parametrizations
    >>> layer = parametrizations.weight_norm(nn.Linear(3, 2))
    >>> type(layer).__name__, type_before_parametrizations(layer).__name__
    ('ParametrizedLinear', 'Linear')
    """
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give `to_module` the parametrizations of `from_module`, and what they start from.

    Args:
        from_module: has parametrizations, or nothing happens.
        to_module: gets them.
        tensor_name: only those of this tensor.

    Returns:
        `to_module`.
    """
    if not is_parametrized(from_module):
        return to_module
    source: Any = from_module.parametrizations
    for name in list(source) if tensor_name is None else [tensor_name]:
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in source[name]:
            register_parametrization(to_module, name, parametrization)
        target: Any = to_module.parametrizations[name]
        for i, original in enumerate(source[name].originals()):
            setattr(target, "original" if source[name].is_tensor else f"original{i}", original)
    return to_module
