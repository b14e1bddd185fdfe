"""bfloat16: PyTorch's numbers for every operation, its promotion, and what is only stored that way."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab._op import OPS
from tensorlab.testing import _torch
from tensorlab.testing.opcheck import map_inputs, outputs, samples_of

ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes")
bf16 = tl.bfloat16
ULP = 2.0**-7  # the distance between neighbours just above 1

torch: Any = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")


def _ours(x: np.ndarray, leaves: list[Any] | None = None) -> tl.Tensor:
    if x.dtype.kind != "f":
        return tl.tensor(x)
    made = tl.tensor(x).bfloat16()
    if leaves is not None:
        leaves.append(made.requires_grad_())
    return made


def _theirs(x: np.ndarray, leaves: list[Any] | None = None, exact: bool = False) -> Any:
    """A tensor of PyTorch's, rounded to bfloat16; exact: the same numbers in float32."""
    made = torch.from_numpy(np.array(x))
    if x.dtype.kind != "f":
        return made
    made = made.bfloat16().float() if exact else made.bfloat16()
    if leaves is not None:
        leaves.append(made.requires_grad_())
    return made


def _values(x: Any) -> np.ndarray:
    x = x.detach() + 0  # PyTorch has zeros without memory
    return np.array(x.tolist(), np.float64 if not x.is_complex() else np.complex128)


def _close(got: Any, want: Any, message: str, ulps: float = 1.0, slack: float = 0.0) -> None:
    got, want = _values(got), _values(want)
    finite = np.isfinite(want)
    scale = max(1e-3, float(np.abs(want[finite]).max())) if finite.any() else 1.0
    np.testing.assert_allclose(
        got, want, rtol=1.01 * ulps * ULP, atol=slack + 0.5 * ulps * ULP * scale, err_msg=message
    )


def _call_torch(
    op: Any, function: Any, sample: Any, leaves: list[Any] | None = None, exact: bool = False
) -> Any:
    """PyTorch's results in bfloat16; None where it has none."""
    args, kwargs = map_inputs(op, sample, lambda x: _theirs(x, leaves, exact))
    args = [_torch.convert(a) for a in args]
    kwargs = {k: _torch.convert(v) for k, v in kwargs.items()}
    try:
        found = function(*args, **kwargs)
    except (RuntimeError, TypeError, NotImplementedError, ValueError):
        return None
    return list(found) if isinstance(found, (tuple, list)) else [found]


def _weights(x: Any) -> np.ndarray:
    return _torch.weights(tuple(x.shape), np.dtype(np.float32))


# PyTorch computes these in bfloat16 itself, and is off by more than a rounding (or overflows).
INEXACT = {"matrix_exp", "special_i0e"}
COMPARED = [
    op
    for op in OPS.values()
    if op.samples and op.name not in INEXACT and _torch.counterpart(op) is not None
]


@pytest.mark.parametrize("op", COMPARED, ids=lambda op: op.name)
def test_every_operation_as_in_pytorch(op):
    function = _torch.counterpart(op)
    for sample in samples_of(op, 0, "float32"):
        want = _call_torch(op, function, sample)
        if want is None:
            continue
        args, kwargs = map_inputs(op, sample, _ours)
        for got, expected in zip(outputs(op.call(*args, **kwargs)), want, strict=True):
            assert got.dtype.name == str(expected.dtype).removeprefix("torch.")
            assert tuple(got.shape) == tuple(expected.shape)
            if got.dtype is bf16:
                assert type(got._data).__name__ == "BFloat16Array"
            if op.name != "signbit":  # the sign of nan is nobody's business
                _close(got, expected, f"{op.name}, {sample!r}")


def _torch_gradients(results: list[Any], leaves: list[Any]) -> Any:
    results = [w for w in results if w.requires_grad]
    seeds = [torch.tensor(_weights(w)) for w in results]
    try:
        return torch.autograd.grad([w.float() for w in results], leaves, seeds, allow_unused=True)
    except (RuntimeError, NotImplementedError):
        return None


# Their gradients are ill-conditioned, or come out of a choice among values that rounding made equal.
COARSE = {
    "svd",
    "eigh",
    "qr",
    "lstsq",
    "pinv",
    "mode",
    "median_dim",
    "nanmedian_dim",
    "kthvalue",
    "topk",
    "sort",
}


@pytest.mark.parametrize(
    "op", [op for op in COMPARED if op.differentiable and op.name not in COARSE], ids=lambda op: op.name
)  # fmt: skip
def test_every_gradient_is_as_exact_as_pytorchs(op):
    function = _torch.counterpart(op)
    for sample in samples_of(op, 0, "float32"):
        if not sample.smooth:
            continue
        their_leaves: list[Any] = []
        want = _call_torch(op, function, sample, their_leaves)
        if want is None or not any(w.requires_grad for w in want):
            continue
        theirs = _torch_gradients(want, their_leaves)
        exact_leaves: list[Any] = []
        exact = _torch_gradients(
            _call_torch(op, function, sample, exact_leaves, True), exact_leaves
        )
        if theirs is None or exact is None:
            continue
        our_leaves: list[Any] = []
        args, kwargs = map_inputs(op, sample, lambda x, keep=our_leaves: _ours(x, keep))
        got = outputs(op.call(*args, **kwargs))
        assert [g.requires_grad for g in got] == [w.requires_grad for w in want], (
            f"{op.name}, {sample!r}"
        )
        made = [g for g in got if g.requires_grad]
        seeds = [tl.tensor(_weights(g)) for g in made]
        ours = tl.autograd.grad([g.float() for g in made], our_leaves, seeds, allow_unused=True)
        for o, t, e, leaf in zip(ours, theirs, exact, our_leaves, strict=True):
            if t is None:
                assert o is None or not o.any()
                continue
            o = tl.zeros_like(leaf) if o is None else o
            assert o.dtype is bf16
            assert type(o._data).__name__ == "BFloat16Array"
            # Against float32: where rounding what was saved changes the gradient, PyTorch's own
            # error says by how much.
            error = np.abs(_values(t) - _values(e)).max(initial=0.0)
            _close(o, e, f"{op.name}, {sample!r}", ulps=2, slack=2 * error)


# Types ------------------------------------------------------------------------------------

NAMES = [
    "bfloat16",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "uint8",
    "int8",
    "int64",
    "bool",
]


@pytest.mark.parametrize("other", NAMES)
def test_promotion(other):
    for first, second in (("bfloat16", other), (other, "bfloat16")):
        ours = tl.promote_types(getattr(tl, first), getattr(tl, second))
        assert (
            ours.name == str(torch.promote_types(getattr(torch, first), getattr(torch, second)))[6:]
        )
        for shapes in (((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())):
            x, y = (
                tl.ones(s, dtype=getattr(tl, n))
                for s, n in zip(shapes, (first, second), strict=True)
            )
            a, b = (
                torch.ones(s, dtype=getattr(torch, n))
                for s, n in zip(shapes, (first, second), strict=True)
            )
            for symbol in ("__add__", "__truediv__", "__lt__"):
                try:
                    want = str(getattr(a, symbol)(b).dtype)[6:]
                except NotImplementedError:
                    continue
                assert getattr(x, symbol)(y).dtype.name == want
        assert tl.can_cast(getattr(tl, first), getattr(tl, second)) == torch.can_cast(
            getattr(torch, first), getattr(torch, second)
        )


@pytest.mark.parametrize("number", [2, 2.5, 1j])
def test_numbers(number):
    x, y = tl.ones(2, dtype=bf16), torch.ones(2, dtype=torch.bfloat16)
    for ours, theirs in (
        (x * number, y * number),
        (number - x, number - y),
        (x / number, y / number),
    ):
        assert str(theirs.dtype) == f"torch.{ours.dtype.name}"
        assert ours.tolist() == theirs.tolist()


def test_the_dtype():
    assert repr(bf16) == "tensorlab.bfloat16"
    assert (bf16.itemsize, bf16.is_floating_point, bf16.is_complex, bf16.is_signed) == (
        2,
        True,
        False,
        True,
    )
    assert pickle.loads(pickle.dumps(bf16)) is bf16
    x = tl.ones(2, dtype=bf16)
    assert x.dtype is bf16
    assert x.is_floating_point()
    assert tl.is_floating_point(x)
    assert not x.is_complex()
    assert x.is_signed()
    assert x.type() == "tensorlab.BFloat16Tensor"
    assert tl.ones(2).type("tensorlab.BFloat16Tensor").dtype is bf16
    assert isinstance(x, tl.BFloat16Tensor)
    assert not isinstance(tl.ones(2), tl.BFloat16Tensor)
    assert tl.BFloat16Tensor([1, 2]).tolist() == [1, 2]
    for same in ("bfloat16", np.dtype(ml_dtypes.bfloat16), ml_dtypes.bfloat16):
        assert tl.zeros(1, dtype=same).dtype is bf16
    assert x.element_size() == 2
    assert x.nbytes == 4


def test_finfo():
    ours, theirs = tl.finfo(bf16), torch.finfo(torch.bfloat16)
    for name in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert repr(ours) == repr(theirs)


def test_rounding(rng):
    numbers = np.concatenate(
        [
            rng.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32),
            (rng.integers(0, 2**16, 500).astype(np.uint32) << 16 | 0x8000).view(np.float32),  # ties
        ]
    )
    ours, theirs = tl.tensor(numbers).bfloat16(), torch.from_numpy(numbers).bfloat16()
    np.testing.assert_array_equal(ours.float().numpy(), theirs.float().numpy())


@pytest.mark.parametrize("values", [[1.0, 2.5], [1.0], [1e-6, 1e6], [0.1, float("nan")], []])
def test_printing(values):
    ours = tl.tensor(values, dtype=bf16, requires_grad=True)
    theirs = torch.tensor(values, dtype=torch.bfloat16, requires_grad=True)
    assert repr(ours) == repr(theirs).replace("torch.", "tensorlab.")
    assert repr(tl.tensor(1.5, dtype=bf16)) == "tensor(1.5000, dtype=tensorlab.bfloat16)"
    assert f"{tl.tensor(1.5, dtype=bf16):.3f}" == "1.500"


def test_default_dtype():
    tl.set_default_dtype(bf16)
    try:
        for made in (
            tl.zeros(2),
            tl.tensor([1.5]),
            tl.rand(3),
            tl.exp(tl.tensor([1, 2])),
            tl.tensor([3]) / 2,
            tl.Tensor(2),
        ):
            assert made.dtype is bf16
            assert type(made._data).__name__ == "BFloat16Array"
        assert repr(tl.tensor([1.5])) == "tensor([1.5000])"
        assert tl.tensor(1j).dtype is tl.complex64
    finally:
        tl.set_default_dtype(tl.float32)


MAKERS = {
    "zeros": lambda m, d: m.zeros(3, dtype=d), "ones": lambda m, d: m.ones(3, dtype=d),
    "full": lambda m, d: m.full((2,), 0.1, dtype=d), "arange": lambda m, d: m.arange(0, 1, 0.125, dtype=d),
    "linspace": lambda m, d: m.linspace(0, 1, 9, dtype=d), "eye": lambda m, d: m.eye(2, dtype=d),
    "tensor": lambda m, d: m.tensor([0.1, 1, -3], dtype=d), "as_tensor": lambda m, d: m.as_tensor([0.1], dtype=d),
    "rand": lambda m, d: m.rand(40, dtype=d), "randn": lambda m, d: m.randn(40, dtype=d),
    "few normals": lambda m, d: m.randn(7, dtype=d), "randint": lambda m, d: m.randint(0, 100, (9,), dtype=d),
    "like": lambda m, d: m.randn_like(m.zeros(5, dtype=d)), "new": lambda m, d: m.zeros(1, dtype=d).new_full((2,), 7),
    "uniform_": lambda m, d: m.empty(20, dtype=d).uniform_(-1, 1),
    "normal_": lambda m, d: m.empty(20, dtype=d).normal_(),
    "bernoulli": lambda m, d: m.bernoulli(m.full((9,), 0.5, dtype=d)),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_creation_and_random_numbers(name, seed):
    tl.manual_seed(seed)
    torch.manual_seed(seed)
    ours, theirs = MAKERS[name](tl, bf16), MAKERS[name](torch, torch.bfloat16)
    assert ours.dtype is bf16
    assert type(ours._data).__name__ == "BFloat16Array"
    if name == "bernoulli":
        assert set(ours.tolist()) <= {0.0, 1.0}
    else:
        _close(ours, theirs, name)
    assert tl.multinomial(tl.tensor([0, 1], dtype=bf16), 1).tolist() == [1]


# Numbers ----------------------------------------------------------------------------------


def test_sums_accumulate_in_float32():
    x = tl.full((10_000,), 0.1, dtype=bf16)  # adding in bfloat16 would stop growing at 32
    want = torch.full((10_000,), 0.1, dtype=torch.bfloat16)
    assert x.sum().item() == want.sum().item() == 1000.0
    _close(x.mean(), want.mean(), "mean")
    _close(x @ x, want @ want, "dot")
    _close(
        x.reshape(100, 100) @ x.reshape(100, 100),
        want.reshape(100, 100) @ want.reshape(100, 100),
        "matmul",
    )
    y = tl.ones(1, dtype=bf16, requires_grad=True)
    (y * x).sum().backward()  # broadcast 10,000 times
    assert y.grad.item() == 1000.0


def test_matmul_wants_one_dtype():
    with pytest.raises(RuntimeError, match="same dtype"):
        tl.ones(2, 2, dtype=bf16) @ tl.ones(2, 2)


def test_dtype_arguments():
    x = tl.tensor([1.0, 2.0, 3.0], dtype=bf16)
    assert x.sum(dtype=tl.float32).dtype is tl.float32
    assert tl.ones(3).sum(dtype=bf16).dtype is bf16
    assert tl.softmax(x, 0, dtype=tl.float64).dtype is tl.float64
    assert tl.cumsum(tl.tensor([1, 2]), 0, dtype=bf16).tolist() == [1, 3]


def test_views_indexing_and_writes():
    x = tl.arange(12.0).to(bf16).reshape(3, 4)
    for view in (
        x.T,
        x[1],
        x[:, ::2],
        x.unsqueeze(0),
        x.expand(2, 3, 4),
        x.split(2)[0],
        x.diagonal(),
        x.view(-1),
    ):
        assert view.untyped_storage() is x.untyped_storage()
        assert type(view._data).__name__ == "BFloat16Array"
    x[0] = 7
    x[x > 9] = tl.tensor(0.5, dtype=bf16)
    x[1:, 1] += tl.tensor([1, 2])
    x.mul_(2).add_(tl.ones(4))
    y = torch.arange(12.0).to(torch.bfloat16).reshape(3, 4)
    y[0] = 7
    y[y > 9] = torch.tensor(0.5, dtype=torch.bfloat16)
    y[1:, 1] += torch.tensor([1, 2])
    y.mul_(2).add_(torch.ones(4))
    assert x.tolist() == y.tolist()
    assert x[tl.tensor([0, 2]), 1].tolist() == y[torch.tensor([0, 2]), 1].tolist()
    with pytest.raises(RuntimeError, match="result type BFloat16 can't be cast to .* Long"):
        tl.tensor([1]).add_(tl.tensor([1.0], dtype=bf16))


def test_second_gradients():
    x = tl.tensor([0.5, 1.0], dtype=bf16, requires_grad=True)
    (g,) = tl.autograd.grad((x**3).sum(), x, create_graph=True)
    (h,) = tl.autograd.grad(g.sum(), x)
    assert h.dtype is bf16
    assert h.tolist() == [3, 6]


@pytest.mark.parametrize("algorithm", ["SGD", "Adam", "AdamW"])
def test_training(algorithm, seed):
    def train(m: Any, dtype: Any, weights: list[np.ndarray]) -> list[float]:
        model = m.nn.Sequential(m.nn.Linear(4, 8), m.nn.Tanh(), m.nn.Linear(8, 1))
        with m.no_grad():
            for p, w in zip(model.parameters(), weights, strict=True):
                p.copy_(m.tensor(w))
        model.bfloat16()
        step = getattr(m.optim, algorithm)(model.parameters(), lr=0.01)
        x, y = m.tensor(inputs).to(dtype), m.tensor(targets).to(dtype)
        losses = []
        for _ in range(20):
            step.zero_grad()
            loss = m.nn.functional.mse_loss(model(x), y)
            loss.backward()
            step.step()
            losses.append(loss.item())
        assert all(p.dtype is dtype and p.grad.dtype is dtype for p in model.parameters())
        return losses

    r = np.random.default_rng(seed)
    inputs, targets = r.standard_normal((16, 4), np.float32), r.standard_normal((16, 1), np.float32)
    weights = [r.standard_normal(s, np.float32) * 0.3 for s in ((8, 4), (8,), (1, 8), (1,))]
    ours, theirs = train(tl, bf16, weights), train(torch, torch.bfloat16, weights)
    np.testing.assert_allclose(ours, theirs, rtol=0.06)
    assert ours[-1] < ours[0]


# In and out -------------------------------------------------------------------------------


def test_numpy_arrays_of_ml_dtypes():
    # PyTorch hands bfloat16 neither in nor out (TypeError); here it is ml_dtypes' type, shared.
    array = np.array([1, 2, 3], ml_dtypes.bfloat16)
    x = tl.from_numpy(array)
    x[0] = 5
    assert array.tolist() == [5, 2, 3]
    out = x.numpy()
    assert type(out) is np.ndarray
    assert out.dtype == ml_dtypes.bfloat16
    out[1] = 7
    assert x.tolist() == [5, 7, 3]
    assert tl.as_tensor(array).data_ptr() == x.data_ptr()
    assert tl.tensor([array, array]).dtype is bf16
    assert np.asarray(x, np.float32).tolist() == [5, 7, 3]
    assert (x * array).tolist() == (array * x).tolist() == [25, 49, 9]
    assert (x + np.float32(1)).dtype is bf16
    assert np.exp(tl.zeros(2, dtype=bf16)).dtype is bf16


@pytest.mark.parametrize("again", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_and_pickles(again):
    x = tl.arange(6.0).to(bf16).reshape(2, 3)
    y, row, column = again([x, x[1], x[:, 1]])
    row[1] = 100
    assert y.tolist() == [[0, 1, 2], [3, 100, 5]]
    assert column.tolist() == [1, 100]
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
    for t in (y, row, column):
        assert t.dtype is bf16
        assert type(t._data).__name__ == "BFloat16Array"
        assert t.untyped_storage() is y.untyped_storage()
    assert again(nn.Linear(2, 2).bfloat16()).weight.dtype is bf16


def _loaded(code: str) -> str:
    code += "\nimport sys\nprint('ml_dtypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def test_loaded_when_it_is_used():
    assert _loaded("import tensorlab as tl\ntl.ones(2) + 1\ndir(tl)") == "False"
    assert _loaded("import tensorlab as tl\ntl.bfloat16") == "True"
    assert _loaded("import tensorlab as tl\ntl.ones(2).bfloat16() + 1") == "True"
    assert (
        _loaded(
            "import numpy, ml_dtypes, tensorlab as tl\nprint(tl.from_numpy(numpy.zeros(2, ml_dtypes.bfloat16)))"
        )
        == "True"
    )


def test_pickled_here_read_in_a_fresh_process():
    data = io.BytesIO()
    pickle.dump(tl.tensor([1.5, 2.5], dtype=bf16), data)
    code = f"import pickle\nx = pickle.loads({data.getvalue()!r})\nprint(x.dtype, (x * 2).tolist())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "tensorlab.bfloat16 [3.0, 5.0]"


def test_without_ml_dtypes():
    code = "import sys\nsys.modules['ml_dtypes'] = None\nimport tensorlab\ntensorlab.bfloat16"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError: bfloat16 needs the package ml_dtypes" in done.stderr.splitlines()[-1]
