"""Checking gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensorlab._tensor import Tensor, wrap


class GradcheckError(RuntimeError):
    """A gradient disagrees with finite differences."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Compare the gradients of `func` with central differences `(f(x+eps) - f(x-eps)) / 2eps`.

    func: takes the inputs, returns a tensor or a tuple of tensors.
    inputs: those that require grad are checked; they should be float64 or complex128, since
        float32 leaves no digits for the difference.
    eps: the step. atol, rtol: `|numerical - analytical| ≤ atol + rtol · |numerical|`.
    raise_exception: raise `GradcheckError` on a mismatch, or return False.

    The gradient of a real function by a complex number z is `∂f/∂Re z + i ∂f/∂Im z`, PyTorch's
    convention. A complex output is checked through its real and its imaginary part.

    >>> import tensorlab
    >>> x = tensorlab.randn(3, dtype=tensorlab.float64, requires_grad=True)
    >>> tensorlab.autograd.gradcheck(lambda x: (x * x).sum(), (x,))
    True
    """
    from tensorlab.autograd import grad

    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    for i in checked:
        if args[i].dtype.name not in ("float64", "complex128"):
            raise ValueError(
                f"gradcheck needs inputs of float64 or complex128, input {i} is {args[i].dtype}: "
                "in lower precision finite differences say nothing"
            )
    outputs = _outputs(func(*args))
    for k, out in enumerate(outputs):
        if not out.requires_grad:
            continue
        for component in (1.0, 1j) if out.is_complex() else (1.0,):
            numerical = _numerical(func, args, checked, k, component, eps)
            rows: list[list[Any]] = [[] for _ in checked]
            for j in range(out.numel()):
                seed = np.zeros(out.shape, out._data.dtype)
                seed.reshape(-1)[j] = component
                found = grad(
                    out,
                    [args[i] for i in checked],
                    wrap(seed),
                    retain_graph=True,
                    allow_unused=True,
                )
                for row, g, i in zip(rows, found, checked, strict=True):
                    row.append(np.zeros(args[i].shape) if g is None else g._data.copy())
            for n, i in enumerate(checked):
                shape = (out.numel(), args[i].numel())
                analytical = np.array(rows[n]).reshape(shape)
                if not np.allclose(analytical, numerical[n], rtol=rtol, atol=atol, equal_nan=True):
                    if not raise_exception:
                        return False
                    worst = float(np.abs(analytical - numerical[n]).max())
                    raise GradcheckError(
                        f"Jacobian mismatch for output {k} with respect to input {i}, largest difference {worst:.3g}\n"
                        f"numerical:\n{numerical[n].T}\nanalytical:\n{analytical.T}"
                    )
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Check second derivatives: `gradcheck` of the function that computes the gradients.

    grad_outputs: the vectors to multiply by; random (seeded) when not given.

    >>> import tensorlab
    >>> x = tensorlab.randn(3, dtype=tensorlab.float64, requires_grad=True)
    >>> tensorlab.autograd.gradgradcheck(lambda x: (x * x * x).sum(), (x,))
    True
    """
    from tensorlab.autograd import grad

    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outputs = [o for o in _outputs(func(*args)) if o.requires_grad]
    if grad_outputs is None:
        random = np.random.default_rng(0)
        seeds = []
        for o in outputs:
            v = random.standard_normal(o.shape)
            if o.is_complex():
                v = v + 1j * random.standard_normal(o.shape)
            seeds.append(wrap(np.asarray(v).astype(o._data.dtype)).requires_grad_())
    else:
        seeds = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)

    def first_derivative(*everything: Any) -> tuple[Tensor, ...]:
        xs, vs = everything[: len(args)], everything[len(args) :]
        wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        outs = [o for o in _outputs(func(*xs)) if o.requires_grad]
        found = grad(outs, wanted, vs, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        first_derivative,
        (*args, *seeds),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
    )


def _outputs(result: Any) -> tuple[Tensor, ...]:
    return (
        (result,)
        if isinstance(result, Tensor)
        else tuple(r for r in result if isinstance(r, Tensor))
    )


def _numerical(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    checked: list[int],
    k: int,
    component: complex,
    eps: float,
) -> list[np.ndarray]:
    """The Jacobian of output k (its real or imaginary part) by each checked input."""

    def value(position: int, array: np.ndarray) -> np.ndarray:
        moved = wrap(array)
        moved._requires_grad = True  # so that what depends on it behaves as in the real call
        replaced = [moved if i == position else a for i, a in enumerate(args)]
        out = _outputs(func(*replaced))[k]._data
        return np.asarray(out.imag if component == 1j else out.real).reshape(-1).copy()

    jacobians = []
    for i in checked:
        x = args[i]._data
        steps = (1.0, 1j) if x.dtype.kind == "c" else (1.0,)
        columns = []
        for j in range(x.size):
            total: Any = 0
            for step in steps:
                plus, minus = x.copy(), x.copy()
                plus.reshape(-1)[j] += eps * step
                minus.reshape(-1)[j] -= eps * step
                total = total + step * (value(i, plus) - value(i, minus)) / (2 * eps)
            columns.append(total)
        width = _outputs(func(*args))[k].numel()
        jacobians.append(np.array(columns).T.reshape(width, x.size))
    return jacobians
