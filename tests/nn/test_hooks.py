"""Forward and backward hooks, on one module and on all, compared with PyTorch's where it is there."""

from __future__ import annotations

import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.nn.modules import module as module_file

LIBRARIES = ["tensorlab", "torch"]


@pytest.fixture(params=LIBRARIES)
def lib(request):
    """The same test with both: what PyTorch does is what is asked of tensorlab."""
    return pytest.importorskip(request.param, reason="PyTorch is the oracle of this test")


def test_forward_hooks_see_and_change(lib):
    layer = lib.nn.ReLU()
    seen = []
    handles = [
        layer.register_forward_pre_hook(lambda m, args: (args[0] + 10,)),
        layer.register_forward_pre_hook(lambda m, args: seen.append(args[0].item())),
        layer.register_forward_hook(lambda m, args, out: seen.append(out.item())),
        layer.register_forward_hook(lambda m, args, out: out * 2),
        layer.register_forward_pre_hook(lambda m, args: args[0] - 1, prepend=True),
    ]
    assert layer(lib.tensor(1.0)).item() == 20
    assert seen == [10, 10]
    for handle in handles:
        handle.remove()
        handle.remove()  # harmless
    assert layer(lib.tensor(1.0)).item() == 1


def test_hooks_with_keyword_arguments(lib):
    class Add(lib.nn.Module):
        def forward(self, x, y=0):
            return x + y

    module = Add()
    module.register_forward_pre_hook(lambda m, a, k: (a, {"y": k["y"] * 2}), with_kwargs=True)
    seen = []
    module.register_forward_hook(lambda m, a, k, out: seen.append((a, k, out)), with_kwargs=True)
    assert module(1, y=5) == 11
    assert seen == [((1,), {"y": 10}, 11)]
    module.register_forward_pre_hook(lambda m, a, k: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="forward pre-hook must return None or a tuple"):
        module(1, y=5)


def test_handles_as_context_managers(lib):
    layer = lib.nn.ReLU()
    with layer.register_forward_hook(lambda m, a, out: out + 1):
        assert layer(lib.tensor(1.0)).item() == 2
    assert layer(lib.tensor(1.0)).item() == 1


def test_always_called_hooks(lib):
    class Broken(lib.nn.Module):
        def forward(self, x):
            raise ValueError("broken")

    seen = []
    module = Broken()
    module.register_forward_hook(lambda m, a, out: seen.append(("never", out)))
    module.register_forward_hook(lambda m, a, out: seen.append(("always", out)), always_call=True)
    with pytest.raises(ValueError, match="broken"):
        module(1)
    assert seen == [("always", None)]

    def fails(m, a, out):
        raise TypeError("too")

    module.register_forward_hook(fails, always_call=True)
    with (
        pytest.warns(UserWarning, match="silenced as another error was raised"),
        pytest.raises(ValueError),
    ):
        module(1)


def test_global_forward_hooks(lib):
    names = []
    file = lib.nn.modules.module
    pre = file.register_module_forward_pre_hook(lambda m, a: names.append("<" + type(m).__name__))
    post = file.register_module_forward_hook(lambda m, a, out: names.append(type(m).__name__ + ">"))
    try:
        lib.nn.Sequential(lib.nn.ReLU())(lib.ones(1))
    finally:
        pre.remove()
        post.remove()
    assert names == ["<Sequential", "<ReLU", "ReLU>", "Sequential>"]


def test_full_backward_hook(lib):
    layer = lib.nn.Linear(2, 1, bias=False)
    with lib.no_grad():
        layer.weight.fill_(3.0)
    seen = []

    def hook(module, grad_input, grad_output):
        seen.append(
            (module is layer, [g.tolist() for g in grad_input], [g.tolist() for g in grad_output])
        )
        return (grad_input[0] * 100,)

    handle = layer.register_full_backward_hook(hook)
    x = lib.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert seen == [(True, [[[3.0, 3.0]]], [[[1.0]]])]
    assert x.grad.tolist() == [[300.0, 300.0]]
    assert layer.weight.grad.tolist() == [[1.0, 1.0]]
    handle.remove()
    layer(x).sum().backward()
    assert len(seen) == 1


def test_backward_pre_hook_changes_what_goes_in(lib):
    layer = lib.nn.Linear(1, 1, bias=False)
    with lib.no_grad():
        layer.weight.fill_(3.0)
    layer.register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] * 10,))
    seen = []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi[0].item(), go[0].item())))
    x = lib.ones(1, 1, requires_grad=True)
    layer(x).sum().backward()
    assert seen == [(30.0, 10.0)]
    assert x.grad.item() == 30.0
    assert layer.weight.grad.item() == 10.0


class TwoInTwoOut:
    """Takes tensors and other things, returns two tensors; a factory, as the base class varies."""

    @staticmethod
    def of(lib):
        class Module(lib.nn.Module):
            def forward(self, a, what, b):
                return a * b, a + b

        return Module()


def test_several_inputs_and_outputs(lib):
    module = TwoInTwoOut.of(lib)
    seen = []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    a = lib.tensor(2.0, requires_grad=True)
    b = lib.tensor(5.0)  # needs no gradient
    product, total = module(a, "text", b)
    (product + 3 * total).backward()
    assert a.grad.item() == 8.0
    ((gi, go),) = seen
    assert [None if g is None else g.item() for g in gi] == [8.0, None, 0.0]
    assert [g.item() for g in go] == [1.0, 3.0]


def test_unused_output(lib):
    module = TwoInTwoOut.of(lib)
    seen = []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    a, b = lib.tensor(2.0, requires_grad=True), lib.tensor(5.0, requires_grad=True)
    product, _ = module(a, None, b)
    product.backward()
    ((gi, go),) = seen
    assert [None if g is None else g.item() for g in gi] == [5.0, None, 2.0]
    assert go[0].item() == 1.0
    assert go[1] is None
    assert (a.grad.item(), b.grad.item()) == (5.0, 2.0)


def test_no_input_requires_grad(lib):
    layer = lib.nn.Linear(1, 1)
    seen = []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].item())))
    with pytest.warns(UserWarning, match="no inputs require gradients"):
        layer(lib.ones(1, 1)).sum().backward()
    assert seen == [((None,), 1.0)]


def test_hook_with_a_wrong_number_of_gradients(lib):
    layer = lib.nn.ReLU()
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    x = lib.ones(1, requires_grad=True)
    with pytest.raises(RuntimeError, match="invalid number of grad_input, got 2, but expected 1"):
        layer(x).backward()


def test_backward_hooks_do_nothing_without_gradients(lib):
    layer = lib.nn.ReLU()
    layer.register_full_backward_hook(lambda m, gi, go: pytest.fail("called"))
    with lib.no_grad():
        assert not layer(lib.ones(1, requires_grad=True)).requires_grad
    assert not layer(lib.ones(1)).requires_grad


def test_output_that_is_no_tensor(lib):
    class Dict(lib.nn.Module):
        def forward(self, x):
            return {"x": x * 2}

    module = Dict()
    module.register_full_backward_hook(lambda *args: None)
    x = lib.ones(1, requires_grad=True)
    with pytest.warns(UserWarning, match="module output should be a Tensor or a tuple of Tensors"):
        module(x)["x"].backward()
    assert x.grad.item() == 2


def test_global_backward_hooks():
    names = []
    post = module_file.register_module_full_backward_hook(
        lambda m, gi, go: names.append(type(m).__name__)
    )
    pre = module_file.register_module_full_backward_pre_hook(lambda m, go: names.append("pre"))
    try:
        nn.Sequential(nn.Linear(2, 2), nn.Tanh())(
            tl.ones(1, 2, requires_grad=True)
        ).sum().backward()
    finally:
        post.remove()
        pre.remove()
    assert names == ["pre", "pre", "Tanh", "pre", "Linear", "Sequential"]


def test_hooks_work_under_create_graph():
    layer = nn.Linear(1, 1, bias=False)
    with tl.no_grad():
        layer.weight.fill_(3.0)
    seen = []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append(gi[0].item()))
    x = tl.tensor([[2.0]], requires_grad=True)
    (first,) = tl.autograd.grad((layer(x) ** 2).sum(), x, create_graph=True)
    assert first.item() == 36.0
    (second,) = tl.autograd.grad(first.sum(), x)
    assert second.item() == 18.0
    assert seen[0] == 36.0


def test_old_backward_hook_warns_and_works():
    layer = nn.ReLU()
    seen = []
    with pytest.warns(FutureWarning, match="use register_full_backward_hook"):
        layer.register_backward_hook(lambda m, gi, go: seen.append(gi[0].item()))
    layer(tl.ones(1, requires_grad=True)).backward()
    assert seen == [1.0]


def test_handle_of_a_dead_module_is_harmless():
    layer = nn.ReLU()
    handle = layer.register_forward_hook(lambda *args: None)
    del layer
    handle.remove()
