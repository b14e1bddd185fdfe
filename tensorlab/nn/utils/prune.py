"""Pruning: parts of a parameter set to zero and kept there, by a mask.

After `l1_unstructured(layer, "weight", 0.5)` what is trained is `layer.weight_orig`, the buffer
`layer.weight_mask` says what is kept, and before each forward `layer.weight` is computed from the two. `remove`
makes the result an ordinary parameter again.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn.modules.module import Module
from tensorlab.nn.utils.convert_parameters import parameters_to_vector
from tensorlab.ops.creation import ones_like, zeros_like
from tensorlab.ops.extrema import kthvalue
from tensorlab.ops.random import rand, rand_like
from tensorlab.ops.sorting import topk

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


class BasePruningMethod(ABC):
    """Base class of pruning methods; write `compute_mask` and set `PRUNING_TYPE`.

    Attributes:
        PRUNING_TYPE: what the method may look at in a second round: "unstructured", the elements that are left;
            "structured", the slices that are left along its `dim`; "global", everything.
    """

    PRUNING_TYPE: str
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The new mask of ones and zeros, of the shape of `t`.

        Args:
            t: what is judged: the parameter, or importance scores of its shape.
            default_mask: the mask until now.
        """

    def apply_mask(self, module: Module) -> Tensor:
        """The parameter with its mask."""
        mask = getattr(module, f"{self._tensor_name}_mask")
        original = getattr(module, f"{self._tensor_name}_orig")
        return mask.to(original.dtype) * original

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> BasePruningMethod:
        """Prune the parameter `name` of `module`, on top of what pruned it before.

        Args:
            module: holds the parameter.
            name: its name.
            args, kwargs: of the method.
            importance_scores: judge by these and not by the parameter.

        Raises:
            AssertionError: scores of another shape.
        """
        new = cls(*args, **kwargs)
        new._tensor_name = name
        method = _together(module, new)
        first = method is new
        original = getattr(module, name)
        scores = _scores_of(original, importance_scores, f"parameter {name} of {module}")
        before = ones_like(original) if first else getattr(module, f"{name}_mask").detach().clone()
        # Nothing of the module changes before the mask is known.
        mask = method.compute_mask(scores, default_mask=before)
        if first:
            del module._parameters[name]
            module.register_parameter(f"{name}_orig", original)
        module.register_buffer(f"{name}_mask", mask.detach())
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
                del module._forward_pre_hooks[key]
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(
        self,
        t: Tensor,
        default_mask: Tensor | None = None,
        importance_scores: Tensor | None = None,
    ) -> Tensor:
        """A pruned version of the tensor `t`, outside of any module.

        Args:
            t: any tensor.
            default_mask: a mask to start from; ones unless given.
            importance_scores: judge by these and not by `t`.
        """
        scores = _scores_of(t, importance_scores, "tensor t")
        return t * self.compute_mask(scores, ones_like(t) if default_mask is None else default_mask)

    def remove(self, module: Module) -> None:
        """Make the pruned parameter an ordinary one; the function `remove` takes the hook off too."""
        name = self._tensor_name
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original: Any = module._parameters.pop(f"{name}_orig")
        original.data = weight.data
        del module._buffers[f"{name}_mask"]
        setattr(module, name, original)


def _scores_of(t: Tensor, scores: Tensor | None, what: str) -> Tensor:
    if scores is None:
        return t
    if scores.shape != t.shape:
        raise AssertionError(
            f"importance_scores should have the same shape as {what}, got {scores.shape} vs {t.shape}"
        )
    return scores


def _together(module: Module, new: BasePruningMethod) -> BasePruningMethod:
    """The method, or a container of it and those that prune the same parameter already."""
    name = new._tensor_name
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            members = tuple(hook) if isinstance(hook, PruningContainer) else (hook,)
            return PruningContainer(*members, new)
    return new


class PruningContainer(BasePruningMethod):
    """Methods that pruned one parameter in turn; the last of them is applied to what the others left.

    Args:
        args: the methods.
    """

    PRUNING_TYPE = "global"

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        for method in args:
            if not self._pruning_methods and isinstance(method, BasePruningMethod):
                self._tensor_name = method._tensor_name
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Add one more, of the same parameter."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if self._tensor_name != method._tensor_name:
            raise ValueError(
                f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to "
                f"PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> BasePruningMethod:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        method: Any = self._pruning_methods[-1]
        where = _still_there(method, t, default_mask)
        mask = default_mask.detach().clone().to(t.dtype)
        found = method.compute_mask(t.detach()[where], default_mask=default_mask[where])
        mask[where] = found.to(mask.dtype)
        return mask


def _still_there(method: Any, t: Tensor, mask: Tensor) -> Any:
    """An index of the part that the method may prune further."""
    kind = method.PRUNING_TYPE
    if kind == "unstructured":
        return mask == 1
    if kind == "global":
        return (slice(None),) * t.dim()
    if kind != "structured":
        raise ValueError(f"Unrecognized PRUNING_TYPE {kind}")
    if not hasattr(method, "dim"):
        raise AttributeError(
            'Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` defined.'
        )
    dim = method.dim + t.dim() if method.dim < 0 else method.dim
    if dim < 0:
        raise IndexError(f"Index is out of bounds for tensor with dimensions {t.dim()}")
    others = [d for d in range(t.dim()) if d != dim]
    return (*(slice(None),) * dim, mask.sum(others) != 0, *(slice(None),) * (t.dim() - dim - 1))


# How much ---------------------------------------------------------------------------------


def _check_amount(amount: Any) -> None:
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if amount < 0 or (not isinstance(amount, numbers.Integral) and float(amount) > 1):
        raise ValueError(
            f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer"
        )


def _count(amount: Any, size: int) -> int:
    """How many of `size` to prune: a number, or a fraction of them."""
    count = int(amount) if isinstance(amount, numbers.Integral) else round(amount * size)
    if count > size:
        raise ValueError(
            f"amount={amount} should be smaller than the number of parameters to prune={size}"
        )
    return count


def _check_structured(t: Tensor, dim: int) -> None:
    if t.dim() <= 1:
        raise ValueError(
            "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
            f"{t.shape} with {t.dim()} dims"
        )
    if not -t.dim() <= dim < t.dim():
        raise IndexError(f"Invalid index {dim} for tensor of size {t.shape}")


# The methods ------------------------------------------------------------------------------


class Identity(BasePruningMethod):
    """Prunes nothing, but makes the parameter one with a mask."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class _Unstructured(BasePruningMethod):
    """Prunes the elements that come first by a key."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: float) -> None:
        _check_amount(amount)
        self.amount = amount

    def _chosen(self, t: Tensor, count: int) -> Tensor:
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count = _count(self.amount, t.numel())
        mask = default_mask.clone()
        if count:
            mask.view(-1)[self._chosen(t.detach(), count)] = 0
        return mask


class RandomUnstructured(_Unstructured):
    """Prunes random elements.

    Args:
        amount: a number of elements, or a fraction of those left.
    """

    def _chosen(self, t: Tensor, count: int) -> Tensor:
        return topk(rand_like(t).view(-1), count).indices


class L1Unstructured(_Unstructured):
    """Prunes the elements of the smallest absolute value.

    Args:
        amount: a number of elements, or a fraction of those left.
    """

    def _chosen(self, t: Tensor, count: int) -> Tensor:
        return topk(t.abs().reshape(-1), count, largest=False).indices


class _Structured(BasePruningMethod):
    """Prunes whole slices along a dimension."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        _check_amount(amount)
        self.amount = amount
        self.dim = dim

    def _kept(self, t: Tensor, count: int) -> Tensor:
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        _check_structured(t, self.dim)
        count = _count(self.amount, t.shape[self.dim])
        if count == 0:
            return default_mask
        mask = zeros_like(t)
        dim = self.dim % t.dim()
        mask[(*(slice(None),) * dim, self._kept(t.detach(), count))] = 1
        return mask * default_mask.to(mask.dtype)


class RandomStructured(_Structured):
    """Prunes random slices.

    Args:
        amount: a number of slices, or a fraction of those left.
        dim: the dimension along which they lie.
    """

    def _kept(self, t: Tensor, count: int) -> Tensor:
        drawn = rand(t.shape[self.dim])
        return drawn > kthvalue(drawn, count).values


class LnStructured(_Structured):
    """Prunes the slices of the smallest norm.

    Args:
        amount: a number of slices, or a fraction of those left.
        n: which norm, as `tensorlab.norm` takes it.
        dim: the dimension along which they lie.
    """

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _kept(self, t: Tensor, count: int) -> Tensor:
        others = [d for d in range(t.dim()) if d != self.dim % t.dim()]
        return topk(t.norm(self.n, others), t.shape[self.dim] - count).indices


class CustomFromMask(BasePruningMethod):
    """Prunes by a mask that is given.

    Args:
        mask: ones for what is kept, zeros for what is not.
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match self.mask shape {self.mask.shape}"
            )
        return default_mask * self.mask.to(default_mask.dtype)


# Functions --------------------------------------------------------------------------------


def identity(module: Any, name: str) -> Any:
    """Give the parameter `name` a mask that keeps everything; returns `module`."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: float) -> Any:
    """Prune random elements of the parameter `name`: a number of them, or a fraction; returns `module`.

    >>> from tensorlab import nn
    >>> layer = random_unstructured(nn.Linear(2, 3), "weight", amount=1)
    >>> int((layer.weight_mask == 0).sum())
    1
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Any, name: str, amount: float, importance_scores: Tensor | None = None
) -> Any:
    """Prune the elements of the smallest absolute value (or score) of the parameter `name`.

    Args:
        module: holds the parameter.
        name: its name.
        amount: a number of elements, or a fraction.
        importance_scores: judge by these and not by the parameter.

    Returns:
        `module`.

    >>> import tensorlab
    >>> from tensorlab import nn
    >>> layer = nn.Linear(2, 1)
    >>> _ = layer.weight.data.copy_(tensorlab.tensor([[3.0, -1.0]]))
    >>> l1_unstructured(layer, "weight", 0.5).weight.tolist()
    [[3.0, -0.0]]
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: float, dim: int) -> Any:
    """Prune random slices along `dim` of the parameter `name`; returns `module`."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Any,
    name: str,
    amount: float,
    n: Any,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Any:
    """Prune the slices along `dim` of the smallest `n`-norm of the parameter `name`; returns `module`.

    Args:
        module: holds the parameter.
        name: its name.
        amount: a number of slices, or a fraction.
        n: which norm.
        dim: the dimension: 0 prunes the outputs of a layer.
        importance_scores: judge by these and not by the parameter.
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters as if they were one: more of those with many small elements.

    Args:
        parameters: pairs of module and name.
        pruning_method: a class of unstructured pruning, such as `L1Unstructured`.
        importance_scores: for some of the pairs, what they are judged by.
        kwargs: of the method, such as `amount`.

    Raises:
        TypeError: arguments of another kind, or a method that is not unstructured.

    >>> from tensorlab import nn
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    >>> pairs = [(layer, "weight") for layer in model]
    >>> global_unstructured(pairs, L1Unstructured, amount=4)
    >>> sum(int((layer.weight_mask == 0).sum()) for layer in model)
    4
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    scores: Any = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    pairs: list[Any] = [(module, name, getattr(module, name)) for module, name in parameters]
    judged = parameters_to_vector([scores.get((m, name), value) for m, name, value in pairs])
    masks = parameters_to_vector(
        [getattr(m, f"{name}_mask", ones_like(value)) for m, name, value in pairs]
    )
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    method._tensor_name = "all"
    found = PruningContainer(method).compute_mask(judged, masks)
    start = 0
    for module, name, value in pairs:
        end = start + value.numel()
        custom_from_mask(module, name, found[start:end].view_as(value))
        start = end


def custom_from_mask(module: Any, name: str, mask: Tensor) -> Any:
    """Prune the parameter `name` by a mask of ones and zeros of its shape; returns `module`."""
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module: Any, name: str) -> Any:
    """Make the pruned parameter `name` an ordinary one, zeros included; returns `module`.

    `ValueError` if it is not pruned.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(
        f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
    )


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one below it, is pruned.

    >>> from tensorlab import nn
    >>> model = nn.Sequential(nn.Linear(2, 3))
    >>> before = is_pruned(model)
    >>> _ = identity(model[0], "weight")
    >>> before, is_pruned(model)
    (False, True)
    """
    return any(
        isinstance(hook, BasePruningMethod)
        for child in module.modules()
        for hook in child._forward_pre_hooks.values()
    )
