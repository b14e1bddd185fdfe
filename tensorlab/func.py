"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn.modules.module import Module
from tensorlab.nn.utils.stateless import call_with

__all__ = ["functional_call"]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: dict[str, Tensor] | Sequence[dict[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """What the module computes with these tensors in the place of its parameters and buffers.

    The module itself stays as it is, so that gradients can be taken by the tensors that are given: for learning
    to learn, ensembles, or second derivatives.

    Args:
        module: any module.
        parameter_and_buffer_dicts: tensors by the dotted names that `named_parameters` gives, in one dict or
            several; what is not named stays.
        args: of the call: a tuple, or a single one.
        kwargs: of the call.
        tie_weights: a tensor for one name of a shared parameter is for its other names too.
        strict: require all names, and no others.

    Raises:
        TypeError: a value that is no tensor.
        ValueError: no dict and no sequence of dicts, one name in several dicts, or different values for a shared
            parameter.
        RuntimeError: missing or unexpected names, with `strict`.

    >>> import tensorlab
    >>> from tensorlab import nn
    >>> layer = nn.Linear(2, 1, bias=False)
    >>> weight = tensorlab.tensor([[3.0, 4.0]], requires_grad=True)
    >>> out = functional_call(layer, {"weight": weight}, tensorlab.ones(1, 2))
    >>> out
    tensor([[7.]], grad_fn=<MmBackward0>)
    """
    if isinstance(parameter_and_buffer_dicts, dict):
        given = parameter_and_buffer_dicts
    elif isinstance(parameter_and_buffer_dicts, Sequence):
        given = {}
        for part in parameter_and_buffer_dicts:
            if not isinstance(part, dict):
                raise ValueError(
                    "Expected all elements of parameter_and_buffer_dicts to be dictionaries, got "
                    f"{type(part).__name__}"
                )
            for name in part:
                if name in given:
                    raise ValueError(
                        f"{name!r} appeared in multiple dictionaries; behavior of functional call is ambiguous"
                    )
            given.update(part)
    else:
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(parameter_and_buffer_dicts)}"
        )
    return call_with(module, given, args, kwargs, tie_weights, strict)
