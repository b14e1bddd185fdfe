"""`state_dict` and `load_state_dict`: a module's numbers by dotted name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tensorlab._tensor import Tensor
from tensorlab.autograd import no_grad
from tensorlab.nn.parameter import Parameter, is_lazy
from tensorlab.utils.hooks import RemovableHandle

__all__ = ["StateDict"]

_EXTRA_STATE = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` did not find, and what it could not place."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )

    __str__ = __repr__


class WithModule:
    """A hook called with its module first. A class and not a closure, so that it can be copied."""

    def __init__(self, hook: Callable[..., Any], module: Any) -> None:
        self.hook = hook
        self.module = module

    def __call__(self, *args: Any) -> Any:
        return self.hook(self.module, *args)


class MayReturn:
    """A hook whose result counts."""

    def __init__(self, hook: Callable[..., Any]) -> None:
        self.hook = hook

    def __call__(self, *args: Any) -> Any:
        return self.hook(*args)


class StateDict:
    """The part of `Module` that gives its numbers out and takes them in.

    The keys are the dotted names of parameters and persistent buffers, the same as PyTorch's,
    so that a checkpoint travels both ways.
    """

    _version = 1  # written into the metadata; a subclass raises it when its keys change
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]
    _state_dict_hooks: OrderedDict[int, Any]
    _state_dict_pre_hooks: OrderedDict[int, Any]
    _load_state_dict_pre_hooks: OrderedDict[int, Any]
    _load_state_dict_post_hooks: OrderedDict[int, Any]

    def state_dict(
        self,
        *,
        destination: dict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Any]:
        """An ordered dict from dotted name to tensor, for saving or loading into another module.

        The tensors share memory with the module: clone them to keep a snapshot while training
        goes on.

        Args:
            destination: a dict to fill; a new one by default.
            prefix: put before each name.
            keep_vars: give the parameters themselves instead of detached tensors.

        >>> from tensorlab import nn
        >>> list(nn.Sequential(nn.Linear(3, 2), nn.ReLU()).state_dict())
        ['0.weight', '0.bias']
        """
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()  # type: ignore[attr-defined]
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata  # type: ignore[attr-defined]
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        result: Any = destination
        for hook in self._state_dict_hooks.values():
            changed = hook(self, result, prefix, metadata)
            if changed is not None:
                if not isinstance(hook, MayReturn):
                    raise RuntimeError("state_dict post-hook must return None")
                result = changed
        return result

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        """Add this module's own entries, not those of its children; a subclass may add more."""
        for name, tensor in self._persistent_state().items():
            destination[prefix + name] = tensor if keep_vars or is_lazy(tensor) else tensor.detach()
        if type(self).get_extra_state is not StateDict.get_extra_state:
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    def _persistent_state(self) -> dict[str, Any]:
        buffers = {
            name: buffer
            for name, buffer in self._buffers.items()
            if name not in self._non_persistent_buffers_set
        }
        return {name: t for name, t in (self._parameters | buffers).items() if t is not None}

    def get_extra_state(self) -> Any:
        """Override to save more than tensors with the module, under the key `_extra_state`."""
        raise RuntimeError(
            f"{type(self).__name__} has no extra state: override get_extra_state to save some"
        )

    def set_extra_state(self, state: Any) -> None:
        """Override to load again what `get_extra_state` saved."""
        raise RuntimeError(
            f"{type(self).__name__} takes no extra state: override set_extra_state to load some"
        )

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy the numbers of `state_dict` into this module and all below it.

        Args:
            state_dict: dotted name → tensor, such as another module's `state_dict()`.
            strict: raise if a name is missing or unexpected; else only report it.
            assign: put the tensors themselves into the module instead of copying their
                numbers, keeping their dtype and device.

        Returns:
            `missing_keys` and `unexpected_keys`, both lists of names.

        Raises:
            TypeError: `state_dict` is not a mapping.
            RuntimeError: one report of all missing, unexpected and mismatched names. Entries
                that fit have been loaded by then, as in PyTorch.

        >>> from tensorlab import nn
        >>> nn.Linear(3, 2).load_state_dict(nn.Linear(3, 2).state_dict())
        <All keys matched successfully>
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        metadata = getattr(state_dict, "_metadata", None) or {}
        # A copy, so that _load_from_state_dict may rename keys in it.
        entries: Any = OrderedDict(state_dict)
        entries._metadata = metadata

        def load(module: Any, entries: Any, prefix: str) -> None:
            local = dict(metadata.get(prefix[:-1], {}))
            if assign:
                local["assign_to_params_buffers"] = True
            module._load_from_state_dict(entries, prefix, local, True, missing, unexpected, errors)
            for name, child in module._modules.items():
                if child is not None:
                    below = f"{prefix}{name}."
                    load(child, {k: v for k, v in entries.items() if k.startswith(below)}, below)
            report = IncompatibleKeys(missing, unexpected)
            for hook in module._load_state_dict_post_hooks.values():
                if hook(module, report) is not None:
                    raise AssertionError(
                        "Hooks registered with ``register_load_state_dict_post_hook`` are not "
                        "expected to return new values, if incompatible_keys need to be modified, "
                        "it should be done inplace."
                    )

        load(self, entries, "")
        if strict:
            report = [
                "{} key(s) in state_dict: {}. ".format(kind, ", ".join(f'"{k}"' for k in keys))
                for kind, keys in (("Missing", missing), ("Unexpected", unexpected))
                if keys
            ]
            errors[:0] = report
        if errors:
            listed = "\n\t".join(errors)
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}"
            )
        return IncompatibleKeys(missing, unexpected)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module's own entries; a subclass may rename old keys first."""
        for hook in self._load_state_dict_pre_hooks.values():
            hook(
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
        mine = self._persistent_state()
        for name, current in mine.items():
            key = prefix + name
            if key in state_dict:
                assign = local_metadata.get("assign_to_params_buffers", False)
                self._load_tensor(name, current, key, state_dict[key], assign, error_msgs)
            elif strict:
                missing_keys.append(key)

        extra_key = prefix + _EXTRA_STATE
        if type(self).set_extra_state is not StateDict.set_extra_state:
            if extra_key in state_dict:
                self.set_extra_state(state_dict[extra_key])
            elif strict:
                missing_keys.append(extra_key)
        elif strict and extra_key in state_dict:
            unexpected_keys.append(extra_key)

        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra_key:
                    first, _, rest = key[len(prefix) :].partition(".")
                    if first not in (self._modules if rest else mine):
                        unexpected_keys.append(key)

    def _load_tensor(
        self, name: str, current: Any, key: str, loaded: Any, assign: bool, errors: list[str]
    ) -> None:
        if not isinstance(loaded, Tensor):
            errors.append(
                f'While copying the parameter named "{key}", expected tensorlab.Tensor from '
                f"checkpoint but received {type(loaded)}"
            )
            return
        if is_lazy(current):
            if is_lazy(loaded):
                return
            current.materialize(loaded.shape)
        if current.dim() == 0 and tuple(loaded.shape) == (1,):
            loaded = loaded[0]  # scalars were saved as one-element vectors long ago
        if loaded.shape != current.shape:
            errors.append(
                f"size mismatch for {key}: copying a param with shape {loaded.shape} from "
                f"checkpoint, the shape in current model is {current.shape}."
            )
            return
        try:
            with no_grad():
                if not assign:
                    current.copy_(loaded)
                    return
                if isinstance(current, Parameter):
                    if isinstance(loaded, Parameter):
                        loaded.requires_grad_(current.requires_grad)
                    else:
                        loaded = Parameter(loaded, requires_grad=current.requires_grad)
                setattr(self, name, loaded)
        except Exception as error:  # one bad entry must not hide the report of the others
            errors.append(
                f'While copying the parameter named "{key}", whose dimensions in the model are '
                f"{current.size()} and whose dimensions in the checkpoint are {loaded.size()}, an "
                f"exception occurred : {error.args}."
            )

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` collects this module."""
        return _add(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after; it may change the dict."""
        return _add(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The older form in wide use: of the module that `state_dict` was called on, the hook may also return
        another dict."""
        return _add(self._state_dict_hooks, MayReturn(hook))

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)` before this module loads; it may change the dict."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        """The form in wide use although it has an underscore: by default without the module."""
        return _add(
            self._load_state_dict_pre_hooks, WithModule(hook, self) if with_module else hook
        )

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after this module loaded; it may change the lists."""
        return _add(self._load_state_dict_post_hooks, hook)


def _add(hooks: OrderedDict[int, Any], hook: Callable[..., Any]) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle
