"""LU, triangular factors, the matrix exponential and eigenvalues of any matrices, against PyTorch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.ops import lu as lu_ops
from tensorlab.ops import matrix_functions as old

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")

pytestmark = pytest.mark.filterwarnings("ignore:torch.* is deprecated")


def _weighed(lib: Any, out: Any) -> Any:
    """A number of a result in which all its elements count differently."""
    weights = np.cos(np.arange(out.numel()) + 1.0).reshape(tuple(out.shape))
    if out.is_complex():
        return (out.real * lib.tensor(weights) + out.imag * lib.tensor(weights * 0.7)).sum()
    return (out * lib.tensor(weights)).sum()


def _run(lib: Any, function: Any, arrays: list[np.ndarray]) -> tuple[list[Any], list[Any]]:
    inputs = [lib.tensor(a, requires_grad=a.dtype.kind in "fc") for a in arrays]
    out = function(lib, *inputs)
    outs = list(out) if isinstance(out, tuple) else [out]
    total = [_weighed(lib, o) for o in outs if o.requires_grad]
    if total:
        loss: Any = sum(total[1:], total[0])
        loss.backward()

    def numpy(x: Any) -> Any:
        return None if x is None else x.detach().resolve_conj().numpy()

    return [numpy(o) for o in outs], [numpy(x.grad) for x in inputs]


def _same(function: Any, *arrays: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = _run(torch, function, list(arrays))
    found = _run(tl, function, list(arrays))
    for got, want in zip(found[0] + found[1], wanted[0] + wanted[1], strict=True):
        assert (got is None) == (want is None)
        if want is not None:
            assert got.dtype == want.dtype
            np.testing.assert_allclose(got, want, atol=1e-7, rtol=1e-7)


def _matrices(rng: np.random.Generator, kind: str = "real") -> np.ndarray:
    a = rng.standard_normal((2, 3, 3)) + 3 * np.eye(3)
    return a if kind == "real" else a + 1j * rng.standard_normal((2, 3, 3))


@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 4), (3, 5), (5, 3), (2, 1, 3), (0, 3, 3)])
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_lu_of_any_shape(rng, shape, kind):
    a = rng.standard_normal(shape)
    if kind == "complex":
        a = a + 1j * rng.standard_normal(shape)
    _same(lambda lib, x: tuple(lib.linalg.lu(x)), a)
    _same(lambda lib, x: tuple(lib.linalg.lu_factor(x)), a)
    _same(lambda lib, x: tuple(lib.linalg.lu_factor_ex(x)), a)


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("adjoint", [True, False])
def test_lu_solve(rng, left, adjoint):
    def solved(lib, a, b):
        factors = lib.linalg.lu_factor(a)
        return lib.linalg.lu_solve(*factors, b, left=left, adjoint=adjoint).resolve_conj() * 1

    b = rng.standard_normal((2, 3, 2)) if left else rng.standard_normal((2, 2, 3))
    _same(solved, _matrices(rng), b)
    _same(solved, _matrices(rng, "complex"), b + 0.5j)


@pytest.mark.parametrize("upper", [True, False])
def test_with_cholesky_factors(rng, upper):
    a, b = _matrices(rng), rng.standard_normal((2, 3, 2))
    positive = a @ np.swapaxes(a, -1, -2)

    def solved(lib, p, b):
        return b.cholesky_solve(lib.linalg.cholesky(p, upper=upper), upper=upper)

    _same(solved, positive, b)
    _same(
        lambda lib, p: lib.linalg.cholesky(p, upper=upper).cholesky_inverse(upper=upper), positive
    )


def test_matrix_exponential(rng):
    for scale in (0.01, 1.0, 20.0):
        _same(lambda lib, x: lib.linalg.matrix_exp(x), rng.standard_normal((2, 3, 3)) * scale / 3)
    _same(lambda lib, x: lib.linalg.matrix_exp(x), _matrices(rng, "complex"))


def test_eigenvalues_of_any_matrix(rng):
    _same(lambda lib, x: lib.linalg.eigvals(x).abs().sort()[0], _matrices(rng))
    _same(lambda lib, x: lib.linalg.eigvals(x).real.sort()[0], _matrices(rng, "complex"))

    def cubed(lib, x):  # no matter which phases and which order
        values, vectors = lib.linalg.eig(x)
        return vectors @ lib.diag_embed(values**3) @ lib.linalg.inv(vectors)

    _same(cubed, _matrices(rng))
    _same(lambda lib, x: (lib.linalg.eig(x)[1].abs() ** 2).sum(-1), _matrices(rng, "complex"))


def test_second_gradient_of_eigenvalues(rng):
    x = tl.tensor(rng.standard_normal((3, 3)) * 0.1 + np.diag([1.0, 2, 4]), requires_grad=True)

    def spectrum(x):
        values = tl.linalg.eigvals(x)
        return (values.real**3).sum() + (values.imag**2).sum()

    assert tl.autograd.gradcheck(spectrum, [x])
    assert tl.autograd.gradgradcheck(spectrum, [x])


def test_tensors_solved_as_matrices(rng):
    _same(lambda lib, a: lib.linalg.tensorinv(a, ind=1), rng.standard_normal((6, 2, 3)))
    b = rng.standard_normal((2, 3))
    _same(lambda lib, a, b: lib.linalg.tensorsolve(a, b), rng.standard_normal((2, 3, 6)), b)
    _same(lambda lib, a, b: lib.linalg.tensorsolve(a, b, dims=(0,)), rng.standard_normal((6, 2, 3)), b)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.int32, np.bool_])
def test_vandermonde(dtype):
    x = np.array([0, 1, 2, 3]).astype(dtype)
    kind = "f" if dtype == np.float64 else "i"
    for n in (2, 3, 6) if dtype != np.bool_ else ():
        with_grad = _run(tl, lambda lib, v, n=n: lib.linalg.vander(v, N=n), [x])[0][0]
        assert with_grad.dtype.kind == kind
        np.testing.assert_array_equal(with_grad, torch.linalg.vander(torch.tensor(x), N=n).numpy())
    for increasing in (True, False):
        found = old.vander(tl.tensor(x), 3, increasing)
        wanted = torch.vander(torch.tensor(x), 3, increasing)
        assert found.tolist() == wanted.tolist()
        assert str(found.dtype)[len("tensorlab.") :] == str(wanted.dtype)[len("torch.") :]


SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])


@pytest.mark.parametrize("name", ["cholesky_ex", "inv_ex", "solve_ex", "lu_factor_ex"])
def test_failures_are_reported(name):
    good, indefinite = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[1.0, 2.0], [2.0, 1.0]])
    bad = indefinite if name == "cholesky_ex" else SINGULAR
    batch = np.stack([good, bad])
    others = [np.ones((2, 2, 1))] if name == "solve_ex" else []
    results = []
    for lib in (torch, tl):
        out = getattr(lib.linalg, name)(lib.tensor(batch), *map(lib.tensor, others))
        results.append(out)
        with pytest.raises(RuntimeError):
            getattr(lib.linalg, name)(
                lib.tensor(batch), *map(lib.tensor, others), check_errors=True
            )
    theirs, ours = results
    assert theirs.info.tolist() == ours.info.tolist()
    assert str(ours.info.dtype) == "tensorlab.int32"
    assert type(ours).__name__ == type(theirs).__name__.rpartition(".")[2]
    np.testing.assert_allclose(ours[0][0].numpy(), theirs[0][0].numpy())


def test_a_singular_matrix_has_no_factors_to_solve_with():
    for lib in (torch, tl):
        with pytest.raises(RuntimeError, match="is zero"):
            lib.linalg.lu_factor(lib.tensor(SINGULAR))


def test_older_names(rng):
    a = _matrices(rng)
    _same(lambda lib, x: tuple((old if lib is tl else lib).qr(x)), a)
    _same(lambda lib, x: (old if lib is tl else lib).svd(x)[1], a)
    _same(lambda lib, x: tuple((old if lib is tl else lib).svd(x, compute_uv=False)), a)
    b = rng.standard_normal((2, 3, 1))
    for options in ({}, {"upper": False}, {"transpose": True}, {"unitriangular": True}):
        _same(lambda lib, a, b, o=options: tuple(b.triangular_solve(a, **o)), a, b)
    _same(lambda lib, x: x.lu(), a)
    _same(lambda lib, a, b: b.lu_solve(*a.lu()), a, b)
    assert lu_ops.lu_in_parts(tl.tensor(SINGULAR), get_infos=True)[2].item() == 2
