"""Pooling functions as PyTorch names them: max, average, power average and adaptive, in 1 to 3 dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tensorlab.ops import pool
from tensorlab.ops.convolution import Ints
from tensorlab.ops.functions import relu, sign
from tensorlab.ops.reduce import mean
from tensorlab.ops.resample import along, averaging

_WORDS = {1: "one int", 2: "two ints", 3: "three ints"}
_SHAPES = {1: "L", 2: "H, W", 3: "D, H, W"}


def _each(name: str, argument: str, value: Any, dims: int) -> Ints:
    if not isinstance(value, Sequence):
        return (int(value),) * dims
    if len(value) not in (1, dims):
        raise RuntimeError(
            f"{name}: {argument} must either be a single int, or a tuple of {_WORDS[dims]}, got {value}"
        )
    return tuple(int(v) for v in (value if len(value) == dims else [value[0]] * dims))


def as_window(name: str, kernel_size: Any, stride: Any, dims: int) -> tuple[Ints, Ints]:
    """Kernel and stride; a stride that is not given is the kernel's size."""
    kernel = _each(name, "kernel_size", kernel_size, dims)
    empty = stride is None or (isinstance(stride, Sequence) and not stride)
    return kernel, kernel if empty else _each(name, "stride", stride, dims)


def documented(function: Callable[..., Any], name: str, doc: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _max_pool(dims: int) -> Any:
    name = f"max_pool{dims}d"

    def max_pool(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        kernel, step = as_window(name, kernel_size, stride, dims)
        sides = _each(name, "padding", padding, dims)
        how = (kernel, step, sides, _each(name, "dilation", dilation, dims), ceil_mode)
        values = pool.max_pool(input, *how)
        return (values, pool.max_pool_positions(input, values, *how)) if return_indices else values

    return documented(
        max_pool,
        name,
        f"""The largest element of every window.

    Args:
        input: (N, C, {_SHAPES[dims]}) or (C, {_SHAPES[dims]}).
        kernel_size: size of the window, an int or one per dimension.
        stride: step from window to window; the kernel's size unless given.
        padding: −∞ added on both sides, at most half the kernel's size.
        dilation: step between the elements of a window.
        ceil_mode: whether a window may stick out at the end.
        return_indices: whether to return the flat positions in each channel too.

    Raises:
        RuntimeError: for parameters that do not fit the input, saying which.

    >>> import tensorlab as tl
    >>> x = tl.arange(4.0).reshape(1, 1, {", ".join(["1"] * (dims - 1) + ["4"])})
    >>> tl.nn.functional.{name}(x, {"2" if dims == 1 else (1,) * (dims - 1) + (2,)}).flatten()
    tensor([1., 3.])
    """,
    )


max_pool1d, max_pool2d, max_pool3d = _max_pool(1), _max_pool(2), _max_pool(3)


def _avg_pool(dims: int) -> Any:
    name = f"avg_pool{dims}d"

    def avg_pool(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        kernel, step = as_window(name, kernel_size, stride, dims)
        sides = _each(name, "padding", padding, dims)
        return pool.avg_pool(
            input, kernel, step, sides, ceil_mode, count_include_pad, divisor_override
        )

    def avg_pool_of_signals(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Any:
        return avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad)

    override = "" if dims == 1 else "\n        divisor_override: divide by this number instead."
    return documented(
        avg_pool_of_signals if dims == 1 else avg_pool,
        name,
        f"""The average of every window.

    Args:
        input: (N, C, {_SHAPES[dims]}) or (C, {_SHAPES[dims]}).
        kernel_size: size of the window, an int or one per dimension.
        stride: step from window to window; the kernel's size unless given.
        padding: zeros added on both sides, at most half the kernel's size.
        ceil_mode: whether a window may stick out at the end.
        count_include_pad: whether the padding counts as elements of a window.{override}

    Raises:
        RuntimeError: for parameters that do not fit the input, saying which.

    >>> import tensorlab as tl
    >>> x = tl.arange(4.0).reshape(1, 1, {", ".join(["1"] * (dims - 1) + ["4"])})
    >>> tl.nn.functional.{name}(x, {"2" if dims == 1 else (1,) * (dims - 1) + (2,)}).flatten()
    tensor([0.5000, 2.5000])
    """,
    )


avg_pool1d, avg_pool2d, avg_pool3d = _avg_pool(1), _avg_pool(2), _avg_pool(3)


def _lp_pool(dims: int) -> Any:
    name = f"lp_pool{dims}d"

    def lp_pool(
        input: Any,
        norm_type: float,
        kernel_size: Any,
        stride: Any = None,
        ceil_mode: bool = False,
    ) -> Any:
        kernel, step = as_window(name, kernel_size, stride, dims)
        none = (0,) * dims
        powers = pool.avg_pool(input**norm_type, kernel, step, none, ceil_mode, True, None)
        area = 1
        for k in kernel:
            area *= k
        return (sign(powers) * relu(abs(powers)) * area) ** (1.0 / norm_type)

    return documented(
        lp_pool,
        name,
        f"""The `norm_type`-norm of every window, (Σ xᵖ)^(1/p): the sum for p = 1, nearly the maximum for large p.

    Args:
        input: (N, C, {_SHAPES[dims]}) or (C, {_SHAPES[dims]}).
        norm_type: p, not 0.
        kernel_size: size of the window, an int or one per dimension.
        stride: step from window to window; the kernel's size unless given.
        ceil_mode: whether a window may stick out at the end.

    >>> import tensorlab as tl
    >>> x = tl.tensor([3.0, 4.0]).reshape(1, 1, {", ".join(["1"] * (dims - 1) + ["2"])})
    >>> tl.nn.functional.{name}(x, 2, {"2" if dims == 1 else (1,) * (dims - 1) + (2,)}).flatten()
    tensor([5.])
    """,
    )


lp_pool1d, lp_pool2d, lp_pool3d = _lp_pool(1), _lp_pool(2), _lp_pool(3)

# Adaptive ---------------------------------------------------------------------------------


def _target(name: str, input: Any, output_size: Any, dims: int) -> Ints:
    """The output's size, None standing for the input's."""
    shape = tuple(input.shape)
    if len(shape) not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got {list(shape)}"
        )
    if 0 in shape[-dims - 1 :]:
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has "
            f"sizes {list(shape)}"
        )
    sizes = output_size if isinstance(output_size, Sequence) else (output_size,) * dims
    if len(sizes) != dims:
        raise RuntimeError(f"{name}: output_size must be {dims} numbers or one, got {output_size}")
    found = tuple(
        n if s is None else int(s) for s, n in zip(sizes, shape[len(shape) - dims :], strict=True)
    )
    if any(n < 0 for n in found):
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0 but received {found}"
        )
    return found


def _adaptive_avg_pool(dims: int) -> Any:
    name = f"adaptive_avg_pool{dims}d"

    def adaptive_avg_pool(input: Any, output_size: Any) -> Any:
        target = _target(name, input, output_size, dims)
        axes = tuple(range(len(input.shape) - dims, len(input.shape)))
        if all(n == 1 for n in target):
            return mean(input, axes, True)
        tables = [averaging(input.shape[d], n) for d, n in zip(axes, target, strict=True)]
        return along(input, axes, list(tables))

    return documented(
        adaptive_avg_pool,
        name,
        f"""The averages of `output_size` parts of the input, as equal as can be, whatever size it has.

    Args:
        input: (N, C, {_SHAPES[dims]}) or (C, {_SHAPES[dims]}).
        output_size: how many parts, an int or one per dimension; None keeps the input's size.

    Part i of n elements goes from ⌊i·n / parts⌋ to ⌈(i + 1)·n / parts⌉: parts may overlap.

    >>> import tensorlab as tl
    >>> x = tl.arange(6.0).reshape(1, 1, {", ".join(["1"] * (dims - 1) + ["6"])})
    >>> tl.nn.functional.{name}(x, {"2" if dims == 1 else (1,) * (dims - 1) + (2,)}).flatten()
    tensor([1., 4.])
    """,
    )


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (
    _adaptive_avg_pool(1),
    _adaptive_avg_pool(2),
    _adaptive_avg_pool(3),
)


def _adaptive_max_pool(dims: int) -> Any:
    name = f"adaptive_max_pool{dims}d"

    def adaptive_max_pool(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        target = _target(name, input, output_size, dims)
        values, indices = pool.adaptive_max_pool_with_indices(input, target)
        return (values, indices) if return_indices else values

    return documented(
        adaptive_max_pool,
        name,
        f"""The largest element of each of `output_size` parts of the input, whatever size it has.

    Args:
        input: (N, C, {_SHAPES[dims]}) or (C, {_SHAPES[dims]}).
        output_size: how many parts, an int or one per dimension; None keeps the input's size.
        return_indices: whether to return the flat positions in each channel too.

    >>> import tensorlab as tl
    >>> x = tl.arange(6.0).reshape(1, 1, {", ".join(["1"] * (dims - 1) + ["6"])})
    >>> tl.nn.functional.{name}(x, {"2" if dims == 1 else (1,) * (dims - 1) + (2,)}).flatten()
    tensor([2., 5.])
    """,
    )


adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (
    _adaptive_max_pool(1),
    _adaptive_max_pool(2),
    _adaptive_max_pool(3),
)
