"""Programs as tutorials and notebooks write them, run with both libraries: results and errors agree.

Each takes the library as `lib` and returns what it printed or computed: tensors, numbers, shapes.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensorlab as tl

from .test_one_liners import described, same

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")

PROGRAMS: list[Callable[[Any], Any]] = []


def program(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    PROGRAMS.append(function)
    return function


# Tensors ----------------------------------------------------------------------------------


@program
def quickstart(lib):
    data = [[1, 2], [3, 4]]
    x = lib.tensor(data)
    from_array = lib.from_numpy(np.array(data))
    ones, noise = lib.ones_like(x), lib.zeros_like(x, dtype=lib.float)
    shape = (2, 3)
    return x, from_array, ones, noise, lib.ones(shape), tuple(lib.rand(shape).shape)


@program
def attributes(lib):
    x = lib.ones(3, 4)
    return x.shape, x.dtype, str(x.device), x.ndim, x.numel(), x.stride(), x.is_contiguous()


@program
def indexing_like_numpy(lib):
    x = lib.arange(16.0).reshape(4, 4)
    first, last_column = x[0], x[..., -1]
    x[:, 1] = 0
    return first, x[:, 0], last_column, x[1:3, ::2], x[x > 7], x[[0, 2], [1, 3]]


@program
def joining_and_products(lib):
    x = lib.arange(4.0).view(2, 2)
    joined = lib.cat([x, x, x], dim=1)
    y1, y2 = x @ x.T, x.matmul(x.T)
    y3 = lib.empty_like(y1)
    lib.matmul(x, x.T, out=y3)
    z = x * x
    return joined, y1, y2, y3, z, x.sum().item()


@program
def numpy_bridge(lib):
    t = lib.ones(5)
    n = t.numpy()
    t.add_(1)
    back = lib.from_numpy(n)
    np.add(n, 1, out=n)
    return t, n.tolist(), back


@program
def broadcasting_outer_product(lib):
    a, b = lib.arange(3).unsqueeze(1), lib.arange(2).unsqueeze(0)
    return a + b, a * b, (a == b).int(), lib.broadcast_tensors(a, b)[0].shape


@program
def one_hot_by_scatter(lib):
    labels = lib.tensor([2, 0, 1])
    return lib.zeros(3, 4).scatter_(1, labels.unsqueeze(1), 1.0), lib.eye(4)[labels]


@program
def accuracy(lib):
    logits = lib.tensor([[0.1, 0.9], [0.8, 0.2], [0.4, 0.6]])
    labels = lib.tensor([1, 0, 0])
    predicted = logits.argmax(dim=1)
    correct = (predicted == labels).float().mean().item()
    return predicted, correct, (predicted == labels).sum().item(), (predicted != labels).nonzero()


@program
def standardise_columns(lib):
    x = lib.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    mean, std = x.mean(dim=0), x.std(dim=0)
    z = (x - mean) / std
    return mean, std, z, z.mean(0).abs().max() < 1e-6, x.var(0, unbiased=False)


@program
def causal_mask(lib):
    n = 4
    mask = lib.tril(lib.ones(n, n))
    scores = lib.arange(16.0).view(n, n).masked_fill(mask == 0, float("-inf"))
    return lib.softmax(scores, dim=-1), lib.triu(lib.ones(n, n, dtype=lib.bool), diagonal=1)


@program
def averages_over_the_past(lib):
    x = lib.arange(12.0).view(1, 4, 3)
    bow = lib.stack([x[0, : t + 1].mean(0) for t in range(4)])
    weights = lib.tril(lib.ones(4, 4))
    weights = weights / weights.sum(1, keepdim=True)
    return bow, weights @ x, lib.allclose(bow, (weights @ x)[0])


@program
def bigram_counts(lib):
    words = ["emma", "ava", "mia"]
    chars = sorted(set("".join(words)))
    position = {c: i + 1 for i, c in enumerate(chars)}
    position["."] = 0
    counts = lib.zeros((len(position), len(position)), dtype=lib.int32)
    for word in words:
        for one, two in zip("." + word, word + ".", strict=True):
            counts[position[one], position[two]] += 1
    p = (counts + 1).float()
    p /= p.sum(1, keepdim=True)
    return counts, p, counts[0].sum().item(), p[0].log().mean()


@program
def sliding_windows(lib):
    x = lib.arange(8)
    return x.unfold(0, 3, 2), x.view(2, 4).flip(1), x.roll(2), x.chunk(3), x.split([3, 5])


@program
def images_to_patches(lib):
    image = lib.arange(32.0).view(1, 2, 4, 4)
    patches = image.unfold(2, 2, 2).unfold(3, 2, 2)
    patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(1, 4, -1)
    return patches, image.permute(0, 2, 3, 1).shape, image.flatten(1).shape


@program
def coordinates(lib):
    ys, xs = lib.meshgrid(lib.linspace(-1, 1, 3), lib.linspace(0, 1, 2), indexing="ij")
    grid = lib.stack([xs, ys], dim=-1)
    return grid, grid.view(-1, 2), lib.cartesian_prod(lib.tensor([1, 2]), lib.tensor([3, 4]))


@program
def sorting_and_picking(lib):
    x = lib.tensor([3.0, 1.0, 2.0, 5.0])
    values, places = x.sort()
    top = lib.topk(x, 2)
    return (
        values,
        places,
        top.values,
        top.indices,
        x[places],
        x.argsort(descending=True),
        x.median(),
    )


@program
def pairwise_distances(lib):
    a, b = lib.tensor([[0.0, 0.0], [1.0, 1.0]]), lib.tensor([[3.0, 4.0]])
    by_hand = ((a[:, None] - b[None]) ** 2).sum(-1).sqrt()
    return by_hand, lib.cdist(a, b), lib.norm(a - b, dim=1), a.norm()


@program
def einsum_forms(lib):
    a, b = lib.arange(6.0).view(2, 3), lib.arange(12.0).view(3, 4)
    return (
        lib.einsum("ij,jk->ik", a, b), lib.einsum("ij->ji", a), lib.einsum("ij->", a), lib.einsum("ij,ij->i", a, a),
        lib.einsum("i,j->ij", a[0], b[0]), lib.einsum("bij,bjk->bik", a[None], b[None]), lib.einsum("ii", b[:, :3]),
    )  # fmt: skip


@program
def least_squares(lib):
    x = lib.linspace(0, 1, 5).double()
    design = lib.stack([x, lib.ones_like(x)], 1)
    y = 3 * x + 2
    solution = lib.linalg.lstsq(design, y[:, None]).solution
    normal = lib.linalg.solve(design.T @ design, design.T @ y)
    return solution, normal, lib.linalg.matrix_rank(design), lib.linalg.pinv(design) @ y


@program
def principal_components(lib):
    x = lib.tensor([[2.0, 0.0], [0.0, 1.0], [-2.0, 0.1], [0.0, -1.0]]).double()
    x = x - x.mean(0)
    _, s, vh = lib.linalg.svd(x, full_matrices=False)
    values, _ = lib.linalg.eigh(x.T @ x)
    return s, vh.abs(), values, (s**2).flip(0) - values < 1e-9


@program
def counting_words(lib):
    ids = lib.tensor([0, 2, 2, 1, 2])
    values, counts = lib.unique(ids, return_counts=True)
    return lib.bincount(ids), values, counts, lib.histc(ids.float(), bins=3), ids.unique()


@program
def number_types(lib):
    a, b = lib.tensor([1, 2]), lib.tensor([1.5, 2.5])
    c = lib.tensor([True, False])
    return (
        a + b, a / 2, a // 2, a * True, c + c, c.sum(), a.float().mean(), b.int(), (a > 1).dtype,
        lib.result_type(a, 1.0), (a + 1.5).dtype, (b.half() + 1).dtype, (b.double() + b).dtype, a.to(lib.uint8) - 3,
    )  # fmt: skip


@program
def views_share_and_copies_do_not(lib):
    x = lib.arange(6)
    view, copied = x.view(2, 3), x.clone()
    view[0, 0] = 100
    transposed = view.t()
    transposed[2, 1] = -1
    return x, copied, view.data_ptr() == x.data_ptr(), transposed.is_contiguous(), view._base is x


@program
def complex_numbers(lib):
    z = lib.tensor([1 + 2j, 3 - 1j])
    return (
        z.abs(), z.angle(), z.real, z.imag, z.conj() * z, lib.view_as_real(z), lib.polar(z.abs(), z.angle()),
        lib.fft.ifft(lib.fft.fft(z)), z.dtype, z.is_complex(),
    )  # fmt: skip


@program
def spectrum_of_a_sine(lib):
    t = lib.arange(32) / 32
    spectrum = lib.fft.rfft(lib.sin(2 * lib.pi * 4 * t))
    return spectrum.abs().argmax(), lib.fft.rfftfreq(32, 1 / 32)[4], lib.fft.irfft(spectrum)


@program
def masks_and_where(lib):
    x = lib.tensor([1.0, float("nan"), -2.0, float("inf")])
    return (
        lib.isnan(x), lib.isfinite(x), lib.nan_to_num(x, nan=0.0, posinf=9.0), lib.where(x > 0, x, lib.zeros_like(x)),
        x[~lib.isnan(x)], lib.nansum(x[:3]), (x == x).all(), lib.clamp(x, -1, 1),
    )  # fmt: skip


@program
def printing(lib):
    shown = [
        lib.tensor([1.0, 2.5]), lib.tensor(3), lib.zeros(2, 2, dtype=lib.int32), lib.tensor([1e-8, 1.0]),
        lib.arange(2000), lib.tensor([True]), lib.tensor([]), lib.ones(1, requires_grad=True),
        lib.ones(1, requires_grad=True) * 2, lib.tensor([[1.0, -2.0]]), lib.tensor([float("nan"), 1e10]),
    ]  # fmt: skip
    return [repr(x) for x in shown] + [f"{lib.tensor(0.12345):.3f}", str(lib.Size([1, 2]))]


@program
def saved_and_loaded(lib):
    state = {"w": lib.arange(3.0), "n": 5, "list": [lib.ones(2)]}
    file = io.BytesIO()
    lib.save(state, file)
    file.seek(0)
    loaded = lib.load(file)
    again = pickle.loads(pickle.dumps(state["w"]))
    return loaded["w"], loaded["n"], loaded["list"][0], again, copy.deepcopy(state)["w"]


@program
def random_numbers_repeat(lib):
    lib.manual_seed(42)
    a = lib.rand(3)
    lib.manual_seed(42)
    b = lib.rand(3)
    generator = lib.Generator().manual_seed(1)
    c = lib.randn(2, generator=generator)
    permuted = lib.randperm(5, generator=generator)
    return a, lib.equal(a, b), c, permuted, lib.randint(0, 10, (4,), generator=generator)


@program
def sampling(lib):
    generator = lib.Generator().manual_seed(2147483647)
    p = lib.rand(3, generator=generator)
    p = p / p.sum()
    return p, lib.multinomial(p, num_samples=20, replacement=True, generator=generator).shape


@program
def running_totals(lib):
    x = lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    return x.cumsum(1), x.cumprod(0), x.cummax(1).values, x.diff(), x.logsumexp(1), x.prod(1)


@program
def padding_sequences(lib):
    sequences = [lib.tensor([1, 2, 3]), lib.tensor([4])]
    longest = max(len(s) for s in sequences)
    batch = lib.zeros(len(sequences), longest, dtype=lib.long)
    for i, s in enumerate(sequences):
        batch[i, : len(s)] = s
    mask = lib.arange(longest)[None] < lib.tensor([len(s) for s in sequences])[:, None]
    return batch, mask, (batch * mask).sum(1)


@program
def gather_class_scores(lib):
    scores = lib.log_softmax(lib.arange(6.0).view(2, 3), dim=1)
    labels = lib.tensor([2, 0])
    picked = scores.gather(1, labels.view(-1, 1)).squeeze(1)
    return picked, -picked.mean(), scores[lib.arange(2), labels]


@program
def in_place_operators(lib):
    x = lib.ones(2, 2)
    y = x
    x += 1
    x *= 3
    x -= lib.tensor([1.0, 2.0])
    x /= 2
    x[0] **= 2
    return x, y is x, x.add(1, alpha=2), x.mul_(0).fill_(7), x.zero_()


@program
def reading_values_out(lib):
    x = lib.tensor([[1, 2], [3, 4]])
    rows = [row.tolist() for row in x]
    return (
        rows,
        x[0, 1].item(),
        float(x[1, 1]),
        int(x.max()),
        x.tolist(),
        len(x),
        [int(v) for v in x[0]],
    )


# Autograd ---------------------------------------------------------------------------------


@program
def gradient_of_a_layer(lib):
    x, y = lib.ones(5), lib.zeros(3)
    lib.manual_seed(0)
    w, b = lib.randn(5, 3, requires_grad=True), lib.randn(3, requires_grad=True)
    z = lib.matmul(x, w) + b
    loss = lib.nn.functional.binary_cross_entropy_with_logits(z, y)
    loss.backward()
    return loss, w.grad, b.grad, type(z.grad_fn).__name__, w.is_leaf, z.is_leaf


@program
def polynomial_by_hand(lib):
    x = lib.linspace(-3.14, 3.14, 100)
    y = lib.sin(x)
    a, b, c, d = (lib.full((), v, requires_grad=True) for v in (0.1, 0.2, -0.1, 0.05))
    loss = None
    for _ in range(5):
        loss = (a + b * x + c * x**2 + d * x**3 - y).pow(2).sum()
        loss.backward()
        with lib.no_grad():
            for p in (a, b, c, d):
                p -= 1e-6 * p.grad
                p.grad = None
    return loss, a, b, c, d


@program
def gradients_accumulate(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    (x**2).sum().backward()
    first = x.grad.clone()
    (x**2).sum().backward()
    second = x.grad.clone()
    x.grad.zero_()
    return first, second, x.grad


@program
def vector_jacobian_product(lib):
    x = lib.eye(4, 5, requires_grad=True)
    out = (x + 1).pow(2).t()
    out.backward(lib.ones_like(out), retain_graph=True)
    first = x.grad.clone()
    out.backward(lib.ones_like(out), retain_graph=True)
    return first, x.grad


@program
def higher_derivatives(lib):
    x = lib.tensor(2.0, requires_grad=True)
    y = x**3 + lib.sin(x)
    (dy,) = lib.autograd.grad(y, x, create_graph=True)
    (d2y,) = lib.autograd.grad(dy, x, create_graph=True)
    (d3y,) = lib.autograd.grad(d2y, x)
    return dy, d2y, d3y


@program
def no_grad_and_detach(lib):
    x = lib.ones(2, requires_grad=True)
    with lib.no_grad():
        a = x * 2
    b = (x * 2).detach()
    with lib.no_grad(), lib.enable_grad():
        c = x * 2
    with lib.inference_mode():
        d = x * 2
    return a.requires_grad, b.requires_grad, c.requires_grad, d.requires_grad, lib.is_grad_enabled()


@program
def a_function_of_my_own(lib):
    class Cube(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, scale):
            ctx.save_for_backward(x)
            ctx.scale = scale
            return x**3 * scale

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * g * ctx.scale, None

    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y = Cube.apply(x, 2.0)
    y.sum().backward()
    return y, x.grad, y.grad_fn.name()


@program
def hooks_on_tensors(lib):
    seen = []
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = x.register_hook(lambda g: g * 10)
    y.sum().backward()
    handle.remove()
    first = x.grad.clone()
    (x * 3).sum().backward()
    return seen, first, x.grad


@program
def jacobian_and_hessian(lib):
    x = lib.tensor([1.0, 2.0])

    def f(x):
        return lib.stack([x[0] * x[1], x[0] ** 2, x.sum()])

    return (
        lib.autograd.functional.jacobian(f, x),
        lib.autograd.functional.hessian(lambda x: (x**3).sum(), x),
        lib.autograd.functional.vjp(f, x, lib.ones(3))[1],
        lib.autograd.functional.jvp(f, x, lib.ones(2))[1],
    )


@program
def newton_for_a_root(lib):
    x = lib.tensor(2.0, dtype=lib.float64, requires_grad=True)
    path = []
    for _ in range(4):
        y = x**2 - 2
        (slope,) = lib.autograd.grad(y, x)
        with lib.no_grad():
            x -= y / slope
        path.append(x.item())
    return path


@program
def micrograd_expression(lib):
    a, b = lib.tensor(-4.0).double().requires_grad_(), lib.tensor(2.0).double().requires_grad_()
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c = c + 1 + c + (-a)
    d = d + d * 2 + (b + a).relu()
    d = d + 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g = g + 10.0 / f
    g.backward()
    return g, a.grad, b.grad


@program
def two_layers_by_hand(lib):
    lib.manual_seed(1)
    x, y = lib.randn(8, 4), lib.randn(8, 2)
    w1, w2 = lib.randn(4, 5) * 0.5, lib.randn(5, 2) * 0.5
    for w in (w1, w2):
        w.requires_grad_(True)
    losses = []
    for _ in range(5):
        h = (x @ w1).clamp(min=0)
        loss = (h @ w2 - y).pow(2).mean()
        losses.append(loss.item())
        loss.backward()
        with lib.no_grad():
            w1 -= 0.1 * w1.grad
            w2 -= 0.1 * w2.grad
            w1.grad.zero_()
            w2.grad.zero_()
    return losses, w1, w2


@program
def batch_norm_by_hand(lib):
    lib.manual_seed(2)
    x = lib.randn(6, 3, requires_grad=True)
    mean, var = x.mean(0, keepdim=True), x.var(0, keepdim=True, unbiased=True)
    y = (x - mean) * (var + 1e-5) ** -0.5
    (y**3).sum().backward()
    return y, x.grad


@program
def cross_entropy_by_hand(lib):
    lib.manual_seed(3)
    logits = lib.randn(4, 3, requires_grad=True)
    labels = lib.tensor([0, 2, 1, 1])
    shifted = logits - logits.max(1, keepdim=True).values
    counts = shifted.exp()
    p = counts / counts.sum(1, keepdim=True)
    loss = -p[range(4), labels].log().mean()
    loss.backward()
    return loss, logits.grad


@program
def attention_by_hand(lib):
    lib.manual_seed(4)
    q, k, v = (lib.randn(2, 3, 4, requires_grad=True) for _ in range(3))
    weights = q @ k.transpose(-2, -1) * 4**-0.5
    weights = weights.masked_fill(lib.tril(lib.ones(3, 3)) == 0, float("-inf")).softmax(-1)
    (weights @ v).square().sum().backward()
    return weights, q.grad, k.grad, v.grad


@program
def writes_through_views(lib):
    x = lib.arange(6.0, requires_grad=True)
    y = (x * 2).view(2, 3)
    y[0] *= 10
    y[:, 2] = 0
    y.t()[1] += x[:2]
    (y**2).sum().backward()
    return y, x.grad


@program
def retained_gradients(lib):
    x = lib.ones(2, requires_grad=True)
    y = x * 2
    y.retain_grad()
    (y * y).sum().backward()
    return x.grad, y.grad, y.retains_grad


@program
def parts_of_a_graph_frozen(lib):
    w1, w2 = lib.ones(2, 2, requires_grad=True), lib.ones(2, 2)
    w3 = lib.ones(2, requires_grad=True)
    out = ((w3 @ w1) @ w2).sum()
    out.backward()
    return w1.grad, w2.grad, w3.grad, out.requires_grad


@program
def choosing_inputs_of_backward(lib):
    a, b = lib.ones(2, requires_grad=True), lib.ones(2, requires_grad=True)
    (a * b * 3).sum().backward(inputs=[a])
    return a.grad, b.grad


@program
def gradients_of_many_functions(lib):
    x = lib.tensor([0.3, 0.7, 1.2], dtype=lib.float64, requires_grad=True)
    names = "sin cos tan exp log sqrt tanh sigmoid relu abs square reciprocal log1p expm1 erf rsqrt atan sinh asinh"
    out = []
    for name in names.split():
        (g,) = lib.autograd.grad(getattr(lib, name)(x).sum(), x)
        out.append(g)
    return out


# What goes wrong ----------------------------------------------------------------------------


def _error(function: Callable[[], Any]) -> str:
    try:
        function()
    except Exception as error:
        return type(error).__name__.lstrip("_")
    return "no error"


@program
def usual_mistakes(lib):
    x = lib.ones(2, requires_grad=True)
    y = x * 2
    return [
        _error(lambda: lib.ones(2, 3) @ lib.ones(2, 3)),
        _error(lambda: lib.ones(2) + lib.ones(3)),
        _error(lambda: y.backward()),
        _error(lambda: x.numpy()),
        _error(lambda: lib.ones(2).view(3)),
        _error(lambda: lib.ones(2)[2]),
        _error(lambda: lib.ones(2).item()),
        _error(lambda: x.add_(1)),
        _error(lambda: lib.ones(2, dtype=lib.int64).mean()),
        _error(lambda: lib.cat([lib.ones(2), lib.ones(2, 2)])),
        _error(lambda: lib.ones(2, dtype=lib.int64).requires_grad_()),
        _error(lambda: bool(lib.ones(2))),
        _error(lambda: lib.ones(2).shap),
        _error(lambda: lib.tensor([[1, 2], [3]])),
        _error(lambda: lib.ones(2, 3).transpose(0, 5)),
        _error(lambda: lib.zeros(2).squeeze(3)),
        _error(lambda: lib.linalg.inv(lib.zeros(2, 2))),
        _error(lambda: lib.stack([lib.ones(2), lib.ones(3)])),
        _error(lambda: lib.ones(2, 3).expand(4, 3)),
        _error(lambda: lib.nn.functional.one_hot(lib.tensor([-1]))),
    ]


@program
def backward_twice(lib):
    x = lib.ones(2, requires_grad=True)
    y = (x * x).sum()
    y.backward()
    return _error(y.backward), x.grad


@program
def modified_before_backward(lib):
    x = lib.ones(2, requires_grad=True)
    y = x.exp()
    z = y.sum()
    y.mul_(2)
    return _error(z.backward)


@pytest.mark.parametrize("run", PROGRAMS, ids=lambda f: f.__name__)
def test_program(run: Callable[[Any], Any]) -> None:
    torch.manual_seed(0)
    tl.manual_seed(0)
    theirs, ours = described(torch, run(torch)), described(tl, run(tl))
    assert same(ours, theirs), f"PyTorch gives {theirs}\nhere it is {ours}"
