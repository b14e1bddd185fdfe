"""Tables of vectors; the functions are `nn.functional.embedding` and `embedding_bag`."""

from __future__ import annotations

from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.autograd import no_grad
from tensorlab.nn import functional as F
from tensorlab.nn import init
from tensorlab.nn.modules.module import Module
from tensorlab.nn.parameter import Parameter
from tensorlab.ops.creation import empty

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """What both have: the table, its draw, and a row of zeros for padding."""

    weight: Parameter
    padding_idx: int | None

    def _make(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        weight: Tensor | None,
        frozen: bool,
        device: Any,
        dtype: Any,
    ) -> None:
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError(
                    f"padding_idx {padding_idx} must be within num_embeddings, {num_embeddings}"
                )
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        if weight is None:
            table = empty((num_embeddings, embedding_dim), device=device, dtype=dtype)
            self.weight = Parameter(table, requires_grad=not frozen)
            self.reset_parameters()
        else:
            if tuple(weight.shape) != (num_embeddings, embedding_dim):
                raise AssertionError(
                    "Shape of weight does not match num_embeddings and embedding_dim: "
                    f"{list(weight.shape)} and {[num_embeddings, embedding_dim]}"
                )
            self.weight = Parameter(weight, requires_grad=not frozen)

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)


def _dimensions(embeddings: Tensor) -> tuple[int, int]:
    """The number of rows and the length of each, of a table that is given."""
    if embeddings.dim() != 2:
        raise AssertionError(
            f"Embeddings parameter is expected to be 2-dimensional, got {embeddings.dim()}"
        )
    rows, dim = embeddings.shape
    return rows, dim


class Embedding(_Table):
    """A table of vectors, read by row numbers: a learned vector for each word, class or user.

    Args:
        num_embeddings: number of rows.
        embedding_dim: length of each vector, D.
        padding_idx: a row that is zero at first and gets no gradient.
        max_norm: before reading, scale the rows used, in place, down to this norm.
        norm_type: which p-norm that is.
        scale_grad_by_freq: divide each row's gradient by how often it is in the input.
        sparse: only False: gradients are dense here.
        device, dtype: of the table.

    Shapes:
        input `(*)` of row numbers (int64 or int32), output `(*, D)`.

    Attributes:
        weight: `(num_embeddings, D)`, normally distributed at first.

    Raises:
        AssertionError: `padding_idx` is no row.
        IndexError: a number in the input is no row.

    >>> import tensorlab
    >>> Embedding(10, 3)(tensorlab.tensor([[1, 2], [9, 9]])).shape
    tensorlab.Size([2, 2, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._make(num_embeddings, embedding_dim, padding_idx, _weight, _freeze, device, dtype)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type,
            self.scale_grad_by_freq, self.sparse,
        )  # fmt: skip

    def extra_repr(self) -> str:
        shown = [f"{self.num_embeddings}, {self.embedding_dim}"]
        shown += [f"padding_idx={self.padding_idx}"] * (self.padding_idx is not None)
        shown += [f"max_norm={self.max_norm}"] * (self.max_norm is not None)
        shown += [f"norm_type={self.norm_type}"] * (self.norm_type != 2)
        shown += ["scale_grad_by_freq=True"] * bool(self.scale_grad_by_freq)
        shown += ["sparse=True"] * bool(self.sparse)
        return ", ".join(shown)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer with this table, `(rows, D)`; `freeze` keeps it from being trained.

        >>> import tensorlab
        >>> Embedding.from_pretrained(tensorlab.eye(2))(tensorlab.tensor([1]))
        tensor([[0., 1.]])
        """
        rows, dim = _dimensions(embeddings)
        return cls(
            rows, dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
            _weight=embeddings, _freeze=freeze,
        )  # fmt: skip


class EmbeddingBag(_Table):
    """The sum, mean or maximum of rows of a table, for each bag of row numbers.

    It computes what `Embedding` and a sum over the bag would.

    Args:
        num_embeddings: number of rows.
        embedding_dim: length of each, D.
        max_norm: before reading, scale the rows used, in place, down to this norm.
        norm_type: which p-norm that is.
        scale_grad_by_freq: divide each row's gradient by how often it is in the input; not for the maximum.
        mode: "sum", "mean" or "max".
        sparse: only False: gradients are dense here.
        include_last_offset: offsets have the end of the last bag too.
        padding_idx: a row that is zero at first and left out of every bag.
        device, dtype: of the table.

    Shapes:
        input `(B, N)`, or `(n,)` with offsets `(B,)`, where each bag starts; `per_sample_weights`, for the sum
        only, as the input; output `(B, D)`, zeros for an empty bag.

    Attributes:
        weight: `(num_embeddings, D)`, normally distributed at first.

    Raises:
        AssertionError: `padding_idx` is no row. For the input see `nn.functional.embedding_bag`.

    >>> import tensorlab
    >>> layer = EmbeddingBag(10, 3, mode="sum")
    >>> layer(tensorlab.tensor([1, 2, 4, 5]), tensorlab.tensor([0, 3])).shape
    tensorlab.Size([2, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._make(num_embeddings, embedding_dim, padding_idx, _weight, False, device, dtype)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        return F.embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq,
            self.mode, self.sparse, per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        shown = [f"{self.num_embeddings}, {self.embedding_dim}"]
        shown += [f"max_norm={self.max_norm}"] * (self.max_norm is not None)
        shown += [f"norm_type={self.norm_type}"] * (self.norm_type != 2)
        shown += ["scale_grad_by_freq=True"] * bool(self.scale_grad_by_freq)
        shown += [f"mode={self.mode!r}"]
        shown += [f"padding_idx={self.padding_idx}"] * (self.padding_idx is not None)
        return ", ".join(shown)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer with this table, `(rows, D)`; `freeze` keeps it from being trained.

        >>> import tensorlab
        >>> EmbeddingBag.from_pretrained(tensorlab.eye(2))(tensorlab.tensor([[0, 1]]))
        tensor([[0.5000, 0.5000]])
        """
        rows, dim = _dimensions(embeddings)
        layer = cls(
            rows, dim, max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings,
            include_last_offset, padding_idx,
        )  # fmt: skip
        layer.weight.requires_grad_(not freeze)
        return layer
