"""Norms, einsum and decompositions: against NumPy, PyTorch and finite differences."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.autograd import gradcheck, gradgradcheck

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")


def pair(array: np.ndarray, grad: bool = False) -> tuple[tl.Tensor, Any]:
    return (
        tl.tensor(array, requires_grad=grad),
        torch.from_numpy(array.copy()).requires_grad_(grad),
    )


EQUATIONS = [
    ("ij->ji", [(2, 3)]),
    ("ii", [(3, 3)]),
    ("ii->i", [(3, 3)]),
    ("ij->", [(2, 3)]),
    ("i,i", [(3,), (3,)]),
    ("i,j->ij", [(2,), (3,)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("bij,bjk->bik", [(5, 2, 3), (5, 3, 4)]),
    ("bij,bjk", [(5, 2, 3), (1, 3, 4)]),
    ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
    ("...ij,...jk->...ik", [(2, 1, 2, 3), (4, 3, 2)]),
    ("i...,i...->...", [(2, 3), (2, 3)]),
    ("bn,anm,bm->ba", [(2, 3), (4, 3, 5), (2, 5)]),
    ("ijk,jil,kl->", [(2, 3, 4), (3, 2, 5), (4, 5)]),
    ("iij->j", [(2, 2, 3)]),
    ("ij,ij->ij", [(2, 3), (2, 3)]),
    ("zyx,xw", [(2, 3, 4), (4, 2)]),
    ("i,->i", [(3,), ()]),
    (" i j , j -> i ", [(2, 3), (3,)]),
]


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
def test_einsum(rng: np.random.Generator, equation: str, shapes: list[tuple[int, ...]]) -> None:
    pairs = [
        pair(rng.standard_normal(s) if s else np.array(rng.standard_normal()), True) for s in shapes
    ]
    ours, theirs = (
        tl.einsum(equation, *(p[0] for p in pairs)),
        torch.einsum(equation, *(p[1] for p in pairs)),
    )
    np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=1e-12)
    (ours * ours).sum().backward()
    (theirs * theirs).sum().backward()
    for mine, other in pairs:
        np.testing.assert_allclose(mine.grad, other.grad, rtol=1e-10, atol=1e-12)


def test_einsum_takes_lists_of_numbers_and_a_list_of_operands() -> None:
    x, y = tl.ones(2, 3), tl.ones(3, 4)
    assert tl.einsum(x, [0, 1], y, [1, 2], [2, 0]).shape == (4, 2)
    assert tl.einsum("ij,jk", [x, y]).shape == (2, 4)


@pytest.mark.parametrize(
    ("equation", "shapes", "match"),
    [
        (
            "ij,jk",
            [(2, 3), (2, 3)],
            "subscript j has size 2 for operand 1 which does not broadcast",
        ),
        ("ijk", [(2, 3)], r"the number of subscripts in the equation \(3\) does not match"),
        ("ij->k", [(2, 3)], "output subscript k does not appear"),
        ("ij->ii", [(2, 3)], "appears more than once in the output"),
        ("ii", [(2, 3)], "subscript i is repeated but the sizes don't match"),
        ("i1", [(2, 3)], "invalid subscript given"),
        ("i", [(2,), (2,)], "more operands were provided than specified"),
        ("i,i", [(2,)], "fewer operands were provided than specified"),
    ],
)
def test_einsum_errors(equation: str, shapes: list[tuple[int, ...]], match: str) -> None:
    with pytest.raises(RuntimeError, match=match):
        tl.einsum(equation, *(tl.ones(*s) for s in shapes))


@pytest.mark.parametrize("ord", ["fro", "nuc", 2, -2, 1, -1, math.inf, -math.inf])
@pytest.mark.parametrize("keepdim", [False, True])
def test_matrix_norms(rng: np.random.Generator, ord: Any, keepdim: bool) -> None:
    ours, theirs = pair(rng.standard_normal((2, 3, 4)), True)
    for dims in ((-2, -1), (2, 0)):
        a, b = (
            tl.linalg.matrix_norm(ours, ord, dims, keepdim),
            torch.linalg.matrix_norm(theirs, ord, dims, keepdim),
        )
        assert a.shape == tuple(b.shape)
        np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-10)
    a.sum().backward()
    b.sum().backward()
    np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-8, atol=1e-10)


def test_norm_in_its_old_forms(rng: np.random.Generator) -> None:
    ours, theirs = pair(rng.standard_normal((2, 3)))
    for args in ((), (1,), (2, 1), ("fro", (0, 1)), (3, (0, 1), True), ("nuc",), (math.inf,), (0,)):
        np.testing.assert_allclose(ours.norm(*args), theirs.norm(*args), rtol=1e-12)
    np.testing.assert_allclose(tl.linalg.norm(ours, 2), torch.linalg.norm(theirs, 2), rtol=1e-12)
    with pytest.raises(RuntimeError, match="Order a not supported"):
        ours.norm("a")


def symmetric(x: tl.Tensor) -> tl.Tensor:
    return (x + x.mT) / 2


def definite(x: tl.Tensor) -> tl.Tensor:
    return x @ x.mT + 2 * tl.eye(x.shape[-1], dtype=x.dtype)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: tl.linalg.eigh(symmetric(x))[0], (3, 3)),
        (lambda x: tl.linalg.eigh(symmetric(x))[1].abs(), (2, 3, 3)),
        (lambda x: tl.linalg.svd(x, full_matrices=False)[0].abs(), (4, 2)),
        (lambda x: tl.linalg.svd(x, full_matrices=False)[2].abs(), (2, 4)),
        (lambda x: tl.linalg.svdvals(x), (3, 2)),
        (lambda x: tl.linalg.pinv(x), (3, 2)),
        (lambda x: tl.linalg.cholesky(definite(x), upper=True), (3, 3)),
        (lambda x: tl.linalg.solve(definite(x), x[:, 0]), (3, 3)),
        (lambda x: tl.linalg.solve(definite(x), x, left=False), (3, 3)),
        (lambda x: tl.linalg.solve_triangular(definite(x), x, upper=True), (3, 3)),
        (
            lambda x: tl.linalg.solve_triangular(definite(x), x, upper=False, unitriangular=True),
            (3, 3),
        ),
        (lambda x: tl.linalg.qr(x)[0].abs(), (3, 2)),
        (lambda x: tl.matrix_power(definite(x), -2), (2, 2)),
        (lambda x: tl.logdet(definite(x)), (3, 3)),
        (lambda x: tl.linalg.cond(definite(x)), (3, 3)),
        (lambda x: tl.linalg.lstsq(x, tl.ones(3, 1, dtype=tl.float64)).solution, (3, 2)),
        (lambda x: tl.cdist(x, x.flip(0) + 1), (3, 2)),
        (lambda x: tl.kron(x, x), (2, 2)),
        (lambda x: tl.cross(x, x.roll(1, 0)), (2, 3)),
        (lambda x: tl.linalg.multi_dot([x, x.T, x[:, 0]]), (3, 2)),
    ],
)
def test_gradients(function: Any, shape: tuple[int, ...]) -> None:
    # Always the same matrices: close to equal singular values nothing is differentiable.
    rng = np.random.default_rng(1)
    x = tl.tensor(
        rng.standard_normal(shape) + np.arange(math.prod(shape)).reshape(shape) / 7,
        requires_grad=True,
    )
    assert gradcheck(function, (x,))
    assert gradgradcheck(function, (x,))


def test_decompositions_give_the_matrix_back(rng: np.random.Generator) -> None:
    for m, n in itertools.product((1, 2, 4), repeat=2):
        x = tl.tensor(rng.standard_normal((2, m, n)))
        q, r = tl.linalg.qr(x)
        np.testing.assert_allclose(q @ r, x, atol=1e-12)
        for full in (True, False):
            u, s, vh = tl.linalg.svd(x, full_matrices=full)
            k = min(m, n)
            np.testing.assert_allclose(u[..., :k] @ s.diag_embed() @ vh[..., :k, :], x, atol=1e-12)
        np.testing.assert_allclose(x @ tl.linalg.pinv(x) @ x, x, atol=1e-10)
    square = tl.tensor(rng.standard_normal((3, 3)))
    values, vectors = tl.linalg.eig(square)
    np.testing.assert_allclose(
        square.numpy() @ vectors.numpy(), vectors.numpy() * values.numpy(), atol=1e-10
    )


@pytest.mark.parametrize(
    ("name", "operands"),
    [
        ("inner", [(2, 3), (4, 3)]),
        ("vdot", [(3,), (3,)]),
        ("kron", [(2, 3), (2,)]),
        ("cross", [(4, 3), (4, 3)]),
        ("trace", [(3, 3)]),
        ("dist", [(2, 3), (2, 3)]),
        ("cdist", [(4, 3), (2, 3)]),
        ("chain_matmul", [(2, 3), (3, 4), (4, 2)]),
        ("addmv", [(2,), (2, 3), (3,)]),
        ("addr", [(2, 3), (2,), (3,)]),
    ],
)
def test_products_against_torch(
    rng: np.random.Generator, name: str, operands: list[tuple[int, ...]]
) -> None:
    pairs = [pair(rng.standard_normal(s)) for s in operands]
    if name == "chain_matmul":
        want = torch.linalg.multi_dot([p[1] for p in pairs])
    elif name == "cross":
        want = torch.linalg.cross(*(p[1] for p in pairs))
    else:
        want = getattr(torch, name)(*(p[1] for p in pairs))
    np.testing.assert_allclose(getattr(tl, name)(*(p[0] for p in pairs)), want, rtol=1e-12)


def test_tensordot_against_torch(rng: np.random.Generator) -> None:
    (a, x), (b, y) = pair(rng.standard_normal((2, 3, 4))), pair(rng.standard_normal((4, 3, 5)))
    np.testing.assert_allclose(
        tl.tensordot(a, b, ([1, 2], [1, 0])), torch.tensordot(x, y, ([1, 2], [1, 0])), rtol=1e-12
    )
    np.testing.assert_allclose(
        tl.tensordot(a, b, dims=1), torch.tensordot(x, y, dims=1), rtol=1e-12
    )
    with pytest.raises(
        RuntimeError, match="contracted dimensions need to match, but first has size 3"
    ):
        tl.tensordot(a, b, ([1], [0]))


def test_singular_matrices_raise() -> None:
    zero = tl.zeros(2, 2)
    for fails in (
        tl.linalg.inv,
        lambda x: tl.linalg.solve(x, x),
        lambda x: tl.linalg.cholesky(x - 1),
    ):
        with pytest.raises(tl.linalg.LinAlgError):
            fails(zero)
    assert int(tl.linalg.matrix_rank(zero)) == 0


def test_covariance_and_correlation(rng: np.random.Generator) -> None:
    array = rng.standard_normal((3, 6))
    ours, theirs = pair(array)
    np.testing.assert_allclose(tl.cov(ours), torch.cov(theirs), rtol=1e-12)
    np.testing.assert_allclose(
        tl.cov(ours, correction=0), torch.cov(theirs, correction=0), rtol=1e-12
    )
    np.testing.assert_allclose(tl.corrcoef(ours), torch.corrcoef(theirs), rtol=1e-12)
    f, a = rng.integers(1, 4, 6), rng.random(6)
    mine = tl.cov(ours, fweights=tl.tensor(f), aweights=tl.tensor(a))
    other = torch.cov(theirs, fweights=torch.tensor(f), aweights=torch.tensor(a))
    np.testing.assert_allclose(mine, other, rtol=1e-10)
    np.testing.assert_allclose(tl.cov(ours[0]), torch.cov(theirs[0]), rtol=1e-12)


def test_index_lists() -> None:
    x, y = tl.arange(4), torch.arange(4)
    for r, again in ((2, False), (3, True), (0, False)):
        assert tl.combinations(x, r, again).tolist() == torch.combinations(y, r, again).tolist()
    for name in ("tril_indices", "triu_indices"):
        for offset in (-1, 0, 2):
            assert (
                getattr(tl, name)(3, 4, offset).tolist()
                == getattr(torch, name)(3, 4, offset).tolist()
            )
