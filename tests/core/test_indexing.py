"""Indexing against PyTorch: random keys of every form, reading, writing and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensorlab as tl

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")


def random_key(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """A key for a tensor of this shape; index arrays are NumPy's, of one broadcastable shape."""
    common = tuple(rng.integers(1, 4, rng.integers(0, 3)).tolist())
    key: list[Any] = []
    axis, masked = 0, False
    while axis < len(shape) and rng.random() < 0.85:
        n, form = shape[axis], rng.integers(8)
        if form == 0:
            key.append(None)
            continue
        if form == 1 and not any(k is Ellipsis for k in key):
            key.append(Ellipsis)
            axis = len(shape) - int(rng.integers(0, len(shape) - axis + 1))
            continue
        if form == 2 and not masked and n:
            key.append(rng.random(n) < 0.6)
            masked = True
        elif form == 3 and n:
            key.append(int(rng.integers(-n, n)))
        elif form in (4, 5) and n and not masked:
            shrunk = tuple(1 if rng.random() < 0.3 else m for m in common)
            key.append(rng.integers(-n, n, shrunk))
        else:
            start, stop = sorted(rng.integers(-n - 1, n + 2, 2).tolist())
            key.append(
                slice(start, stop, int(rng.integers(1, 3))) if rng.random() < 0.7 else slice(None)
            )
        axis += 1
    return tuple(key)


def to(kind: Any, key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(kind(np.array(k)) if isinstance(k, np.ndarray) else k for k in key)


def read(tensor: Any, key: tuple[Any, ...]) -> Any:
    """`tensor[key]`, or the class of its error."""
    try:
        return tensor[key]
    except (IndexError, RuntimeError, ValueError, TypeError) as error:
        return type(error)


@pytest.mark.parametrize("part", range(4))
def test_reading(seed: int, part: int) -> None:
    rng = np.random.default_rng([seed, part])
    for _ in range(250):
        shape = tuple(rng.integers(0, 5, rng.integers(0, 5)).tolist())
        array = rng.standard_normal(shape)
        key = random_key(rng, shape)
        ours = tl.tensor(array, requires_grad=True)
        theirs = torch.from_numpy(np.array(array)).requires_grad_()
        want = read(theirs, to(torch.from_numpy, key))
        got = read(ours, to(tl.from_numpy, key))
        message = f"shape {shape}, key {key}"
        if isinstance(want, type):
            assert got is want, f"{message}: expected {want}, got {got}"
            continue
        if got is IndexError and want.numel() == 0:
            continue  # PyTorch overlooks positions out of range where nothing is read
        assert not isinstance(got, type), f"{message}: {got}"
        assert got.shape == tuple(want.shape), message
        np.testing.assert_array_equal(got.detach(), want.detach(), err_msg=message)
        assert got._is_view() == want._is_view(), f"{message}: view or copy"
        weights = rng.standard_normal(got.shape)
        (got * tl.tensor(weights)).sum().backward()
        (want * torch.from_numpy(np.array(weights))).sum().backward()
        np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-12, err_msg=message)


@pytest.mark.parametrize("part", range(4))
def test_writing(seed: int, part: int) -> None:
    rng = np.random.default_rng([seed, part])
    for _ in range(250):
        shape = tuple(rng.integers(0, 5, rng.integers(1, 5)).tolist())
        array = rng.standard_normal(shape)
        key = random_key(rng, shape)
        theirs = torch.from_numpy(np.array(array))
        region = read(theirs, to(torch.from_numpy, key))
        if (
            isinstance(region, type)
            or len(set(map(repr, _positions(shape, key).reshape(-1)))) != region.numel()
        ):
            continue  # with a position twice, which value wins is not defined
        whole = tuple(region.shape)
        value_shape = tuple(
            1 if rng.random() < 0.2 else n for n in whole[int(rng.integers(0, len(whole) + 1)) :]
        )
        value = rng.standard_normal(value_shape) if rng.random() < 0.7 else 2.5
        message = f"shape {shape}, key {key}, value of shape {np.shape(value)}"
        leaf, other = (
            tl.tensor(array, requires_grad=True),
            torch.from_numpy(np.array(array)).requires_grad_(),
        )
        ours, base = leaf * 1, other * 1
        if isinstance(value, float):
            v, w = value, value
        else:
            v = tl.tensor(value, requires_grad=True)
            w = torch.from_numpy(np.array(value)).requires_grad_()
        if region.numel() == 0 and read(ours, to(tl.from_numpy, key)) is IndexError:
            continue  # PyTorch overlooks positions out of range where nothing is written
        ours[to(tl.from_numpy, key)] = v
        base[to(torch.from_numpy, key)] = w
        np.testing.assert_array_equal(ours.detach(), base.detach(), err_msg=message)
        weights = rng.standard_normal(shape)
        (ours * tl.tensor(weights)).sum().backward()
        (base * torch.from_numpy(np.array(weights))).sum().backward()
        np.testing.assert_allclose(leaf.grad, other.grad, err_msg=message)
        if not isinstance(value, float):
            np.testing.assert_allclose(v.grad, w.grad, rtol=1e-12, atol=1e-12, err_msg=message)


def _positions(shape: tuple[int, ...], key: tuple[Any, ...]) -> np.ndarray:
    numbers = torch.arange(int(np.prod(shape))).reshape(shape)
    return numbers[to(torch.from_numpy, key)].numpy()


@pytest.mark.parametrize(
    ("key", "error", "match"),
    [
        ((0, 0, 0), IndexError, "too many indices for tensor of dimension 2"),
        ((2,), IndexError, "index 2 is out of bounds for dimension 0 with size 2"),
        ((slice(None, None, -1),), ValueError, "step must be greater than zero"),
        (("a",), TypeError, "invalid data type 'str'"),
        ((1.5,), IndexError, "only integers, slices"),
        ((np.array([0.5]),), IndexError, "must be long, int, byte or bool tensors"),
        ((np.array([5]),), IndexError, "index 5 is out of bounds for dimension 0 with size 2"),
        ((np.array([True, False, True]),), IndexError, r"shape of the mask \[3\] at index 0"),
    ],
)
def test_errors(key: Any, error: type[Exception], match: str) -> None:
    x = tl.zeros(2, 3)
    with pytest.raises(error, match=match):
        x[to(tl.from_numpy, key)]


def test_a_0_dim_tensor_has_no_index() -> None:
    with pytest.raises(IndexError, match="invalid index of a 0-dim tensor"):
        tl.tensor(1.0)[0]


def test_lists_and_0_dim_index_tensors() -> None:
    x = tl.arange(6).reshape(2, 3)
    assert x[[1, 0]].tolist() == [[3, 4, 5], [0, 1, 2]]
    assert x[tl.tensor(1)].tolist() == [3, 4, 5]
    assert x[:, [True, False, True]].tolist() == [[0, 2], [3, 5]]
    assert x[x > 2].tolist() == [3, 4, 5]
    assert x[True].shape == (1, 2, 3)
    assert tl.zeros(2, 3, 4)[0, :, [0, 1]].shape == (3, 2)  # not NumPy's (2, 3)
    x[x > 2] = -1
    assert x.tolist() == [[0, 1, 2], [-1, -1, -1]]
