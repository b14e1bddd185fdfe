"""Checkpointing: the same gradients from fewer kept values, and clear errors where it cannot be."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.autograd.function import once_differentiable
from tensorlab.utils.checkpoint import (
    CheckpointError,
    checkpoint,
    checkpoint_sequential,
    set_checkpoint_early_stop,
)


def _model(depth: int = 6, width: int = 8) -> nn.Sequential:
    layers: list[Any] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), nn.Tanh(), nn.Dropout(0.3)]
    return nn.Sequential(*layers)


def _gradients(model: nn.Module, run: Any, seed: int) -> list[np.ndarray]:
    tl.manual_seed(seed)
    x = tl.randn(4, 8, requires_grad=True)
    model.zero_grad()
    (run(x) ** 2).sum().backward()
    assert x.grad is not None
    return [x.grad.numpy(), *(p.grad.numpy().copy() for p in model.parameters())]  # type: ignore[union-attr]


def _same(got: list[np.ndarray], want: list[np.ndarray]) -> None:
    for g, w in zip(got, want, strict=True):
        np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize("reentrant", [False, True, None])
def test_the_same_gradients_and_random_numbers(seed, reentrant):
    model = _model()
    want = _gradients(model, model, seed)
    after = tl.rand(3).tolist()
    _same(_gradients(model, lambda x: checkpoint(model, x, use_reentrant=reentrant), seed), want)
    assert tl.rand(3).tolist() == after, "the recomputation has used up random numbers"
    for segments in (1, 2, 5, 18):
        _same(
            _gradients(model, lambda x, n=segments: checkpoint_sequential(model, n, x), seed), want
        )


def test_other_random_numbers_unless_the_state_is_kept(seed):
    tl.manual_seed(seed)
    x = tl.ones(100, requires_grad=True)
    y = checkpoint(lambda t: nn.functional.dropout(t * t, 0.5), x, preserve_rng_state=False)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() != (2 * y).tolist()


def test_nested(seed):
    model = _model()
    want = _gradients(model, model, seed)

    def nest(layers: list[Any]) -> Any:
        if len(layers) <= 3:
            return nn.Sequential(*layers)
        half = len(layers) // 2
        first, second = nest(layers[:half]), nest(layers[half:])
        return lambda x: checkpoint(
            second, checkpoint(first, x, use_reentrant=False), use_reentrant=False
        )

    _same(_gradients(model, nest(list(model.children())), seed), want)
    _same(_gradients(model, lambda x: checkpoint(nest(list(model.children())), x), seed), want)
    with set_checkpoint_early_stop(False):
        _same(_gradients(model, lambda x: checkpoint(nest(list(model.children())), x), seed), want)


def test_keyword_arguments_structures_and_inputs_without_gradient():
    w = tl.ones(2, requires_grad=True)

    def function(x, *, scale, more):
        return {"y": (x * w * scale).exp(), "n": 3}, more["z"] * scale

    scale, z = tl.tensor([1.0, 2.0], requires_grad=True), tl.ones(2, requires_grad=True)
    out, second = checkpoint(function, tl.tensor([0.5, 0.25]), scale=scale, more={"z": z})
    assert out["n"] == 3
    (out["y"].sum() + second.sum()).backward()
    want = np.exp(np.array([0.5, 0.5], np.float32))
    np.testing.assert_allclose(w.grad.numpy(), want * [0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(scale.grad.numpy(), want * [0.5, 0.25] + 1, rtol=1e-6)
    assert z.grad.tolist() == [1, 2]


def test_runs_once_forward_and_once_per_backward():
    calls = []

    def function(x):
        calls.append(tl.is_grad_enabled())
        return x.exp().sin().exp()

    x = tl.ones(2, requires_grad=True)
    y = checkpoint(function, x)
    assert calls == [True]
    y.sum().backward(retain_graph=True)
    assert calls == [True, True]
    y.sum().backward()
    assert calls == [True, True, True]
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()
    with tl.no_grad():
        assert not checkpoint(function, x).requires_grad
    assert calls[3:] == [False]


def test_the_recomputation_ends_early():
    reached = []

    def function(x):
        y = x.exp()
        z = y * 2  # keeps nothing: the end is not needed again
        reached.append("end")
        return z

    for early, times in ((True, 1), (False, 2)):
        reached.clear()
        checkpoint(function, tl.ones(2, requires_grad=True), early_stop=early).sum().backward()
        assert len(reached) == times


def test_grad_of_some_inputs_and_double_backward():
    x = tl.tensor([0.3, 0.7], dtype=tl.float64, requires_grad=True)
    y = tl.tensor([1.5, 2.5], dtype=tl.float64, requires_grad=True)

    def function(a, b):
        return (a * b).sin() * a.exp()

    for wanted in ([x], [y], [x, y]):
        got = tl.autograd.grad(checkpoint(function, x, y).sum(), wanted)
        want = tl.autograd.grad(function(x, y).sum(), wanted)
        assert [g.tolist() for g in got] == [g.tolist() for g in want]
    assert tl.autograd.gradcheck(lambda a, b: checkpoint(function, a, b), (x, y))
    assert tl.autograd.gradgradcheck(lambda a, b: checkpoint(function, a, b), (x, y))


def test_in_place_writes_inside():
    def function(t):
        h = t * 2
        h.mul_(t).add_(1)
        h[0] = t[1] * t[2]
        return h.exp().square()

    x = tl.tensor([0.1, 0.2, 0.3], requires_grad=True)
    (want,) = tl.autograd.grad(function(x).sum(), x)
    (got,) = tl.autograd.grad(checkpoint(function, x).sum(), x)
    assert got.tolist() == want.tolist()
    (got,) = tl.autograd.grad(checkpoint(lambda t: checkpoint(function, t * 1), x).sum(), x)
    assert got.tolist() == want.tolist()


class Squash(tl.autograd.Function):
    """Saves an input, None and an output."""

    @staticmethod
    def forward(ctx, x):
        out = x.tanh()
        ctx.save_for_backward(x, None, out)
        return out

    @staticmethod
    def backward(ctx, grad):
        x, nothing, out = ctx.saved_tensors
        assert nothing is None
        return grad * (1 - out * out) + 0 * x


def test_what_a_function_saves_is_recomputed_too():
    x = tl.tensor([0.5, 1.0], requires_grad=True)
    runs = []

    def function(t):
        runs.append(1)
        return Squash.apply(t * 2)

    (want,) = tl.autograd.grad(Squash.apply(x * 2).sum(), x)
    (got,) = tl.autograd.grad(checkpoint(function, x).sum(), x)
    assert got.tolist() == want.tolist()
    assert len(runs) == 2


def test_context_fn():
    seen = []

    class Note:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            seen.append(self.name)

        def __exit__(self, *exc):
            seen.append(f"end of {self.name}")

    x = tl.ones(2, requires_grad=True)
    y = checkpoint(tl.exp, x, context_fn=lambda: (Note("forward"), Note("again")))
    y.sum().backward()
    assert seen == ["forward", "end of forward", "again", "end of again"]


# Errors -----------------------------------------------------------------------------------


def test_a_second_run_that_differs():
    x = tl.ones(3, requires_grad=True)
    for first, second, match in (
        (lambda t: t.exp(), lambda t: t[:2].exp(), r"Saved tensor 0 had .* \(\[3\], .*\(\[2\],"),
        (
            lambda t: t.exp().exp(),
            lambda t: t.exp(),
            "2 in the forward pass, 1 in the recomputation",
        ),
    ):
        turns = iter((first, second))
        y = checkpoint(lambda t, turns=turns: next(turns)(t), x)
        with pytest.raises(CheckpointError, match=match):
            y.sum().backward()
    turns = iter((lambda t: t.exp(), lambda t: t.exp().exp()))
    y = checkpoint(lambda t: next(turns)(t), x, early_stop=False)
    with pytest.raises(CheckpointError, match="1 in the forward pass, 2 in the recomputation"):
        y.sum().backward()


def test_no_determinism_check():
    x = tl.ones(3, requires_grad=True)
    turns = iter((lambda t: t.exp(), lambda t: t.exp() * 2))
    y = checkpoint(lambda t: next(turns)(t), x, determinism_check="none")
    y.sum().backward()
    with pytest.raises(ValueError, match="determinism_check"):
        checkpoint(tl.exp, x, determinism_check="strict")


@pytest.mark.parametrize("nested", [False, True])
def test_an_argument_changed_in_between(nested):
    x = tl.ones(3, requires_grad=True)
    a = x * 1
    y = checkpoint(lambda t: checkpoint(tl.exp, t) if nested else t.exp(), a)
    with tl.no_grad():
        a.add_(1)
    with pytest.raises(
        RuntimeError, match=r"modified by an inplace operation.*version 1; expected version 0"
    ):
        y.sum().backward()


def test_segments():
    with pytest.raises(ValueError, match="number of functions, 2; got 3"):
        checkpoint_sequential([tl.exp, tl.sin], 3, tl.ones(1))


# Memory -----------------------------------------------------------------------------------


def _kept(build: Any) -> int:
    """Bytes that the graph of `build()` keeps."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        out = build()
        after, _ = tracemalloc.get_traced_memory()
        assert out.requires_grad
    finally:
        tracemalloc.stop()
    return after - before


def test_less_memory_is_kept():
    n, depth = 50_000, 32
    x = tl.rand(n, requires_grad=True)
    steps: list[Any] = [tl.sin, tl.cos] * (depth // 2)
    plain = _kept(lambda: checkpoint_sequential(steps, 1, x).sum())
    pieces = _kept(lambda: checkpoint_sequential(steps, 4, x).sum())
    whole = _kept(lambda: checkpoint(lambda t: checkpoint_sequential(steps, 1, t), x).sum())
    value = 4 * n
    assert plain > (depth - 1) * value
    assert pieces < (depth // 4 + 4 + 1) * value  # the last piece's values, and a boundary each
    assert whole < 2 * value


def test_nested_checkpoints_keep_no_boundaries():
    n = 50_000
    x = tl.rand(n, requires_grad=True)
    steps: list[Any] = [tl.sin, tl.cos] * 8
    kept = _kept(lambda: checkpoint(lambda t: checkpoint_sequential(steps, 8, t), x).sum())
    assert kept < 2 * 4 * n


def test_peak_of_forward_and_backward():
    n, depth = 50_000, 36
    steps: list[Any] = [tl.sin, tl.cos] * (depth // 2)

    def peak(segments: int) -> int:
        x = tl.rand(n, requires_grad=True)
        gc.collect()
        tracemalloc.start()
        try:
            checkpoint_sequential(steps, segments, x).sum().backward()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(6) < 0.6 * peak(1)


def test_nothing_stays_without_the_garbage_collector():
    x = tl.rand(50_000, requires_grad=True)
    steps: list[Any] = [tl.sin, tl.cos] * 4
    checkpoint_sequential(steps, 2, x).sum().backward()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(3):
            checkpoint(lambda t: checkpoint_sequential(steps, 2, t), x).sum().backward()
            checkpoint_sequential(steps, 2, x).sum()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert after - before < x.nbytes


# @once_differentiable ---------------------------------------------------------------------


class Cube(tl.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x)
        return x**3 + y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        assert not tl.is_grad_enabled()
        (x,) = ctx.saved_tensors
        return tl.from_numpy(3 * np.square(x.numpy())) * grad, None


def test_once_differentiable():
    x = tl.tensor([2.0], requires_grad=True)
    Cube.apply(x, 1.0).backward()
    assert x.grad.tolist() == [12]
    (g,) = tl.autograd.grad(Cube.apply(x, 1.0), x, create_graph=True)
    assert g.tolist() == [12]
    with pytest.raises(RuntimeError, match="does not require grad"):  # nothing in it depends on x
        g.backward()
    (g,) = tl.autograd.grad(Cube.apply(x, 1.0) ** 2, x, create_graph=True)
    assert g.tolist() == [2 * 9 * 12]
    with pytest.raises(RuntimeError, match="marked with @once_differentiable"):
        g.backward()
