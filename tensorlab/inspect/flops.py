"""How many floating-point operations a node takes, from its operation and shapes alone.

What counts: a multiplication and an addition are two; an elementwise function is one per element
of its output, however costly (exp as well as +); a reduction is one per element of its input;
views, copies, conversions, indexing and comparisons are none. Normalisations count 8 per element
and softmax 5. So the numbers compare models and layers; they do not predict time.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log2, prod
from typing import TYPE_CHECKING

from tensorlab._plan import INPUT, INPUTS, SHAPE, SHAPES

if TYPE_CHECKING:
    from tensorlab._graph import Node

__all__ = ["backward_flops", "flops", "input_shape"]

Shape = tuple[int, ...]

#: Operations that move or pick numbers and compute none.
_FREE = frozenset({
    "cast", "clone", "transfer", "conj", "real", "imag", "complex", "view_as_real", "view_as_complex",
    "where", "masked_fill", "nan_to_num", "sum_to", "expand", "flip", "roll", "tril", "triu", "repeat",
    "cat", "stack", "constant_pad_nd", "im2col", "unfold", "getitem", "index", "diagonal_scatter_to",
    "scatter_to", "gather", "scatter", "index_set", "fill", "copy", "select_scatter", "slice_scatter",
    "diagonal_scatter", "as_strided_scatter", "copy_slices", "embedding", "pool_scatter", "pool_gather",
    "max_unpool", "sort", "topk", "pad_copies", "kthvalue", "mode", "median_dim", "nanmedian_dim",
})  # fmt: skip
#: Operations that look at each input element a fixed number of times.
_PER_INPUT = {
    "sum": 1, "mean": 1, "prod": 1, "nansum": 1, "nanmean": 1, "amax": 1, "amin": 1, "max_dim": 1, "min_dim": 1,
    "max_all": 1, "min_all": 1, "var": 3, "std": 3, "logsumexp": 3, "vector_norm": 2,
    "nll_loss": 1, "mse_loss": 3, "l1_loss": 2, "smooth_l1_loss": 4, "huber_loss": 4, "soft_margin_loss": 4,
    "cross_entropy": 6,
    "binary_cross_entropy": 5, "binary_cross_entropy_with_logits": 6,
    "max_pool_with_indices": 1, "adaptive_max_pool_with_indices": 1, "fractional_max_pool_with_indices": 1,
    "native_batch_norm": 8, "native_layer_norm": 8, "native_group_norm": 8, "fused_rms_norm": 5,
    "softmax": 5, "log_softmax": 5, "cumsum": 1, "cumprod": 1, "logcumsumexp": 3, "cummax": 1, "cummin": 1,
}  # fmt: skip
_PER_OUTPUT = {"addcmul": 3, "addcdiv": 3, "lerp": 3, "gelu": 4, "silu": 3, "sigmoid": 1, "mish": 4}
_CUBIC = {"inv": 2.0, "det": 2 / 3, "slogdet": 2 / 3, "cholesky": 1 / 3, "lu_factor_ex": 2 / 3,
          "qr": 4 / 3, "eigh": 9.0, "eig": 25.0, "linalg_svd": 20.0, "matrix_exp": 20.0}  # fmt: skip


def input_shape(node: Node, position: int) -> Shape | None:
    """The shape of an input, from the parent that made it or from what was saved of it."""
    if position < len(node.parents) and (edge := node.parents[position]) is not None:
        return edge[0].shapes[edge[1]]
    if node.saved is None or node.plan is None:
        return None
    for (what, which), value in zip(node.plan.saves, node.saved, strict=False):
        if what == SHAPE and which == position:
            return value
        if what == SHAPES:
            return value[position] if position < len(value) else None
        if what == INPUT and which == position:
            array = value[0] if type(value) is tuple else value
            return tuple(array.shape) if hasattr(array, "shape") else None
        if what == INPUTS and position < len(value):
            array = value[position][0]
            return tuple(array.shape) if hasattr(array, "shape") else None
    return None


def flops(node: Node) -> int | None:
    """The floating-point operations of a node's forward; None if its shapes do not tell.

    >>> import tensorlab as tl
    >>> w = tl.ones(4, 3, requires_grad=True)
    >>> flops((tl.ones(8, 4) @ w).grad_fn)
    192
    """
    op = node.op
    if op is None or op.view or op.name in _FREE:
        return 0
    special = _SPECIAL.get(op.name)
    if special is not None:
        return special(node)
    per = _PER_INPUT.get(op.name)
    if per is not None:
        shape = input_shape(node, 0)
        return None if shape is None else per * prod(shape)
    if op.name in _CUBIC:
        shape = input_shape(node, 0)
        return None if shape is None else round(_CUBIC[op.name] * prod(shape) * min(shape[-2:]))
    if op.name in _TRANSFORMS:
        n = prod(node.shapes[0])
        return round(5 * n * log2(max(n, 2)))
    if not op.rules and op.joint is None:
        return None  # a user's Function
    return _PER_OUTPUT.get(op.name, 1) * prod(node.shapes[0])


def backward_flops(node: Node) -> int | None:
    """The floating-point operations of a node's gradient rule, roughly; None if the forward's are unknown.

    A product costs as much again for each operand that needs a gradient; everything else costs
    about what its forward did.
    """
    forward = flops(node)
    if forward is None or node.op is None or node.plan is None:
        return forward
    special = _SPECIAL_BACKWARD.get(node.op.name)
    if special is not None:
        return special(node)
    if node.op.name in _SPECIAL:
        # What is added to a product comes before its operands.
        first = 1 if _SPECIAL[node.op.name] is _added_product else 0
        return forward * max(1, sum(node.plan.needs[first : first + 2]))
    return forward


def _product(node: Node) -> int | None:
    """Two per element of the output and of the dimension that is summed over."""
    first = input_shape(node, 0)
    if first is not None:
        return 2 * prod(node.shapes[0]) * (first[-1] if first else 1)
    second = input_shape(node, 1)
    if second is None:
        return None
    return (
        2 * prod(node.shapes[0]) * (second[-2] if len(second) > 1 else second[0] if second else 1)
    )


def _added_product(node: Node) -> int | None:
    first, second = input_shape(node, 1), input_shape(node, 2)
    inner = first[-1] if first else second[-2] if second else None
    return None if inner is None else (2 * inner + 2) * prod(node.shapes[0])


def _linear(node: Node) -> int | None:
    first, weight = input_shape(node, 0), input_shape(node, 1)
    inner = first[-1] if first else weight[-1] if weight else None
    biased = len(node.parents) > 2 and bool(input_shape(node, 2))
    return None if inner is None else (2 * inner + biased) * prod(node.shapes[0])


def _activated(node: Node) -> int | None:
    """A linear layer and the function behind it."""
    product = _linear(node)
    each = 4 if node.op is not None and node.op.name == "linear_gelu" else 1
    return None if product is None else product + each * prod(node.shapes[0])


def _convolution(node: Node) -> int | None:
    weight = input_shape(node, 1)
    if weight is None or node.op is None:
        return None
    transposed = bool(dict(zip(node.op.params, node.params, strict=True)).get("transposed"))
    if not transposed:
        return 2 * prod(node.shapes[0]) * prod(weight[1:])
    given = input_shape(node, 0)  # every input element is spread over a kernel
    return None if given is None else 2 * prod(given) * prod(weight[1:])


def _average_pool(node: Node) -> int | None:
    assert node.op is not None
    kernel = dict(zip(node.op.params, node.params, strict=True))["kernel_size"]
    return prod(node.shapes[0]) * (prod(kernel) if isinstance(kernel, tuple) else int(kernel))


def _attention(node: Node) -> int | None:
    """Two products and the softmax between them."""
    return _attended(node, 1, 1, 5)


def _attention_backward(node: Node) -> int | None:
    """The scores again, and two products for each of the two of the forward."""
    return _attended(node, 3, 2, 10)


def _attended(node: Node, with_keys: int, with_values: int, each: int) -> int | None:
    """So many products of the size of the scores, and `each` for a score."""
    query, key = input_shape(node, 0), input_shape(node, 1) or input_shape(node, 2)
    if query is None or key is None or len(query) < 2 or len(key) < 2:
        return None
    scores = prod(query[:-1]) * key[-2]
    return scores * (2 * with_keys * query[-1] + 2 * with_values * node.shapes[0][-1] + each)


#: Of recurrent operations: gates, cell states, and operations that make a new state of the gates.
_RECURRENT = {"lstm_sequence": (4, 1, 13), "gru_sequence": (3, 0, 13), "rnn_sequence": (1, 0, 2)}


def _recurrence(node: Node) -> int | None:
    """The products of each gate with input and state, and what makes a new state of them."""
    return _recurrent_products(node, 1, 1)


def _recurrence_backward(node: Node) -> int | None:
    """Back through the states in any case; to the input and to the weights as they need it."""
    assert node.op is not None
    assert node.plan is not None
    _, cells, _ = _RECURRENT[node.op.name]
    by_input, by_weight, by_hidden = (node.plan.needs[i] for i in (0, 2 + cells, 3 + cells))
    return _recurrent_products(node, by_input + by_weight, 1 + by_hidden)


def _recurrent_products(node: Node, with_input: int, with_state: int) -> int | None:
    assert node.op is not None
    gates, cells, each = _RECURRENT[node.op.name]
    weight = input_shape(node, 2 + cells)
    if weight is None:
        return None
    width = with_input * weight[-1] + with_state * node.shapes[0][-1]
    return prod(node.shapes[0]) * (2 * gates * width + each)


_SPECIAL: dict[str, Callable[[Node], int | None]] = {
    **dict.fromkeys(("matmul", "mm", "bmm", "mv", "dot"), _product),
    "outer": lambda node: prod(node.shapes[0]),
    **dict.fromkeys(("addmm", "baddbmm"), _added_product),
    "linear": _linear,
    **dict.fromkeys(("linear_relu", "linear_gelu"), _activated),
    "convolution": _convolution,
    "avg_pool": _average_pool,
    **dict.fromkeys(_RECURRENT, _recurrence),
    "scaled_dot_product_attention": _attention,
}
_SPECIAL_BACKWARD: dict[str, Callable[[Node], int | None]] = {
    **dict.fromkeys(_RECURRENT, _recurrence_backward),
    "scaled_dot_product_attention": _attention_backward,
}
_TRANSFORMS = frozenset(
    f"{way}{dims}"
    for way in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
    for dims in ("", "2", "n")
)
