"""What becomes of nan, of infinite gradients and of ties: values and gradients as in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl

torch = pytest.importorskip("torch", reason="compares with PyTorch")

NAN, INF = float("nan"), float("inf")
X, Y, TARGET = [NAN, 1.0, -2.0, 0.0], [1.0, NAN, 3.0, 0.0], [1.0, -1.0, 1.0, -1.0]
#: Of so many numbers the compiled kernels take part, of four the generic path.
REPEATED = [1, 5000]


def _values(library, call, arrays, slopes):
    """The result and the gradients, given those of the result."""
    inputs = [library.tensor(a.tolist(), requires_grad=True) for a in arrays]
    out = call(library, *inputs)
    out.backward(library.tensor(np.resize(np.float32(slopes), tuple(out.shape)).tolist()))
    return [out.detach().numpy(), *(x.grad.numpy() for x in inputs)]


def _compare(call, *arrays, slopes=(1.0, -2.0, 3.0)):
    with np.errstate(all="ignore"):
        found = _values(tl, call, arrays, slopes)
    for a, b in zip(found, _values(torch, call, arrays, slopes), strict=True):
        np.testing.assert_allclose(a, b, 1e-5, 1e-6)


def _of(name, *args, **options):
    def call(library, *inputs):
        functions = library if hasattr(library, name) else library.nn.functional
        return getattr(functions, name)(*inputs, *args, **options)

    call.__name__ = name
    return call


# Of a nan's gradient by hardtanh, elu and some others PyTorch itself has two opinions: one where vectors are
# computed, one for the rest.
ONE_BY_ONE = [
    _of("abs"), _of("sign"), _of("relu"), _of("leaky_relu"), _of("hardsigmoid"), _of("softsign"), _of("softplus"),
    _of("gelu"), _of("gelu", approximate="tanh"), _of("silu"), _of("mish"), _of("logsigmoid"), _of("rrelu"),
    _of("threshold", 0.0, 1.0), _of("clamp", -1.0, 1.0), _of("clamp", min=0.0), _of("nan_to_num"), _of("sigmoid"),
    _of("tanh"), _of("square"), _of("frac"), _of("pow", 2), _of("sqrt"), _of("rsqrt"), _of("reciprocal"), _of("glu"),
]  # fmt: skip
WITH_INFINITE_SLOPES = [
    _of("abs"), _of("relu"), _of("leaky_relu"), _of("hardsigmoid"), _of("clamp", -1.0, 1.0), _of("threshold", 0.0, 1.0),
    _of("sigmoid"), _of("softplus"), _of("square"), _of("pow", 2), _of("sqrt"), _of("rsqrt"), _of("reciprocal"),
    _of("glu"), _of("nan_to_num"),
]  # fmt: skip
OF_TWO = [
    _of(n) for n in ("maximum", "minimum", "fmax", "fmin", "copysign", "mul", "logaddexp", "hypot")
]
LOSSES = ["l1_loss", "smooth_l1_loss", "huber_loss", "mse_loss"]
OF_ALL = [
    "max",
    "min",
    "amax",
    "amin",
    "median",
    "nanmedian",
    "nansum",
    "nanmean",
    "sum",
    "prod",
    "std",
    "norm",
]


@pytest.mark.parametrize("times", REPEATED)
@pytest.mark.parametrize("call", ONE_BY_ONE, ids=lambda call: call.__name__)
def test_functions_of_each_element(call, times):
    _compare(call, np.tile(np.array(X, np.float32), times))


@pytest.mark.parametrize("times", REPEATED)
@pytest.mark.parametrize("call", WITH_INFINITE_SLOPES, ids=lambda call: call.__name__)
def test_infinite_gradients(call, times):
    _compare(
        call, np.tile(np.array([0.5, -0.5, 2.0, -2.0], np.float32), times), slopes=(INF, -INF, 1.0)
    )


FLAT = {
    "sign": _of("sign"), "floor": _of("floor"), "ceil": _of("ceil"), "trunc": _of("trunc"), "round": _of("round"),
    "to the power of 0": _of("pow", 0), "angle": _of("angle"),
    "sign of another": lambda library, x: library.copysign(library.ones(()), x),
    "whole division": lambda library, x: library.div(x, 2.0, rounding_mode="floor"),
    "whole division by": lambda library, x: library.div(library.ones(()), x, rounding_mode="trunc"),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAT)
def test_infinite_gradients_of_what_is_flat(name):
    _compare(FLAT[name], np.array([0.5, -0.5, 2.0, -2.0], np.float32), slopes=(INF, -INF, NAN))


@pytest.mark.parametrize("reduce", ["sum", "mean", "amax", "prod"])
def test_infinite_gradients_of_places_that_share(reduce):
    index = [0, 0, 2, 3]
    _compare(
        lambda library, x, y: x.scatter_reduce(0, library.tensor(index), y, reduce),
        np.array([1, 5, 2, 2], np.float32), np.array([3, 2, 1, 2], np.float32), slopes=(INF, 1.0, -2.0, 3.0),
    )  # fmt: skip


@pytest.mark.parametrize("times", REPEATED)
@pytest.mark.parametrize("call", OF_TWO, ids=lambda call: call.__name__)
def test_functions_of_two(call, times):
    x, y = (np.tile(np.array(a, np.float32), times) for a in (X, Y))
    _compare(call, x, y)
    _compare(call, y, x)


@pytest.mark.parametrize("times", REPEATED)
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, reduction, times):
    x, y = (np.tile(np.array(a, np.float32), times) for a in (X, TARGET))
    _compare(_of(name, reduction=reduction), x, y)


@pytest.mark.parametrize("numbers", [X, Y, [2.0, 2.0, 1.0, 2.0], [3.0, 1.0, 3.0, NAN]])
@pytest.mark.parametrize("name", OF_ALL)
def test_results_of_all_elements(name, numbers):
    _compare(_of(name), np.array(numbers, np.float32))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_polygamma_has_values_at_what_is_no_number(n):
    x = [NAN, 1.0, -1.5, 0.5]
    np.testing.assert_allclose(
        tl.polygamma(n, tl.tensor(x)).numpy(), torch.polygamma(n, torch.tensor(x)).numpy(), 1e-5
    )
    assert bool(tl.polygamma(n, tl.tensor([-INF])).isnan())
