"""`nn.Module`: registration, traversal, conversion, modes, printing, copies."""

from __future__ import annotations

import copy
import pickle

import pytest

import tensorlab as tl
from tensorlab import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.head = nn.Linear(4, 2, bias=False)
        self.scale = nn.Parameter(tl.ones(1))
        self.register_buffer("mean", tl.zeros(3))
        self.register_buffer("scratch", tl.zeros(1), persistent=False)
        self.register_buffer("nothing", None)

    def forward(self, x):
        return self.head(self.body(x - self.mean)) * self.scale


# Registration ---------------------------------------------------------------------------


def test_names():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "scale",
        "body.0.weight",
        "body.0.bias",
        "head.weight",
    ]
    assert [n for n, _ in net.named_buffers()] == ["mean", "scratch"]
    assert [n for n, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "head"]
    assert [n for n, _ in net.named_children()] == ["body", "head"]
    assert [n for n, _ in net.named_parameters("net", recurse=False)] == ["net.scale"]
    assert len(list(net.parameters())) == 4
    assert len(list(net.buffers())) == 2
    assert list(net.children()) == [net.body, net.head]
    assert next(iter(net.modules())) is net


def test_shared_members_are_given_once_unless_asked():
    net = nn.Module()
    net.a = nn.Linear(2, 2)
    net.b = net.a
    net.w = net.a.weight
    assert [n for n, _ in net.named_parameters()] == ["w", "a.bias"]
    assert [n for n, _ in net.named_parameters(remove_duplicate=False)] == [
        "w",
        "a.weight",
        "a.bias",
        "b.weight",
        "b.bias",
    ]
    assert [n for n, _ in net.named_modules()] == ["", "a"]
    assert [n for n, _ in net.named_modules(remove_duplicate=False)] == ["", "a", "b"]
    assert len(list(net.children())) == 1


def test_assigning_moves_a_name_between_registries():
    net = nn.Module()
    net.x = 3
    net.x = nn.Parameter(tl.ones(1))
    assert "x" in net._parameters
    assert "x" not in net.__dict__
    net.x = nn.ReLU()
    assert list(net._modules) == ["x"]
    assert not net._parameters
    net.x = None
    assert net.x is None
    assert list(net._modules) == ["x"]
    del net.x
    assert not hasattr(net, "x")
    net.register_buffer("b", tl.ones(2), persistent=False)
    net.b = tl.zeros(3)
    assert net._buffers["b"].shape == (3,)
    assert "b" not in net.state_dict()
    net.w = nn.Parameter(tl.ones(1))
    net.w = None
    assert net.w is None
    assert list(net.parameters()) == []


def test_buffer_class():
    net = nn.Module()
    net.kept = nn.Buffer(tl.ones(2))
    net.temporary = nn.Buffer(tl.ones(2), persistent=False)
    assert [n for n, _ in net.named_buffers()] == ["kept", "temporary"]
    assert list(net.state_dict()) == ["kept"]
    assert isinstance(net.kept, nn.Buffer)
    assert not isinstance(tl.ones(2), nn.Buffer)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda m: m.register_parameter("a.b", None), KeyError, "parameter name can.+t contain"),
        (lambda m: m.register_parameter("", None), KeyError, "can.+t be empty string"),
        (
            lambda m: m.register_parameter(3, None),
            TypeError,
            "parameter name should be a string. Got int",
        ),
        (
            lambda m: m.register_parameter("forward", None),
            KeyError,
            "attribute 'forward' already exists",
        ),
        (
            lambda m: m.register_parameter("w", tl.ones(1)),
            TypeError,
            r"cannot assign 'tensorlab.FloatTensor' object to parameter 'w' \(tensorlab.nn.Parameter or None",
        ),
        (
            lambda m: m.register_buffer("b", 3),
            TypeError,
            "cannot assign 'int' object to buffer 'b'",
        ),
        (lambda m: m.register_buffer("a.b", None), KeyError, "buffer name can.+t contain"),
        (lambda m: m.add_module("m", 3), TypeError, "int is not a Module subclass"),
        (lambda m: m.add_module("a.b", None), KeyError, "module name can.+t contain.+got: a.b"),
        (lambda m: setattr(m, "p", 3), TypeError, "cannot assign 'int' as parameter 'p'"),
        (
            lambda m: setattr(m, "child", 3),
            TypeError,
            "cannot assign 'int' as child module 'child'",
        ),
        (lambda m: setattr(m, "buf", 3), TypeError, "cannot assign 'int' as buffer 'buf'"),
        (lambda m: m.missing, AttributeError, "'Module' object has no attribute 'missing'"),
        (
            lambda m: m(),
            NotImplementedError,
            'Module .Module. is missing the required "forward" function',
        ),
        (lambda m: m.train("yes"), ValueError, "training mode is expected to be boolean"),
        (lambda m: m.to(tl.int64), TypeError, "only accepts floating point or complex dtypes"),
        (lambda m: m.to([3]), TypeError, "invalid combination of arguments"),
        (lambda m: m.get_submodule("child.9"), AttributeError, "has no attribute `9`"),
        (lambda m: m.get_submodule("p"), AttributeError, "`p` is not an nn.Module"),
        (lambda m: m.get_parameter("child"), AttributeError, "`child` is not an nn.Parameter"),
        (lambda m: m.get_buffer("p"), AttributeError, "`p` is not a buffer"),
        (lambda m: m.set_submodule("", m), ValueError, "without a target name"),
        (lambda m: m.set_submodule("child", 3), ValueError, "is not an nn.Module, found"),
        (lambda m: nn.Module(3), TypeError, "takes 1 positional argument but 2 were given"),
        (lambda m: nn.Module(size=3), TypeError, "unexpected keyword argument 'size'"),
    ],
)
def test_errors(act, error, message):
    module = nn.Module()
    module.p = nn.Parameter(tl.ones(1))
    module.child = nn.ReLU()
    module.register_buffer("buf", tl.ones(1))
    with pytest.raises(error, match=message):
        act(module)


def test_forgetting_super_init():
    class Forgetful(nn.Module):
        def __init__(self, member):
            self.member = member

    for member, message in [
        (nn.Parameter(tl.ones(1)), "cannot assign parameters before Module.__init__"),
        (nn.ReLU(), "cannot assign module before Module.__init__"),
    ]:
        with pytest.raises(AttributeError, match=message):
            Forgetful(member)
    assert Forgetful(3).member == 3


def test_non_leaf_parameter_is_refused():
    p = nn.Parameter(tl.ones(1))
    doubled = p * 2
    doubled.__class__ = nn.Parameter
    with pytest.raises(ValueError, match="Cannot assign non-leaf Tensor to parameter 'w'"):
        nn.Module().register_parameter("w", doubled)


def test_registration_hooks():
    seen = []
    handles = [
        nn.modules.module.register_module_parameter_registration_hook(
            lambda m, n, v: seen.append(("p", n))
        ),
        nn.modules.module.register_module_module_registration_hook(
            lambda m, n, v: seen.append(("m", n))
        ),
        nn.modules.module.register_module_buffer_registration_hook(lambda m, n, v: tl.ones(3)),
    ]
    try:
        net = Net()
    finally:
        for handle in handles:
            handle.remove()
    assert ("p", "scale") in seen
    assert ("m", "body") in seen
    assert net.mean.tolist() == [1.0] * 3
    assert Net().mean.tolist() == [0.0] * 3


def test_get_and_set():
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("body.0") is net.body[0]
    assert net.get_parameter("body.0.weight") is net.body[0].weight
    assert net.get_buffer("mean") is net.mean
    new = nn.Linear(3, 4)
    net.set_submodule("body.0", new)
    assert net.body[0] is new
    with pytest.raises(AttributeError, match="has no attribute `tail`"):
        net.set_submodule("tail", new, strict=True)
    net.set_submodule("tail", new)
    assert net.tail is new


def test_dir_and_completion():
    names = dir(Net())
    for name in ("scale", "mean", "body", "forward", "training"):
        assert name in names
    assert "0" not in dir(nn.Sequential(nn.ReLU()))


# Doing something to the whole tree -------------------------------------------------------


def test_train_and_eval():
    net = Net()
    assert net.training
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.body.train()
    assert net.body[0].training
    assert not net.training


def test_apply_goes_from_the_leaves_up():
    seen = []
    net = Net()
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "ReLU", "Sequential", "Linear", "Net"]


def test_conversion_keeps_the_parameters_and_converts_gradients():
    net = Net()
    net.register_buffer("count", tl.tensor(3))
    weight = net.head.weight
    net(tl.ones(1, 3)).sum().backward()
    assert net.double() is net
    assert net.head.weight is weight
    assert weight.dtype is tl.float64
    assert weight.requires_grad
    assert weight.is_leaf
    assert weight.grad.dtype is tl.float64
    assert net.mean.dtype is tl.float64
    assert net.count.dtype is tl.int64
    assert net.half().mean.dtype is tl.float16
    assert net.float().mean.dtype is tl.float32
    assert net.to("cpu", tl.float64).mean.dtype is tl.float64
    assert net.to(tl.zeros(1)).mean.dtype is tl.float32
    assert net.to(dtype=tl.float64).cpu().mean.dtype is tl.float64
    assert net.type(tl.float32).count.dtype is tl.float32
    assert net.to_empty(device="cpu").head.weight is weight
    assert weight.shape == (2, 4)
    net.head.reset_parameters()
    out = net(tl.ones(1, 3))
    out.sum().backward()
    assert weight.grad.dtype is tl.float32


def test_requires_grad_and_zero_grad():
    net = Net()
    net(tl.ones(1, 3)).sum().backward()
    grad = net.scale.grad
    net.zero_grad(set_to_none=False)
    assert net.scale.grad is grad
    assert grad.tolist() == [0.0]
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert net.requires_grad_(False) is net
    assert not any(p.requires_grad for p in net.parameters())
    assert not net(tl.ones(1, 3)).requires_grad


# Printing --------------------------------------------------------------------------------


def test_repr():
    assert repr(Net()) == (
        "Net(\n"
        "  (body): Sequential(\n"
        "    (0): Linear(in_features=3, out_features=4, bias=True)\n"
        "    (1): ReLU()\n"
        "  )\n"
        "  (head): Linear(in_features=4, out_features=2, bias=False)\n"
        ")"
    )
    assert repr(nn.Module()) == "Module()"


def test_repr_with_extra_lines():
    class Wordy(nn.Module):
        def extra_repr(self):
            return "one\ntwo"

    wordy = Wordy()
    assert repr(wordy) == "Wordy(\n  one\n  two\n)"
    wordy.child = nn.ReLU()
    assert repr(wordy) == "Wordy(\n  one\n  two\n  (child): ReLU()\n)"


# Copies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("through", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(through):
    net = Net().eval()
    net(tl.ones(1, 3)).sum().backward()
    net.tied = net.head
    other = through(net)
    assert not other.training
    assert other.tied is other.head
    assert other.head.weight is not net.head.weight
    assert isinstance(other.head.weight, nn.Parameter)
    assert other.head.weight.requires_grad
    assert other.head.weight.tolist() == net.head.weight.tolist()
    with tl.no_grad():
        other.head.weight.zero_()
    assert net.head.weight.abs().sum().item() > 0
    assert repr(other) == repr(net)
    assert list(other.state_dict()) == list(net.state_dict())


def test_deepcopy_leaves_gradients_behind_as_pytorch_does():
    net = nn.Linear(1, 1)
    net(tl.ones(1, 1)).sum().backward()
    assert copy.deepcopy(net).weight.grad is None


# Parameter -------------------------------------------------------------------------------


def test_parameter():
    data = tl.ones(2)
    p = nn.Parameter(data)
    assert isinstance(p, tl.Tensor)
    assert p.requires_grad
    assert p.is_leaf
    assert repr(p) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    data.add_(1)  # one memory, one version counter
    assert p.tolist() == [2.0, 2.0]
    assert p._version == 1
    with tl.no_grad():
        assert nn.Parameter(tl.ones(1)).requires_grad
    assert type(p * 2) is tl.Tensor
    assert nn.Parameter(tl.tensor([1]), requires_grad=False).dtype is tl.int64
    assert nn.Parameter().shape == (0,)
    with pytest.raises(TypeError, match="expected a tensorlab.Tensor as data, got list"):
        nn.Parameter([1.0])
    with pytest.raises(RuntimeError, match="floating point"):
        nn.Parameter(tl.tensor([1]))


def test_module_is_callable_with_any_arguments():
    class Weighted(nn.Module):
        def forward(self, x, *more, factor=1):
            return x * factor + sum(more)

    assert Weighted()(2, 3, 4, factor=10) == 27


def test_arguments_go_on_to_the_next_class():
    class Named:
        def __init__(self, name="nobody"):
            self.name = name

    class Both(nn.Module, Named):
        call_super_init = True

        def __init__(self, name):
            super().__init__(name=name)

    assert Both("Ada").name == "Ada"


def test_shared_memory_keeps_the_numbers():
    layer = nn.BatchNorm1d(2)
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    assert layer.share_memory() is layer
    assert all(tl.equal(v, before[k]) for k, v in layer.state_dict().items())


# What PyTorch's modules have besides: other devices, compilation, and parts of its own machinery.
ABSENT = {
    "compile", "ipu", "mtia", "xpu", "dump_patches", "T_destination", "_call_impl", "_compiled_call_impl",
    "_get_backward_hooks", "_get_backward_pre_hooks", "_maybe_warn_non_full_backward_hook",
    "_replicate_for_data_parallel", "_slow_forward", "_wrapped_call_impl",
}  # fmt: skip


def test_modules_have_all_that_pytorchs_have():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
    assert set(dir(torch.nn.Module)) - set(dir(nn.Module)) == ABSENT
    for name in ("Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"):
        theirs = {n for n in dir(getattr(torch.nn, name)) if not n.startswith("_")}
        assert theirs - set(dir(getattr(nn, name))) <= ABSENT, name
    missing = set(torch.nn.utils.__all__) - set(dir(nn.utils))
    assert missing == {
        "convert_conv2d_weight_memory_format",  # there is one memory format
        "convert_conv3d_weight_memory_format",
    }
