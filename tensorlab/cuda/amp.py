"""The older names of `tensorlab.amp`, for CUDA."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from tensorlab import _dtypes, amp
from tensorlab._dtypes import dtype as DType

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


def _deprecated(name: str, instead: str) -> None:
    warnings.warn(
        f"`tensorlab.cuda.amp.{name}(args...)` is deprecated. "
        f"Please use `tensorlab.amp.{instead}` instead.",
        FutureWarning,
        stacklevel=3,
    )


class autocast(amp.autocast):
    """Deprecated: `tensorlab.amp.autocast("cuda", ...)`."""

    def __init__(
        self,
        enabled: bool = True,
        dtype: DType = _dtypes.float16,
        cache_enabled: bool = True,
    ) -> None:
        _deprecated("autocast", "autocast('cuda', args...)")
        super().__init__("cuda", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """Deprecated: `tensorlab.amp.GradScaler("cuda", ...)`."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        _deprecated("GradScaler", "GradScaler('cuda', args...)")
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, cast_inputs: DType | None = None
) -> Callable[..., Any]:
    """Deprecated: `tensorlab.amp.custom_fwd(..., device_type="cuda")`."""
    _deprecated("custom_fwd", "custom_fwd(args..., device_type='cuda')")
    made = functools.partial(amp.custom_fwd, device_type="cuda", cast_inputs=cast_inputs)
    return made() if fwd is None else made(fwd)


def custom_bwd(bwd: Callable[..., Any]) -> Callable[..., Any]:
    """Deprecated: `tensorlab.amp.custom_bwd(..., device_type="cuda")`."""
    _deprecated("custom_bwd", "custom_bwd(args..., device_type='cuda')")
    return amp.custom_bwd(bwd, device_type="cuda")
