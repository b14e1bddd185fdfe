"""Random tensors and in-place random fills.

The numbers come from a `Generator` (the default one unless `generator=` says otherwise) and are
PyTorch's for the same seed; `tensorlab._random` says how they are made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab import _dtypes, _random, _settings
from tensorlab._backend import Device, to_device, to_numpy
from tensorlab._random import Generator, default_generator
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd.inplace import write
from tensorlab.ops._dims import named_size
from tensorlab.ops.convert import preserve_format
from tensorlab.ops.creation import _size


def _source(generator: Generator | None) -> Generator:
    return default_generator if generator is None else generator


def _made(
    flat: np.ndarray,
    shape: tuple[int, ...],
    device: Any,
    requires_grad: bool,
    out: Tensor | None = None,
) -> Tensor:
    array: Any = flat.reshape(shape)
    if out is not None:
        out._data = _dtypes.held(array.astype(out._data.dtype))
        out._version_cell[0] += 1
        return out
    if device is None:
        device = _settings.default_device
    if device is not None:
        array = to_device(array, Device(device))
    made = wrap(_dtypes.held(array))
    return made.requires_grad_() if requires_grad else made


def _drawn(
    stream: Callable[..., np.ndarray], size: tuple[Any, ...], generator: Any, dtype: Any, device: Any,
    requires_grad: bool, out: Tensor | None,
) -> Tensor:  # fmt: skip
    shape = _size(size)
    to = _dtypes.get_default_dtype() if dtype is None else _dtypes.as_dtype(dtype)
    return _made(
        stream(_source(generator), _count(shape), to.numpy), shape, device, requires_grad, out
    )


def in_memory_order(flat: np.ndarray, like: Any) -> np.ndarray:
    """The numbers in the shape of the array `like`, in the order in which its elements lie in memory.

    PyTorch fills memory, whatever order the dimensions are in: a transposed tensor gets the numbers
    of the one it is a view of. One that repeats elements (`expand`) is filled row by row.
    """
    shape, strides = like.shape, like.strides
    order = sorted(range(len(shape)), key=lambda d: -strides[d] if shape[d] > 1 else 0)
    if any(s == 0 and n > 1 for s, n in zip(strides, shape, strict=True)):
        return flat.reshape(shape)
    return flat.reshape([shape[d] for d in order]).transpose(np.argsort(order))


def _drawn_like(
    stream: Callable[..., np.ndarray], input: Tensor, generator: Any, dtype: Any, device: Any,
    requires_grad: bool, memory_format: Any,
) -> Tensor:  # fmt: skip
    """Numbers in `input`'s shape and order of dimensions."""
    to = (input.dtype if dtype is None else _dtypes.as_dtype(dtype)).numpy
    flat = stream(_source(generator), input.numel(), to)
    keep = memory_format is None or memory_format is preserve_format
    array: Any = in_memory_order(flat, input._data) if keep else flat.reshape(input._data.shape)
    made = wrap(_dtypes.held(to_device(array, input.device if device is None else Device(device))))
    return made.requires_grad_() if requires_grad else made


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for n in shape:
        count *= n
    return count


@named_size
def rand(
    *size: Any, generator: Generator | None = None, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Numbers uniform in [0, 1), in shape `size`.

    >>> import tensorlab
    >>> _ = tensorlab.manual_seed(0)
    >>> tensorlab.rand(2)
    tensor([0.4963, 0.7682])
    """
    return _drawn(_random.uniform, size, generator, dtype, device, requires_grad, out)


@named_size
def randn(
    *size: Any, generator: Generator | None = None, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Numbers of the standard normal distribution, in shape `size`.

    >>> import tensorlab
    >>> _ = tensorlab.manual_seed(0)
    >>> tensorlab.randn(3)
    tensor([ 1.5410, -0.2934, -2.1788])
    """
    return _drawn(_random.normal, size, generator, dtype, device, requires_grad, out)


def randint(
    *args: Any, generator: Generator | None = None, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, low: int = 0, high: int | None = None, size: Any = None,
) -> Tensor:  # fmt: skip
    """Whole numbers, low ≤ n < high, all equally likely: `randint(high, size)` or `randint(low, high, size)`.

    The dtype is int64 unless given. Raises `RuntimeError` if low ≥ high.

    >>> import tensorlab
    >>> _ = tensorlab.manual_seed(0)
    >>> tensorlab.randint(10, (4,))
    tensor([4, 9, 3, 0])
    """
    rest = list(args)
    if rest and not isinstance(rest[-1], int) and size is None:
        size = rest.pop()
    if len(rest) == 2:
        low, high = rest
    elif len(rest) == 1:
        high = rest[0] if high is None else high
        low = low if high is rest[0] else rest[0]
    if high is None or size is None:
        raise TypeError(
            "randint() needs an upper bound and a size: randint(high, size) or randint(low, high, size)"
        )
    shape = _size((size,))
    to = (_dtypes.int64 if dtype is None else _dtypes.as_dtype(dtype)).numpy
    return _made(
        _random.integers(_source(generator), _count(shape), to, int(low), int(high)),
        shape,
        device,
        requires_grad,
        out,
    )


def randperm(
    n: int, *, generator: Generator | None = None, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The numbers 0 to n − 1 in random order, int64 unless given.

    >>> import tensorlab
    >>> _ = tensorlab.manual_seed(0)
    >>> tensorlab.randperm(4)
    tensor([0, 1, 3, 2])
    """
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got {n}")
    order = _random.permutation(_source(generator), n)
    if dtype is not None:
        order = order.astype(_dtypes.as_dtype(dtype).numpy)
    return _made(order, (n,), device, requires_grad, out)


def rand_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """`rand` with `input`'s shape, dtype and device.

    >>> import tensorlab
    >>> tensorlab.rand_like(tensorlab.zeros(2, 3)).shape
    tensorlab.Size([2, 3])
    """
    return _drawn_like(
        _random.uniform, input, generator, dtype, device, requires_grad, memory_format
    )


def randn_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """`randn` with `input`'s shape, dtype and device.

    >>> import tensorlab
    >>> tensorlab.randn_like(tensorlab.zeros(2)).shape
    tensorlab.Size([2])
    """
    # Blocks of sixteen are for the plain order of dimensions alone.
    kept = memory_format is None or memory_format is preserve_format
    order = in_memory_order(np.arange(input.numel()), input._data)
    plain = order.flags.c_contiguous or not kept

    def stream(g: Generator, count: int, to: np.dtype) -> np.ndarray:
        return _random.normal(g, count, to, 0.0, 1.0, plain)

    return _drawn_like(stream, input, generator, dtype, device, requires_grad, memory_format)


def randint_like(
    input: Tensor, *args: int, generator: Generator | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, memory_format: Any = None, **bounds: int,
) -> Tensor:  # fmt: skip
    """`randint(high)` or `randint(low, high)` with `input`'s shape, dtype and device.

    >>> import tensorlab
    >>> tensorlab.randint_like(tensorlab.zeros(2), 5).dtype
    tensorlab.float32
    """

    def stream(g: Generator, count: int, to: np.dtype) -> np.ndarray:
        dtype = _dtypes.from_numpy_dtype(to)
        options: dict[str, Any] = {"size": (count,), "generator": g, "dtype": dtype, **bounds}
        return to_numpy(randint(*args, **options)._data)

    return _drawn_like(stream, input, generator, dtype, device, requires_grad, memory_format)


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    out: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers: `normal(mean, std, size)` for numbers, or one per element of tensors `mean`, `std`.

    >>> import tensorlab
    >>> tensorlab.normal(0.0, 1.0, (2, 3)).shape
    tensorlab.Size([2, 3])
    """
    if isinstance(std, (int, float)) and std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    if size is not None:
        drawn = randn(size, generator=generator, dtype=dtype, device=device)._data
        return _made(drawn * std + mean, drawn.shape, None, requires_grad, out)
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        raise TypeError("normal() needs a size when mean and std are both numbers")
    m, s = (to_numpy(x._data) if isinstance(x, Tensor) else x for x in (mean, std))
    if np.any(np.asarray(s) < 0):
        raise RuntimeError("normal expects all elements of std >= 0.0")
    like: Any = mean if isinstance(mean, Tensor) else std
    shape = np.broadcast_shapes(np.shape(m), np.shape(s))
    drawn = _random.normal(_source(generator), _count(shape), like._data.dtype).reshape(shape)
    return _made((drawn * s + m).astype(like._data.dtype), shape, like.device, requires_grad, out)


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None, out: Any = None
) -> Tensor:
    """1 with the probability that each element of `input` gives (or with `p` for all), else 0.

    >>> import tensorlab
    >>> tensorlab.bernoulli(tensorlab.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    dtype = input._data.dtype
    if p is not None:
        flat = _random.bernoulli(_source(generator), input.numel(), p)
    else:
        if dtype.kind not in "fV":
            raise RuntimeError(
                f"bernoulli expects a tensor of probabilities of a float type, got {input.dtype}"
            )
        flat = _random.bernoulli_each(_source(generator), to_numpy(input._data).reshape(-1))
    return _made(flat.astype(dtype), input._data.shape, input.device, False, out)


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of the Poisson distribution with the rate that each element of `input` gives.

    The stream is not PyTorch's: the same seed gives other numbers there.

    >>> import tensorlab
    >>> tensorlab.poisson(tensorlab.zeros(2))
    tensor([0., 0.])
    """
    rates = to_numpy(input._data)
    if np.any(rates < 0):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    seed = int(_source(generator).words64(1)[0])
    drawn = np.random.default_rng(seed).poisson(rates).astype(rates.dtype)
    return _made(drawn, rates.shape, input.device, False)


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    out: Any = None,
) -> Tensor:
    """`num_samples` indices per row, drawn with probabilities in proportion to the row's weights.

    Shapes: (C) → (num_samples), or (N, C) → (N, num_samples). Without replacement a row must have
    that many positive weights. Raises `RuntimeError` for negative, infinite or all-zero weights.

    Without replacement it is the largest of wᵢ / Eᵢ with Eᵢ ~ Exponential(1), as in PyTorch (the
    exponential form of the Gumbel top-k trick: W. Kool et al., 2019, arXiv:1903.06059).

    >>> import tensorlab
    >>> tensorlab.multinomial(tensorlab.tensor([0.0, 1.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    weights = to_numpy(input._data)
    if weights.dtype.kind not in "fV":
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {input.dtype}"
        )
    if weights.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, got {weights.ndim}")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > weights.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement: "
            f"{num_samples} > {weights.shape[-1]}"
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if (weights.sum(axis=-1) == 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    g = _source(generator)
    rows = np.atleast_2d(weights)
    if not replacement or num_samples == 1:
        races = rows / _random.exponential(g, rows.size, weights.dtype).reshape(rows.shape)
        order = np.argsort(-races, axis=-1, kind="stable")[:, :num_samples]
    else:
        totals = np.cumsum(rows.astype(np.float64), axis=-1)
        points = _random.uniform(g, len(rows) * num_samples, np.dtype(np.float64)).reshape(
            len(rows), -1
        )
        order = np.stack(
            [
                np.searchsorted(t / t[-1], u, side="right")
                for t, u in zip(totals, points, strict=True)
            ]
        )
    return _made(
        order.astype(np.int64), (*weights.shape[:-1], num_samples), input.device, False, out
    )


# In place ---------------------------------------------------------------------------------


def _filled(self: Tensor, flat: np.ndarray) -> Tensor:
    return write(self, to_device(in_memory_order(flat, self._data), self.device))


def uniform_(
    self: Tensor,
    from_: float = 0.0,
    to: float = 1.0,
    *,
    generator: Generator | None = None,
    **named: float,
) -> Tensor:
    """Overwrite with numbers uniform in [from, to)."""
    low = named.pop("from", from_)
    return _filled(
        self, _random.uniform(_source(generator), self.numel(), self._data.dtype, low, to)
    )


def normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Overwrite with normal numbers of this mean and standard deviation."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    contiguous = self.is_contiguous()
    return _filled(
        self,
        _random.normal(_source(generator), self.numel(), self._data.dtype, mean, std, contiguous),
    )


def random_(self: Tensor, *bounds: int, generator: Generator | None = None, **named: int) -> Tensor:
    """Overwrite with whole numbers: `random_(to)`, `random_(from, to)`, or all that the dtype holds."""
    dtype, count = self._data.dtype, self.numel()
    low = named.get("from", bounds[0] if len(bounds) == 2 else 0)
    high = named.get("to", bounds[-1] if bounds else None)
    if high is None:
        return _filled(self, _random.full_range_integers(_source(generator), count, dtype))
    return _filled(self, _random.integers(_source(generator), count, dtype, low, high))


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Overwrite with 1 with probability `p` (a number, or a tensor of them), else 0."""
    if isinstance(p, Tensor):
        probabilities = np.broadcast_to(to_numpy(p._data), self._data.shape)
        order = in_memory_order(np.arange(self.numel()), self._data).reshape(-1)
        inverse = np.empty_like(order)
        inverse[order] = np.arange(len(order))
        flat = probabilities.reshape(-1)[inverse]
        drawn = _random.bernoulli_each(_source(generator), flat)
    else:
        drawn = _random.bernoulli(_source(generator), self.numel(), p)
    return _filled(self, drawn.astype(self._data.dtype))


def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Overwrite with numbers of the density lambd · exp(−lambd · x)."""
    return _filled(
        self, _random.exponential(_source(generator), self.numel(), self._data.dtype, lambd)
    )


def cauchy_(
    self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Overwrite with numbers of the Cauchy distribution."""
    return _filled(
        self, _random.cauchy(_source(generator), self.numel(), self._data.dtype, median, sigma)
    )


def log_normal_(
    self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
) -> Tensor:
    """Overwrite with numbers whose logarithm is normal with this mean and standard deviation."""
    return _filled(
        self, _random.log_normal(_source(generator), self.numel(), self._data.dtype, mean, std)
    )


def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Overwrite with the number of trials up to the first success of probability `p`."""
    return _filled(self, _random.geometric(_source(generator), self.numel(), self._data.dtype, p))


for _method in (
    uniform_,
    normal_,
    random_,
    bernoulli_,
    exponential_,
    cauchy_,
    log_normal_,
    geometric_,
):
    setattr(Tensor, _method.__name__, _method)
for _method in (bernoulli, multinomial):
    setattr(Tensor, _method.__name__, _method)
