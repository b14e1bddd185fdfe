"""The engine: what backward computes, what it keeps, and what it refuses."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import tensorlab as tl


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def leaf(array: np.ndarray) -> tl.Tensor:
    return tl.tensor(array, requires_grad=True)


def test_a_value_used_many_times_collects_every_gradient():
    x = leaf(numbers(3))
    (x * x + x * 2 + x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.detach().numpy() + 3)


def test_gradients_accumulate_over_calls():
    x = leaf(numbers(3))
    for _ in range(3):
        (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full(3, 6.0))


def test_matches_torch_on_random_expressions(seed: int):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    random = np.random.default_rng(seed)
    arrays = [random.standard_normal(s) for s in ((3, 1), (1, 4), (3, 4), ())]
    choices = random.integers(0, 6, size=25).tolist()

    def build(lib, leaves):
        values = list(leaves)
        for i, choice in enumerate(choices):
            a, b = values[(7 * i) % len(values)], values[(5 * i + 3) % len(values)]
            match choice:
                case 0:
                    values.append(a * b)
                case 1:
                    values.append(a - b)
                case 2:
                    values.append(lib.tanh(a))
                case 3:
                    values.append(lib.sigmoid(a) + b)
                case 4:
                    values.append(a.sum(0, keepdim=True) if a.ndim else a * 2)
                case _:
                    values.append(a / (b * b + 1))
        return sum((v.mean() for v in values[1:]), values[0].mean())

    ours = [leaf(a) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    build(tl, ours).backward()
    build(torch, theirs).backward()
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_a_chain_of_100_000_nodes_runs_and_is_freed():
    x = leaf(numbers(2))
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones(2))
    del y  # freeing it must not recurse either


def test_a_second_backward_through_a_freed_graph_is_refused():
    x = leaf(numbers(3))
    y = (x * x).sum()
    y.backward()
    with pytest.raises(
        RuntimeError, match=r"backward through the graph a second time.*MulBackward0"
    ):
        y.backward()


def test_a_python_number_counts_as_saved():
    y = (leaf(numbers(3)) * 2).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"second time.*MulBackward0"):
        y.backward()


def test_a_graph_that_kept_nothing_runs_again_and_so_does_a_retained_one():
    x = leaf(numbers(3))
    y = (x + 1).sum()
    y.backward()
    y.backward()
    z = (x * x).sum()
    z.backward(retain_graph=True)
    z.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 + 4 * x.detach().numpy())


def test_memory_goes_with_the_last_name_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        x = leaf(numbers(4))
        y = tl.exp(x) * tl.tanh(x)
        watched = weakref.ref(y.grad_fn)
        inner = weakref.ref(y)
        y.sum().backward()
        del y
        assert inner() is None
        assert watched() is None
    finally:
        gc.enable()


def test_saved_arrays_are_freed_by_backward():
    x = leaf(numbers(3))
    y = tl.exp(x)
    node = y.grad_fn
    assert len(node.saved_arrays()) == 1
    y.sum().backward()
    assert node.saved is None


def test_only_what_a_rule_reads_is_saved():
    x, y = leaf(numbers(3)), tl.tensor(numbers(3))
    assert (x + y).grad_fn.saved_arrays() == []
    assert len((x * y).grad_fn.saved_arrays()) == 1  # y alone: x gets no use of itself
    assert len((x * x).grad_fn.saved_arrays()) == 2


def test_nothing_is_recorded_when_nothing_requires_grad():
    assert (tl.ones(3) * 2).grad_fn is None
    with tl.no_grad():
        assert (leaf(numbers(3)) * 2).grad_fn is None


def test_grad_never_aliases_the_users_seed():
    x = leaf(numbers(3))
    seed = tl.ones(3, dtype=tl.float64)
    x.backward(seed)
    seed[0] = 100
    assert x.grad.tolist() == [1.0, 1.0, 1.0]
    y = leaf(numbers(3))
    (y + 0).backward(seed)
    seed[0] = 7
    assert y.grad[0].item() == 100.0


def test_two_leaves_never_share_a_gradient_buffer():
    x, y = leaf(numbers(3)), leaf(numbers(3))
    (x + y).sum().backward()
    x.grad[0] = 50
    assert y.grad[0].item() == 1.0


def test_inputs_of_backward_limit_where_gradients_go():
    x, y = leaf(numbers(3)), leaf(numbers(3))
    (x * y).sum().backward(inputs=[x])
    assert y.grad is None
    np.testing.assert_allclose(x.grad.numpy(), y.detach().numpy())


def test_grad_returns_and_does_not_accumulate():
    x, y = leaf(numbers(3)), leaf(numbers(3))
    gx, gy = tl.autograd.grad((x * y).sum(), [x, y])
    assert x.grad is None
    np.testing.assert_allclose(gx.numpy(), y.detach().numpy())
    np.testing.assert_allclose(gy.numpy(), x.detach().numpy())


def test_grad_of_an_intermediate_value_stops_there():
    x = leaf(numbers(3))
    h = tl.exp(x)
    (g,) = tl.autograd.grad((h * h).sum(), h)
    np.testing.assert_allclose(g.numpy(), 2 * h.detach().numpy())


def test_an_unused_input_is_an_error_or_none_or_zeros():
    x, y = leaf(numbers(3)), leaf(numbers(2))
    with pytest.raises(RuntimeError, match="not have been used in the graph"):
        tl.autograd.grad(x.sum(), [x, y])
    assert tl.autograd.grad(x.sum(), [x, y], allow_unused=True)[1] is None
    assert tl.autograd.grad(x.sum(), y, materialize_grads=True)[0].tolist() == [0.0, 0.0]


def test_higher_derivatives():
    x = tl.tensor(3.0, dtype=tl.float64, requires_grad=True)
    y = x**4
    expected = [4 * 27, 12 * 9, 24 * 3, 24]
    for value in expected:
        (y,) = tl.autograd.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(value)


def test_create_graph_makes_grad_part_of_the_graph():
    x = leaf(numbers(3))
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    first = x.grad
    x.grad = None
    first.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * x.detach().numpy())


def test_gradients_have_the_dtype_and_shape_of_their_tensor():
    x = tl.ones(3, 1, requires_grad=True)
    y = tl.ones(4, dtype=tl.float64, requires_grad=True)
    (x * y).sum().backward()
    assert (x.grad.dtype, x.grad.shape) == (tl.float32, (3, 1))
    assert (y.grad.dtype, y.grad.shape) == (tl.float64, (4,))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: tl.ones(3).sum().backward(), RuntimeError, "does not require grad"),
        (lambda: leaf(numbers(3)).backward(), RuntimeError, r"only for scalar outputs.*\[3\]"),
        (lambda: leaf(numbers(3)).backward(tl.ones(2)), RuntimeError, "Mismatch in shape"),
        (lambda: tl.tensor([1], requires_grad=True), RuntimeError, "floating point dtype"),
        (
            lambda: tl.autograd.grad(leaf(numbers(1)), tl.ones(1)),
            RuntimeError,
            "does not require grad",
        ),
    ],
)
def test_bad_calls(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_assigning_grad_checks_what_it_is():
    x = leaf(numbers(3))
    with pytest.raises(TypeError, match="Tensor or None"):
        x.grad = 1
    with pytest.raises(RuntimeError, match="different size"):
        x.grad = tl.ones(2, dtype=tl.float64)
    with pytest.raises(RuntimeError, match="different type"):
        x.grad = tl.ones(3)
    x.grad = tl.ones(3, dtype=tl.float64)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0, 3.0]


def test_detach_and_data():
    x = leaf(numbers(3))
    y = x * 2
    assert y.detach().grad_fn is None
    assert y.detach()._version_cell is y._version_cell
    assert y.data._version_cell is not y._version_cell
    assert y.detach().data_ptr() == y.data_ptr()


def test_integer_results_of_a_recorded_input_need_no_grad():
    x = leaf(numbers(3))
    assert not x.long().requires_grad
    assert not (x > 0).requires_grad
    assert not x.argmax().requires_grad


def test_graph_can_be_read():
    x, y = leaf(numbers(3)), leaf(numbers(3))
    z = (x * y).sum()
    nodes = tl.autograd.graph.nodes_of(z)
    assert sorted(n.name() for n in nodes) == [
        "AccumulateGrad",
        "AccumulateGrad",
        "MulBackward0",
        "SumBackward0",
    ]
    assert [n.seq for n in nodes] == sorted(n.seq for n in nodes)
    ((mul, _),) = z.grad_fn.next_functions
    assert mul.name() == "MulBackward0"
    assert mul.next_functions[0][0].variable is x


def test_a_number_before_a_tensor_leaves_the_tensor_first_in_the_graph():
    x = leaf(numbers(3))
    for y in (2 * x, 2 + x, x * 2, x + 2):
        first, second = y.grad_fn.next_functions
        assert first[0].variable is x
        assert second == (None, 0)
