"""One pass over all parameters per step: the machinery of the elementwise optimizers.

SGD, Adam and their relatives treat every number alike: its update needs that number, its
gradient and a few buffers of the same shape. Done one parameter at a time, a model with many
small parameters spends its time on calls; done one operation at a time, a large parameter
travels through memory once per operation. So here

- small parameters are gathered into one flat array, updated together and scattered back; the
  buffers of the algorithm live in flat arrays all the time, and `state[p]` holds views of them;
- large parameters are updated where they are, block by block, so that a block stays in the
  processor's cache while all operations of the update run over it.

An algorithm writes one function for both, on flat raw arrays: see `FusedOptimizer.make_update`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import is_
from types import ModuleType
from typing import Any

import numpy as np

from tensorlab._backend import backend_of, to_device
from tensorlab._dtypes import float64, get_default_dtype
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd import no_grad
from tensorlab.optim.optimizer import Optimizer, run_closure

__all__ = ["FusedOptimizer"]

# Parameters below this many elements are gathered. Above, a call costs less than the copying.
SMALL = 16_384
# Elements per block: a block's seven float32 arrays, 128 KiB each, stay in the cache of a core,
# and the calls per block cost little against the work in it.
BLOCK = 32_768

# update(p, g, work1, work2, *buffers): change `p` and the buffers in place, leave `g` alone.
Update = Callable[..., None]


class FusedOptimizer(Optimizer):
    """Base class of optimizers whose update is elementwise.

    A subclass says which buffers it keeps (`buffer_names`) and makes the update
    (`make_update`); it counts steps if `counts_steps`.
    """

    counts_steps = True  # keep state[p]["step"], a 0-dim tensor, as PyTorch does

    def buffer_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The keys of `state[p]` that hold a buffer shaped like the parameter."""
        raise NotImplementedError(f"{type(self).__name__} must define buffer_names()")

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], step: float, is_first: bool
    ) -> Update:
        """The update of this step, as `update(p, g, work1, work2, *buffers)`.

        All arguments of the update are flat arrays of one length and dtype: the parameters and
        the buffers, which it changes in place, the gradients, which it must not change, and two
        work arrays with any contents.

        Args:
            xp: the array module, numpy or cupy.
            group: the settings.
            step: how many steps there will have been with this one; 0 if none are counted.
            is_first: whether the buffers are new, and zero.
        """
        raise NotImplementedError(f"{type(self).__name__} must define make_update()")

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once; see `Optimizer.step`."""
        loss = run_closure(closure)
        plans: list[list[_Bucket]] = self.__dict__.setdefault("_plans", [])
        del plans[len(self.param_groups) :]
        for i, group in enumerate(self.param_groups):
            params = [p for p in group["params"] if p._grad is not None]
            names = self.buffer_names(group)
            if i == len(plans):
                plans.append([])
            if not _holds(plans[i], params, names, self.state):
                plans[i] = self._make_plan(group, params, names)
            for bucket in plans[i]:
                bucket.run(self, group)
        return loss

    def _make_plan(
        self, group: dict[str, Any], params: list[Tensor], names: tuple[str, ...]
    ) -> list[_Bucket]:
        """Sort the parameters into buckets that can be updated together."""
        alike: dict[Any, list[Tensor]] = {}
        for p in params:
            if p._grad.is_sparse:  # type: ignore[union-attr]
                raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")
            state = self.state[p] if names or self.counts_steps else {}
            step = float(state["step"]) if "step" in state else 0.0
            is_first = any(state.get(name) is None for name in names)
            key: Any = (p.dtype, p.device, step, is_first)
            if p.numel() >= SMALL:
                key = (*key, id(p))  # a bucket of its own
            alike.setdefault(key, []).append(p)
        return [
            _Bucket(members, names, self.state, self.counts_steps, is_first=key[3])
            for key, members in alike.items()
        ]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.pop("_plans", None)  # made anew from the state
        super().__setstate__(state)
        for p, values in self.state.items():
            # Checkpoints of old PyTorch versions count steps in plain numbers.
            if isinstance(values, dict) and isinstance(values.get("step"), (int, float)):
                values["step"] = wrap(np.array(values["step"], _step_dtype()))
                self.state[p] = values


class _Bucket:
    """Parameters that are updated together, with their buffers in flat arrays."""

    def __init__(
        self,
        params: list[Tensor],
        names: tuple[str, ...],
        states: Any,
        counts_steps: bool,
        *,
        is_first: bool,
    ) -> None:
        self.params = params
        self.xp = xp = backend_of(params[0]._data).xp
        self.is_first = is_first
        self.dtype = params[0]._data.dtype
        self.array_type = type(params[0]._data)
        self.shapes = [p._data.shape for p in params]
        self.sizes = [p._data.size for p in params]
        self.count = sum(self.sizes)
        self.gathers = len(params) > 1 or not params[0]._data.flags.c_contiguous
        self.states = [states[p] for p in params] if names or counts_steps else []
        self.state_tensors: dict[str, list[Tensor]] = {}
        self.state_arrays: dict[str, list[Any]] = {}
        self.counts_steps = counts_steps
        self.steps = np.empty(len(params), _step_dtype())
        if counts_steps:
            self._adopt("step", [self.steps[i : i + 1].reshape(()) for i in range(len(params))])
        self.buffers = [xp.empty(self.count, self.dtype) for _ in names]
        for name, flat in zip(names, self.buffers, strict=True):
            self._adopt(name, self._split(flat))
        length = self.count
        if xp is np:
            length = min(length, BLOCK)
        real = np.empty(0, self.dtype).real.dtype
        width = 2 if self.dtype.kind == "c" else 1  # complex numbers are updated as pairs
        self.work = (xp.empty(length * width, real), xp.empty(length * width, real))
        self.flat_p = self.flat_g = None
        self.pieces: list[Any] = []
        if self.gathers:
            self.flat_p = xp.empty(self.count, self.dtype)
            self.flat_g = xp.empty(self.count, self.dtype)
            self.pieces = self._split(self.flat_p)

    def _split(self, flat: Any) -> list[Any]:
        """Views of `flat` in the shapes of the parameters."""
        views, start = [], 0
        for shape, size in zip(self.shapes, self.sizes, strict=True):
            views.append(flat[start : start + size].reshape(shape))
            start += size
        return views

    def _adopt(self, name: str, views: list[Any]) -> None:
        """Move what `state[p][name]` holds, or zeros, into `views`, one per parameter."""
        for state, view in zip(self.states, views, strict=True):
            old = state.get(name)
            if old is None:
                view[...] = 0
            else:
                # The state follows a parameter that was moved to another device.
                view[...] = to_device(old._data, backend_of(view).device(view))
            state[name] = wrap(view)
        self.state_tensors[name] = [state[name] for state in self.states]
        self.state_arrays[name] = views

    def is_current(self, names: tuple[str, ...]) -> bool:
        """Whether the state and the parameters are still those that this bucket was made for."""
        wanted = len(names) + self.counts_steps
        if len(self.state_tensors) != wanted:
            return False
        for name, tensors in self.state_tensors.items():
            now = [state.get(name) for state in self.states]
            if not all(map(is_, now, tensors)):
                return False
            if not all(map(is_, [t._data for t in tensors], self.state_arrays[name])):
                return False
        arrays = [p._data for p in self.params]
        return (
            [a.shape for a in arrays] == self.shapes
            and all(type(a) is self.array_type and a.dtype == self.dtype for a in arrays)
            and (self.gathers or arrays[0].flags.c_contiguous)
        )

    def run(self, optimizer: FusedOptimizer, group: dict[str, Any]) -> None:
        """One step for all parameters of the bucket."""
        xp = self.xp
        step = 0.0
        if self.counts_steps:
            self.steps += 1
            step = float(self.steps[0])
        update = optimizer.make_update(xp, group, step, self.is_first)
        self.is_first = False
        arrays = [p._data for p in self.params]
        grads = [p._grad._data for p in self.params]  # type: ignore[union-attr]
        if self.gathers:
            flat_p = xp.concatenate([a.ravel() for a in arrays], out=self.flat_p)
            flat_g = xp.concatenate([g.ravel() for g in grads], out=self.flat_g)
        else:
            flat_p, flat_g = arrays[0].reshape(-1), grads[0].reshape(-1)
        operands = [_as_real(a) for a in (flat_p, flat_g, *self.buffers)]
        length = self.work[0].size
        total = operands[0].size
        for start in range(0, total, max(length, 1)):
            end = min(start + length, total)
            work1, work2 = self.work
            if end - start < length:
                work1, work2 = work1[: end - start], work2[: end - start]
            p, g, *buffers = [a[start:end] for a in operands]
            update(p, g, work1, work2, *buffers)
        if self.gathers:
            for array, piece in zip(arrays, self.pieces, strict=True):
                array[...] = piece
        for p in self.params:
            p._version_cell[0] += 1


def _holds(plan: list[_Bucket], params: list[Tensor], names: tuple[str, ...], states: Any) -> bool:
    """Whether `plan` serves exactly these parameters, with the state they have now."""
    planned = [p for bucket in plan for p in bucket.params]
    if len(planned) != len(params):
        return False
    if len(plan) == 1:
        if not all(map(is_, planned, params)):
            return False
    elif {id(p) for p in planned} != {id(p) for p in params}:
        return False
    for bucket in plan:
        if bucket.states:
            now = [states.get(p) for p in bucket.params]
            if not all(map(is_, bucket.states, now)):
                return False
        if not bucket.is_current(names):
            return False
    return True


def _as_real(array: Any) -> Any:
    """A complex array as real and imaginary parts in turn, on the same memory."""
    return array.view(array.real.dtype) if array.dtype.kind == "c" else array


def _step_dtype() -> Any:
    return np.float64 if get_default_dtype() is float64 else np.float32


def check_options(name: str, foreach: Any, fused: Any, differentiable: bool) -> None:
    """Refuse what PyTorch refuses, and `differentiable`, which needs a step that autograd records."""
    if differentiable:
        raise NotImplementedError(
            f"{name}(differentiable=True) is not supported: the step runs on raw arrays, which "
            "autograd does not record. Write the update with tensor operations instead, such as "
            "p_new = p - lr * tensorlab.autograd.grad(loss, p, create_graph=True)[0]"
        )
    if foreach and fused:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def as_number(value: float | Tensor) -> float:
    """A setting that may be a one-element tensor, as a Python number."""
    return value.item() if isinstance(value, Tensor) else value


def check_sequence(values: Sequence[Any], name: str) -> None:
    """Refuse settings that must be two numbers or two tensors and are something else."""
    kinds = {isinstance(v, Tensor) for v in values}
    if len(kinds) > 1 or (kinds == {False} and not all(isinstance(v, float) for v in values)):
        raise ValueError(f"{name} must be either both floats or both Tensors")
