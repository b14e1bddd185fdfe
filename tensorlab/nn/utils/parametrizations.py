"""Ready parametrizations of weights: of given length, of spectral norm 1, orthogonal."""

from __future__ import annotations

from typing import Any

from tensorlab._backend import backend_of, runs_there
from tensorlab._dtypes import finfo
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd import no_grad
from tensorlab.nn.functional.linear import normalize
from tensorlab.nn.modules.module import Module
from tensorlab.nn.utils.parametrize import register_parametrization
from tensorlab.nn.utils.spectral_norm import as_matrix, output_dim, random_direction
from tensorlab.nn.utils.weight_norm import norm_except_dim, normalised
from tensorlab.ops.compare import allclose
from tensorlab.ops.creation import eye, zeros
from tensorlab.ops.joining import cat
from tensorlab.ops.random import randn

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _weight_of(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


# Length and direction ---------------------------------------------------------------------


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return normalised(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


class _OldNames:
    """Lets states of `nn.utils.weight_norm` be loaded: `<name>_g` and `<name>_v` under their new names."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, state: Any, prefix: str, *rest: Any) -> None:
        old = [f"{prefix}{self.name}_{part}" for part in "gv"]
        if all(key in state for key in old):
            for i, key in enumerate(old):
                state[f"{prefix}parametrizations.{self.name}.original{i}"] = state.pop(key)


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Train the lengths of a weight's slices apart from their directions: w = g · v / |v|.

    Args:
        module: holds the weight.
        name: its name. What is trained is `parametrizations.<name>.original0`, g, and `original1`, v.
        dim: the dimension whose slices have a length each; None for one length in all.

    Returns:
        `module`.

    Source: T. Salimans, D. Kingma, "Weight normalization", arXiv:1602.07868.

    >>> from tensorlab import nn
    >>> layer = weight_norm(nn.Linear(3, 2))
    >>> [(name, tuple(p.shape)) for name, p in layer.named_parameters()][1:]
    [('parametrizations.weight.original0', (2, 1)), ('parametrizations.weight.original1', (2, 3))]
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    module._register_load_state_dict_pre_hook(_OldNames(name))
    return module


# Largest singular value -------------------------------------------------------------------


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        ndim = weight.dim()
        if not -ndim <= dim < ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % ndim
        self.eps = eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            self.register_buffer("_u", random_direction(matrix.shape[0], weight, eps))
            self.register_buffer("_v", random_direction(matrix.shape[1], weight, eps))
            self._iterate(matrix, 15)

    @no_grad()
    def _iterate(self, matrix: Tensor, steps: int) -> None:
        """Steps of the power iteration, which turns u and v to the largest singular value's vectors."""
        for _ in range(steps):
            self._u.copy_(normalize(matrix.mv(self._v), dim=0, eps=self.eps))
            self._v.copy_(normalize(matrix.H.mv(self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        # The next iteration changes the buffers; this one's graph keeps its own.
        u, v = self._u.clone(), self._v.clone()
        return weight / u.vdot(matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Any,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Any:
    """Divide a weight by its largest singular value, so that the layer stretches nothing.

    The value is that of a power iteration: 15 steps at first, then a few per forward in training.

    Args:
        module: holds the weight.
        name: its name.
        n_power_iterations: steps per forward.
        eps: keeps lengths from 0.
        dim: the dimension of the outputs; 0, or 1 for transposed convolutions, unless given.

    Returns:
        `module`.

    Raises:
        ValueError: no such tensor, or no steps.

    Source: T. Miyato et al., "Spectral normalization for generative adversarial networks", arXiv:1802.05957.

    >>> import tensorlab
    >>> from tensorlab import nn
    >>> layer = spectral_norm(nn.Linear(20, 40))
    >>> bool((tensorlab.linalg.svdvals(layer.weight)[0] - 1).abs() < 0.1)
    True
    """
    made = _SpectralNorm(_weight_of(module, name), n_power_iterations, output_dim(module, dim), eps)
    register_parametrization(module, name, made)
    return module


# Orthogonal -------------------------------------------------------------------------------


def _reflected(a: Tensor, tau: Tensor) -> Tensor:
    """The first k columns of the product of k reflections I − τᵢ vᵢ vᵢᵀ, with vᵢ in the columns of `a`.

    Each vᵢ has zeros above its i-th element, which is 1.
    """
    n, k = a.shape[-2:]
    ones = eye(n, k, dtype=a.dtype, device=a.device)
    vectors = a.tril(-1) + ones
    out = ones.expand(a.shape)
    for i in reversed(range(k)):
        v = vectors[..., i : i + 1]
        out = out - tau[..., i, None, None] * (v @ (v.mT @ out))
    return out


@runs_there
def _reflections(q: Tensor) -> tuple[Tensor, Tensor]:
    """The reflections whose product is `q`, for `_reflected`: LAPACK's form of a QR decomposition."""
    n, k = q.shape[-2:]
    xp = backend_of(q._data).xp
    found = [xp.linalg.qr(matrix, mode="raw") for matrix in q._data.reshape(-1, n, k)]
    vectors = xp.stack([h.T for h, _ in found]).reshape(q.shape)
    return wrap(vectors), wrap(xp.stack([tau for _, tau in found]).reshape(*q.shape[:-2], k))


def _orthonormal(a: Tensor) -> Tensor:
    """The orthogonal factor of `a`'s QR decomposition whose triangle has a positive diagonal."""
    q, r = a.qr()
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


_MAPS = ("matrix_exp", "cayley", "householder")


class _Orthogonal(Module):
    base: Any

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        self.use_trivialization = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        tall = X if X.shape[-2] >= X.shape[-1] else X.mT
        make = self._by_reflections if self.orthogonal_map == "householder" else self._by_skew
        q = make(tall)
        q = self.base @ q if self.use_trivialization else q
        return q if tall is X else q.mT

    def _by_skew(self, x: Tensor) -> Tensor:
        """A skew-symmetric matrix A of the lower triangle, through a map that makes it orthogonal."""
        n, k = x.shape[-2:]
        x = x.tril()
        if n != k:
            x = cat([x, zeros((*x.shape[:-1], n - k), dtype=x.dtype, device=x.device)], -1)
        a = x - x.mH
        if self.orthogonal_map == "matrix_exp":
            return a.matrix_exp()[..., :k]
        from tensorlab.linalg import solve

        one = eye(n, dtype=a.dtype, device=a.device)
        return solve(one - a * 0.5, one + a * 0.5)[..., :k]

    def _by_reflections(self, x: Tensor) -> Tensor:
        a = x.tril(-1)
        tau = 2.0 / (1.0 + (a * a).sum(-2))
        signs = x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        return _reflected(a, tau) * signs

    @no_grad()
    def right_inverse(self, Q: Tensor) -> Tensor:
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}."
            )
        n, k = Q.shape[-2:]
        tall = Q if n >= k else Q.mT
        n, k = tall.shape[-2:]
        if not self.use_trivialization:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential or the Cayley parametrizations "
                    "when use_trivialization=False."
                )
            vectors, tau = _reflections(tall)
            signs = vectors.diagonal(dim1=-2, dim2=-1).sign()
            signs = signs * (
                1.0 - 2.0 * (tau == 0).to(signs.dtype)
            )  # no reflection: the sign turns
            found = _with_diagonal(vectors, signs)
            return found if tall is Q else found.mT
        if n != k:  # any orthogonal columns more
            more = randn((*tall.shape[:-1], n - k), dtype=Q.dtype, device=Q.device)
            tall = _orthonormal(cat([tall, more], -1))
        elif not _is_orthogonal(tall):
            tall = _orthonormal(tall)
        else:
            tall = tall.clone()
        self.base = tall
        return -eye(Q.shape[-2], Q.shape[-1], dtype=Q.dtype, device=Q.device).expand(Q.shape)


def _with_diagonal(matrix: Tensor, diagonal: Tensor) -> Tensor:
    """A copy of tall matrices with another diagonal."""
    out = matrix.clone()
    out.diagonal(dim1=-2, dim2=-1).copy_(diagonal)
    return out


def _is_orthogonal(q: Tensor) -> bool:
    n, k = q.shape[-2:]
    one = eye(k, dtype=q.dtype, device=q.device).expand(*q.shape[:-2], k, k)
    return bool(allclose(q.mH @ q, one, atol=10.0 * n * finfo(q.dtype).eps))


def orthogonal(
    module: Any,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Any:
    """Keep a weight orthogonal (its columns, or its rows if there are more of those than columns).

    Args:
        module: holds the weight, a matrix or several.
        name: its name.
        orthogonal_map: how an orthogonal matrix is made of one without constraints: "matrix_exp", exp(A) of a
            skew-symmetric A; "cayley", (I + A/2)(I − A/2)⁻¹; "householder", a product of reflections. Unless
            given, the first for square matrices and the last for others.
        use_trivialization: start from the present weight, made orthogonal, so that the map stays near 0, where
            it is well-behaved; and allow assignment.

    Returns:
        `module`.

    Raises:
        ValueError: no such tensor, fewer than 2 dimensions, or another map.

    Source: M. Lezcano-Casado, "Trivializations for gradient-based optimization on manifolds",
    arXiv:1909.09501.

    >>> import tensorlab
    >>> from tensorlab import nn
    >>> weight = orthogonal(nn.Linear(3, 3)).weight
    >>> tensorlab.allclose(weight @ weight.T, tensorlab.eye(3), atol=1e-6)
    True
    """
    weight = _weight_of(module, name)
    if weight.dim() < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions."
        )
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1) or weight.is_complex()
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    register_parametrization(module, name, made, unsafe=True)
    return module
