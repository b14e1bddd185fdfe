"""Chains of elementwise operations: the activations, and what a chain is."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tensorlab._op import OPS
from tensorlab.kernels.cuda import chains, launch
from tensorlab.kernels.cuda.chain import Chain, exp

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
NUMBERS = {
    "softplus": [(1.0, 20.0), (2, 0.5), (-1.0, 20.0)], "elu": [(1.0, 1.0, 1.0), (0.5, 2.0, 1)],
    "leaky_relu": [(0.01,), (-2,)], "hardtanh": [(-1.0, 1.0), (0, 6)],
}  # fmt: skip


def _cases():
    for name in chains.FORWARD:
        op = "gelu" if name.startswith("gelu") else name
        if op == "gelu":
            yield name, op, (), ("tanh" if name == "gelu_tanh" else "none",)
        else:
            for numbers in NUMBERS.get(name, [()]):
                yield name, op, numbers, numbers


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_activations(host, rng, dtype):
    eps = float(ml_dtypes.finfo(dtype).eps)
    tolerance = 1e-12 if np.dtype(dtype).itemsize == 8 else max(2 * eps, 2e-6)
    for name, op, numbers, parameters in _cases():
        for size in (1, 7, 8, 1003, 30_001):
            x = (rng.standard_normal(size) * 4).astype(dtype)
            x[: min(size, 3)] = np.array([0, 1, -3], dtype)[:size]
            g = rng.standard_normal(size).astype(dtype)
            out = chains.forward(name, x, *numbers)
            wanted = OPS[op].forward(np, x.astype(np.float64), *parameters)
            np.testing.assert_allclose(out.astype(np.float64), wanted, tolerance, tolerance)
            kept = out if name in ("relu", "sigmoid") else x
            found = chains.backward(name, g, kept, *numbers)
            assert found.dtype == dtype
            rule = OPS[op].rules["input"]
            wanted = rule(g.astype(np.float64), kept.astype(np.float64), *parameters)
            np.testing.assert_allclose(
                found.astype(np.float64), wanted, 4 * tolerance, 4 * tolerance
            )


def test_an_array_that_starts_anywhere(host, rng):
    whole = rng.standard_normal(50).astype(np.float32)
    found = chains.forward("relu", whole[3:])
    np.testing.assert_array_equal(found, np.maximum(whole[3:], 0))
    table = whole.reshape(5, 10)
    np.testing.assert_array_equal(chains.forward("relu", table.T), np.maximum(table.T, 0))
    assert chains.forward("relu", whole[:0]).shape == (0,)


def test_nan_stays(host):
    x = np.array([np.nan, np.inf, -np.inf], np.float32)
    for name, op, numbers, parameters in _cases():
        with np.errstate(all="ignore"):
            wanted = OPS[op].forward(np, x, *parameters)
        np.testing.assert_array_equal(
            np.isnan(chains.forward(name, x, *numbers)), np.isnan(wanted), name
        )


def test_what_is_declined(host):
    x = np.ones(3, np.float32)
    assert chains.forward("softplus", x, 0, 20.0) is NotImplemented
    assert chains.forward("elu", x, 1.0, 1.0, -1.0) is NotImplemented
    assert chains.forward("relu", np.arange(3)) is NotImplemented
    assert chains.backward("relu", x, np.ones(4, np.float32)) is NotImplemented
    assert chains.gelu(x, "cubic") is NotImplemented
    assert not host.used


def test_what_is_used_twice_is_computed_once():
    chain = Chain("twice_for_a_test", lambda x: exp(x) * exp(x) + exp(x), arrays="x")
    del launch.CHAINS[chain.name]
    assert chain.text.count("exp(x)") == 1
    assert chain.text.count("A t") == 3
