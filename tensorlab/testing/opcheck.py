"""The generic suite: everything that is checked of an operation, from its samples alone.

    >>> import tensorlab as tl
    >>> from tensorlab.testing import opcheck
    >>> opcheck(tl.mul)

An operation that you declare yourself with `@op(samples=…)` is checked the same way. Each
check is a function of the operation in `CHECKS`; it raises `AssertionError` naming the
operation, the sample and the seed. The design is that of PyTorch's OpInfo tests.
"""

from __future__ import annotations

import doctest
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tensorlab import _backend
from tensorlab._apply import observe
from tensorlab._backend import CPU, Device, backend_of, is_array, to_device, to_numpy
from tensorlab._op import OPS, ErrorSample, Op, Sample
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd import GradcheckError, grad, gradcheck, gradgradcheck
from tensorlab.testing import _torch
from tensorlab.testing.sampler import Sampler

TOLERANCE = {
    "float16": 2e-3,
    "float32": 2e-5,
    "float64": 1e-9,
    "complex64": 2e-5,
    "complex128": 1e-9,
}


#: Where the tensors of the checks are made.
_where = CPU


def opcheck(
    target: Any,
    checks: Iterable[str] | None = None,
    seed: int = 0,
    device: str | Device = "cpu",
) -> None:
    """Run the generic suite on one operation.

    target: an operation's function (`tensorlab.mul`), its record (`tensorlab.mul.op`) or its name.
    checks: names of `CHECKS`; all of them unless given.
    seed: of the samples.
    device: where the tensors are, such as "cuda", or "strict" (see `tensorlab.testing.strict`).

    Raises `AssertionError` at the first thing that is wrong, and `KeyError` for an unknown name.
    """
    global _where
    before, _where = _where, Device(device)
    try:
        for name in CHECKS if checks is None else checks:
            CHECKS[name](as_op(target), seed)
    finally:
        _where = before


def tensor_of(x: np.ndarray) -> Tensor:
    """A tensor with a copy of these numbers, on the device that is being checked."""
    return wrap(to_device(x.copy(), _where))


def as_op(target: Any) -> Op:
    """The record of an operation given by record, function or name."""
    if isinstance(target, Op):
        return target
    return OPS[target] if isinstance(target, str) else target.op


# Calling with samples ---------------------------------------------------------------------


def samples_of(op: Op, seed: int, dtype: Any = np.float64) -> list[Sample]:
    """The operation's samples with floats of `dtype`."""
    assert op.samples is not None, f"{op.name} has no samples: give @op(samples=…) at least one"
    return list(op.samples(Sampler(dtype, seed)))


def map_inputs(
    op: Op, sample: Sample, convert: Callable[[Any], Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The sample's arguments with `convert` applied to the arrays among the operation's inputs."""

    def one(x: Any) -> Any:
        return convert(x) if isinstance(x, np.ndarray) else x

    args: list[Any] = list(sample.args)
    if op.variadic:
        args[0] = [one(x) for x in args[0]]
        return args, dict(sample.kwargs)
    for i in range(min(len(args), len(op.inputs))):
        args[i] = one(args[i])
    return args, {k: one(v) if k in op.inputs else v for k, v in sample.kwargs.items()}


def arrays_of(op: Op, sample: Sample) -> list[np.ndarray]:
    """The arrays among the sample's inputs, in order."""
    found: list[np.ndarray] = []
    map_inputs(op, sample, lambda x: found.append(x))
    return found


def call(op: Op, sample: Sample, convert: Callable[[Any], Any] = tensor_of) -> Any:
    """The operation's result on the sample, whose arrays go through `convert`."""
    args, kwargs = map_inputs(op, sample, convert)
    return op.call(*args, **kwargs)


def outputs(result: Any) -> list[Any]:
    """The tensors (or arrays) of a result, one or several."""
    return list(result) if isinstance(result, tuple) else [result]


def where_at(op: Op, sample: Any, seed: int) -> str:
    """The head of a failure's message."""
    return f"{op.name}, {sample!r}, seed {seed}"


def same(got: Any, want: Any, message: str, tolerance: float = 0.0, dtype: bool = True) -> None:
    """Assert equal shapes, dtypes (if asked) and values (nan equals nan)."""
    got, want = _host(got), _host(want)
    assert got.shape == want.shape, f"{message}: expected shape {want.shape}, got {got.shape}"
    if dtype:
        assert got.dtype == want.dtype, f"{message}: expected dtype {want.dtype}, got {got.dtype}"
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=message)


def _host(value: Any) -> np.ndarray:
    """A tensor's or an array's numbers in main memory."""
    value = value._data if isinstance(value, Tensor) else value
    return to_numpy(value) if is_array(value) else np.asarray(value)


# The checks -------------------------------------------------------------------------------


def check_declaration(op: Op, seed: int) -> None:
    """It has samples, and a docstring (with an example, if it is public) that is true."""
    assert samples_of(op, seed), f"{op.name} has no samples: give @op(samples=…) at least one"
    doc = op.call.__doc__ or ""
    assert doc.strip(), f"{op.name} has no docstring"
    if op.method:
        assert ">>>" in doc, f"{op.name}: its docstring shows no example"
    known = dict(vars(sys.modules[op.call.__module__]))
    example = doctest.DocTestParser().get_doctest(doc, known, op.name, None, None)
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert not runner.run(example, out=told.append).failed, (
        f"{op.name}: its example fails\n{''.join(told)}"
    )


def check_reference(op: Op, seed: int) -> None:
    """It computes what its independent reference computes."""
    if op.ref is None:
        return
    for dtype in ("float64", "float32"):
        for sample in samples_of(op, seed, dtype):
            args, kwargs = map_inputs(op, sample, lambda x: x.copy())
            with np.errstate(all="ignore"):
                want = op.ref(*args, **kwargs)
            for got, expected in zip(outputs(call(op, sample)), outputs(want), strict=True):
                kind = got._data.dtype.name
                same(got, expected, where_at(op, sample, seed), _slack(kind, dtype), dtype=False)


def _slack(*names: str) -> float:
    return max(TOLERANCE.get(name, 0.0) for name in names)


def check_torch(op: Op, seed: int) -> None:
    """It gives PyTorch's values, dtypes and shapes, where PyTorch is installed and has it."""
    function = _torch.counterpart(op)
    if function is None:
        return
    for dtype in ("float64", "float32"):
        for sample in samples_of(op, seed, dtype):
            theirs = _torch.call(op, function, sample)
            if theirs is None:
                continue
            ours = outputs(call(op, sample))
            assert len(ours) == len(theirs), (
                f"{where_at(op, sample, seed)}: {len(theirs)} results expected"
            )
            for got, want in zip(ours, theirs, strict=True):
                message = where_at(op, sample, seed) + " against torch"
                same(
                    got,
                    want.detach().resolve_conj().numpy(),
                    message,
                    _slack(dtype, got._data.dtype.name),
                )


def check_torch_gradients(op: Op, seed: int) -> None:
    """Its gradients are PyTorch's."""
    function = _torch.counterpart(op)
    if function is None or not op.differentiable:
        return
    for sample in samples_of(op, seed):
        theirs = _torch.gradients(op, function, sample)
        if theirs is None:
            continue
        message = where_at(op, sample, seed) + ": gradient against torch"
        for got, want in zip(_gradients(op, sample), theirs, strict=True):
            if want is not None:
                # No gradient is the gradient zero.
                same(np.zeros_like(want) if got is None else got, want, message, 1e-8)


def _gradients(op: Op, sample: Sample, second: bool = False) -> list[Any]:
    """The gradients of Σ weight·output for fixed weights, by every differentiable input.

    second: also those of Σ weight·gradient, behind them.
    """
    leaves: list[Tensor] = []

    def leaf(x: np.ndarray) -> Tensor:
        made = tensor_of(x)
        if x.dtype.kind in "fc":
            leaves.append(made.requires_grad_())
        return made

    result = [out for out in outputs(call(op, sample, leaf)) if out.requires_grad]
    if not result:
        return [None] * len(leaves)
    seeds = [tensor_of(_torch.weights(out.shape, out._data.dtype)) for out in result]
    found = list(grad(result, leaves, seeds, allow_unused=True, create_graph=second))
    again = [g for g in found if g is not None and g.requires_grad]
    if second and again:
        seeds = [tensor_of(_torch.weights(g.shape, g._data.dtype)) for g in again]
        found += grad(again, leaves, seeds, allow_unused=True)
    return [None if g is None else g._data for g in found]


def differentiable_samples(
    op: Op, seed: int
) -> Iterator[tuple[Sample, Callable[..., Any], list[Tensor]]]:
    """Each sample whose output has a gradient, as a function of the tensors it is differentiated by."""
    for sample in samples_of(op, seed):
        arrays = arrays_of(op, sample)
        if not sample.smooth or not any(a.dtype.kind in "fc" for a in arrays):
            continue
        inputs = [tensor_of(a) for a in arrays]
        for i, x in enumerate(inputs):
            if x._data.dtype.kind in "fc" and _has_rule(op, sample, i):
                x.requires_grad_()
        if not any(x.requires_grad for x in inputs):
            continue

        def function(*tensors: Tensor, sample: Sample = sample) -> Any:
            feed = iter(tensors)
            return call(op, sample, lambda _: next(feed))

        if any(out.requires_grad for out in outputs(function(*inputs))):
            yield sample, function, inputs


def _has_rule(op: Op, sample: Sample, position: int) -> bool:
    if op.joint is not None or op.variadic:
        return True
    names = [n for n, x in zip(op.inputs, sample.args, strict=False) if isinstance(x, np.ndarray)]
    names += [k for k, x in sample.kwargs.items() if k in op.inputs and isinstance(x, np.ndarray)]
    return names[position] in op.rules


def check_gradients(op: Op, seed: int) -> None:
    """Its gradient rules agree with finite differences."""
    for sample, function, inputs in differentiable_samples(op, seed):
        try:
            gradcheck(function, inputs)
        except (GradcheckError, RuntimeError, ValueError) as error:
            raise AssertionError(f"{where_at(op, sample, seed)}: gradcheck: {error}") from error


def check_second_gradients(op: Op, seed: int) -> None:
    """So do the gradients of its gradients."""
    for sample, function, inputs in differentiable_samples(op, seed):
        try:
            gradgradcheck(function, inputs)
        except (GradcheckError, RuntimeError, ValueError) as error:
            raise AssertionError(f"{where_at(op, sample, seed)}: gradgradcheck: {error}") from error


class _RuleOutputs:
    """Notes the dtypes of what gradient rules return, before the engine converts anything."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def before(self, op: Op, arrays: Any) -> None: ...

    def after(self, op: Op, arrays: Any, outputs: Any, node: Any) -> None: ...

    def before_backward(self, node: Any) -> None: ...

    def after_backward(self, node: Any, grads: Any) -> None:
        for g in grads:
            array = getattr(g, "_data", g)
            if hasattr(array, "dtype"):
                self.found.append((node.name(), array.dtype.name))


def check_gradient_dtypes(op: Op, seed: int) -> None:
    """Gradients of float32 (and float16) are computed in it: no rule returns float64."""
    for dtype in (np.float32, np.float16):
        for sample in samples_of(op, seed, dtype):
            leaves: list[Tensor] = []

            def leaf(x: np.ndarray, leaves: list[Tensor] = leaves) -> Tensor:
                made = tensor_of(x)
                if x.dtype.kind in "fc":
                    leaves.append(made.requires_grad_())
                return made

            try:
                result = [out for out in outputs(call(op, sample, leaf)) if out.requires_grad]
            except (RuntimeError, TypeError):
                mixed = any(x.dtype.kind == "f" and x.dtype != dtype for x in arrays_of(op, sample))
                if mixed or dtype == np.float16:
                    continue  # not every operation takes half precision, or two float types
                raise
            wide = ("float64", "complex128")
            if not result or any(t._data.dtype.name in wide for t in (*leaves, *result)):
                continue
            for create_graph in (False, True):
                rules = _RuleOutputs()
                seeds = [tensor_of(_torch.weights(out.shape, out._data.dtype)) for out in result]
                with np.errstate(all="ignore"), observe(rules):
                    found = grad(
                        result, leaves, seeds, allow_unused=True, retain_graph=True,
                        create_graph=create_graph,
                    )  # fmt: skip
                message = where_at(op, sample, seed)
                for g, x in zip(found, leaves, strict=True):
                    if g is not None:
                        assert g._data.dtype == x._data.dtype, (
                            f"{message}: expected a gradient of {x.dtype}, got {g.dtype}"
                        )
                for name, kind in rules.found:
                    assert kind not in wide, f"{message}: a rule of {name} returned {kind}"


def check_inputs_unmodified(op: Op, seed: int) -> None:
    """It changes none of its arguments, neither forward nor backward."""
    for sample in samples_of(op, seed):
        given: list[tuple[Tensor, np.ndarray]] = []

        def keep(x: np.ndarray, given: Any = given) -> Tensor:
            tensor = tensor_of(x)
            if x.dtype.kind in "fc":
                tensor.requires_grad_()
            given.append((tensor, x.copy()))
            return tensor

        result = [out for out in outputs(call(op, sample, keep)) if out.requires_grad]
        if result:
            seeds = [tensor_of(_torch.weights(out.shape, out._data.dtype)) for out in result]
            grad(result, [t for t, _ in given if t.requires_grad], seeds, allow_unused=True)
        for tensor, before in given:
            same(tensor, before, where_at(op, sample, seed) + ": an argument was changed")


def check_strides(op: Op, seed: int) -> None:
    """It gives the same for arguments that are not contiguous in memory."""
    if op.name == "as_strided":
        return  # what it gives is what lies in memory
    for sample in samples_of(op, seed):
        message = where_at(op, sample, seed) + ": with non-contiguous arguments"
        plain = outputs(call(op, sample))
        try:
            spread = outputs(call(op, sample, lambda x: wrap(strided(x, _where))))
        except RuntimeError as error:
            # What must be a view may refuse: the strides do not allow it.
            if op.name in ("view", "view_as_complex") and re.search(
                "[Uu]se .(reshape|contig)", str(error)
            ):
                continue
            raise AssertionError(f"{message}: {error}") from error
        for got, want in zip(spread, plain, strict=True):
            same(got, want._data, message, 1e-12)


def strided(x: np.ndarray, where: Device = CPU) -> Any:
    """The same elements in memory with gaps, and with the dimensions in reverse order."""
    if x.ndim == 0:
        return to_device(np.array([x, x]), where)[0:1].reshape(())
    wide = to_device(np.zeros((*x.shape[::-1], 2), x.dtype), where)
    shown = wide[..., 0].T
    shown[...] = to_device(x, where)
    return shown


def check_raw_arrays(op: Op, seed: int) -> None:
    """On raw arrays it returns raw arrays with the same values: gradient rules use it that way."""
    for sample in samples_of(op, seed):
        arrays = arrays_of(op, sample)
        if not arrays or len({a.dtype for a in arrays}) > 1:
            continue  # raw arrays are not promoted
        if any(a.dtype.kind not in "fc" for a in arrays) or op.name == "transfer":
            continue
        for got, want in zip(
            outputs(call(op, sample, lambda x: to_device(x.copy(), _where))),
            outputs(call(op, sample)),
            strict=True,
        ):
            assert isinstance(got, _backend.backend_for(_where).array_type), (
                f"{where_at(op, sample, seed)}: raw in, {type(got).__name__} out"
            )
            same(
                got, want._data, where_at(op, sample, seed) + ": on raw arrays", 1e-12, dtype=False
            )


def check_in_place(op: Op, seed: int) -> None:
    """`x.mul_(y)` stores what `x.mul(y)` returns, in x's memory, and has the same gradients."""
    if not op.inplace:
        return
    method = getattr(Tensor, f"{op.name}_")
    for sample in samples_of(op, seed):
        if not isinstance(sample.args[0], np.ndarray):
            continue
        message = where_at(op, sample, seed) + f": {op.name}_"
        want = call(op, sample)
        args, kwargs = map_inputs(op, sample, tensor_of)
        target = args[0]
        if want.shape != target.shape or want._data.dtype != target._data.dtype:
            continue
        memory, version = target._data, target._version
        result = method(*args, **kwargs)
        assert result is target, f"{message}: returns another tensor"
        assert target._data is memory, f"{message}: writes elsewhere"
        assert target._version == version + 1, f"{message}: the version counter did not go up by 1"
        same(target, want._data, message, 1e-12)
        _in_place_gradients(op, method, sample, message)


def _in_place_gradients(op: Op, method: Any, sample: Sample, message: str) -> None:
    want = _gradients(op, sample)
    if not want or want[0] is None:
        return
    leaves: list[Tensor] = []

    def leaf(x: np.ndarray) -> Tensor:
        made = tensor_of(x)
        if x.dtype.kind in "fc":
            leaves.append(made.requires_grad_())
        return made

    args, kwargs = map_inputs(op, sample, leaf)
    if not args[0].requires_grad:
        return
    args[0] = args[0] * 1
    out = method(*args, **kwargs)
    found = grad(
        [out], leaves, [tensor_of(_torch.weights(out.shape, out._data.dtype))], allow_unused=True
    )
    for got, expected in zip(found, want, strict=True):
        assert (got is None) == (expected is None), (
            f"{message}: gradient {got}, expected {expected}"
        )
        if got is not None:
            same(got, expected, f"{message}: gradient", 1e-10)


def check_edges(op: Op, seed: int) -> None:
    """Elementwise operations work on 0-dim and on empty tensors."""
    for sample in samples_of(op, seed)[:1]:
        if not _is_elementwise(op, sample):
            return
        for shape in ((), (0,), (2, 0)):

            def reshaped(x: np.ndarray, shape: tuple[int, ...] = shape) -> Tensor:
                return tensor_of(np.resize(x, shape) if shape == () else np.empty(shape, x.dtype))

            out = call(op, sample, reshaped)
            assert out.shape == shape, (
                f"{where_at(op, sample, seed)}: on shape {shape} the result has {out.shape}"
            )


def _is_elementwise(op: Op, sample: Sample) -> bool:
    """Whether each element of the result comes from the elements at its own place alone."""
    arrays = arrays_of(op, sample)
    if any(p.name in ("dim", "dims", "diagonal") for p in op.parameters):
        return False
    if (
        op.variadic
        or op.view
        or not arrays
        or len({a.shape for a in arrays}) > 1
        or arrays[0].size < 2
    ):
        return False
    result = call(op, sample)
    if isinstance(result, tuple) or result.shape != arrays[0].shape:
        return False

    def one_changed(x: np.ndarray) -> Tensor:
        x = x.copy()
        x.flat[0] = x.flat[-1]
        return tensor_of(x)

    again = call(op, sample, one_changed)
    return np.array_equal(
        to_numpy(again._data).reshape(-1)[1:],
        to_numpy(result._data).reshape(-1)[1:],
        equal_nan=result.is_floating_point(),
    )


def check_errors(op: Op, seed: int) -> None:
    """Its error samples raise the class they name, with a message that matches."""
    if op.errors is None:
        return
    for sample in op.errors(Sampler(np.float32, seed)):
        assert isinstance(sample, ErrorSample)
        if sample.by_value and _where != CPU:
            continue
        message = f"{where_at(op, sample, seed)}: expected {sample.error.__name__} matching {sample.match!r}"
        try:
            call(op, sample)
        except Exception as error:
            if type(error) is not sample.error or not re.search(sample.match, str(error)):
                raise AssertionError(f"{message}, got {type(error).__name__}: {error}") from error
        else:
            raise AssertionError(f"{message}, but nothing was raised")


def check_dtypes(op: Op, seed: int) -> None:
    """Over all dtypes of its first arguments, its result has PyTorch's dtype (or both refuse)."""
    function = _torch.counterpart(op)
    if function is None or op.variadic:
        return
    filled = [s for s in samples_of(op, seed, np.float32) if all(a.size for a in arrays_of(op, s))]
    for sample in filled[:2]:
        _torch.compare_dtypes(op, function, sample, where_at(op, sample, seed))


def check_device(op: Op, seed: int) -> None:
    """On another device it gives what it gives on the CPU: values, first and second gradients."""
    global _where
    where = _where
    if where == CPU or op.name == "transfer":
        return
    for sample in samples_of(op, seed, np.float32):
        message = f"{where_at(op, sample, seed)}: on {where}"
        _where = CPU
        try:
            expected = outputs(call(op, sample))
            expected_gradients = _gradients(op, sample, second=sample.smooth)
        except (RuntimeError, TypeError):
            continue  # a sample with constants of float64
        finally:
            _where = where
        found = outputs(call(op, sample))
        gradients = _gradients(op, sample, second=sample.smooth)
        for got, want in zip(found, expected, strict=True):
            assert _is_there(got._data), f"{message}: the result is on {got.device}"
            same(got, want, message, _slack(want._data.dtype.name))
        for got, want in zip(gradients, expected_gradients, strict=True):
            assert (got is None) == (want is None), f"{message}: gradient {got}, expected {want}"
            if got is not None:
                assert _is_there(got), f"{message}: a gradient is on {backend_of(got).device(got)}"
                same(got, want, f"{message}: gradient", 10 * _slack(want.dtype.name))


def _is_there(array: Any) -> bool:
    """Whether it is on the device that is being checked: on that number of it, if one is given."""
    found = backend_of(array).device(array)
    return found.type == _where.type and _where.index in (None, found.index)


CHECKS: dict[str, Callable[[Op, int], None]] = {
    name.removeprefix("check_"): function
    for name, function in list(globals().items())
    if name.startswith("check_") and inspect.isfunction(function)
}
