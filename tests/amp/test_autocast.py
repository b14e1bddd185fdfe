"""Autocast: what is cast and what not, as PyTorch's on the CPU does; and that it ends."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import _apply, _autocast, amp, nn
from tensorlab._op import OPS
from tensorlab.amp import _policies, _state

F = nn.functional


def square(library):
    return library.eye(3) * 2 + 0.5


# name: (call, one function per input that makes it from the library)
def cases():
    def rand(*shape):
        return lambda library: library.rand(*shape)

    def zeros(*shape):
        return lambda library: library.zeros(*shape, dtype=library.int64)

    a, b, batch, signs = rand(2, 3), rand(3, 2), rand(1, 2, 3), lambda lib: lib.ones(2)
    named = {
        "linear": (lambda lib, x, w: lib.nn.functional.linear(x, w), a, rand(4, 3)),
        "matmul": (lambda lib, x, y: x @ y, a, b),
        "matmul of a vector": (lambda lib, x, y: lib.matmul(x, y), a, rand(3)),
        "mm": (lambda lib, x, y: lib.mm(x, y), a, b),
        "bmm": (lambda lib, x, y: lib.bmm(x, y), batch, rand(1, 3, 2)),
        "mv": (lambda lib, x, y: lib.mv(x, y), a, rand(3)),
        "dot": (lambda lib, x, y: lib.dot(x, y), rand(3), rand(3)),
        "addmm": (lambda lib, x, y, z: lib.addmm(x, y, z), rand(2, 2), a, b),
        "baddbmm": (lambda lib, x, y: lib.baddbmm(lib.ones(1, 2, 2), x, y), batch, rand(1, 3, 2)),
        "einsum": (lambda lib, x, y: lib.einsum("ij,jk->ik", x, y), a, b),
        "prod": (lambda lib, x: x.prod(), a),
        "addbmm": (lambda lib, x, y: lib.addbmm(lib.ones(2, 2), x, y), batch, rand(1, 3, 2)),
        "vecdot": (lambda lib, x, y: lib.linalg.vecdot(x, y), a, a),
        "quantile": (lambda lib, x: x.quantile(0.5), rand(5)),
        "nanquantile": (lambda lib, x: lib.nanquantile(x, 0.5), rand(5)),
        "trace": (lambda lib, x: x.trace(), square),
        "polar": (lambda lib, x, y: lib.polar(x, y), rand(2), rand(2)),
        "stft": (lambda lib, x: lib.stft(x, 4, return_complex=True, window=lib.ones(4)), rand(16)),
        "view_as_complex": (lambda lib, x: lib.view_as_complex(x), rand(3, 2)),
        "where": (lambda lib, x, y: lib.where(lib.tensor([True, False]), x, y), rand(2), rand(2)),
        "cat": (lambda lib, x, y: lib.cat([x, y]), rand(2), rand(2)),
        "stack": (lambda lib, x, y: lib.stack([x, y]), rand(2), rand(2)),
    }
    for name in ("add", "mul", "atan2"):
        named[name] = (lambda lib, x, y, n=name: getattr(lib, n)(x, y), rand(2), rand(2))
    for name in ("exp", "log", "relu", "sigmoid", "tanh", "sum", "mean", "cumsum", "norm"):
        args = (0,) if name == "cumsum" else ()
        named[name] = (lambda lib, x, n=name, args=args: getattr(x, n)(*args), rand(4))
    for name, call in {
        "conv1d": (rand(1, 1, 4), rand(1, 1, 2)),
        "conv2d": (rand(1, 1, 4, 4), rand(1, 1, 2, 2)),
        "conv3d": (rand(1, 1, 4, 4, 4), rand(1, 1, 2, 2, 2)),
        "conv_transpose1d": (rand(1, 1, 4), rand(1, 1, 2)),
        "conv_transpose2d": (rand(1, 1, 4, 4), rand(1, 1, 2, 2)),
        "conv_transpose3d": (rand(1, 1, 4, 4, 4), rand(1, 1, 2, 2, 2)),
        "prelu": (a, rand(3)),
        "scaled_dot_product_attention": (batch, batch, batch),
        "bilinear": (a, rand(2, 4), rand(5, 3, 4)),
        "gelu": (a,),
        "mse_loss": (a, a),
        "l1_loss": (a, a),
        "smooth_l1_loss": (a, a),
        "huber_loss": (a, a),
        "binary_cross_entropy": (a, a),
        "binary_cross_entropy_with_logits": (a, a),
        "poisson_nll_loss": (a, a),
        "triplet_margin_loss": (a, a, a),
        "grid_sample": (rand(1, 1, 4, 4), rand(1, 2, 2, 2)),
        "pairwise_distance": (a, a),
        "cosine_similarity": (a, a),
    }.items():
        named[name] = (lambda lib, *x, n=name: getattr(lib.nn.functional, n)(*x), *call)
    for name in ("cosine_embedding_loss", "margin_ranking_loss"):
        inputs = (a, a) if name.startswith("cosine") else (rand(2), rand(2))
        named[name] = (
            lambda lib, x, y, n=name: getattr(lib.nn.functional, n)(x, y, signs(lib)),
            *inputs,
        )
    for name in ("hinge_embedding_loss", "soft_margin_loss"):
        named[name] = (lambda lib, x, n=name: getattr(lib.nn.functional, n)(x, signs(lib)), rand(2))
    for name in ("cross_entropy", "nll_loss", "multi_margin_loss"):
        named[name] = (
            lambda lib, x, n=name: getattr(lib.nn.functional, n)(x, lib.tensor([0, 1])),
            a,
        )
    for name in ("softmax", "log_softmax"):
        named[name] = (lambda lib, x, n=name: getattr(lib.nn.functional, n)(x, -1), a)
    named["layer_norm"] = (lambda lib, x: lib.nn.functional.layer_norm(x, (3,)), a)
    named["kl_div"] = (
        lambda lib, x, y: lib.nn.functional.kl_div(x, y, reduction="batchmean"),
        a,
        a,
    )
    for dims in (1, 2, 3):
        image = rand(1, 1, *[4] * dims)
        for name in ("avg_pool", "max_pool"):
            named[f"{name}{dims}d"] = (
                lambda lib, x, n=f"{name}{dims}d": getattr(lib.nn.functional, n)(x, 2),
                image,
            )
    named["fractional_max_pool2d"] = (
        lambda lib, x: lib.nn.functional.fractional_max_pool2d(x, 2, 2),
        rand(1, 1, 4, 4),
    )
    named["max_unpool2d"] = (
        lambda lib, x, i: lib.nn.functional.max_unpool2d(x, i, 2),
        rand(1, 1, 1, 1),
        zeros(1, 1, 1, 1),
    )
    for name in ("cholesky", "inv", "svdvals", "eigvalsh", "cond"):
        named[f"linalg.{name}"] = (
            lambda lib, x, n=name: getattr(lib.linalg, n)(x),
            square,
        )
    for name in ("qr", "svd", "eigh", "eig"):
        named[f"linalg.{name}"] = (
            lambda lib, x, n=name: getattr(lib.linalg, n)(x)[0],
            square,
        )
    named["linalg.solve"] = (lambda lib, x, y: lib.linalg.solve(x, y), square, square)
    for name in ("fft", "rfft", "fftn", "irfft"):
        named[f"fft.{name}"] = (lambda lib, x, n=name: getattr(lib.fft, n)(x), rand(4))
    return named


CASES = cases()
INPUTS = {
    "float32": lambda i: "float32",
    "bfloat16": lambda i: "bfloat16",
    "mixed": lambda i: "bfloat16" if i == 0 else "float32",
    "float64": lambda i: "float64",
}


def result_dtype(library, name, kind):
    call, *makers = CASES[name]
    tensors = [make(library) for make in makers]
    tensors = [
        x.to(getattr(library, INPUTS[kind](i))) if x.is_floating_point() else x
        for i, x in enumerate(tensors)
    ]
    with library.autocast("cpu"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return str(call(library, *tensors).dtype).split(".")[1]


@pytest.mark.parametrize("kind", list(INPUTS))
@pytest.mark.parametrize("name", list(CASES))
def test_results_have_pytorchs_dtype(name, kind):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    try:
        wanted = result_dtype(torch, name, kind)
    except RuntimeError:
        return  # two dtypes where PyTorch does not promote, or no kernel for bfloat16
    assert result_dtype(tl, name, kind) == wanted


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_training_step_is_pytorchs(dtype, rng):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    x = rng.standard_normal((16, 8)).astype(np.float32)
    target = rng.integers(0, 4, 16)
    made = []
    for library in (tl, torch):
        model = library.nn.Sequential(
            library.nn.Linear(8, 32), library.nn.ReLU(), library.nn.Linear(32, 4)
        )
        made.append(model)
    ours, theirs = made
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    losses = []
    for library, model in ((tl, ours), (torch, theirs)):
        with library.autocast("cpu", dtype=getattr(library, dtype)):
            out = model(library.tensor(x))
            loss = library.nn.functional.cross_entropy(out, library.tensor(target))
        assert str(out.dtype).endswith(dtype)
        assert str(loss.dtype).endswith("float32")
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=3e-3)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.grad.dtype is tl.float32
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=0.05, atol=2e-3)


def test_losses_of_bfloat16_are_computed_in_float32():
    """The whole function: not only its last operation."""
    logits = tl.tensor([[2.0, -1.0, 0.3]], dtype=tl.bfloat16)
    with tl.autocast("cpu"):
        loss = F.cross_entropy(logits, tl.tensor([1]))
        same = nn.CrossEntropyLoss()(logits, tl.tensor([1]))
    exact = F.cross_entropy(logits.float(), tl.tensor([1])).item()
    assert loss.item() == same.item() == exact


def test_off_is_off():
    assert _apply.observers == ()
    x = tl.ones(2, 2)
    with tl.autocast("cpu"):
        assert _apply.observers
        assert (x @ x).dtype is tl.bfloat16
        with tl.autocast("cpu", enabled=False):
            assert not _apply.observers
            assert (x @ x).dtype is tl.float32
        assert (x @ x).dtype is tl.bfloat16
        with tl.autocast("cpu", dtype=tl.float16):
            assert (x @ x).dtype is tl.float16
        assert (x @ x).dtype is tl.bfloat16
    assert (x @ x).dtype is tl.float32
    assert _apply.observers == ()


def test_it_ends_with_an_exception():
    with pytest.raises(ZeroDivisionError), tl.autocast("cpu"):
        _ = 1 / 0
    assert not tl.is_autocast_enabled("cpu")
    assert _state.state.nesting == 0
    assert _apply.observers == ()


def test_as_a_decorator():
    @tl.autocast("cpu")
    def product(x):
        """Say so."""
        assert tl.is_autocast_enabled("cpu")
        return x @ x

    assert product(tl.ones(2, 2)).dtype is tl.bfloat16
    assert product.__doc__ == "Say so."
    assert not tl.is_autocast_enabled("cpu")
    with pytest.raises(TypeError, match="requires a callable, but got int"):
        tl.autocast("cpu")(3)


def test_threads_have_their_own():
    found = []

    def work():
        found.append(tl.is_autocast_enabled("cpu"))
        found.append((tl.ones(2, 2) @ tl.ones(2, 2)).dtype)

    with tl.autocast("cpu"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert found == [False, tl.float32]


def test_parameters_are_cast_once():
    w = tl.ones(2, 2, requires_grad=True)
    with tl.autocast("cpu"):
        (w @ tl.ones(2, 2)).sum()
        cast = _state.state.cache[id(w), tl.bfloat16][2]
        assert cast.dtype is tl.bfloat16
        y = w @ tl.ones(2, 2)
        assert len(_state.state.cache) == 1
        with tl.no_grad():
            w.mul_(3)  # what was cast before is out of date
        z = w @ tl.ones(2, 2)
        assert (y.tolist(), z.tolist()) == ([[2.0, 2.0]] * 2, [[6.0, 6.0]] * 2)
    assert not _state.state.cache
    y.sum().backward()
    assert w.grad.tolist() == [[2.0, 2.0]] * 2
    with tl.autocast("cpu", cache_enabled=False):
        _ = w @ tl.ones(2, 2)
        assert not _state.state.cache
    with tl.autocast("cpu"), tl.no_grad():
        _ = w @ tl.ones(2, 2)
        assert not _state.state.cache  # a cast without history is no use later
    assert tl.is_autocast_cache_enabled()


def test_gradients_of_gradients():
    w = tl.tensor([[2.0]], requires_grad=True)
    with tl.autocast("cpu"):
        y = (w @ w) ** 2
    (g,) = tl.autograd.grad(y.sum(), w, create_graph=True)
    g.sum().backward()
    assert (g.item(), w.grad.item()) == (32.0, 48.0)


@pytest.mark.parametrize(
    "module",
    [
        lambda: nn.LSTM(4, 6, num_layers=2, batch_first=True),
        lambda: nn.GRU(4, 6),
        lambda: nn.RNN(4, 6, bidirectional=True),
        lambda: nn.Sequential(nn.Linear(4, 3), nn.PReLU(), nn.LSTM(3, 2)),
        lambda: nn.Sequential(nn.Linear(4, 3), nn.GRU(3, 2)),
        lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
        lambda: nn.Sequential(nn.Conv1d(5, 3, 2), nn.BatchNorm1d(3), nn.ReLU()),
    ],
)
def test_modules_train_under_autocast(module):
    model = module()
    with tl.autocast("cpu"):
        out = model(tl.randn(2, 5, 4))
        out = out[0] if isinstance(out, tuple) else out
        loss = F.mse_loss(out, tl.zeros(*out.shape))
    loss.backward()
    assert loss.dtype is tl.float32
    for p in model.parameters():
        assert p.grad.dtype is tl.float32
        assert p.grad.isfinite().all()


def test_settings():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    for library in (tl, torch):
        assert library.get_autocast_dtype("cpu") is library.bfloat16
        assert library.get_autocast_dtype("cuda") is library.float16
        assert library.amp.is_autocast_available("cpu")
        with library.autocast("cpu", dtype=library.float16, cache_enabled=False):
            assert library.is_autocast_enabled("cpu")
            assert not library.is_autocast_enabled()
            assert not library.is_autocast_enabled("cuda")
            assert library.get_autocast_dtype("cpu") is library.float16
            assert not library.is_autocast_cache_enabled()
        assert library.get_autocast_dtype("cpu") is library.bfloat16
        library.set_autocast_dtype("cpu", library.float16)
        library.set_autocast_enabled("cpu", True)
        assert (library.ones(2, 2) @ library.ones(2, 2)).dtype is library.float16
        library.set_autocast_enabled("cpu", False)
        library.set_autocast_dtype("cpu", library.bfloat16)
        assert library.autocast_increment_nesting() == 1
        assert library.autocast_decrement_nesting() == 0
        library.clear_autocast_cache()


def test_mistakes():
    for library in (tl, pytest.importorskip("torch", reason="PyTorch is the oracle")):
        with pytest.raises(ValueError, match="Expected `device_type` of type `str`"):
            library.autocast(3)
        with pytest.raises(RuntimeError, match="Expected one of cpu, cuda"):
            library.autocast("foo")
        with pytest.warns(UserWarning, match="In CPU autocast, but the target dtype is not"):
            off = library.autocast("cpu", dtype=library.float32)
        with off:
            assert not library.is_autocast_enabled("cpu")
        with pytest.raises(ValueError, match="Expected `device_type` of type `str`"):
            library.amp.custom_fwd(device_type=1)


@pytest.mark.skipif(tl.cuda.is_available(), reason="there is a GPU here")
def test_without_cuda():
    with pytest.warns(UserWarning, match="CUDA is not available"):
        region = tl.autocast("cuda")
    with region:
        assert (tl.ones(2, 2) @ tl.ones(2, 2)).dtype is tl.float32
    with pytest.warns(UserWarning, match="CUDA is not available"):
        scaler = tl.amp.GradScaler()
    assert not scaler.is_enabled()
    with (
        pytest.warns(FutureWarning, match=r"tensorlab.cuda.amp.autocast\(args...\)` is deprecated"),
        pytest.warns(UserWarning, match="CUDA is not available"),
    ):
        tl.cuda.amp.autocast()
    with (
        pytest.warns(FutureWarning, match="cuda.amp.GradScaler"),
        pytest.warns(UserWarning, match="CUDA is not available"),
    ):
        assert not tl.cuda.amp.GradScaler().is_enabled()


def product_function(library, cast, seen):
    """A matrix product that notes how autocast is set in its two passes."""

    class Product(library.autograd.Function):
        @staticmethod
        @library.amp.custom_fwd(
            device_type="cpu", cast_inputs=None if cast is None else getattr(library, cast)
        )
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            seen.append(library.is_autocast_enabled("cpu"))
            out = x @ y
            seen.append(str(out.dtype).split(".")[1])
            return out

        @staticmethod
        @library.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            seen.append(library.is_autocast_enabled("cpu"))
            return g.mm(y.t()).to(x.dtype), x.t().mm(g).to(y.dtype)

    return Product


@pytest.mark.parametrize("cast", [None, "float32"])
def test_custom_functions(cast):
    for library in (tl, pytest.importorskip("torch", reason="PyTorch is the oracle")):
        seen = []
        product = product_function(library, cast, seen)
        x = library.ones(2, 2, requires_grad=True)
        with library.autocast("cpu"):
            out = product.apply(x, library.ones(2, 2))
        out.float().sum().backward()
        product.apply(x, library.ones(2, 2))
        expected = [False, "float32", False] if cast else [True, "bfloat16", True]
        assert seen == [*expected, False, "float32"]
        assert x.grad.tolist() == [[2.0, 2.0]] * 2


def test_the_lists_name_what_there_is():
    for table in (_policies.LOWER, _policies.FULL):
        for names in table.values():
            assert not names - set(OPS), names - set(OPS)
    assert not _policies.VOLUMES - set(OPS)
    assert not _policies.BANNED - set(OPS)
    assert (
        set().union(*_policies.FULL_WITHIN.values(), _policies.NEUTRAL_WITHIN) == _autocast.MARKED
    )
    for names in _policies.ARGUMENTS.values():
        for name in names:
            function = getattr(F, name, None) or getattr(tl, name, None) or tl.linalg.vecdot
            assert "autocasts" in function.__code__.co_qualname, name


def test_the_innermost_function_with_a_say_decides():
    def inner(x):
        return (x @ x).dtype

    def fails(x):
        raise ValueError(str(_autocast.within.names))

    def called(name, function):
        function.__name__ = name
        return _autocast.autocasts_within(function)

    marked = set(_autocast.MARKED)
    neutral, full = called("bilinear", inner), called("cdist", lambda x: neutral(x))
    silent = called("cosine_similarity", inner)  # has a say on CUDA alone
    x = tl.ones(2, 2)
    with tl.autocast("cpu"):
        assert inner(x) is silent(x) is tl.bfloat16
        assert neutral(x) is full(x) is tl.float32
        half = x.bfloat16()
        assert full(half) is tl.bfloat16  # what comes: no cast to float32 by the outer one
        assert called("cdist", lambda x: silent(x))(half) is tl.float32
        with pytest.raises(ValueError, match="'cdist', 'bilinear'"):
            called("cdist", lambda x: called("bilinear", fails)(x))(x)
        assert _autocast.within.names == ()
    with pytest.raises(ValueError, match=r"\(\)"):
        called("cdist", fails)(x)  # off: nothing is noted
    assert marked == _autocast.MARKED


def test_cudas_list(monkeypatch):
    """On the CPU: which operations it would cast there."""
    from tensorlab.amp import _casting

    monkeypatch.setattr(_casting, "_device_type", lambda inputs: "cuda")
    monkeypatch.setattr(_casting, "_cast", cast_anywhere)
    x = tl.ones(2, 2)
    tl.set_autocast_enabled("cuda", True)
    try:
        assert (x @ x).dtype is tl.float16
        half = x.half()
        assert half.softmax(-1).dtype is tl.float32
        assert half.exp().dtype is tl.float32
        assert half.sum().dtype is tl.float32
        assert (half + half).dtype is tl.float16
        with pytest.raises(RuntimeError, match="binary_cross_entropy_with_logits"):
            F.binary_cross_entropy(x, x)
    finally:
        tl.set_autocast_enabled("cuda", False)
    assert _apply.observers == ()


def cast_anywhere(x, wanted, device_type):
    if isinstance(x, tl.Tensor) and x.is_floating_point() and x.dtype is not tl.float64:
        return x.to(wanted)
    return x


def test_one_autocast_under_its_names():
    assert amp.autocast is tl.autocast
