"""`autocast`: regions in which operations choose their precision."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tensorlab import _dtypes, cuda
from tensorlab._dtypes import dtype as DType
from tensorlab._tensor import Tensor
from tensorlab.amp import _casting as _casting  # has operations ask what to cast
from tensorlab.amp._state import (
    autocast_decrement_nesting,
    autocast_increment_nesting,
    clear_autocast_cache,
    get_autocast_dtype,
    is_autocast_available,
    is_autocast_cache_enabled,
    is_autocast_enabled,
    set_autocast_cache_enabled,
    set_autocast_dtype,
    set_autocast_enabled,
)

__all__ = [
    "autocast",
    "autocast_decorator",
    "custom_bwd",
    "custom_fwd",
    "is_autocast_available",
]


class autocast:
    """A region, or with `@` a function, in which operations choose their precision.

    Products of matrices, convolutions and attention are computed in `dtype`, losses and what
    else needs it in float32, everything else in the dtype that comes. Parameters stay float32:
    they are cast when used, once per region, and their gradients are float32. It is meant for
    the forward pass and the loss; call `backward` outside. The setting is the thread's own.

    float16 has a small range: scale the loss with `GradScaler`. bfloat16 needs no scaling.

    Args:
        device_type: `"cpu"` or `"cuda"`: the operations on which device.
        dtype: bfloat16 or float16; by default bfloat16 on the CPU, float16 on CUDA.
        enabled: False turns it off, in a region within another one.
        cache_enabled: whether a parameter is cast only once per region.

    Raises:
        ValueError: `device_type` is no string.
        RuntimeError: there is no such device type, or it has no such dtype.

    Warns:
        UserWarning: there is no CUDA, or the dtype is neither of the two: it is then off.

    >>> import tensorlab
    >>> x, w = tensorlab.ones(2, 3), tensorlab.ones(3, 4, requires_grad=True)
    >>> with autocast("cpu"):
    ...     y = x @ w
    >>> y.dtype
    tensorlab.bfloat16
    >>> y.sum().backward()
    >>> w.grad.dtype
    tensorlab.float32
    """

    def __init__(
        self,
        device_type: str,
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        self._cache_enabled = (
            is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        )
        self._enabled = enabled and self._is_possible()

    def _is_possible(self) -> bool:
        """Whether there is something to cast to; a warning says why not."""
        low = self.fast_dtype is _dtypes.float16 or self.fast_dtype.name == "bfloat16"
        if self.device == "cuda":
            if not cuda.is_available():
                warnings.warn("CUDA is not available. Disabling autocast.", stacklevel=3)
                return False
            if self.fast_dtype.name == "bfloat16" and not cuda.is_bf16_supported():
                raise RuntimeError(
                    "Current CUDA Device does not support bfloat16. Please switch dtype to float16."
                )
        elif not low:
            warnings.warn(
                f"In {self.device.upper()} autocast, but the target dtype is not supported. "
                f"Disabling autocast.\n{self.device.upper()} Autocast only supports dtypes of "
                f"tensorlab.bfloat16, tensorlab.float16 currently, but got {self.fast_dtype}.",
                stacklevel=3,
            )
            return False
        return True

    def __enter__(self) -> autocast:
        self.prev = is_autocast_enabled(self.device)
        self.prev_fastdtype = get_autocast_dtype(self.device)
        self.prev_cache_enabled = is_autocast_cache_enabled()
        set_autocast_enabled(self.device, self._enabled)
        set_autocast_dtype(self.device, self.fast_dtype)
        set_autocast_cache_enabled(self._cache_enabled)
        autocast_increment_nesting()
        return self

    def __exit__(self, *error: Any) -> None:
        if autocast_decrement_nesting() == 0:
            clear_autocast_cache()
        set_autocast_enabled(self.device, self.prev)
        set_autocast_dtype(self.device, self.prev_fastdtype)
        set_autocast_cache_enabled(self.prev_cache_enabled)

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(func):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(func).__name__}. Did you "
                "mean to use autocast as a context manager? For example:\n"
                "    with tensorlab.autocast(device_type=...):\n"
                "        output = model(input)"
            )
        return autocast_decorator(self, func)


def autocast_decorator(autocast_instance: autocast, func: Callable[..., Any]) -> Callable[..., Any]:
    """`func`, running in the region of an `autocast`.

    >>> import tensorlab
    >>> product = autocast_decorator(autocast("cpu"), tensorlab.matmul)
    >>> product(tensorlab.ones(2, 2), tensorlab.ones(2, 2)).dtype
    tensorlab.bfloat16
    """

    @functools.wraps(func)
    def decorate_autocast(*args: Any, **kwargs: Any) -> Any:
        with autocast_instance:
            return func(*args, **kwargs)

    return decorate_autocast


def _cast(value: Any, device_type: str, dtype: DType) -> Any:
    """The floating-point tensors in nested containers, but float64, as `dtype`."""
    if isinstance(value, Tensor):
        fits = value.is_floating_point() and value.dtype is not _dtypes.float64
        return value.to(dtype) if fits and value.device.type == device_type else value
    if isinstance(value, (str, bytes, np.ndarray)):
        return value
    if isinstance(value, Mapping):
        return {
            _cast(k, device_type, dtype): _cast(v, device_type, dtype) for k, v in value.items()
        }
    if isinstance(value, Iterable):
        cast = (_cast(v, device_type, dtype) for v in value)
        return type(value)(cast) if isinstance(value, (list, tuple)) else cast
    return value


def _check_device_type(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


def custom_fwd(
    fwd: Callable[..., Any] | None = None,
    *,
    device_type: str,
    cast_inputs: DType | None = None,
) -> Callable[..., Any]:
    """Decorate the `forward` of an `autograd.Function` that is used under autocast.

    Args:
        fwd: the function; without it, a decorator is returned.
        device_type: `"cpu"` or `"cuda"`.
        cast_inputs: cast floating-point inputs to this and run with autocast off. Without it,
            `forward` runs as autocast is set. Outside of autocast nothing is changed.

    >>> import tensorlab
    >>> class Product(tensorlab.autograd.Function):
    ...     @staticmethod
    ...     @custom_fwd(device_type="cpu", cast_inputs=tensorlab.float32)
    ...     def forward(ctx, x, y):
    ...         return x @ y
    >>> with autocast("cpu"):
    ...     Product.apply(tensorlab.ones(2, 2), tensorlab.ones(2, 2)).dtype
    tensorlab.float32
    """
    _check_device_type(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorate_fwd(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        enabled = is_autocast_enabled(device_type)
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = enabled and cast_inputs is None
        if cast_inputs is None or not enabled:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            args = _cast(args, device_type, cast_inputs)
            return fwd(ctx, *args, **_cast(kwargs, device_type, cast_inputs))

    return decorate_fwd


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Callable[..., Any]:
    """Decorate the `backward` of an `autograd.Function` so that it runs as its `forward` did.

    Args:
        bwd: the function; without it, a decorator is returned.
        device_type: `"cpu"` or `"cuda"`.

    >>> import tensorlab
    >>> class Double(tensorlab.autograd.Function):
    ...     @staticmethod
    ...     @custom_fwd(device_type="cpu")
    ...     def forward(ctx, x):
    ...         return x * 2
    ...
    ...     @staticmethod
    ...     @custom_bwd(device_type="cpu")
    ...     def backward(ctx, g):
    ...         return g * 2
    >>> x = tensorlab.ones(2, requires_grad=True)
    >>> Double.apply(x).sum().backward()
    >>> x.grad
    tensor([2., 2.])
    """
    _check_device_type(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorate_bwd(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, dtype=ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(ctx, *args, **kwargs)

    return decorate_bwd
