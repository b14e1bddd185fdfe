"""Tables of vectors; the function is `nn.functional.embedding`."""

from __future__ import annotations

from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.autograd import no_grad
from tensorlab.nn import functional as F
from tensorlab.nn import init
from tensorlab.nn.modules.module import Module
from tensorlab.nn.parameter import Parameter
from tensorlab.ops.creation import empty

__all__ = ["Embedding"]


class Embedding(Module):
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

    weight: Parameter

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
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError(
                    f"padding_idx {padding_idx} must be within num_embeddings, {num_embeddings}"
                )
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is None:
            table = empty((num_embeddings, embedding_dim), device=device, dtype=dtype)
            self.weight = Parameter(table, requires_grad=not _freeze)
            self.reset_parameters()
        else:
            if tuple(_weight.shape) != (num_embeddings, embedding_dim):
                raise AssertionError(
                    "Shape of weight does not match num_embeddings and embedding_dim: "
                    f"{list(_weight.shape)} and {[num_embeddings, embedding_dim]}"
                )
            self.weight = Parameter(_weight, requires_grad=not _freeze)

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)

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
        if embeddings.dim() != 2:
            raise AssertionError(
                f"Embeddings parameter is expected to be 2-dimensional, got {embeddings.dim()}"
            )
        rows, dim = embeddings.shape
        return cls(
            rows, dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
            _weight=embeddings, _freeze=freeze,
        )  # fmt: skip
