"""One pass over all parameters per step: the machinery of the elementwise optimizers.

SGD, Adam and their relatives treat every number alike: its update needs that number, its
gradient and a few buffers of the same shape. Done one parameter at a time, a model with many
small parameters spends its time on calls; done one operation at a time, a large parameter
travels through memory once per operation. So here

- small parameters are gathered into one flat array, updated together and scattered back; the
  buffers of the algorithm live in flat arrays all the time, and `state[p]` holds views of them;
- large parameters are updated where they are, block by block, so that a block stays in the
  processor's cache while all operations of the update run over it;
- where a kernel is compiled for the algorithm, one call takes all parameters where they lie, of any size: of
  float32 on the CPU (`tensorlab.kernels.cpu.optim`), of any precision on CUDA (`tensorlab.kernels.cuda.optim`);
- float16 and bfloat16 are widened block by block: the arithmetic is float32's, and what is kept
  is rounded once per step.

An algorithm writes one function for all of this, on flat raw arrays, and may name the kernel that does
the same: see `FusedOptimizer.make_update`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from operator import is_
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from tensorlab import _capturing
from tensorlab._backend import backend_of, on_device_of, to_device
from tensorlab._dtypes import float64, get_default_dtype
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd import no_grad
from tensorlab.kernels import enabled
from tensorlab.kernels.cpu import optim as cpu
from tensorlab.kernels.cuda import optim as cuda
from tensorlab.optim._settings import LATER
from tensorlab.optim.optimizer import Optimizer, run_closure
from tensorlab.optim.recorded import recorded_step

__all__ = ["FusedOptimizer", "Update", "number_dtype"]

# Parameters below this many elements are gathered. Above, a call costs less than the copying.
SMALL = 16_384
# Bytes that the arrays of a block take together: they stay in a core's caches, and the calls
# per block cost little against the work in it.
CACHE = 1536 * 1024

Numbers = dict[str, Any]


class Update(NamedTuple):
    """How a step changes flat arrays.

    run: `run(p, g, work1, work2, *buffers)` changes `p` and the buffers in place and leaves `g` alone.
    kernel: the name of the kernel that does the same; "" if there is none.
    settings: the numbers of this step that the kernel takes, in its order.
    """

    run: Callable[..., None]
    kernel: str = ""
    settings: tuple[float, ...] = ()


class FusedOptimizer(Optimizer):
    """Base class of optimizers whose update is elementwise.

    A subclass says which buffers it keeps (`buffers`, or `buffer_names` if that depends on the
    settings) and which numbers (`number_names`, `first_number`), and makes the update
    (`make_update`).
    """

    buffers: tuple[str, ...] = ()

    def buffer_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The keys of `state[p]` that hold a buffer shaped like the parameter."""
        return self.buffers

    def first_number(self, name: str, group: dict[str, Any]) -> float:
        """What a number of `number_names` is before the first step."""
        return 0.0

    def make_update(
        self, xp: ModuleType, group: dict[str, Any], numbers: Numbers, is_first: bool
    ) -> Update:
        """The update of this step; its `run` is called as `run(p, g, work1, work2, *buffers)`.

        All arguments of `run` are flat arrays of one length and dtype: the parameters and
        the buffers, which it changes in place, the gradients, which it must not change, and two
        work arrays with any contents.

        Args:
            xp: the array module, numpy or cupy.
            group: the settings.
            numbers: those of `number_names`. What is assigned here is kept for the next step.
                `"step"`, a float, already counts this step; others are NumPy scalars of the
                dtype that they are kept in.
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
            if i == len(plans):
                plans.append([])
            if group.get("differentiable"):
                plans[i] = []
                recorded_step(self, group, number_dtype())
                continue
            params = [p for p in group["params"] if p._grad is not None]
            names = self.buffer_names(group)
            if not _holds(plans[i], params, names, self.state):
                plans[i] = self._make_plan(group, params, names)
            for bucket in plans[i]:
                with on_device_of(bucket.params[0]._data):
                    bucket.run(self, group)
        return loss

    def _make_plan(
        self, group: dict[str, Any], params: list[Tensor], names: tuple[str, ...]
    ) -> list[_Bucket]:
        """Sort the parameters into buckets that can be updated together."""
        alike: dict[Any, list[Tensor]] = {}
        first = {name: self.first_number(name, group) for name in self.number_names}
        for p in params:
            self._check_param(p, group)
            state = self.state[p] if names or first else {}
            numbers = [float(state.get(name, start)) for name, start in first.items()]
            is_first = any(state.get(name) is None for name in names)
            key = (p.dtype, p.device, p._data.flags.c_contiguous, *numbers, is_first)
            alike.setdefault(key, []).append(p)
        buckets = []
        for members in alike.values():
            with on_device_of(members[0]._data):
                for together in _by_size(members):
                    buckets.append(_Bucket(together, names, self.state, first))
        return buckets

    def _check_param(self, p: Tensor, group: dict[str, Any]) -> None:
        """Refuse what PyTorch refuses of a parameter that is to be updated."""
        if p._grad.is_sparse:  # type: ignore[union-attr]
            raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")
        if group.get("capturable") and p.device.type != "cuda":
            raise AssertionError(
                "If capturable=True, params and state_steps must be on supported devices: "
                f"['cuda'], and this parameter is on {p.device}: pass capturable=False"
            )
        if group.get("fused") and not p.is_floating_point():
            raise RuntimeError(
                "`fused=True` requires all the params to be floating point Tensors of "
                f"supported devices: ['cpu', 'cuda'] but {p.dtype} and {p.device.type}"
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.pop("_plans", None)  # made anew from the state
        super().__setstate__(state)
        for group in self.param_groups:
            for name in self.defaults:
                if name in LATER:
                    group.setdefault(name, LATER[name])
        for values in self.state.values():
            # Checkpoints of old PyTorch versions have plain numbers.
            for name in self.number_names:
                if isinstance(values.get(name), (int, float)):
                    values[name] = wrap(np.array(values[name], number_dtype()))


class _Bucket:
    """Parameters that are updated together, with their buffers in flat arrays."""

    def __init__(
        self,
        params: list[Tensor],
        names: tuple[str, ...],
        states: Any,
        first: dict[str, float],
    ) -> None:
        self.params = params
        self.xp = backend_of(params[0]._data).xp
        self.dtype = params[0]._data.dtype
        self.forms = _forms(params)
        self.shapes = [p._data.shape for p in params]
        self.sizes = [p._data.size for p in params]
        self.count = sum(self.sizes)
        self.states = [states[p] for p in params] if names or first else []
        self.is_first = any(self.states[0].get(name) is None for name in names)
        self.names: list[str] = []  # of what is in the state: so many tensors for each
        self.state_tensors: list[Tensor] = []
        self.state_arrays: list[Any] = []
        self.number_names = list(first)
        self.numbers = np.empty((len(first), len(params)), number_dtype())
        for row, (name, start) in zip(self.numbers, first.items(), strict=True):
            self._adopt(name, [row[i : i + 1].reshape(()) for i in range(len(params))], start)
        self.buffers = [self._empty(self.count) for _ in names]
        for name, flat in zip(names, self.buffers, strict=True):
            self._adopt(name, self._split(flat), 0)
        self.advance = _kernels(params)
        self.gathers = len(params) > 1 or not params[0]._data.flags.c_contiguous
        self.flat_p = self.flat_g = None
        self.pieces: list[Any] = []
        self.length = 0

    def _empty(self, count: int) -> Any:
        """A flat array like those of the parameters."""
        return self.xp.empty_like(self.params[0]._data, shape=(count,))

    def _make_room(self) -> None:
        """Flat arrays to gather in, the work arrays of one block, and how many numbers that is."""
        if self.gathers:
            self.flat_p = self._empty(self.count)
            self.flat_g = self._empty(self.count)
            self.pieces = self._split(self.flat_p)
        operands = 2 + len(self.buffers)
        xp, width = self.xp, 2 if self.dtype.kind == "c" else 1  # complex numbers: as pairs
        real = np.empty(0, self.dtype).real.dtype
        self.widens = real.itemsize < 4
        if self.widens:
            real = np.dtype(np.float32)
        self.length = self.count * width
        if xp is np:
            arrays = operands + 2
            fitting = CACHE // (real.itemsize * arrays) // 16 * 16
            self.length = min(self.length, max(fitting, 16))
        self.work = (xp.empty(self.length, real), xp.empty(self.length, real))
        self.wide = [xp.empty(self.length, real) for _ in range(operands)] if self.widens else []

    def _split(self, flat: Any) -> list[Any]:
        """Views of `flat` in the shapes of the parameters."""
        views, start = [], 0
        for shape, size in zip(self.shapes, self.sizes, strict=True):
            views.append(flat[start : start + size].reshape(shape))
            start += size
        return views

    def _adopt(self, name: str, views: list[Any], start: float) -> None:
        """Move what `state[p][name]` holds, or `start`, into `views`, one per parameter."""
        for state, view in zip(self.states, views, strict=True):
            old = state.get(name)
            if old is None:
                view[...] = start
            else:
                # The state follows a parameter that was moved to another device.
                view[...] = to_device(old._data, backend_of(view).device(view))
            state[name] = wrap(view)
        self.names.append(name)
        self.state_tensors += [state[name] for state in self.states]
        self.state_arrays += views

    def is_current(self, names: tuple[str, ...]) -> bool:
        """Whether the state and the parameters are still those that this bucket was made for."""
        if len(names) + len(self.number_names) != len(self.names):
            return False
        if self.names:
            now = [state.get(name) for name in self.names for state in self.states]
            if not all(map(is_, now, self.state_tensors)):
                return False
            if not all(map(is_, [t._data for t in self.state_tensors], self.state_arrays)):
                return False
            # Someone may have changed the numbers of one parameter.
            if any(row.count(row[0]) != len(row) for row in self.numbers.tolist()):
                return False
        return _forms(self.params) == self.forms

    def _next_update(self, optimizer: FusedOptimizer, group: dict[str, Any]) -> Update:
        """The update of the next step, which counts from here on."""
        numbers: Numbers = {}
        if self.number_names:
            numbers = dict(zip(self.number_names, self.numbers[:, 0], strict=True))
            numbers["step"] = float(numbers["step"]) + 1
        update = optimizer.make_update(self.xp, group, numbers, self.is_first)
        for row, name in zip(self.numbers, self.number_names, strict=True):
            row[...] = numbers[name]
        self.is_first = False
        return update

    def run(self, optimizer: FusedOptimizer, group: dict[str, Any]) -> None:
        """One step for all parameters of the bucket."""
        arrays = [p._data for p in self.params]
        grads = [p._grad._data for p in self.params]  # type: ignore[union-attr]
        if _capturing.current is not None:
            self._capture(optimizer, group, arrays, grads)
            return
        update = self._next_update(optimizer, group)
        advance = self.advance
        if advance is None or not advance(
            update.kernel, update.settings, arrays, grads, self.buffers
        ):
            self._run_generic(update.run, arrays, grads)
        for p in self.params:
            p._version_cell[0] += 1

    def _run_generic(
        self, update: Callable[..., None], arrays: list[Any], grads: list[Any]
    ) -> None:
        """The update as array operations: small parameters gathered, block by block."""
        if not self.length:
            self._make_room()
        xp = self.xp
        if self.gathers:
            flat_p = xp.concatenate([a.ravel() for a in arrays], out=self.flat_p)
            flat_g = xp.concatenate([g.ravel() for g in grads], out=self.flat_g)
        else:
            flat_p, flat_g = arrays[0].reshape(-1), grads[0].reshape(-1)
        self._run_blocks(update, [_as_real(a) for a in (flat_p, flat_g, *self.buffers)])
        if self.gathers:
            for array, piece in zip(arrays, self.pieces, strict=True):
                array[...] = piece

    def _capture(
        self, optimizer: FusedOptimizer, group: dict[str, Any], arrays: list[Any], grads: list[Any]
    ) -> None:
        """Put the step into the graph that is being captured.

        Its numbers, of which the count of steps is one, are made on the host: anew before each replay.
        """
        if self.is_first:
            raise RuntimeError(
                f"{type(optimizer).__name__}.step() cannot be captured before it has run once: its first step "
                "makes buffers; run one step, better a few, before the graph (warm-up)"
            )
        before = self.numbers.copy()
        kernel = self._next_update(optimizer, group).kernel
        self.numbers[...] = before  # capturing runs nothing, so it is not counted

        def numbers() -> tuple[float, ...]:
            return tuple(map(float, self._next_update(optimizer, group).settings))

        settings = None
        if kernel in cuda.ALGORITHMS:
            settings = _capturing.current.feed(np.float64, cuda.NUMBERS, numbers)
        if settings is None or not cuda.advance(kernel, settings, arrays, grads, self.buffers):
            raise RuntimeError(
                f"{type(optimizer).__name__}.step() cannot be captured: for this update, or for parameters of "
                f"dtype {self.params[0].dtype} on {self.params[0].device}, there is no kernel that reads its "
                "numbers when it is replayed; leave step() out of the graph and call it after each replay"
            )

    def _run_blocks(self, update: Callable[..., None], operands: list[Any]) -> None:
        """The update of flat arrays, block by block."""
        for block in _blocks(operands, self.length):
            count = block[0].size
            work1, work2 = self._room(self.work, count)
            p, g, *buffers = block
            if not self.widens:
                update(p, g, work1, work2, *buffers)
                continue
            wide = self._room(self.wide, count)
            for room, values in zip(wide, block, strict=True):
                room[...] = values
            update(wide[0], wide[1], work1, work2, *wide[2:])
            p[...] = wide[0]
            for room, values in zip(wide[2:], buffers, strict=True):
                values[...] = room

    def _room(self, arrays: Any, count: int) -> Any:
        """The arrays of a block, cut to the length of the last one."""
        return arrays if count == self.length else [a[:count] for a in arrays]


def _blocks(operands: list[Any], length: int) -> Iterator[Any]:
    """The operands cut at the same places into blocks of `length`; the last one may be shorter."""
    total = operands[0].size
    whole = total - total % length if total else 0
    if whole:
        # Rows of a matrix: NumPy makes them faster than slices.
        yield from zip(*[a[:whole].reshape(-1, length) for a in operands], strict=True)
    if whole < total:
        yield [a[whole:] for a in operands]


def _holds(plan: list[_Bucket], params: list[Tensor], names: tuple[str, ...], states: Any) -> bool:
    """Whether `plan` serves exactly these parameters, with the state they have now."""
    planned = plan[0].params if len(plan) == 1 else [p for bucket in plan for p in bucket.params]
    if len(planned) != len(params):
        return False
    if not all(map(is_, planned, params)) and {*map(id, planned)} != {*map(id, params)}:
        return False
    for bucket in plan:
        if bucket.states:
            now = [states.get(p) for p in bucket.params]
            if not all(map(is_, bucket.states, now)):
                return False
        if not bucket.is_current(names):
            return False
    return True


def _forms(params: list[Tensor]) -> list[Any]:
    """What has to stay as it is for a bucket to go on."""
    arrays = [p._data for p in params]
    return [(type(a), a.dtype, a.shape, a.flags.c_contiguous) for a in arrays]


def _kernels(params: list[Tensor]) -> Callable[..., bool] | None:
    """`advance(name, settings, parameters, gradients, buffers)` of the kernels that take all these parameters
    where they lie, as `cuda.optim` has it; None if there are none.
    """
    arrays = [p._data for p in params]
    if not enabled() or not all(a.flags.c_contiguous for a in arrays):
        return None
    if cuda.suits(*arrays):
        return cuda.advance
    starts = cpu.starts(arrays)
    return None if starts is None else functools.partial(cpu.advance, starts)


def _by_size(params: list[Tensor]) -> list[list[Tensor]]:
    """Parameters to be updated together: each large one alone, if no kernel takes all where they lie."""
    if _kernels(params) is not None:
        return [params]
    small = [p for p in params if p._data.size < SMALL]
    return [[p] for p in params if p._data.size >= SMALL] + ([small] if small else [])


def _as_real(array: Any) -> Any:
    """A complex array as real and imaginary parts in turn, on the same memory."""
    return array.view(array.real.dtype) if array.dtype.kind == "c" else array


def number_dtype() -> Any:
    """The dtype of the numbers in `state[p]`: the default one, but not less than float32."""
    return np.float64 if get_default_dtype() is float64 else np.float32
