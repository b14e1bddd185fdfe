"""Padding against PyTorch: every mode, gradients, printed forms and errors."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
KINDS = ("Circular", "Reflection", "Replication", "Zero")
SIZES = {1: (5,), 2: (4, 6), 3: (3, 4, 5)}
SIDES = {
    1: [1, (2, 0), (-1, 2), (0, -3)],
    2: [1, (2, 1, 0, 3), (-1, 2, 1, -2)],
    3: [1, (2, 1, 0, 3, 1, 2), (-1, 2, 1, -2, 0, 1)],
}


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_layers(compare, normal, dims, kind):
    for sides in SIDES[dims]:
        for lead in ((2, 3), (3,), (0, 3)):
            x = normal(*lead, *SIZES[dims])
            compare(lambda lib, p=sides: getattr(lib, f"{kind}Pad{dims}d")(p), x)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_constants(compare, normal, dims):
    for sides in SIDES[dims]:
        for value in (0.0, 2.5, float("-inf")):
            x = normal(2, *SIZES[dims])
            compare(lambda lib, p=sides, v=value: getattr(lib, f"ConstantPad{dims}d")(p, v), x)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_dtypes(mode):
    for dtype in ("int64", "uint8", "float16", "complex64", "bool"):
        if mode in ("reflect", "replicate") and dtype == "bool":
            continue
        x = np.array([[1, 0, 2, 3]]).astype(dtype)
        ours = nn.functional.pad(tl.from_numpy(x), (2, 3), mode)
        theirs = torch.nn.functional.pad(torch.tensor(x), (2, 3), mode)
        assert ours.tolist() == theirs.tolist()
        assert ours.numpy().dtype == x.dtype


def test_the_result_is_new_even_where_nothing_is_added():
    x = tl.arange(4.0).reshape(1, 4)
    for mode in ("constant", "reflect", "replicate", "circular"):
        padded = nn.functional.pad(x, (0, 0), mode)
        padded.fill_(7.0)
        assert x.tolist() == [[0, 1, 2, 3]]


def test_second_gradients(compare_second, normal):
    for kind in KINDS:

        def cubed(lib, x, kind=kind):
            return getattr(lib, f"{kind}Pad2d")((2, 1, 0, 2))(x) ** 3

        compare_second(lambda x: cubed(nn, x), lambda x: cubed(torch.nn, x), normal(1, 2, 3, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda lib, x, F: F.pad(x, 1), "must be tuple of ints"),
        (lambda lib, x, F: F.pad(x, (1, 1.5)), "must be tuple of ints"),
        (lambda lib, x, F: F.pad(x, (1, 1, 1)), "divisible by 2"),
        (lambda lib, x, F: F.pad(x, (1, 1, 1), "reflect"), "divisible by 2"),
        (lambda lib, x, F: F.pad(x, (1,) * 8), "two times the input dimension"),
        (lambda lib, x, F: F.pad(x, (-3, -2)), "negative output size"),
        (lambda lib, x, F: F.pad(x, (1, 1), "foo"), "Unrecognised padding mode foo"),
        (lambda lib, x, F: F.pad(x, (1, 1), "reflect", 2.0), "doesn't take in value"),
        (lambda lib, x, F: F.pad(x, (4, 0), "reflect"), "less than the corresponding input dimension"),
        (lambda lib, x, F: F.pad(x, (5, 0), "circular"), "wrapping around more than once"),
        (lambda lib, x, F: F.pad(x, (-2, -2), "reflect"), "too small"),
        (lambda lib, x, F: F.pad(x, (-2, -2), "replicate"), "too small"),
        (lambda lib, x, F: F.pad(x[0, 0], (1, 1), "replicate"), "not supported for 1D"),
        (lambda lib, x, F: F.pad(x, (), "replicate"), "not supported for 3D"),
        (lambda lib, x, F: F.pad(x[:, :0], (1, 1), "reflect"), "non-zero dimensions"),
        (lambda lib, x, F: F.pad(x[..., :0], (1, 1), "replicate"), "non-zero dimensions"),
        (lambda lib, x, F: F.pad(x[..., :0], (1, 1), "circular"), "wrapping"),
        (lambda lib, x, F: F.pad(x > 1, (1, 1), "reflect"), "not implemented"),
        (lambda lib, x, F: lib.CircularPad2d(1)(x[0]), "expected 3D or 4D input .got 2D"),
        (lambda lib, x, F: lib.ReflectionPad2d(1)(x[0]), "not supported for 2D"),
    ],
)  # fmt: skip
def test_wrong_calls_raise_what_pytorch_raises(call, message):
    with pytest.raises(Exception) as theirs:
        call(torch.nn, torch.ones(1, 2, 4), torch.nn.functional)
    with pytest.raises(theirs.type, match=message):
        call(nn, tl.ones(1, 2, 4), nn.functional)
