"""Attention against PyTorch: every option on random configurations, forward, gradients, dtypes and errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.nn import functional as F
from tensorlab.testing import opcheck

TOLERANCE = {"float32": 2e-5, "float64": 1e-9, "float16": 1e-2, "bfloat16": 8e-2}


def numbers(rng, *shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


def attention_case(rng):
    """Shapes, a mask, and options of one call."""
    batch, heads, queries, keys, size, values = (int(n) for n in rng.integers(1, 5, 6))
    lead = [(), (heads,), (batch, heads)][rng.integers(3)]
    options = {"scale": [None, 0.3][rng.integers(2)], "dropout_p": [0.0, 0.0, 0.4][rng.integers(3)]}
    query_lead = lead
    if lead and rng.integers(2):
        options["enable_gqa"] = True
        query_lead = (*lead[:-1], lead[-1] * int(rng.integers(1, 4)))
    arrays = [
        numbers(rng, *query_lead, queries, size),
        numbers(rng, *lead, keys, size),
        numbers(rng, *lead, keys, values),
    ]
    shapes = [(queries, keys), (*query_lead, queries, keys), (*[1] * len(lead), 1, keys)]
    shape = shapes[rng.integers(3)]
    kind = rng.integers(4)
    mask = None
    if kind == 1:
        mask = rng.random(shape) < 0.6
    elif kind == 2:
        mask = numbers(rng, *shape)
    options["is_causal"] = bool(kind == 3)
    return arrays, mask, options


@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_scaled_dot_product_attention(rng, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    for _ in range(25):
        arrays, mask, options = attention_case(rng)
        own_type = bool(rng.integers(2))  # a mask of numbers may stay float32
        ours = [tl.tensor(a).to(getattr(tl, dtype)).requires_grad_() for a in arrays]
        theirs = [torch.tensor(a).to(getattr(torch, dtype)).requires_grad_() for a in arrays]
        masks = [None, None]
        if mask is not None:
            masks = [tl.tensor(mask), torch.tensor(mask)]
            if mask.dtype == np.float32:
                if own_type:
                    masks = [m.to(x[0].dtype) for m, x in zip(masks, (ours, theirs), strict=True)]
                masks = [m.requires_grad_() for m in masks]
                ours.append(masks[0])
                theirs.append(masks[1])
        tl.manual_seed(1)
        torch.manual_seed(1)
        got = F.scaled_dot_product_attention(*ours[:3], masks[0], **options)
        want = torch.nn.functional.scaled_dot_product_attention(*theirs[:3], masks[1], **options)
        weight = numbers(rng, *want.shape)
        (got.float() * tl.tensor(weight)).sum().backward()
        (want.float() * torch.tensor(weight)).sum().backward()
        pairs = [(got, want), *((a.grad, b.grad) for a, b in zip(ours, theirs, strict=True))]
        for a, b in pairs:
            assert str(a.dtype).split(".")[1] == str(b.dtype).split(".")[1]
            np.testing.assert_allclose(
                a.detach().double().numpy(), b.detach().double().numpy(),
                rtol=TOLERANCE[dtype], atol=3 * TOLERANCE[dtype], err_msg=str((mask, options)),
            )  # fmt: skip


@pytest.mark.parametrize("few", [1, 7, 20])
def test_many_scores_are_computed_in_parts(monkeypatch, compare_functions, normal, few):
    from tensorlab.ops import attention

    monkeypatch.setattr(attention, "_FEW_SCORES", few)
    for check in ("reference", "torch", "torch_gradients", "gradients", "second_gradients"):
        opcheck("scaled_dot_product_attention", [check])
    opcheck("scaled_dot_product_attention_backward", ["reference"])
    arrays = (normal(2, 4, 3, 5), normal(2, 2, 6, 5, seed=1), normal(2, 2, 6, 5, seed=2))
    for mask in (None, normal(3, 6), normal(2, 1, 3, 6), normal(4, 3, 6)):
        compare_functions(
            lambda lib, *x: lib.scaled_dot_product_attention(*x, enable_gqa=True), *arrays, mask
        )
    compare_functions(
        lambda lib, *x: lib.scaled_dot_product_attention(*x, is_causal=True, enable_gqa=True),
        *arrays,
    )


def test_grouped_queries_with_other_groups_of_values(compare_functions, normal):
    arrays = (normal(2, 6, 3, 4), normal(2, 3, 5, 4, seed=1), normal(2, 2, 5, 4, seed=2))
    compare_functions(
        lambda lib, *x: lib.scaled_dot_product_attention(*x, enable_gqa=True), *arrays
    )


def test_who_may_look_nowhere_gets_zeros():
    x = tl.ones(2, 3).requires_grad_()
    mask = tl.tensor([[False, False], [True, False]])
    out = F.scaled_dot_product_attention(x, x, x, mask)
    assert out.tolist() == [[0, 0, 0], [1, 1, 1]]
    out.sum().backward()
    assert x.grad.isfinite().all()
    none = F.scaled_dot_product_attention(tl.ones(2, 3), tl.ones(0, 3), tl.ones(0, 4))
    assert none.tolist() == [[0] * 4] * 2


def test_no_weights_are_kept():
    """What the graph holds grows with the length of the sequence, not with its square."""
    x = tl.rand(1, 200, 2, requires_grad=True)
    out = F.scaled_dot_product_attention(x, x, x)
    kept = [
        value[0] for value in out.grad_fn.saved if isinstance(value, tuple) and value[0] is not None
    ]
    arrays = [a[0] if isinstance(a, tuple) else a for a in kept]
    assert arrays
    assert max(a.size for a in arrays) <= 2 * x.numel()


def test_plain_and_composed_gradients_are_the_same():
    x = tl.rand(4, 3, dtype=tl.float64, requires_grad=True)
    tl.manual_seed(3)
    F.scaled_dot_product_attention(x, x, x, dropout_p=0.5).sum().backward()
    plain = x.grad.clone()
    x.grad = None
    tl.manual_seed(3)
    out = F.scaled_dot_product_attention(x, x, x, dropout_p=0.5).sum()
    (composed,) = tl.autograd.grad(out, x, create_graph=True)
    np.testing.assert_allclose(plain.numpy(), composed.detach().numpy())


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (((5,), (6, 5), (6, 5)), {}, RuntimeError, "at least 2 dimensional"),
        (((4, 5), (6, 4), (6, 5)), {}, RuntimeError, "expected query"),
        (((2, 4, 5), (3, 6, 5), (3, 6, 5)), {}, RuntimeError, "size of tensor a"),
        (((4, 5),) * 3, {"mask": tl.ones(4, 4).bool(), "is_causal": True}, RuntimeError, "should not be set"),
        (((4, 5),) * 3, {"mask": tl.ones(4, 4).long()}, RuntimeError, "attn_mask dtype to be bool or float"),
        (((4, 5),) * 3, {"mask": tl.ones(4, 4).double()}, RuntimeError, "attn_mask dtype"),
        (((4, 5),) * 3, {"mask": tl.ones(3, 4)}, RuntimeError, "size of tensor|broadcast"),
        (((4, 5),) * 3, {"dropout_p": 1.5}, RuntimeError, "between 0 and 1"),
        (((4, 5),) * 3, {"enable_gqa": True}, IndexError, "3 dimensions or more"),
        (((5, 4, 5), (3, 4, 5), (3, 4, 5)), {"enable_gqa": True}, RuntimeError, "must divide"),
    ],
)  # fmt: skip
def test_wrong_calls(arguments, options, error, message):
    arrays = [tl.ones(*shape) for shape in arguments]
    mask = options.pop("mask", None) if "mask" in options else None
    with pytest.raises(error, match=message):
        F.scaled_dot_product_attention(*arrays, mask, **options)


# Several heads ----------------------------------------------------------------------------


def many_heads_case(rng):
    """A layer's options, and the arguments of a call."""
    heads, head_dim, batch, queries, keys = (int(n) for n in rng.integers(1, 5, 5))
    size = heads * head_dim
    options = {
        "dropout": [0.0, 0.3][rng.integers(2)], "bias": bool(rng.integers(2)),
        "add_bias_kv": bool(rng.integers(2)), "add_zero_attn": bool(rng.integers(2)),
        "batch_first": bool(rng.integers(2)),
    }  # fmt: skip
    if rng.integers(2):
        options |= {"kdim": int(rng.integers(1, 6)), "vdim": int(rng.integers(1, 6))}
    batched = rng.integers(3) > 0

    def sequence(length, features):
        if not batched:
            return numbers(rng, length, features, dtype=np.float64)
        order = (batch, length) if options["batch_first"] else (length, batch)
        return numbers(rng, *order, features, dtype=np.float64)

    arrays = (
        sequence(queries, size),
        sequence(keys, options.get("kdim", size)),
        sequence(keys, options.get("vdim", size)),
    )
    of_numbers = bool(rng.integers(2))
    mask = padding = None
    count = batch * heads if batched else heads
    if rng.integers(2):
        shape = (queries, keys) if rng.integers(2) else (count, queries, keys)
        mask = numbers(rng, *shape, dtype=np.float64) if of_numbers else rng.random(shape) < 0.4
        if not of_numbers:
            mask[..., 0] = False  # with its weights asked for, who may look nowhere gets nan
    if rng.integers(2):
        shape = (batch, keys) if batched else (keys,)
        padding = numbers(rng, *shape, dtype=np.float64) if of_numbers else rng.random(shape) < 0.4
        if not of_numbers:
            padding[..., 0] = False
    call = (*arrays, padding, bool(rng.integers(2)), mask, bool(rng.integers(2)))
    return (size, heads), options, call


def test_multihead_attention(compare, rng):
    for _ in range(30):
        sizes, options, call = many_heads_case(rng)
        compare(
            lambda lib, s=sizes, o=options: lib.MultiheadAttention(*s, **o).double(),
            *call,
            tolerance=1e-8,
        )


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_self_attention_in_one_product(compare, normal, batch_first, need_weights):
    def make(lib):
        class Self(lib.Module):
            def __init__(self):
                super().__init__()
                self.inner = lib.MultiheadAttention(6, 3, batch_first=batch_first)

            def forward(self, x, mask):
                causal = not need_weights
                return self.inner(x, x, x, None, need_weights, mask, is_causal=causal)

        return Self()

    mask = np.triu(np.ones((4, 4), bool), 1)
    compare(make, normal(4, 4, 6), mask)


def test_static_keys_and_values(compare_functions, normal):
    def call(lib, q, weight, out, k, v):
        return lib.multi_head_attention_forward(
            q, q, q, 4, 2, weight, None, None, None, True, 0.0, out, None, static_k=k, static_v=v,
        )  # fmt: skip

    compare_functions(
        call, normal(3, 2, 4), normal(12, 4), normal(4, 4), normal(4, 5, 2), normal(4, 5, 2)
    )


def test_mismatched_masks_warn():
    layer = nn.MultiheadAttention(4, 2)
    x = tl.ones(3, 1, 4)
    with pytest.warns(UserWarning, match="mismatched key_padding_mask and attn_mask"):
        layer(x, x, x, tl.zeros(1, 3).bool(), attn_mask=tl.zeros(3, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: nn.MultiheadAttention(0, 1), ValueError, "greater than 0"),
        (lambda f: nn.MultiheadAttention(5, 2), AssertionError, "divisible by num_heads"),
        (lambda f: f(4, 4), AssertionError, "embedding dimension of 6"),
        (lambda f: f((1, 1, 6, 6), (3, 6)), AssertionError, "unbatched 2D or batched 3D"),
        (lambda f: f((3, 1, 6), (3, 6)), AssertionError, "`key` and `value` to be 3-D"),
        (lambda f: f((3, 6), (3, 1, 6)), AssertionError, "`key` and `value` to be 2-D"),
        (lambda f: f((3, 1, 6), key_padding_mask=tl.zeros(3).bool()), AssertionError, "to be `None` or 2-D"),
        (lambda f: f((3, 6), key_padding_mask=tl.zeros(1, 3).bool()), AssertionError, "to be `None` or 1-D"),
        (lambda f: f((3, 6), attn_mask=tl.zeros(3)), AssertionError, "2-D or 3-D"),
        (lambda f: f((3, 6), attn_mask=tl.zeros(1, 3, 3)), AssertionError, "shape to be"),
        (lambda f: f((3, 1, 6), attn_mask=tl.zeros(2, 3)), RuntimeError, "2D attn_mask is"),
        (lambda f: f((3, 1, 6), attn_mask=tl.zeros(2, 3, 2)), RuntimeError, "3D attn_mask is"),
        (lambda f: f((3, 1, 6), attn_mask=tl.zeros(3, 3).long()), AssertionError, "only bool and floating"),
        (lambda f: f((3, 1, 6), is_causal=True), RuntimeError, "Need attn_mask"),
        (lambda f: f((3, 1, 6), (2, 1, 6), (3, 1, 6)), AssertionError, "does not match value shape"),
        (lambda f: f((3, 2, 6), key_padding_mask=tl.zeros(1, 3).bool()), AssertionError, r"shape\[0\] to be 2"),
        (lambda f: f((3, 2, 6), key_padding_mask=tl.zeros(2, 4).bool()), AssertionError, r"shape\[1\] to be 3"),
    ],
)  # fmt: skip
def test_wrong_calls_of_many_heads(call, error, message):
    def layer(query, key=None, value=None, **options):
        shapes = [query if isinstance(query, tuple) else (query, 1, query)]
        shapes.append(shapes[0] if key is None or not isinstance(key, tuple) else key)
        shapes.append(value if isinstance(value, tuple) else shapes[1])
        return nn.MultiheadAttention(6, 2)(*(tl.ones(*s) for s in shapes), **options)

    with pytest.raises(error, match=message):
        call(layer)


def test_a_step_of_training_moves_every_parameter():
    for separate, extra in itertools.product([False, True], repeat=2):
        sizes = {"kdim": 3, "vdim": 5} if separate else {}
        layer = nn.MultiheadAttention(4, 2, add_bias_kv=extra, **sizes)
        features = (4, 3, 5) if separate else (4, 4, 4)
        out, _ = layer(*(tl.rand(6, 2, n) for n in features))
        out.square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())
