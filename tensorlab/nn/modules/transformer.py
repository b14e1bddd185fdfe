"""Transformers: layers of attention and small networks, their stacks, and the two stacks together."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

from tensorlab._graph import mode
from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn import init
from tensorlab.nn.functional.attention import canonical_mask
from tensorlab.nn.modules._activated import activated
from tensorlab.nn.modules.activation import GELU, ReLU
from tensorlab.nn.modules.attention import MultiheadAttention
from tensorlab.nn.modules.container import ModuleList
from tensorlab.nn.modules.dropout import Dropout
from tensorlab.nn.modules.linear import Linear
from tensorlab.nn.modules.module import Module
from tensorlab.nn.modules.normalization import LayerNorm
from tensorlab.ops.creation import full

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Activation = str | Callable[[Tensor], Tensor]


def _causal_mask(size: int, device: Any = None, dtype: Any = None) -> Tensor:
    """−inf above the diagonal, 0 elsewhere (true and false for booleans)."""
    return full((size, size), -math.inf, device=device, dtype=dtype).triu(1)


def _is_causal(mask: Tensor | None, told: bool | None, x: Tensor, batch_first: bool) -> bool:
    """Whether the mask lets each position see those up to its own only; as `told`, if it was."""
    if told is not None or mask is None:
        return bool(told)
    length = x.shape[1 if batch_first and x.dim() == 3 else 0]
    if tuple(mask.shape) != (length, length):
        return False
    return bool((mask == _causal_mask(length, mask.device, mask.dtype)).all())


def _function(activation: Activation) -> Callable[[Tensor], Tensor]:
    if not isinstance(activation, str):
        return activation
    if activation not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {activation}")
    return getattr(F, activation)


def _copies(layer: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(layer) for _ in range(count)])


class _Layer(Module):
    """What encoder and decoder layers share: the small network, and the way an attention is called."""

    linear1: Linear
    dropout: Dropout
    linear2: Linear
    activation: Callable[[Tensor], Tensor]

    def _network(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(activated(self.linear1, self.activation, x)))


def _attended(
    attention: Module, x: Tensor, memory: Tensor, mask: Any, padding: Any, is_causal: bool
) -> Tensor:
    return attention(
        x, memory, memory, key_padding_mask=padding, need_weights=False, attn_mask=mask,
        is_causal=is_causal,
    )[0]  # fmt: skip


class TransformerEncoderLayer(_Layer):
    r"""Self-attention and a small network, each with a residual connection and a normalisation.

    x = norm1(x + attention(x)), x = norm2(x + network(x)); with `norm_first`
    x = x + attention(norm1(x)), x = x + network(norm2(x)).

    Args:
        d_model: E, size of the features.
        nhead: number of heads; divides E.
        dim_feedforward: size of the network's hidden layer.
        dropout: probability of a zero, in attention weights, hidden layer and before each addition.
        activation: of the hidden layer: "relu", "gelu" or a function.
        layer_norm_eps: see `LayerNorm`.
        batch_first: input and output are (N, S, E) and not (S, N, E).
        norm_first: normalise before attention and network, and not after the addition.
        bias: whether linear maps and normalisations have a bias.
        device, dtype: of the parameters.

    Raises:
        RuntimeError: an activation of another name.

    Source: A. Vaswani et al., "Attention is all you need", arXiv:1706.03762, section 3.1; for `norm_first`
    R. Xiong et al., "On layer normalization in the transformer architecture", arXiv:2002.04745, figure 1.

    >>> import tensorlab
    >>> layer = TransformerEncoderLayer(d_model=8, nhead=2, batch_first=True)
    >>> layer(tensorlab.rand(4, 5, 8)).shape
    tensorlab.Size([4, 5, 8])
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout=dropout, batch_first=batch_first, **made
        )
        self.linear1 = Linear(d_model, dim_feedforward, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **made)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, **made)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, **made)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _function(activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Encode `src`; masks and shapes as in `Transformer`.

        `is_causal` is a hint that `src_mask`, which must be there, is the causal mask.
        """
        padding = canonical_mask(
            src_key_padding_mask, "src_key_padding_mask", src.dtype, src_mask, "src_mask"
        )
        mask = canonical_mask(src_mask, "src_mask", src.dtype)
        if self.norm_first:
            x = src + self._sa_block(self.norm1(src), mask, padding, is_causal)
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(src + self._sa_block(src, mask, padding, is_causal))
        return self.norm2(x + self._ff_block(x))

    def _sa_block(self, x: Tensor, mask: Any, padding: Any, is_causal: bool = False) -> Tensor:
        return self.dropout1(_attended(self.self_attn, x, x, mask, padding, is_causal))

    def _ff_block(self, x: Tensor) -> Tensor:
        return self.dropout2(self._network(x))


class TransformerDecoderLayer(_Layer):
    r"""Self-attention, attention to the encoder's output, and a small network.

    Each has a residual connection and a normalisation, after the addition or, with `norm_first`, before.

    Args:
        d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias,
            device, dtype: see `TransformerEncoderLayer`.

    Source: A. Vaswani et al., "Attention is all you need", arXiv:1706.03762, section 3.1.

    >>> import tensorlab
    >>> layer = TransformerDecoderLayer(d_model=8, nhead=2, batch_first=True)
    >>> layer(tensorlab.rand(4, 5, 8), tensorlab.rand(4, 7, 8)).shape
    tensorlab.Size([4, 5, 8])
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        attention: dict[str, Any] = {"dropout": dropout, "batch_first": batch_first, **made}
        self.self_attn = MultiheadAttention(d_model, nhead, **attention)
        self.multihead_attn = MultiheadAttention(d_model, nhead, **attention)
        self.linear1 = Linear(d_model, dim_feedforward, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **made)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, **made)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, **made)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps, **made)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = _function(activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Decode `tgt` with the encoder's output `memory`; masks and shapes as in `Transformer`.

        `tgt_is_causal` and `memory_is_causal` are hints that the mask, which must be there, is causal.
        """
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory_mask, memory_key_padding_mask, memory_is_causal)
        if self.norm_first:
            x = tgt + self._sa_block(self.norm1(tgt), *own)
            x = x + self._mha_block(self.norm2(x), memory, *other)
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(tgt + self._sa_block(tgt, *own))
        x = self.norm2(x + self._mha_block(x, memory, *other))
        return self.norm3(x + self._ff_block(x))

    def _sa_block(self, x: Tensor, mask: Any, padding: Any, is_causal: bool = False) -> Tensor:
        return self.dropout1(_attended(self.self_attn, x, x, mask, padding, is_causal))

    def _mha_block(
        self, x: Tensor, memory: Tensor, mask: Any, padding: Any, is_causal: bool = False
    ) -> Tensor:
        return self.dropout2(_attended(self.multihead_attn, x, memory, mask, padding, is_causal))

    def _ff_block(self, x: Tensor) -> Tensor:
        return self.dropout3(self._network(x))


class TransformerEncoder(Module):
    """A stack of encoder layers.

    Args:
        encoder_layer: the layer; `num_layers` copies of it are made, which all start with its parameters.
        num_layers: how many.
        norm: a normalisation of the output, or None.
        enable_nested_tensor: with a padding mask, evaluation without gradients returns zeros at padded places
            (before `norm`), as PyTorch does where it leaves padding out of the computation: for batch-first
            layers with ReLU or GELU, normalised after, with an even number of heads.
        mask_check: do so only if all padding is at the ends.

    >>> import tensorlab
    >>> layer = TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=16)
    >>> TransformerEncoder(layer, num_layers=3)(tensorlab.rand(5, 4, 8)).shape
    tensorlab.Size([5, 4, 8])
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.use_nested_tensor = enable_nested_tensor and _may_leave_padding_out(encoder_layer)
        self.mask_check = mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Encode `src` in all layers; masks and shapes as in `Transformer`.

        `is_causal` says whether `mask` is the causal mask; unless given, that is found out.
        """
        padding = canonical_mask(
            src_key_padding_mask, "src_key_padding_mask", src.dtype, mask, "mask"
        )
        mask = canonical_mask(mask, "mask", src.dtype)
        first: Any = self.layers[0]
        is_causal = _is_causal(mask, is_causal, src, first.self_attn.batch_first)
        x = src
        for layer in self.layers:
            x = layer(x, src_mask=mask, is_causal=is_causal, src_key_padding_mask=padding)
        if mask is None and padding is not None and self._leaves_padding_out(src, padding):
            x = x.masked_fill((padding != 0).unsqueeze(-1), 0.0)
        return x if self.norm is None else self.norm(x)

    def _leaves_padding_out(self, src: Tensor, padding: Tensor) -> bool:
        first: Any = self.layers[0]
        if not self.use_nested_tensor or first.training or src.dim() != 3:
            return False
        if mode.grad and (src.requires_grad or any(p.requires_grad for p in first.parameters())):
            return False
        at_the_end = (padding != 0).long().diff(dim=1).ge(0).all()
        return not self.mask_check or bool(at_the_end)


def _may_leave_padding_out(layer: Any) -> bool:
    """Whether PyTorch would compute a layer of this kind on the sequences without their padding."""
    return (
        isinstance(layer, TransformerEncoderLayer)
        and not layer.norm_first
        and layer.self_attn.batch_first
        and layer.self_attn.in_proj_bias is not None
        and (layer.activation in (F.relu, F.gelu) or isinstance(layer.activation, (ReLU, GELU)))
        and layer.norm1.eps == layer.norm2.eps
        and layer.self_attn.num_heads % 2 == 0
    )


class TransformerDecoder(Module):
    """A stack of decoder layers.

    Args:
        decoder_layer: the layer; `num_layers` copies of it are made, which all start with its parameters.
        num_layers: how many.
        norm: a normalisation of the output, or None.

    >>> import tensorlab
    >>> layer = TransformerDecoderLayer(d_model=8, nhead=2, dim_feedforward=16)
    >>> TransformerDecoder(layer, 2)(tensorlab.rand(5, 4, 8), tensorlab.rand(7, 4, 8)).shape
    tensorlab.Size([5, 4, 8])
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Decode `tgt` in all layers; masks and shapes as in `Transformer`.

        `tgt_is_causal` says whether `tgt_mask` is the causal mask; unless given, that is found out.
        """
        first: Any = self.layers[0]
        tgt_is_causal = _is_causal(tgt_mask, tgt_is_causal, tgt, first.self_attn.batch_first)
        x = tgt
        for layer in self.layers:
            x = layer(
                x, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=tgt_is_causal,
                memory_is_causal=memory_is_causal,
            )  # fmt: skip
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """An encoder and a decoder, as for translation.

    Args:
        d_model: E, size of the features.
        nhead: number of heads; divides E.
        num_encoder_layers, num_decoder_layers: numbers of layers.
        dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias: see
            `TransformerEncoderLayer`.
        custom_encoder, custom_decoder: modules in place of the two stacks.
        device, dtype: of the parameters.

    All matrices are drawn from Xavier's uniform distribution.

    Source: A. Vaswani et al., "Attention is all you need", arXiv:1706.03762.

    >>> import tensorlab
    >>> model = Transformer(8, 2, 1, 1, dim_feedforward=16, batch_first=True)
    >>> source, target = tensorlab.rand(4, 7, 8), tensorlab.rand(4, 5, 8)
    >>> model(source, target, tgt_mask=model.generate_square_subsequent_mask(5)).shape
    tensorlab.Size([4, 5, 8])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        options = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first,
        )  # fmt: skip
        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            layer = TransformerEncoderLayer(*options, **made)
            norm = LayerNorm(d_model, eps=layer_norm_eps, **made)
            self.encoder = TransformerEncoder(layer, num_encoder_layers, norm)
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            layer = TransformerDecoderLayer(*options, **made)
            norm = LayerNorm(d_model, eps=layer_norm_eps, **made)
            self.decoder = TransformerDecoder(layer, num_decoder_layers, norm)
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        """Draw all matrices anew."""
        for parameter in self.parameters():
            if parameter.dim() > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Encode `src` and decode `tgt` with what came out.

        Args:
            src: (S, N, E), or (N, S, E) with `batch_first`, or (S, E) without a batch.
            tgt: likewise with T in place of S.
            src_mask: (S, S) or (N · nhead, S, S). tgt_mask: with T. memory_mask: (T, S).
            src_key_padding_mask, tgt_key_padding_mask, memory_key_padding_mask: (N, S), (N, T) and (N, S), or
                without N.
            src_is_causal, tgt_is_causal, memory_is_causal: whether the mask, which must be there, is the
                causal one; unless given, that is found out for the first two.

        Masks are booleans, true where nobody may look, or numbers that are added to the scores.

        Returns:
            (T, N, E), or as `tgt`.

        Raises:
            RuntimeError: batches or features of `src` and `tgt` that do not fit.
        """
        dim = 0 if self.batch_first else 1
        if src.dim() == 3 and src.size(dim) != tgt.size(dim):
            raise RuntimeError(
                "the batch number of src and tgt must be equal, got "
                f"{src.size(dim)} and {tgt.size(dim)} (with batch_first={self.batch_first})"
            )
        if src.size(-1) != self.d_model or tgt.size(-1) != self.d_model:
            raise RuntimeError(
                "the feature number of src and tgt must be equal to d_model, got "
                f"{src.size(-1)} and {tgt.size(-1)} for {self.d_model}"
            )
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(
            tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The causal mask (sz, sz): −inf where a position may not look, behind its own, and 0 elsewhere.

        >>> Transformer.generate_square_subsequent_mask(2)
        tensor([[0., -inf],
                [0., 0.]])
        """
        return _causal_mask(sz, device, dtype)
