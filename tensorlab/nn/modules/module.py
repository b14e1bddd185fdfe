"""`Module`: a function with parameters, and the tree that modules form.

A module is three dicts (parameters, buffers, submodules) and a `forward`. Assigning to an
attribute files the value in the right dict, and everything else walks those dicts: what an
optimizer trains (`parameters`), what a checkpoint holds (`state_dict`), what moves to another
device (`to`). The walks are in `_traversal.py`, the moves in `_conversion.py`, the checkpoint
in `_state.py`, hooks in `_hooks.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from tensorlab._tensor import Tensor
from tensorlab.nn.modules._conversion import Conversion
from tensorlab.nn.modules._hooks import (
    Hooks,
    apply_registration_hooks,
    global_backward_hooks,
    global_backward_pre_hooks,
    global_forward_hooks,
    global_forward_pre_hooks,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from tensorlab.nn.modules._state import StateDict
from tensorlab.nn.modules._traversal import Traversal
from tensorlab.nn.parameter import Buffer, Parameter
from tensorlab.utils._names import typename

__all__ = [
    "Module",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

Self = TypeVar("Self", bound="Module")

_HOOK_DICTS = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def _forward_unimplemented(self: Module, *input: Any) -> None:
    raise NotImplementedError(
        f'Module [{type(self).__name__}] is missing the required "forward" function'
    )


class Module(Traversal, Conversion, StateDict, Hooks):
    """Base class of all neural network modules.

    Write a subclass with an `__init__`, which calls `super().__init__()` first and then assigns
    parameters and submodules as attributes, and a `forward`. Call the module, not its
    `forward`: only the call runs hooks.

    Attributes:
        training: whether the module is in training mode (`train`) or evaluation mode (`eval`);
            dropout and batch norm behave differently in the two.

    >>> import tensorlab
    >>> from tensorlab import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = nn.Parameter(tensorlab.tensor(2.0))
    ...
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> Scale()(tensorlab.tensor([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """

    training: bool
    #: Set it in a subclass to hand the arguments of `__init__` on to the next class: for mixtures of classes.
    call_super_init = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs and not self.call_super_init:
            raise TypeError(
                f"{type(self).__name__}.__init__() got an unexpected keyword argument "
                f"'{next(iter(kwargs))}'"
            )
        if args and not self.call_super_init:
            raise TypeError(
                f"{type(self).__name__}.__init__() takes 1 positional argument but "
                f"{len(args) + 1} were given"
            )
        # Straight into __dict__: the dicts that __setattr__ looks in do not exist yet.
        fields = self.__dict__
        fields["training"] = True
        fields["_parameters"] = {}
        fields["_buffers"] = {}
        fields["_non_persistent_buffers_set"] = set()
        for name in _HOOK_DICTS:
            fields[name] = OrderedDict()
        fields["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    # Every subclass writes its own. An attribute and not a method, so that type checkers let the
    # subclass choose the arguments.
    forward: Callable[..., Any] = _forward_unimplemented

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (  # as `_is_hooked`, without a call: every layer comes here
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or global_forward_hooks
            or global_forward_pre_hooks
            or global_backward_hooks
            or global_backward_pre_hooks
        ):
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    # Registering -----------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter that is the attribute `name` from now on.

        Args:
            name: one name, without dots.
            param: the parameter; None keeps the place for one (an optional bias), which is
                then in no `parameters()` and no `state_dict()`.

        Raises:
            AttributeError: `Module.__init__()` was not called yet.
            TypeError: `name` is not a string or `param` is not a `Parameter`.
            KeyError: the name is empty, has a dot or is in use.
            ValueError: `param` was computed from other tensors.
        """
        self._check_name("parameter", "_parameters", name)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{typename(param)}' object to parameter '{name}' "
                    "(tensorlab.nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must "
                    f"be created explicitly. To express '{name}' as a function of another Tensor, "
                    "compute the value in the forward() method."
                )
            param = apply_registration_hooks("parameter", self, name, param)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is kept with the module but not trained, as the attribute `name`.

        Args:
            name: one name, without dots.
            tensor: the buffer, or None to keep the place for one.
            persistent: whether it is part of `state_dict()`.

        Raises:
            AttributeError, TypeError, KeyError: as `register_parameter`.

        >>> from tensorlab import nn
        >>> import tensorlab
        >>> m = nn.Module()
        >>> m.register_buffer("running_mean", tensorlab.zeros(2))
        >>> m.running_mean
        tensor([0., 0.])
        """
        self._check_name("buffer", "_buffers", name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{typename(tensor)}' object to buffer '{name}' "
                "(tensorlab Tensor or None required)"
            )
        self._buffers[name] = apply_registration_hooks("buffer", self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule that is the attribute `name` from now on; errors as `register_parameter`."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{typename(module)} is not a Module subclass")
        self._check_name("module", "_modules", name)
        self._modules[name] = apply_registration_hooks("module", self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    def _check_name(self, kind: str, registry: str, name: str) -> None:
        if registry not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {typename(name)}")
        if "." in name:
            detail = f", got: {name}" if kind == "module" else ""
            raise KeyError(f'{kind} name can\'t contain "."{detail}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in self.__dict__[registry]:
            raise KeyError(f"attribute '{name}' already exists")

    # Attributes ------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        # Only called when the ordinary lookup found nothing.
        fields = self.__dict__
        if "_parameters" in fields:
            found = fields["_parameters"]
            if name in found:
                return found[name]
            found = fields["_buffers"]
            if name in found:
                return found[name]
            found = fields["_modules"]
            if name in found:
                return found[name]
        raise AttributeError(
            f"'{type(self).__name__}' object has no attribute '{name}'", name=name, obj=self
        )

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        parameters = fields.get("_parameters")
        if isinstance(value, Parameter):
            if parameters is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_buffers", "_modules")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if parameters is None:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_parameters", "_buffers")
            self._modules[name] = apply_registration_hooks("module", self, name, value)
        elif parameters is None:
            object.__setattr__(self, name, value)
        elif name in parameters:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{typename(value)}' as parameter '{name}' "
                    "(tensorlab.nn.Parameter or None expected)"
                )
            self.register_parameter(name, None)
        elif name in self._modules:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{typename(value)}' as child module '{name}' "
                    "(tensorlab.nn.Module or None expected)"
                )
            self._modules[name] = apply_registration_hooks("module", self, name, None)
        elif name in self._buffers or isinstance(value, Buffer):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{typename(value)}' as buffer '{name}' "
                    "(tensorlab.nn.Buffer, tensorlab.Tensor or None expected)"
                )
            persistent = name not in self._non_persistent_buffers_set
            if isinstance(value, Buffer):
                persistent = value.persistent  # type: ignore[attr-defined]
            self.register_buffer(name, value, persistent)
        else:
            object.__setattr__(self, name, value)

    def _forget(self, name: str, *registries: str) -> None:
        """Make room for `name`: whatever had the name before is gone."""
        for registry in ("__dict__", *registries):
            getattr(self, registry).pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        for registry in (self._parameters, self._buffers, self._modules):
            if name in registry:
                del registry[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {
            *dir(type(self)),
            *self.__dict__,
            *self._parameters,
            *self._modules,
            *self._buffers,
        }
        return sorted(name for name in names if not name[0].isdigit())

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in _HOOK_DICTS:
            self.__dict__.setdefault(name, OrderedDict())

    # Doing something to the whole tree -------------------------------------------------

    def apply(self: Self, fn: Callable[[Module], None]) -> Self:
        """Call `fn` on every module of the tree, children before parents; returns this module.

        The usual way to initialise a model.

        >>> from tensorlab import nn
        >>> def zero_bias(module):
        ...     if isinstance(module, nn.Linear):
        ...         nn.init.zeros_(module.bias)
        >>> nn.Sequential(nn.Linear(3, 2)).apply(zero_bias)[0].bias.tolist()
        [0.0, 0.0]
        """
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """Put the module and all below it in training mode (or in evaluation mode)."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: Self) -> Self:
        """Put the module in evaluation mode: `train(False)`."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Switch the recording of gradients for all parameters; `False` freezes the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients: set them to None, or to zero with `set_to_none=False`."""
        for parameter in self.parameters():
            grad = parameter.grad
            if grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                grad.detach_()
                grad.zero_()

    # Printing --------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The module's own part of its printed form; override to show settings."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        own_lines = extra.split("\n") if extra else []
        child_lines = [
            f"({name}): {indent(repr(module), 2)}" for name, module in self._modules.items()
        ]
        if not own_lines and not child_lines:
            inside = ""
        elif len(own_lines) == 1 and not child_lines:
            inside = own_lines[0]
        else:
            inside = "\n  " + "\n  ".join(own_lines + child_lines) + "\n"
        return f"{self._get_name()}({inside})"


def indent(text: str, spaces: int) -> str:
    """Indent all lines but the first and the blank ones."""
    first, *rest = text.split("\n")
    return "\n".join([first, *(" " * spaces + line if line.strip() else "" for line in rest)])
