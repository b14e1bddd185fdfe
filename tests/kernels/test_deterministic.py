"""Kernels give the same bits from run to run at a fixed number of threads: every family of them."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.kernels import enabled

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

F = nn.functional


def _numbers(seed, *shape):
    return tl.from_numpy(np.random.default_rng(seed).standard_normal(shape, np.float32))


def _both_ways(call, *shapes):
    """The result and the gradients, of inputs with these shapes."""

    def run(seed):
        inputs = [_numbers(seed + i, *shape).requires_grad_() for i, shape in enumerate(shapes)]
        out = call(*inputs)
        out.backward(_numbers(seed + 99, *out.shape))
        return [out.detach(), *(x.grad for x in inputs)]

    return run


def _rnn(make):
    def run(seed):
        tl.manual_seed(seed)
        layer = make(24, 40)
        out, _ = layer(_numbers(seed, 12, 8, 24))
        out.square().sum().backward()
        return [out.detach(), *(p.grad for p in layer.parameters())]

    return run


def _optimizer(make):
    def run(seed):
        p = _numbers(seed, 40_001).requires_grad_()
        optimizer = make([p])
        for i in range(3):
            p.grad = _numbers(seed + i, 40_001)
            optimizer.step()
        return [p.detach()]

    return run


_CONV = (F.conv2d, (5, 17, 20, 20), (19, 17, 3, 3))
# The module of native kernels that each is for, and the work.
WORK = [
    ("activation", _both_ways(F.gelu, (101, 333))),
    ("arithmetic", _both_ways(lambda x, y: x * y + x / y, (301, 333), (301, 333))),
    ("adaptive", _both_ways(lambda x: F.adaptive_max_pool2d(x, 7), (6, 8, 31, 30))),
    ("attention", _both_ways(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), *[(3, 2, 70, 24)] * 3
    )),
    ("copying", _both_ways(lambda x: x.t().contiguous(), (203, 301))),
    ("cross_entropy", _both_ways(lambda x: F.cross_entropy(x, tl.arange(203) % 301), (203, 301))),
    ("depthwise", _both_ways(
        lambda x, w: F.conv2d(x, w, padding=1, groups=16), (6, 16, 20, 20), (16, 1, 3, 3)
    )),
    ("embedding", _both_ways(lambda w: F.embedding(tl.arange(900) * 7 % 50, w), (50, 33))),
    ("gathered", _both_ways(*_CONV)),
    ("narrow", _both_ways(F.linear, (65, 301), (9, 301))),
    ("gemm", _both_ways(lambda a, b: a @ b, (203, 301), (301, 157))),
    ("loss", _both_ways(lambda x: F.smooth_l1_loss(x, _numbers(7, 101, 333)), (101, 333))),
    ("norm", _both_ways(
        lambda x, w: F.batch_norm(F.layer_norm(x, (130,), w), None, None, training=True),
        (67, 5, 130), (130,),
    )),
    ("optim", _optimizer(tl.optim.Adam)),
    ("planes", _both_ways(
        lambda x, w: F.conv2d(x, w, padding=1, groups=16), (6, 32, 20, 20), (32, 2, 3, 3)
    )),
    ("pool", _both_ways(lambda x: F.max_pool2d(x, 2), (6, 8, 32, 32))),
    ("gates", _rnn(nn.LSTM)),
    ("gates", _rnn(nn.GRU)),
    ("steps", _rnn(nn.RNN)),
    ("powers", _both_ways(lambda x, y: tl.hypot(x, y) ** 2, (101, 333), (101, 333))),
    ("reduce", _both_ways(lambda x: x.sum(1), (7, 50_003))),
    ("resample", _both_ways(lambda x: F.adaptive_avg_pool2d(x, 7), (6, 8, 31, 30))),
    ("scan", _both_ways(lambda x: x.cumsum(1), (7, 5_003))),
    ("scatter", _both_ways(lambda x: x.gather(1, tl.arange(9_000).reshape(9, 1000) % 777), (9, 777))),
    ("smooth", _both_ways(F.softplus, (101, 333))),
    ("smooth", _both_ways(F.glu, (101, 334))),
    ("softmax", _both_ways(lambda x: F.log_softmax(x, -1), (203, 301))),
    ("softmax", _both_ways(lambda x: F.nll_loss(x, tl.arange(203) % 301), (203, 301))),
    ("softmax_columns", _both_ways(lambda x: F.softmax(x, 1), (9, 31, 64))),
    ("straight", _both_ways(F.hardswish, (101, 333))),
    ("stretched", _both_ways(lambda x, y, z: x * y + z, (301, 333), (333,), (301, 1))),
    ("topk", _both_ways(lambda x: x.topk(20)[0], (67, 301))),
    ("windows", _both_ways(lambda x: F.max_pool2d(x, 3, 2), (6, 8, 31, 30))),
]  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("module", "work"), WORK, ids=[module for module, _ in WORK])
def test_the_same_bits(module, work, count, use_threads):
    use_threads(count)
    first = [a.numpy().copy() for a in work(3)]
    held = []
    for i in range(3):
        held.append(np.empty(1000 * i + 17))  # so that arrays lie elsewhere in memory
        for got, want in zip(work(3), first, strict=True):
            np.testing.assert_array_equal(got.numpy(), want)
    if enabled() and count > 1:  # with one thread, arithmetic is left to NumPy
        from tensorlab.kernels.cpu.native.compile import KERNELS

        assert any(k.overloads for k in KERNELS if k.module == module), "its kernels took part"


def test_every_family_is_among_them():
    from tensorlab.kernels.cpu import warm

    assert {*warm.names()} - {"each", "epilogue", "peak", "recurrent", "team"} == {
        module for module, _ in WORK
    }
