"""The random streams: PyTorch's numbers for PyTorch's seeds."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import _random
from tensorlab._random import Generator

SEEDS = (0, 1, 12345, 2**40 + 1, -3)
SIZES = (0, 1, 2, 5, 15, 16, 17, 31, 32, 100, 1000)
F32, F64, I64 = np.dtype("float32"), np.dtype("float64"), np.dtype("int64")


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def same_as_torch(
    draw: Callable[[Generator, int, np.dtype], np.ndarray],
    theirs: Callable[[Any, int, Any], Any],
    dtypes: tuple[str, ...] = ("float16", "float32", "float64"),
    rtol: float = 0.0,
) -> None:
    """Draw runs of many lengths from the same seeds, one after the other, and compare."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    for seed in SEEDS:
        for name in dtypes:
            ours, other = seeded(seed), torch.Generator()
            other.manual_seed(seed)
            for size in SIZES:
                got = draw(ours, size, np.dtype(name))
                want = theirs(other, torch.empty(size, dtype=getattr(torch, name)), size).numpy()
                assert got.dtype == want.dtype == np.dtype(name)
                # half precision rounds the last digit of float32 to at most one step
                tolerance = max(rtol, 1e-3) if rtol and name == "float16" else rtol
                np.testing.assert_allclose(
                    got.astype(np.float64),
                    want.astype(np.float64),
                    rtol=tolerance,
                    atol=tolerance,
                    err_msg=f"seed {seed}, {name}, size {size}",
                )
            state = ours.get_state().numpy()
            field = _random._STATE
            left = state.view(field)["left"], other.get_state().numpy().view(field)["left"]
            assert left[0] == left[1], "the streams went on at different places"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (-0.3, 0.7), (2, 5)])
def test_uniform(low: float, high: float) -> None:
    same_as_torch(
        lambda g, n, d: _random.uniform(g, n, d, low, high),
        lambda g, t, n: t.uniform_(low, high, generator=g),
        ("float16", "float32"),
    )
    same_as_torch(
        lambda g, n, d: _random.uniform(g, n, d, low, high),
        lambda g, t, n: t.uniform_(low, high, generator=g),
        ("float64",),
        rtol=4e-16,
    )


def test_uniform_never_gives_the_excluded_end() -> None:
    low, high = 2.0**24 - 2, 2.0**24
    assert _random.uniform(seeded(), 4000, F32, low, high).max() < high
    assert _random.uniform(seeded(), 4000, np.dtype("float16")).max() < 1


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (2.0, 0.3)])
def test_normal(mean: float, std: float) -> None:
    same_as_torch(
        lambda g, n, d: _random.normal(g, n, d, mean, std),
        lambda g, t, n: t.normal_(mean, std, generator=g),
        rtol=1e-6,
    )


def test_normal_into_memory_with_gaps() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    gappy = torch.empty(40, 2)[:, 0].normal_(generator=torch.Generator().manual_seed(4))
    ours = _random.normal(seeded(4), 40, F32, contiguous=False)
    np.testing.assert_allclose(ours, gappy.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 10), (-5, 100), (0, 2**28 - 1), (0, 2**28), (-(2**40), 2**45), (-(2**63), 2**63 - 1)],
)
def test_integers(low: int, high: int) -> None:
    small = ("float32", "int32", "int16", "int8") if high <= 100 else ()
    same_as_torch(
        lambda g, n, d: _random.integers(g, n, d, low, high),
        lambda g, t, n: t.random_(low, high, generator=g),
        ("int64", *small),
    )


def test_full_range_integers() -> None:
    same_as_torch(
        _random.full_range_integers,
        lambda g, t, n: t.random_(generator=g),
        ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"),
    )


def test_permutation() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    same_as_torch(
        lambda g, n, d: _random.permutation(g, n),
        lambda g, t, n: torch.randperm(n, generator=g),
        ("int64",),
    )


def test_bernoulli() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    same_as_torch(
        lambda g, n, d: _random.bernoulli(g, n, 0.3).astype(d),
        lambda g, t, n: t.bernoulli_(0.3, generator=g),
        ("float32", "float64", "int64", "bool"),
    )
    same_as_torch(
        lambda g, n, d: _random.bernoulli_each(g, np.linspace(0, 1, n).astype(d)).astype(d),
        lambda g, t, n: torch.bernoulli(
            torch.from_numpy(np.linspace(0, 1, n)).to(t.dtype), generator=g
        ),
        ("float32", "float64"),
    )


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("exponential", (2.5,)), ("cauchy", (1, 2)), ("log_normal", (1, 2)), ("geometric", (0.1,))],
)
def test_other_distributions(name: str, parameters: tuple[float, ...]) -> None:
    same_as_torch(
        lambda g, n, d: getattr(_random, name)(g, n, d, *parameters),
        lambda g, t, n: getattr(t, name + "_")(*parameters, generator=g),
        ("float32", "float64"),
        rtol=3e-7,
    )


def test_state_is_exchanged_with_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    theirs = torch.Generator().manual_seed(9)
    torch.randn(5, generator=theirs)  # an odd count: one normal waits in the generator
    ours = Generator()
    from tensorlab._tensor import wrap

    ours.set_state(wrap(theirs.get_state().numpy()))
    assert ours.initial_seed() == 9
    want = torch.randn(4, dtype=torch.float64, generator=theirs).numpy()
    np.testing.assert_allclose(_random.normal(ours, 4, F64), want, rtol=1e-14)
    theirs.set_state(torch.from_numpy(ours.get_state().numpy()))
    want = torch.rand(4, generator=theirs).numpy()
    np.testing.assert_array_equal(_random.uniform(ours, 4, F32), want)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g)), Generator.clone_state]
)
def test_copies_go_on_alike_and_apart(copied: Callable[[Generator], Generator]) -> None:
    g = seeded(5)
    _random.normal(g, 3, F32)
    h = copied(g)
    np.testing.assert_array_equal(_random.normal(h, 3, F32), _random.normal(g, 3, F32))
    _random.normal(h, 3, F32)
    ahead = _random.uniform(g, 3, F32)
    assert not np.array_equal(ahead, _random.uniform(h, 3, F32))


def test_an_unseeded_generator_is_always_the_same_and_seed_makes_it_new() -> None:
    assert Generator().initial_seed() == Generator().initial_seed() == _random.UNSEEDED
    g, h = Generator(), Generator()
    assert g.seed() != h.seed()
    assert g.initial_seed() != h.initial_seed()


def test_the_default_generator() -> None:
    before = _random.get_rng_state()
    try:
        assert _random.manual_seed(-1) is _random.default_generator
        assert _random.initial_seed() == 2**64 - 1
        state = _random.get_rng_state()
        first = _random.uniform(_random.default_generator, 3, F32)
        _random.set_rng_state(state)
        np.testing.assert_array_equal(_random.uniform(_random.default_generator, 3, F32), first)
        assert _random.seed() == _random.initial_seed()
    finally:
        _random.set_rng_state(before)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: seeded("a"), RuntimeError, "manual_seed expected a long, but got str"),  # type: ignore[arg-type]
        (lambda: seeded(2**64), ValueError, "must fit in 64 bits"),
        (lambda: Generator("nowhere"), RuntimeError, "device type"),
        (lambda: Generator().set_state(3), TypeError, "must be a uint8 tensor"),  # type: ignore[arg-type]
        (lambda: _random.uniform(seeded(), 3, F32, 2, 1), RuntimeError, "found from=2 > to=1"),
        (lambda: _random.uniform(seeded(), 3, I64), NotImplementedError, "floating-point dtype"),
        (lambda: _random.normal(seeded(), 3, F32, 0, -1), RuntimeError, "found std -1"),
        (lambda: _random.normal(seeded(), 3, I64), NotImplementedError, "floating-point dtype"),
        (lambda: _random.integers(seeded(), 3, I64, 3, 3), RuntimeError, "from=3 >= to=3"),
        (
            lambda: _random.integers(seeded(), 3, np.dtype("uint8"), 0, 300),
            RuntimeError,
            "to - 1 is out of bounds for uint8: got 299",
        ),
        (lambda: _random.bernoulli(seeded(), 3, 2.0), RuntimeError, r"in \[0, 1\], but got p=2"),
        (
            lambda: _random.bernoulli_each(seeded(), np.array([2.0])),
            RuntimeError,
            r"all probabilities to be in \[0, 1\]",
        ),
        (lambda: _random.exponential(seeded(), 3, F32, 0), RuntimeError, "found lambda=0"),
        (lambda: _random.exponential(seeded(), 3, I64), RuntimeError, "you specified int64"),
        (lambda: _random.cauchy(seeded(), 3, F32, 0, 0), RuntimeError, "found sigma=0"),
        (lambda: _random.log_normal(seeded(), 3, F32, 0, 0), RuntimeError, "found std=0"),
        (lambda: _random.geometric(seeded(), 3, F32, 1), RuntimeError, r"in \(0, 1\), but got p=1"),
    ],
)
def test_errors(call: Callable[[], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_a_damaged_state_is_refused() -> None:
    from tensorlab._tensor import wrap

    with pytest.raises(RuntimeError, match="3 bytes, expected 5056"):
        Generator().set_state(wrap(np.zeros(3, np.uint8)))
    with pytest.raises(RuntimeError, match="not valid"):
        Generator().set_state(wrap(np.zeros(5056, np.uint8)))


def _layouts(lib: Any) -> dict[str, Any]:
    """Tensors whose dimensions lie in memory in other orders, with gaps, and once repeated."""
    return {
        "transposed": lib.zeros(6, 5).t(),
        "swapped": lib.zeros(3, 4, 5).transpose(0, 1),
        "permuted": lib.zeros(2, 3, 4, 2).permute(3, 1, 0, 2),
        "gaps": lib.zeros(6, 12)[:, ::2],
        "gaps, transposed": lib.zeros(6, 12)[:, ::2].t(),
        "a dimension of one": lib.zeros(1, 6, 5).permute(2, 0, 1),
        "contiguous": lib.zeros(5, 6),
        "small": lib.zeros(2, 3).t(),
        "empty": lib.zeros(0, 3).t(),
    }


FILLS: dict[str, Callable[[Any, Any], Any]] = {
    "rand_like": lambda lib, x: lib.rand_like(x),
    "randn_like": lambda lib, x: lib.randn_like(x),
    "randint_like": lambda lib, x: lib.randint_like(x, 2, 90),
    "contiguous rand_like": lambda lib, x: lib.rand_like(x, memory_format=lib.contiguous_format),
    "contiguous randn_like": lambda lib, x: lib.randn_like(x, memory_format=lib.contiguous_format),
    "dropout": lambda lib, x: lib.nn.functional.dropout(x + 1, 0.5),
    "alpha_dropout": lambda lib, x: lib.nn.functional.alpha_dropout(x + 1, 0.5, True),
    "dropout in place": lambda lib, x: lib.nn.functional.dropout(x.add_(1), 0.5, True, True),
    "bernoulli": lambda lib, x: lib.bernoulli(x + 0.5),
    "uniform_": lambda lib, x: x.uniform_(-1, 2),
    "normal_": lambda lib, x: x.normal_(1, 2),
    "random_": lambda lib, x: x.random_(3, 70),
    "bernoulli_": lambda lib, x: x.bernoulli_(0.4),
    "bernoulli_ of each": lambda lib, x: x.bernoulli_(
        lib.linspace(0, 1, x.numel()).reshape(x.shape)
    ),
    "exponential_": lambda lib, x: x.exponential_(),
    "geometric_": lambda lib, x: x.geometric_(0.3),
}


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("layout", _layouts(tl))
def test_memory_is_filled_in_its_own_order(fill: str, layout: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    found = []
    for lib in (tl, torch):
        lib.manual_seed(7)
        made = FILLS[fill](lib, _layouts(lib)[layout])
        found.append((made.numpy(), made.stride(), lib.rand(1).item()))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)
    assert found[0][2] == found[1][2], "the streams went on at different places"
    if layout != "empty" and "dimension" not in layout:
        assert found[0][1] == found[1][1]


def test_repeated_elements_are_drawn_row_by_row() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    found = []
    for lib in (tl, torch):
        lib.manual_seed(7)
        found.append(lib.nn.functional.dropout(lib.ones(5, 1).expand(5, 6), 0.5).numpy())
    np.testing.assert_array_equal(*found)
