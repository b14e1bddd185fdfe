"""Attention with several heads; the function is `nn.functional.multi_head_attention_forward`."""

from __future__ import annotations

from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import init
from tensorlab.nn.functional.attention import attend
from tensorlab.nn.modules.linear import NonDynamicallyQuantizableLinear
from tensorlab.nn.modules.module import Module
from tensorlab.nn.parameter import Parameter
from tensorlab.ops.creation import empty

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    r"""Several attentions side by side, each of its own projections of queries, keys and values.

    head_h = softmax(Q_h K_hᵀ / √d + mask) V_h with d = embed_dim / num_heads; the heads, one beside the other,
    go through a last projection.

    Args:
        embed_dim: E, size of queries and of the output.
        num_heads: number of heads; divides E.
        dropout: probability with which a weight becomes 0 in training.
        bias: whether the projections add a bias.
        add_bias_kv: learn one more key and value, which every query sees.
        add_zero_attn: add one more key and value of zeros.
        kdim, vdim: sizes of keys and values; E unless given.
        batch_first: input and output are (N, L, E) and not (L, N, E).
        device, dtype: of the parameters.

    Attributes:
        in_proj_weight: (3E, E), the projections of query, key and value one below the other; or, with another
            kdim or vdim, `q_proj_weight`, `k_proj_weight` and `v_proj_weight`. Xavier uniform.
        in_proj_bias: (3E,), zeros. out_proj: a linear map from E to E.

    Raises:
        ValueError: a size below 1. AssertionError: `num_heads` does not divide `embed_dim`.

    Source: A. Vaswani et al., "Attention is all you need", arXiv:1706.03762, section 3.2.2.

    >>> import tensorlab
    >>> layer = MultiheadAttention(8, num_heads=2, batch_first=True)
    >>> x = tensorlab.rand(4, 5, 8)
    >>> out, weights = layer(x, x, x)
    >>> out.shape, weights.shape
    (tensorlab.Size([4, 5, 8]), tensorlab.Size([4, 5, 5]))
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and "
                f"num_heads={num_heads} instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError(
                f"embed_dim must be divisible by num_heads, got {embed_dim} and {num_heads}"
            )

        def new(*shape: int) -> Parameter:
            return Parameter(empty(shape, device=device, dtype=dtype))

        separate = not self._qkv_same_embed_dim
        # In PyTorch's order, which is that of the state_dict.
        if separate:
            self.q_proj_weight = new(embed_dim, embed_dim)
            self.k_proj_weight = new(embed_dim, self.kdim)
            self.v_proj_weight = new(embed_dim, self.vdim)
            self.register_parameter("in_proj_weight", None)
        else:
            self.in_proj_weight = new(3 * embed_dim, embed_dim)
            for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                self.register_parameter(name, None)
        if bias:
            self.in_proj_bias = new(3 * embed_dim)
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias=bias, device=device, dtype=dtype
        )
        self.bias_k = new(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = new(1, 1, embed_dim) if add_bias_kv else None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Draw the parameters anew, all but the weight of `out_proj`."""
        for weight in (
            self.in_proj_weight,
            self.q_proj_weight,
            self.k_proj_weight,
            self.v_proj_weight,
        ):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Let each query look at the keys.

        Args:
            query: (L, N, E), or (N, L, E) with `batch_first`, or (L, E) without a batch.
            key, value: (S, N, kdim) and (S, N, vdim), or as for the query.
            key_padding_mask: (N, S) or (S,): booleans, true for keys that nobody sees, or numbers that are
                added to the scores.
            need_weights: return the weights too. Without them it is faster and takes less memory.
            attn_mask: (L, S), or (N · num_heads, L, S): booleans, true where a query may not look, or numbers
                that are added to the scores.
            average_attn_weights: return the mean of the heads' weights.
            is_causal: a hint that `attn_mask`, which must be there, lets each query see the keys up to its own
                position only; then it need not be looked at.

        Returns:
            The output, of the shape of the query, and the weights, (N, L, S) or, unless averaged,
            (N, num_heads, L, S), without N for input without a batch; None without `need_weights`.

        Raises:
            AssertionError, RuntimeError: shapes or masks that do not fit.
        """
        separate = None
        if not self._qkv_same_embed_dim:
            separate = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        return attend(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, separate,
            self.in_proj_bias, self.bias_k, self.bias_v, self.add_zero_attn,
            self.dropout if self.training else 0.0, self.out_proj.weight, self.out_proj.bias,
            key_padding_mask, need_weights, attn_mask, None, None, average_attn_weights, is_causal,
            self.batch_first,
        )  # fmt: skip
