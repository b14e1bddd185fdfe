"""Names and arguments that older programs use."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.nn.modules.utils import _pair, _triple, consume_prefix_in_state_dict_if_present


@pytest.mark.parametrize(
    ("name", "shape", "arguments"),
    [
        ("upsample", (1, 2, 3), {"scale_factor": 2}),
        ("upsample", (1, 2, 3, 4), {"size": (5, 7), "mode": "bilinear", "align_corners": True}),
        ("upsample_nearest", (1, 2, 3), {"size": 5}),
        ("upsample_bilinear", (1, 2, 3, 4), {"scale_factor": 2}),
    ],
)
def test_upsample(rng, name, shape, arguments):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    x = rng.standard_normal(shape).astype("float32")
    found = []
    for lib in (tl, torch):
        with pytest.warns(UserWarning, match=f"`nn.functional.{name}` is deprecated"):
            found.append(getattr(lib.nn.functional, name)(lib.from_numpy(x), **arguments).numpy())
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


def test_clip_grad_norm():
    weight = tl.nn.Parameter(tl.ones(4))
    weight.grad = tl.full((4,), 3.0)
    with pytest.warns(FutureWarning, match="clip_grad_norm_"):
        norm = tl.nn.utils.clip_grad_norm([weight], 1.0)
    assert norm.item() == 6.0
    assert weight.grad.norm().item() == pytest.approx(1.0, abs=1e-5)


def test_unpack_sequence(rng):
    sequences = [tl.from_numpy(rng.standard_normal((n, 2))) for n in (2, 5, 3)]
    packed = tl.nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    for was, now in zip(sequences, tl.nn.utils.rnn.unpack_sequence(packed), strict=True):
        assert tl.equal(was, now)


def test_tuples():
    assert _pair(3) == (3, 3)
    assert _triple([1, 2, 3]) == (1, 2, 3)
    assert _pair.__name__ == "_pair"


def test_consume_prefix():
    state: Any = OrderedDict({"module.a": 1, "b": 2})
    state._metadata = OrderedDict({"": 0, "module": 1, "module.x": 2, "modules": 3})
    consume_prefix_in_state_dict_if_present(state, "module.")
    assert state == {"a": 1, "b": 2}
    assert dict(state._metadata) == {"": 1, "x": 2, "modules": 3}


def test_memory_format_of_a_module():
    layer = tl.nn.Conv2d(2, 3, 3)
    before = layer.weight.detach().clone()
    assert layer.to(memory_format=tl.channels_last) is layer
    assert tl.equal(layer.weight, before)
