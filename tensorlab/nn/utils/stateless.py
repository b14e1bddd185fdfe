"""Calling a module with other parameters than its own: the module as a function of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn.modules.module import Module

__all__ = ["functional_call"]

_ABSENT = object()


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Deprecated: `tensorlab.func.functional_call` under its older name, with a `FutureWarning`."""
    warnings.warn(
        "`nn.utils.stateless.functional_call` is deprecated: use `tensorlab.func.functional_call`, which takes "
        "the same arguments.",
        FutureWarning,
        stacklevel=2,
    )
    return call_with(module, parameters_and_buffers, args, kwargs, tie_weights, strict)


def call_with(
    module: Module,
    tensors: dict[str, Tensor],
    args: Any,
    kwargs: dict[str, Any] | None,
    tie_weights: bool,
    strict: bool,
) -> Any:
    """See `tensorlab.func.functional_call`."""
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    wanted = _with_tied(module, tensors) if tie_weights else dict(tensors)
    if strict:
        _check_names(module, wanted)
    with _replaced(module, wanted) as after:
        found = module(*args, **(kwargs or {}))
    # A buffer that the call assigned anew is handed back in the dict.
    tensors.update({name: after[name] for name in tensors if name in after})
    return found


def _named(module: Module) -> dict[str, Tensor]:
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def _with_tied(module: Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under all names that the module has for what they replace."""
    names: dict[int, list[str]] = {}
    for name, tensor in _named(module).items():
        names.setdefault(id(tensor), []).append(name)
    wanted = dict(tensors)
    for tied in names.values():
        given = {id(tensors[name]): tensors[name] for name in tied if name in tensors}
        if len(given) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(tied)}, which are tied. Consider using "
                "tie_weights=False"
            )
        for value in given.values():
            wanted.update(dict.fromkeys(tied, value))
    return wanted


def _check_names(module: Module, wanted: dict[str, Tensor]) -> None:
    known = _named(module)
    unexpected = [name for name in wanted if name not in known]
    missing = [name for name in known if name not in wanted]
    told = [
        f"{kind} key(s): {', '.join(map(repr, names))}."
        for kind, names in (("Unexpected", unexpected), ("Missing", missing))
        if names
    ]
    if told:
        raise RuntimeError(
            "Error(s) in reparametrizing for {}:\n\t{}".format(
                module._get_name(), "\n\t".join(told)
            )
        )


@contextmanager
def _replaced(module: Module, tensors: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Put the tensors in their places while the block runs; gives what is in them at its end."""
    before: list[tuple[Module, str, Any]] = []
    after: dict[str, Tensor] = {}
    try:
        for name, tensor in tensors.items():
            if not isinstance(tensor, Tensor):
                raise TypeError(f"{tensor} is not an instance of tensorlab.Tensor")
            path, _, last = name.rpartition(".")
            owner = module.get_submodule(path)
            before.append((owner, last, _swap(owner, last, tensor)))
        yield after
    finally:
        for name, (owner, last, old) in reversed(list(zip(tensors, before, strict=False))):
            after[name] = _swap(owner, last, old)


def _swap(owner: Any, name: str, new: Any) -> Any:
    """Set an attribute to a tensor whatever it was before, and return that."""
    for registry in (owner._parameters, owner._buffers):
        if name in registry:
            old = registry[name]
            registry[name] = new
            return old
    old = getattr(owner, name, _ABSENT)
    if old is not _ABSENT and not isinstance(old, Tensor):
        raise TypeError(f"attribute `{name}`: {old} is not an instance of tensorlab.Tensor")
    if new is _ABSENT:
        delattr(owner, name)
    else:
        object.__setattr__(owner, name, new)
    return old
