"""Windows as columns, columns as images, and pooling undone, against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn

F = nn.functional
torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")


def two(rng, low, high):
    return (
        int(rng.integers(low, high))
        if rng.random() < 0.5
        else tuple(int(n) for n in rng.integers(low, high, 2))
    )


@pytest.mark.parametrize("seed", range(12))
def test_random_windows(compare, normal, seed):
    rng = np.random.default_rng(seed)
    options = {
        "kernel_size": two(rng, 1, 4),
        "dilation": two(rng, 1, 3),
        "padding": two(rng, 0, 3),
        "stride": two(rng, 1, 4),
    }
    print(options)
    size = (7, 9)
    x = normal(*((3,) if seed % 3 == 0 else (2, 3)), *size)
    layer = compare(lambda lib: lib.Unfold(**options), x)
    columns = layer(tl.from_numpy(x)).numpy()
    compare(lambda lib: lib.Fold(size, **options), columns)


def test_folding_counts_the_windows_that_an_element_is_in():
    ones = tl.ones(1, 1, 4, 4)
    counts = F.fold(F.unfold(ones, 2), 4, 2)
    assert counts[0, 0].tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]
    assert F.fold(F.unfold(ones, 2, stride=2), 4, 2, stride=2).equal(ones)


def test_second_gradients(compare_second, normal):
    def call(lib):
        return lambda x: lib.fold(lib.unfold(x**2, 2, padding=1) ** 2, 3, 2, padding=1)

    compare_second(call(F), call(torch.nn.functional), normal(1, 2, 3, 3))


# Pooling undone ---------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("lead", [(2, 3), (3,)])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, None, 0), (3, 2, 1), (2, 1, 1)])
def test_max_unpool(compare, normal, dims, lead, kernel, stride, padding):
    size = (7, 5, 5)[:dims] if padding else (6, 8, 4)[:dims]
    pooled, at = getattr(torch.nn.functional, f"max_pool{dims}d")(
        torch.tensor(normal(*lead, *size)), kernel, stride, padding, return_indices=True
    )
    values, positions = pooled.numpy(), at.numpy()
    if stride != 1:  # there windows overlap, and an element may be put back twice
        name = f"MaxUnpool{dims}d"
        compare(lambda lib: getattr(lib, name)(kernel, stride, padding), values, positions)
    for whole in (size, [*lead, *size] if len(lead) == 2 else list(size)):
        ours, theirs = (
            getattr(lib.nn, f"MaxUnpool{dims}d")(kernel, stride, padding)(
                make(values), make(positions), whole
            )
            for lib, make in ((tl, tl.from_numpy), (torch, torch.from_numpy))
        )
        assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("lead", [(2, 3), (3,)])
@pytest.mark.parametrize("indices", [False, True])
def test_fractional_max_pool(compare, normal, dims, lead, indices):
    x = normal(*lead, *(9, 8, 7)[:dims])
    name = f"FractionalMaxPool{dims}d"
    for options in (
        {"kernel_size": 2, "output_size": (5, 4, 3)[:dims]},
        {"kernel_size": (3, 1, 2)[:dims], "output_ratio": 0.6},
        {"kernel_size": 2, "output_ratio": (0.3, 0.7, 0.5)[:dims]},
    ):
        compare(lambda lib, o=options: getattr(lib, name)(return_indices=indices, **o), x)


def test_nan_is_the_largest_of_random_windows(compare_functions):
    x = np.array([[[[1, 2, np.nan, 0], [5, np.nan, 1, 2], [3, 3, 3, 3], [0, 1, 2, 3]]]], np.float32)
    samples = np.full((1, 1, 2), 0.3, np.float32)
    ours, theirs = (
        lib.nn.functional.fractional_max_pool2d(
            make(x), 2, 2, return_indices=True, _random_samples=make(samples)
        )
        for lib, make in ((tl, tl.from_numpy), (torch, torch.from_numpy))
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o, z, nn: nn.functional.unfold(o(1, 1, 2, 2), 3), "at least one"),
        (lambda o, z, nn: nn.functional.unfold(o(1, 1, 2, 2, 2), 1), "Expected 3D or 4D"),
        (lambda o, z, nn: nn.functional.unfold(o(2, 2), 1), "Expected 3D or 4D"),
        (lambda o, z, nn: nn.functional.unfold(o(1, 1, 4, 4), (1, 2, 3)), "kernel_size equals to 2, but got size 3"),
        (lambda o, z, nn: nn.functional.unfold(o(1, 1, 4, 4), 0), "kernel size should be"),
        (lambda o, z, nn: nn.functional.unfold(o(1, 1, 4, 4), 2, 0), "dilation should be"),
        (lambda o, z, nn: nn.functional.unfold(o(1, 1, 4, 4), 2, 1, -1), "padding should be"),
        (lambda o, z, nn: nn.functional.unfold(o(1, 1, 4, 4), 2, 1, 0, 0), "stride should be"),
        (lambda o, z, nn: nn.functional.unfold(z(1, 1, 4, 4), 2), "not implemented"),
        (lambda o, z, nn: nn.functional.fold(o(1, 4, 8), 4, 2), "3 . 3 = 9, but got input.size.2.=8"),
        (lambda o, z, nn: nn.functional.fold(o(1, 3, 9), 4, 2), "divisible by the product"),
        (lambda o, z, nn: nn.functional.fold(o(9), 4, 2), "Expected 2D or 3D"),
        (lambda o, z, nn: nn.functional.fold(o(1, 4, 1), 1, 2), "0 . 0 = 0"),
        (lambda o, z, nn: nn.MaxUnpool2d(2)(o(1, 1, 2, 2), z(1, 1, 2, 2) + 17), "invalid max index: 17"),
        (lambda o, z, nn: nn.MaxUnpool2d(2)(o(1, 1, 2, 2), z(1, 1, 2, 3)), "shape of indices"),
        (lambda o, z, nn: nn.MaxUnpool2d(2)(o(1, 1, 2, 2), z(1, 1, 2, 2).int()), "type int64"),
        (lambda o, z, nn: nn.MaxUnpool2d(2)(o(2, 2), z(2, 2)), "3d or 4d"),
        (lambda o, z, nn: nn.MaxUnpool2d(2)(o(1, 0, 2, 2), z(1, 0, 2, 2)), "non-zero size"),
        (lambda o, z, nn: nn.MaxUnpool2d(2)(o(1, 1, 2, 2), z(1, 1, 2, 2), (9, 9)), "between 2 and 6"),
        (lambda o, z, nn: nn.MaxUnpool2d(2)(o(1, 1, 2, 2), z(1, 1, 2, 2), (9,)), "2 or 4 elements"),
        (lambda o, z, nn: nn.MaxUnpool2d(2, padding=3)(o(1, 1, 2, 2), z(1, 1, 2, 2)), "non-negative"),
        (lambda o, z, nn: nn.MaxUnpool3d(2, 0)(o(1, 1, 2, 2, 2), z(1, 1, 2, 2, 2)), "strides should be"),
        (lambda o, z, nn: nn.FractionalMaxPool2d(2), "requires specifying either"),
        (lambda o, z, nn: nn.FractionalMaxPool2d(2, 2, 0.5), "only one of"),
        (lambda o, z, nn: nn.FractionalMaxPool2d(2, output_ratio=1.5), "between 0 and 1"),
        (lambda o, z, nn: nn.FractionalMaxPool3d(0, 2), "greater than 0"),
        (lambda o, z, nn: nn.functional.fractional_max_pool2d(o(1, 1, 4, 4), 2), "output_size or an output_ratio"),
        (lambda o, z, nn: nn.FractionalMaxPool2d(2, 4)(o(1, 1, 4, 4)), "pool height 2 too large"),
        (lambda o, z, nn: nn.FractionalMaxPool3d(2, 3)(o(1, 1, 4, 4, 4)), "too large"),
        (lambda o, z, nn: nn.FractionalMaxPool2d(2, 2)(o(1, 0, 4, 4)), "non-zero size"),
        (lambda o, z, nn: nn.FractionalMaxPool2d(2, 2, _random_samples=o(1, 2, 2))(o(1, 1, 4, 4)), "_random_samples"),
    ],
)  # fmt: skip
def test_wrong_calls_raise_what_pytorch_raises(call, message):
    with pytest.raises(Exception) as theirs:
        call(torch.ones, lambda *s: torch.zeros(*s, dtype=torch.int64), torch.nn)
    with pytest.raises(theirs.type, match=message):
        call(tl.ones, lambda *s: tl.zeros(*s, dtype=tl.int64), nn)
