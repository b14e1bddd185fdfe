"""Transformers against PyTorch: layers, stacks and the whole, with masks, in both modes and both orders."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.nn import functional as F

ACTIVATIONS = {
    "relu": lambda lib: "relu",
    "gelu": lambda lib: "gelu",
    "function": lambda lib: lib.functional.silu,
    "module": lambda lib: lib.Tanh(),
}


def numbers(rng, *shape):
    return rng.standard_normal(shape)


@pytest.fixture(autouse=True)
def quiet_oracle():
    """PyTorch warns of a fast path that it takes or does not take; there is none here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "enable_nested_tensor is True")
        warnings.filterwarnings("ignore", "The PyTorch API of nested tensors")
        yield


def options_of(rng, stack=False):
    # PyTorch's copies of a decoder layer forget an activation that is a module, and take ReLU.
    activation = list(ACTIVATIONS)[rng.integers(3 if stack else 4)]
    settings = {
        "dim_feedforward": int(rng.integers(1, 8)), "dropout": [0.0, 0.2][rng.integers(2)],
        "norm_first": bool(rng.integers(2)), "batch_first": bool(rng.integers(2)),
        "bias": bool(rng.integers(2)), "layer_norm_eps": [1e-5, 1e-3][rng.integers(2)],
    }  # fmt: skip
    if settings["batch_first"]:
        # PyTorch's attention returns another order in memory then, in which its dropout draws.
        settings["dropout"] = 0.0
    return settings, ACTIVATIONS[activation]


def sequence(rng, settings, batch, length, size):
    if not batch:
        return numbers(rng, length, size)
    return numbers(rng, *((batch, length) if settings["batch_first"] else (length, batch)), size)


def masks_of(rng, batch, heads, length, keys):
    """A mask and a padding mask, each perhaps None, of one kind."""
    of_numbers = bool(rng.integers(2))
    mask = padding = None
    kind = rng.integers(4)
    if kind == 1 and length == keys:
        mask = np.triu(np.ones((length, keys), bool), 1)
    elif kind > 1:
        lead = () if kind == 2 else (max(batch, 1) * heads,)
        mask = rng.random((*lead, length, keys)) < 0.4
    if rng.integers(2):
        padding = rng.random((batch, keys) if batch else (keys,)) < 0.4
    if of_numbers:
        mask, padding = (None if m is None else np.where(m, -np.inf, 0.0) for m in (mask, padding))
    return mask, padding


def test_encoder_layer(compare, rng):
    for _ in range(20):
        settings, activation = options_of(rng)
        heads, batch, length = (int(n) for n in rng.integers([1, 0, 1], 4))
        x = sequence(rng, settings, batch, length, 2 * heads)
        mask, padding = masks_of(rng, batch, heads, length, length)
        compare(
            lambda lib, h=heads, s=settings, a=activation: lib.TransformerEncoderLayer(
                2 * h, h, activation=a(lib), **s
            ).double(),
            x, mask, padding, tolerance=1e-8,
        )  # fmt: skip


def test_decoder_layer(compare, rng):
    for _ in range(20):
        settings, activation = options_of(rng)
        heads, batch, length, keys = (int(n) for n in rng.integers([1, 0, 1, 1], 4))
        x = sequence(rng, settings, batch, length, 2 * heads)
        memory = sequence(rng, settings, batch, keys, 2 * heads)
        mask, padding = masks_of(rng, batch, heads, length, length)
        other_mask, other_padding = masks_of(rng, batch, heads, length, keys)
        compare(
            lambda lib, h=heads, s=settings, a=activation: lib.TransformerDecoderLayer(
                2 * h, h, activation=a(lib), **s
            ).double(),
            x, memory, mask, other_mask, padding, other_padding, tolerance=1e-8,
        )  # fmt: skip


@pytest.mark.parametrize("norm", [False, True])
def test_stacks(compare, rng, norm):
    for kind in ("Encoder", "Decoder"):
        settings, _ = options_of(rng)
        x = sequence(rng, settings, 2, 4, 6)
        memory = (sequence(rng, settings, 2, 3, 6),) if kind == "Decoder" else ()

        def make(lib, kind=kind, settings=settings):
            layer = getattr(lib, f"Transformer{kind}Layer")(6, 2, **settings)
            return getattr(lib, f"Transformer{kind}")(
                layer, 3, lib.LayerNorm(6) if norm else None
            ).double()

        for mask in (None, np.triu(np.ones((4, 4), bool), 1), np.eye(4, dtype=bool)):
            compare(make, x, *memory, mask)


def test_whole(compare, rng):
    for batch in (0, 2):
        settings, activation = options_of(rng, stack=True)
        source = sequence(rng, settings, batch, 5, 4)
        target = sequence(rng, settings, batch, 3, 4)
        causal = np.triu(np.full((3, 3), -np.inf), 1)
        padding = np.zeros((batch, 5) if batch else (5,))
        padding[..., 3:] = -np.inf
        compare(
            lambda lib, s=settings, a=activation: lib.Transformer(
                4, 2, 2, 2, activation=a(lib), **s
            ).double(),
            source, target, None, causal, None, padding, None, padding,
        )  # fmt: skip


# Unchecked, and padding elsewhere than promised: PyTorch computes something else there.
@pytest.mark.parametrize(("mask_check", "at_the_end"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("enable", [True, False])
@pytest.mark.parametrize("heads", [1, 2])
def test_padding_in_evaluation_without_gradients(rng, mask_check, at_the_end, enable, heads):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

    def make(lib):
        layer = lib.TransformerEncoderLayer(4, heads, 8, batch_first=True)
        return lib.TransformerEncoder(layer, 2, lib.LayerNorm(4), enable, mask_check)

    tl.manual_seed(1)
    torch.manual_seed(1)
    ours, theirs = make(nn).eval(), make(torch.nn).eval()
    x = numbers(rng, 3, 5, 4).astype(np.float32)
    padding = np.zeros((3, 5), bool)
    padding[0, 3:] = True
    padding[1, 4 if at_the_end else 2] = True
    with torch.no_grad():
        want = theirs(torch.tensor(x), src_key_padding_mask=torch.tensor(padding)).numpy()
    with tl.no_grad():
        got = ours(tl.tensor(x), src_key_padding_mask=tl.tensor(padding)).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    with_gradients = ours(tl.tensor(x), src_key_padding_mask=tl.tensor(padding))
    expected = theirs(torch.tensor(x), src_key_padding_mask=torch.tensor(padding))
    np.testing.assert_allclose(
        with_gradients.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-5
    )


def test_causal_mask():
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    inf = float("inf")
    assert mask.tolist() == [[0, -inf, -inf], [0, 0, -inf], [0, 0, 0]]
    half = nn.Transformer.generate_square_subsequent_mask(2, dtype=tl.float16)
    assert half.dtype == tl.float16


def test_a_causal_stack_does_not_see_what_comes():
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True), 2)
    x = tl.rand(1, 5, 4)
    other = x.clone()
    other[:, 3:] += 1
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    for hint in (None, True):
        a, b = (model(v, mask=mask, is_causal=hint) for v in (x, other))
        assert tl.allclose(a[:, :3], b[:, :3])
        assert not tl.allclose(a[:, 3:], b[:, 3:])


def test_custom_stacks_are_used():
    class Twice(nn.Module):
        def forward(self, src, **masks):
            return src * 2

    class Both(nn.Module):
        def forward(self, tgt, memory, **masks):
            return tgt + memory

    model = nn.Transformer(4, 2, custom_encoder=Twice(), custom_decoder=Both())
    assert model(tl.ones(3, 1, 4), tl.ones(3, 1, 4)).tolist() == [[[3] * 4]] * 3


def test_copies_and_pickles_compute_the_same():
    model = nn.Transformer(4, 2, 1, 1, 8, 0.0, activation="gelu")
    x = tl.rand(3, 2, 4)
    want = model(x, x)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert tl.equal(other(x, x), want)
        assert other.encoder.layers[0].activation is F.gelu


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"), "should be relu/gelu, not tanh"),
        (lambda: nn.Transformer(4, 2, 1, 1)(tl.ones(3, 2, 4), tl.ones(3, 1, 4)), "batch number"),
        (lambda: nn.Transformer(4, 2, 1, 1)(tl.ones(3, 2, 5), tl.ones(3, 2, 5)), "feature number"),
    ],
)  # fmt: skip
def test_wrong_calls(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


def test_copies_keep_an_activation_that_is_a_module():
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, activation=nn.Tanh()), 2)
    assert all(isinstance(layer.activation, nn.Tanh) for layer in decoder.layers)


def test_learns_to_copy():
    """A small encoder learns, from positions alone, to say what stood one place earlier."""
    tl.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True, norm_first=True)
    embedding, places = nn.Embedding(6, 16), nn.Embedding(8, 16)
    model, head = nn.TransformerEncoder(layer, 1), nn.Linear(16, 6)
    parts = nn.ModuleList([embedding, places, model, head])
    optimizer = tl.optim.Adam(parts.parameters(), lr=0.01)
    mask = nn.Transformer.generate_square_subsequent_mask(8)
    loss = None
    for _ in range(150):
        words = tl.randint(0, 6, (32, 8))
        logits = head(model(embedding(words) + places.weight, mask=mask))
        loss = F.cross_entropy(logits[:, 1:].flatten(0, 1), words[:, :-1].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


@pytest.mark.parametrize("batch_first", [False, True])
def test_dropout_draws_the_same_numbers(batch_first):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    results = []
    for lib in (tl, torch):
        lib.manual_seed(3)
        model = lib.nn.Transformer(8, 2, 1, 1, 16, dropout=0.4, batch_first=batch_first)
        source, target = lib.rand(3, 5, 8), lib.rand(3, 5, 8)
        out = model(source, target)
        results.append((out.detach().numpy(), out.stride(), lib.rand(1).item()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-4, atol=1e-5)
    assert results[0][1:] == results[1][1:]
