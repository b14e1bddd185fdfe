"""A softmax over very many classes, of which most are rare."""

from __future__ import annotations

import itertools
from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules.container import ModuleList, Sequential
from tensorlab.nn.modules.linear import Linear
from tensorlab.nn.modules.module import Module
from tensorlab.ops.joining import cat

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-softmax and its loss for many classes, sorted by falling frequency.

    The first `cutoffs[0]` classes have scores of their own in the *head*; the others are in
    clusters, of which the head scores each as a whole. A cluster's own scores go through a narrower
    layer, by `div_value` for every step down, and are computed for the targets in it alone.

    Args:
        in_features: D, size of the input's last dimension.
        n_classes: how many classes there are.
        cutoffs: the first class of each cluster, rising, between 1 and `n_classes - 1`.
        div_value: how much narrower each cluster is than the one before.
        head_bias: whether the head has a bias.
        device, dtype: of the parameters.

    Shapes:
        input `(N, D)` or `(D,)`, target `(N,)` or `()` of class numbers. The result is a named tuple
        of `output`, the log-probabilities of the targets (`(N,)` or `()`), and `loss`, minus their mean.

    Raises:
        ValueError: cutoffs that are none, not rising, or out of range.
        RuntimeError: shapes that do not belong together, or a target that is no class.

    Source: E. Grave et al., "Efficient softmax approximation for GPUs", arXiv:1609.04309.

    >>> import tensorlab
    >>> layer = AdaptiveLogSoftmaxWithLoss(16, 100, [10, 50])
    >>> output, loss = layer(tensorlab.zeros(4, 16), tensorlab.tensor([0, 9, 40, 99]))
    >>> output.shape
    tensorlab.Size([4])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            sorted(set(cutoffs)) != cutoffs
            or cutoffs[0] <= 0
            or cutoffs[-1] > n_classes - 1
            or any(int(c) != c for c in cutoffs)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
                f"order, where each value is between 1 and n_classes-1 = {n_classes - 1}; got {cutoffs}"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for i, (first, end) in enumerate(itertools.pairwise(self.cutoffs), 1):
            width = int(in_features // div_value**i)
            self.tail.append(
                Sequential(
                    Linear(in_features, width, False, device, dtype),
                    Linear(width, end - first, False, device, dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        self.head.reset_parameters()
        for projection in self.tail:
            for layer in projection:  # type: ignore[attr-defined]
                layer.reset_parameters()

    def forward(self, input_: Any, target_: Any) -> Any:
        alone = target_.dim() == 0
        self._check(input_, target_)
        input = input_.unsqueeze(0) if alone else input_
        target = target_.unsqueeze(0) if alone else target_

        # Where each target is found in the head: itself, or its cluster.
        place = target
        inside = input.new_zeros(target.size(0))
        for i, (first, end) in enumerate(itertools.pairwise(self.cutoffs)):
            rows = ((target >= first) & (target < end)).nonzero().reshape(-1)
            if rows.numel() == 0:
                continue
            scores = F.log_softmax(self.tail[i](input[rows]), dim=1)  # type: ignore[operator]
            chosen = scores.gather(1, (target[rows] - first).unsqueeze(1)).squeeze(1)
            inside = inside.index_copy(0, rows, chosen)
            place = place.index_fill(0, rows, self.shortlist_size + i)
        head = F.log_softmax(self.head(input), dim=1)
        output = inside + head.gather(1, place.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output.squeeze(0) if alone else output, loss)

    def _check(self, input: Any, target: Any) -> None:
        if target.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if target.dim() == 1 and input.size(0) != target.size(0):
            raise RuntimeError(
                "Input and target should have the same size in the batch dimension, "
                f"got {input.size(0)} and {target.size(0)}."
            )
        if input.dim() != target.dim() + 1:
            raise RuntimeError(
                f"{target.dim()}D target tensor expects {target.dim() + 1}D input tensors, "
                f"but found inputs with size {input.size()}"
            )
        if bool(((target < 0) | (target >= self.n_classes)).any()):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min().item()}, {target.max().item()}] were found."
            )

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes, `(N, n_classes)`, for input `(N, D)`."""
        return self._all(input, self.head(input))

    def _all(self, input: Any, head_output: Any) -> Tensor:
        head = F.log_softmax(head_output, dim=1)
        parts: list[Any] = [head[:, : self.shortlist_size]]
        for i, projection in enumerate(self.tail):
            inside: Any = F.log_softmax(projection(input), dim=1)
            parts.append(inside + head[:, self.shortlist_size + i].unsqueeze(1))
        return cat(parts, 1)

    def predict(self, input: Any) -> Tensor:
        """The most probable class of each row, `(N,)`: what `log_prob(input).argmax(1)` gives, faster."""
        head: Any = self.head(input)
        found = head.argmax(1)
        rest = found >= self.shortlist_size
        if not rest.any():
            return found
        rows = rest.nonzero().reshape(-1)
        full: Any = self._all(input[rows], head[rows])
        return found.index_copy(0, rows, full.argmax(1))
