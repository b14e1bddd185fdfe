"""LBFGS follows PyTorch's path: directions, line search, stopping rules and state."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import optim
from tensorlab.optim._line_search import strong_wolfe

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")


def rosenbrock(p, q):
    """The banana valley, over two parameters of any shape."""
    return ((1 - p) ** 2).sum() + 100 * ((q - p**2) ** 2).sum()


def quadratic(p, q):
    return ((p - 1) ** 2).sum() + 3 * ((p + q) ** 2).sum()


def wavy(p, q):
    """Not convex: the line search has to work."""
    return (p.sin() * 3 + p**2 / 10).sum() + (q.cos() * 2 + q**2 / 5).sum()


def both(start, **options):
    made = []
    for library, tensor in ((tl, tl.tensor), (torch, torch.tensor)):
        params = [tensor(a, dtype=library.float64).requires_grad_() for a in start]
        made.append((params, library.optim.LBFGS(params, **options)))
    return made


def closure_for(params, optimizer, loss_of, calls):
    def closure():
        optimizer.zero_grad()
        loss = loss_of(*params)
        loss.backward()
        calls.append(loss.item())
        return loss

    return closure


SETTINGS = [
    {"line_search_fn": search, "lr": lr, "history_size": history, "max_iter": iterations}
    for search, lr, history, iterations in itertools.product(
        ["strong_wolfe", None], [1, 0.1], [3, 100], [4, 20]
    )
]


@pytest.mark.parametrize("options", SETTINGS, ids=str)
@pytest.mark.parametrize("loss_of", [rosenbrock, quadratic, wavy])
def test_the_path_is_pytorchs(loss_of, options):
    """The first 18 evaluations: the path magnifies roundings tenfold every few."""
    if loss_of is rosenbrock and options["line_search_fn"] is None:
        options = {**options, "lr": options["lr"] * 1e-3}  # or it blows up, here and there
    start = np.random.default_rng(20_240_601).standard_normal((2, 3)).tolist()
    (ours, optimizer), (theirs, reference) = both(start, **options)
    seen, wanted = [], []
    for _ in range(8):
        optimizer.step(closure_for(ours, optimizer, loss_of, seen))
        reference.step(closure_for(theirs, reference, loss_of, wanted))
    assert seen[:18] == pytest.approx(wanted[:18], rel=1e-6, abs=1e-9)
    if len(wanted) < 18:
        assert len(seen) == len(wanted)
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.tolist(), q.tolist(), rtol=1e-6, atol=1e-7)


def along_a_line(library, a, b, c):
    """A wavy loss along a line that falls at 0, as what the line search evaluates."""
    a = -a * np.sign((a * b * np.cos(c)).sum())

    def evaluate(t):
        t = float(t)
        slope = 0.04 * t + float((a * b * np.cos(b * t + c)).sum())
        value = 0.02 * t * t + float((a * np.sin(b * t + c)).sum())
        return value, library.tensor([slope], dtype=library.float64)

    return evaluate


def test_the_line_search_on_wavy_lines():
    """400 lines: growing, narrowing from both sides, stalling at an edge, giving up."""
    from torch.optim.lbfgs import _strong_wolfe

    rng = np.random.default_rng(20_240_601)
    calls = set()
    for _ in range(400):
        coefficients = rng.standard_normal((3, 4)) * [[1.0], [2.0], [3.0]]
        first = float(10 ** rng.uniform(-2, 1.5))
        limit = int(rng.integers(2, 26))
        found = []
        for library in (tl, torch):
            evaluate = along_a_line(library, *coefficients)
            loss, gradient = evaluate(0)
            d = library.ones(1, dtype=library.float64)
            start = (loss, gradient, gradient.dot(d))
            if library is tl:
                out = strong_wolfe(evaluate, first, d, start, max_ls=limit)
            else:
                out = _strong_wolfe(
                    lambda x, t, d, f=evaluate: f(t), None, first, d, *start, max_ls=limit
                )
            found.append((out[0], out[1].item(), float(out[2]), out[3]))
        assert found[0] == pytest.approx(found[1], rel=1e-6, abs=1e-9)
        calls.add(found[0][3])
    assert len(calls) > 6


def after_100_steps(params, optimizer):
    for _ in range(100):
        optimizer.step(closure_for(params, optimizer, wavy, []))
    return np.array([p.tolist() for p in params])


def test_100_steps(rng):
    options = {"lr": 0.01, "max_iter": 1, "history_size": 5}
    # From one start in fifteen, 100 steps over the waves carry roundings anywhere: PyTorch itself ends
    # elsewhere if the last digits of such a start are changed. Only the others can be compared.
    while True:
        start = rng.standard_normal((2, 4)) * 3
        ours, theirs = both(start.tolist(), **options)
        _, beside = both((start * (1 + 1e-13)).tolist(), **options)
        wanted = after_100_steps(*theirs)
        if np.allclose(after_100_steps(*beside), wanted, rtol=0, atol=1e-10):
            break
    np.testing.assert_allclose(after_100_steps(*ours), wanted, rtol=1e-9)


def converted(value, make):
    """State of one library with the tensors of the other."""
    if hasattr(value, "numpy"):
        return make(np.array(value.numpy()))
    if isinstance(value, dict):
        return {k: converted(v, make) for k, v in value.items()}
    if isinstance(value, list):
        return [converted(v, make) for v in value]
    return value


def kinds(value):
    if hasattr(value, "numpy"):
        return str(value.dtype).split(".")[1], tuple(value.shape)
    if isinstance(value, dict):
        return {k: kinds(v) for k, v in value.items()}
    return [kinds(v) for v in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize("search", ["strong_wolfe", None])
def test_state_travels_both_ways(search):
    options = {"line_search_fn": search, "max_iter": 3, "lr": 0.1}
    start = [[0.3, -1.2], [2.0, 0.4]]
    (ours, optimizer), (theirs, reference) = both(start, **options)
    for steps in range(3):
        optimizer.step(closure_for(ours, optimizer, wavy, []))
        reference.step(closure_for(theirs, reference, wavy, []))
        a, b = optimizer.state_dict(), reference.state_dict()
        assert a["param_groups"] == b["param_groups"]
        assert {k: list(v) for k, v in a["state"].items()} == {
            k: list(v) for k, v in b["state"].items()
        }, steps
        assert kinds(a["state"]) == kinds(b["state"])
        optimizer = optim.LBFGS(ours)
        optimizer.load_state_dict(converted(b, tl.from_numpy))
        reference = torch.optim.LBFGS(theirs)
        reference.load_state_dict(converted(a, torch.from_numpy))
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.tolist(), q.tolist(), rtol=1e-9)
    assert repr(optimizer) == repr(reference)


def test_complex_and_missing_gradients():
    start = np.array([1 + 2j, -1j, 0.5])
    made = []
    for library, tensor in ((tl, tl.tensor), (torch, torch.tensor)):
        p, unused = tensor(start).requires_grad_(), tensor([1.0]).double().requires_grad_()
        optimizer = library.optim.LBFGS([p, unused], line_search_fn="strong_wolfe")

        def closure(p=p, optimizer=optimizer):
            optimizer.zero_grad()
            loss = ((p - (2 - 1j)).abs() ** 2).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        made.append((p, unused))
    (p, unused), (q, _) = made
    np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-9)
    assert unused.tolist() == [1.0]


def test_errors():
    p = tl.zeros(1, requires_grad=True)
    with pytest.raises(ValueError, match="doesn't support per-parameter options"):
        optim.LBFGS([{"params": [p]}, {"params": [tl.zeros(1)]}])
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        optim.LBFGS([p], lr=-1)
    optimizer = optim.LBFGS([p], line_search_fn="weak")
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        optimizer.step(closure_for([p], optimizer, lambda p: ((p - 1) ** 2).sum(), []))
    with pytest.raises(TypeError, match="closure"):
        optimizer.step()
