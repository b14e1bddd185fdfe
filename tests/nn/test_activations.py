"""Every activation as PyTorch has it: values, gradients of both orders, dtypes, draws, printed forms, errors."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")


def between(low, high):
    return lambda rng: float(rng.uniform(low, high))


# The options of each function and module are drawn anew in every run.
FUNCTIONS = {
    "celu": {"alpha": between(0.2, 3)},
    "elu": {"alpha": between(0.2, 3)},
    "gelu": {"approximate": lambda rng: str(rng.choice(["none", "tanh"]))},
    "glu": {"dim": lambda rng: int(rng.choice([-1, 1]))},
    "hardshrink": {"lambd": between(0, 2)},
    "hardsigmoid": {},
    "hardswish": {},
    "hardtanh": {"min_val": between(-3, -1), "max_val": between(-0.5, 2)},
    "leaky_relu": {"negative_slope": between(0, 0.5)},
    "log_softmax": {"dim": lambda rng: int(rng.integers(-2, 2))},
    "logsigmoid": {},
    "mish": {},
    "relu": {},
    "relu6": {},
    "rrelu": {"lower": between(0, 0.2), "upper": between(0.3, 1)},
    "selu": {},
    "sigmoid": {},
    "silu": {},
    "softmax": {"dim": lambda rng: int(rng.integers(-2, 2))},
    "softmin": {"dim": lambda rng: int(rng.integers(-2, 2))},
    "softplus": {"beta": between(0.3, 3), "threshold": between(1, 20)},
    "softshrink": {"lambd": between(0, 2)},
    "softsign": {},
    "tanh": {},
    "tanhshrink": {},
    "threshold": {"threshold": between(-1, 1), "value": between(-5, 5)},
}
MODULES = {
    "CELU": "celu", "ELU": "elu", "GELU": "gelu", "GLU": "glu", "Hardshrink": "hardshrink",
    "Hardsigmoid": "hardsigmoid", "Hardswish": "hardswish", "Hardtanh": "hardtanh", "LeakyReLU": "leaky_relu",
    "LogSigmoid": "logsigmoid", "LogSoftmax": "log_softmax", "Mish": "mish", "RReLU": "rrelu", "ReLU": "relu",
    "ReLU6": "relu6", "SELU": "selu", "SiLU": "silu", "Sigmoid": "sigmoid", "Softmax": "softmax",
    "Softmin": "softmin", "Softplus": "softplus", "Softshrink": "softshrink", "Softsign": "softsign",
    "Tanh": "tanh", "Tanhshrink": "tanhshrink", "Threshold": "threshold",
}  # fmt: skip
#: Modules with an `inplace` argument, and functions with a name for their in-place form.
IN_PLACE = [
    "CELU", "ELU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "Mish", "RReLU", "ReLU", "ReLU6",
    "SELU", "SiLU", "Threshold",
]  # fmt: skip
UNDERSCORED = [
    "celu_", "elu_", "hardtanh_", "leaky_relu_", "relu_", "rrelu_", "selu_", "threshold_",
]  # fmt: skip
# Functions that need whole rows or an even size take no 0-dim and no odd inputs.
ALONG_A_DIMENSION = {"glu", "softmax", "softmin", "log_softmax"}


def options(rng, name):
    return {option: draw(rng) for option, draw in FUNCTIONS[name].items()}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions(name, dtype, rng, agree):
    # Some of PyTorch's constants have single precision in double as well.
    tolerance = 2e-5 if dtype == np.float32 else 2e-7
    for _ in range(3):
        given = options(rng, name)
        x = (rng.standard_normal((5, 6)) * rng.choice([0.5, 2, 10])).astype(dtype)
        agree(lambda lib, x, o=given: getattr(lib.nn.functional, name)(x, **o), x, tolerance=tolerance)  # fmt: skip
    if name not in ALONG_A_DIMENSION:
        for x in (np.array(0.7, dtype), np.zeros((2, 0), dtype)):
            agree(lambda lib, x: getattr(lib.nn.functional, name)(x, **given), x)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in ALONG_A_DIMENSION])
def test_corners_and_extremes(name):
    """At the bounds between pieces, far out, and where there is no number."""
    values = [-np.inf, -1e4, -3, -1, -0.5, -0.0, 0.0, 0.5, 1, 3, 6, 1e4, np.inf, np.nan]
    required = {"threshold": (0.5, 20.0)}.get(name, ())
    x, y = (lib.tensor(values, requires_grad=True) for lib in (tl, torch))
    ours = getattr(nn.functional, name)(x, *required)
    theirs = getattr(torch.nn.functional, name)(y, *required)
    # PyTorch's gelu of infinity is nan.
    finite = slice(0, -2) if name == "gelu" else slice(None)
    np.testing.assert_allclose(ours[finite].tolist(), theirs[finite].tolist(), rtol=1e-5, atol=1e-6)
    # Slopes at the infinities are limits, and PyTorch's are often nan there.
    inner = slice(1, -2)
    ours[inner].sum().backward()
    theirs[inner].sum().backward()
    np.testing.assert_allclose(x.grad[inner].tolist(), y.grad[inner].tolist(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_dtype_gives_the_same_dtype_or_error(name):
    required = {"threshold": (0.5, 20.0), "softmax": (0,), "log_softmax": (0,), "softmin": (0,)}
    kinds = (
        "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128"
    )
    for kind in kinds.split():
        results = []
        for lib in (tl, torch):
            x = lib.ones(4, 4).to(getattr(lib, kind))
            try:
                y = getattr(lib.nn.functional, name)(x, *required.get(name, ()))
                results.append(str(y.dtype).split(".")[1])
            except (RuntimeError, NotImplementedError) as error:
                results.append(type(error))
        # There is no half-precision complex type, and some functions take complex numbers here alone.
        ours, theirs = results
        if kind.startswith("complex") and isinstance(ours, str) and not isinstance(theirs, str):
            continue
        assert ours == theirs, (name, kind)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "rrelu"])
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision(name, kind, rng):
    """Against PyTorch's in float32: in half precision, its gradients may be off by a third where a gate is near 1."""
    half = tl.tensor(np.round(rng.standard_normal((4, 6)) * 3, 1), dtype=getattr(tl, kind))
    # Options that both have exactly: else one compares with a rounded threshold, and the other does not.
    given = {
        k: round(16 * v) / 16 if isinstance(v, float) else v for k, v in options(rng, name).items()
    }
    results, gradients = [], []
    for x in (half, torch.tensor(half.float().tolist())):
        x.requires_grad_()
        y = getattr((tl if x is half else torch).nn.functional, name)(x, **given)
        y.float().square().sum().backward()
        results.append(y.float().tolist())
        gradients.append(x.grad.float().tolist())
    slack = 4e-3 if kind == "float16" else 4e-2
    np.testing.assert_allclose(*results, rtol=slack, atol=slack)
    np.testing.assert_allclose(*gradients, rtol=4 * slack, atol=4 * slack)


@pytest.mark.parametrize("name", MODULES)
def test_modules(name, rng, compare):
    given = options(rng, MODULES[name])
    x = (3 * rng.standard_normal((4, 6))).astype(np.float32)
    compare(lambda lib: getattr(lib, name)(**given), x, tolerance=2e-5)
    if name not in ("GLU", "LogSoftmax", "Softmax", "Softmin", "Threshold"):
        compare(lambda lib: getattr(lib, name)(), x, tolerance=2e-5)


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_modules(name, rng):
    given = {**options(rng, MODULES[name]), "inplace": True}
    values = (3 * rng.standard_normal((4, 5))).astype(np.float32)
    for training in (True, False):
        gradients = []
        for lib in (tl, torch):
            lib.manual_seed(3)
            leaf = lib.tensor(values.tolist(), requires_grad=True)
            inside = leaf * 1
            module = getattr(lib.nn, name)(**given).train(training)
            out = module(inside)
            assert out is inside
            (out * out).sum().backward()
            gradients.append((repr(module), out.tolist(), leaf.grad.tolist()))
        ours, theirs = gradients
        assert ours[0] == theirs[0]
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", UNDERSCORED)
def test_in_place_functions(name, rng):
    given = options(rng, name[:-1])
    values = (3 * rng.standard_normal((4, 5))).tolist()
    results = []
    for lib in (tl, torch):
        x = lib.tensor(values)
        out = getattr(lib.nn.functional, name)(x, **given)
        assert out is x
        results.append(out.tolist())
        if hasattr(torch, name):
            top = lib.tensor(values)
            getattr(lib, name)(top, **given)
            assert top.tolist() == out.tolist()
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-6)
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        getattr(nn.functional, name)(tl.tensor(values, requires_grad=True), **given)


@pytest.mark.parametrize("name", ["celu", "selu", "threshold", "prelu", "hardshrink", "rrelu"])
def test_those_of_the_top_namespace(name, rng):
    """`tensorlab.celu` and its like are the functions without `inplace`."""
    values = rng.standard_normal((3, 4)).tolist()
    required = {"threshold": (0.1, 5.0)}.get(name, ())
    results = []
    for lib in (tl, torch):
        weights = (lib.tensor([0.3]),) if name == "prelu" else required
        results.append(getattr(lib, name)(lib.tensor(values), *weights).tolist())
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-6)
    for method in ("prelu", "hardshrink"):
        assert hasattr(tl.Tensor, method)


# With parameters and draws ----------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 3, 4), (2, 3, 2, 2), ()])
@pytest.mark.parametrize("channels", [False, True])
def test_prelu(shape, channels, rng, compare, agree):
    x = rng.standard_normal(shape).astype(np.float32)
    count = shape[1] if channels and len(shape) > 1 else 1
    compare(lambda lib: lib.PReLU(count, init=0.1), x)
    weight = rng.standard_normal(count).astype(np.float32)
    agree(lambda lib, x, w: lib.nn.functional.prelu(x, w), x, weight)
    if count == 1:
        weight = np.array(0.3, np.float32)
        agree(lambda lib, x, w: lib.nn.functional.prelu(x, w), x, weight)
    layer = nn.PReLU(count, dtype=tl.float64)
    assert layer.weight.dtype is tl.float64
    assert layer.weight.tolist() == [0.25] * count


def test_prelu_errors(same_error):
    def prelu(*shapes, dtype="float32"):
        return lambda lib: lib.nn.functional.prelu(
            lib.ones(shapes[0]), lib.ones(shapes[1], dtype=getattr(lib, dtype))
        )

    assert "parameter numbers = 2 and channel size = 3" in same_error(prelu((2, 3), (2,)))
    assert "scalar or 1D tensor" in same_error(prelu((2, 3), (1, 3)))
    assert "channel size = 1" in same_error(prelu((3,), (3,)))
    assert "zero-dim" in same_error(prelu((), (3,)))
    assert "Type promoting not supported" in same_error(prelu((2, 3), (3,), dtype="float64"))
    same_error(lambda lib: lib.nn.functional.prelu(lib.ones(2), 0.25))


@pytest.mark.parametrize("shape", [(7,), (40, 30), (3, 0), ()])
def test_rrelu_draws_pytorchs_slopes(shape, rng):
    values = rng.standard_normal(shape)
    results = []
    for lib in (tl, torch):
        lib.manual_seed(4)
        x = lib.tensor(values.tolist(), requires_grad=True)
        y = lib.nn.functional.rrelu(x, 0.1, 0.9, training=True)
        (y * y).sum().backward()
        results.append((y.detach().numpy(), x.grad.numpy(), lib.rand(2).numpy()))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dim", [-1, 0])
def test_gumbel_softmax_draws_pytorchs_samples(hard, dim, rng):
    values = rng.standard_normal((5, 4)).tolist()
    results = []
    for lib in (tl, torch):
        lib.manual_seed(4)
        x = lib.tensor(values, requires_grad=True)
        y = lib.nn.functional.gumbel_softmax(x, tau=0.7, hard=hard, dim=dim)
        (y * lib.arange(20.0).reshape(5, 4)).sum().backward()
        results.append((y.detach().numpy(), x.grad.numpy()))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    with pytest.warns(UserWarning, match="`eps` parameter is deprecated"):
        nn.functional.gumbel_softmax(tl.zeros(2, 3), eps=1e-3)


def test_softmax_2d_and_implicit_dimension(compare):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    compare(lambda lib: lib.Softmax2d(), x)
    compare(lambda lib: lib.Softmax2d(), x[0])
    for name in ("Softmax", "Softmin", "LogSoftmax"):
        for shape in [(4,), (4, 3), (2, 3, 4), (2, 2, 3, 4)]:
            with pytest.warns(UserWarning, match="Implicit dimension choice"):
                ours = getattr(nn, name)()(tl.ones(shape))
            with pytest.warns(UserWarning, match="Implicit dimension choice"):
                theirs = getattr(torch.nn, name)()(torch.ones(shape))
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def test_dtype_of_softmax():
    for name in ("softmax", "softmin", "log_softmax"):
        x = tl.ones(3, requires_grad=True)
        y = getattr(nn.functional, name)(x, dim=0, dtype=tl.float64)
        assert y.dtype is tl.float64
        y.sum().backward()
        assert x.grad.dtype is tl.float32


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5, float("inf"), 0.5])
def test_normalize(p, rng, agree):
    x = rng.standard_normal((3, 4, 2))
    for dim in (0, 1, -1, (0, 2)):
        agree(lambda lib, x, d=dim: lib.nn.functional.normalize(x, p=p, dim=d), x, tolerance=1e-8)
    assert nn.functional.normalize(tl.zeros(1, 2), p=p).tolist() == [[0.0, 0.0]]
    out = tl.empty(3, 4, 2, dtype=tl.float64)
    assert nn.functional.normalize(tl.from_numpy(x), p=p, out=out) is out
    np.testing.assert_allclose(out.numpy(), nn.functional.normalize(tl.from_numpy(x), p=p).numpy())


# Errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda lib: lib.nn.functional.celu(lib.ones(2), 0.0),
        lambda lib: lib.nn.functional.rrelu(lib.ones(2), 0.5, 0.1),
        lambda lib: lib.nn.functional.glu(lib.ones(2, 3)),
        lambda lib: lib.nn.functional.glu(lib.ones(())),
        lambda lib: lib.nn.functional.glu(lib.ones(2, 4), 2),
        lambda lib: lib.nn.functional.softshrink(lib.ones(2), -1.0),
        lambda lib: lib.nn.functional.gelu(lib.ones(2), approximate="cubic"),
        lambda lib: lib.nn.functional.hardtanh(lib.ones(2), 1.0, -1.0),
        lambda lib: lib.nn.functional.softmax(lib.ones(2), 3),
        lambda lib: lib.nn.functional.gumbel_softmax(lib.ones(2, dtype=lib.int64)),
        lambda lib: lib.nn.functional.normalize(lib.ones(2, 2, dtype=lib.int64)),
        lambda lib: lib.nn.Hardtanh(1.0, 1.0),
        lambda lib: lib.nn.Softmax2d()(lib.ones(2, 3)),
        lambda lib: lib.nn.Threshold(),
    ],
)
def test_errors(call, same_error):
    assert same_error(call)


def test_old_names_of_hardtanhs_bounds():
    with pytest.warns(FutureWarning, match="`min_value` is deprecated"):
        layer = nn.Hardtanh(min_value=-0.25)
    assert repr(layer) == "Hardtanh(min_val=-0.25, max_val=1.0)"
