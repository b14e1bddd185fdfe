"""What every optimizer can do: groups, state, hooks, errors, and not disturbing autograd."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn, optim


def filled(*shape, value=1.0):
    p = tl.full(shape, value).requires_grad_()
    p.grad = tl.ones(*shape)
    return p


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_first_step_goes_against_the_gradient(name):
    p = filled(3)
    getattr(optim, name)([p], lr=0.1, weight_decay=0.0).step()
    np.testing.assert_allclose(p.tolist(), [0.9] * 3, rtol=1e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_state_dict_has_pytorchs_layout_and_travels_both_ways(name):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    options = dict(lr=0.05, **({"momentum": 0.9} if name == "SGD" else {"amsgrad": True}))
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(s).astype(np.float32) for s in ((3, 2), (20_000,), (2,))]

    def make():
        ours = [tl.from_numpy(a.copy()).requires_grad_() for a in start]
        theirs = [torch.tensor(a, requires_grad=True) for a in start]
        return (
            ours,
            theirs,
            getattr(optim, name)(ours, **options),
            getattr(torch.optim, name)(theirs, **options),
        )

    def advance(*pairs, seed):
        rng = np.random.default_rng(seed)
        for _ in range(5):
            grads = [rng.standard_normal(a.shape).astype(np.float32) for a in start]
            for params, optimizer, make_tensor in pairs:
                for p, g in zip(params, grads, strict=True):
                    p.grad = make_tensor(g.copy())
                optimizer.step()

    ours, theirs, mine, reference = make()
    advance((ours, mine, tl.from_numpy), (theirs, reference, torch.tensor), seed=1)
    a, b = mine.state_dict(), reference.state_dict()
    assert a["param_groups"] == b["param_groups"]
    assert {k: list(v) for k, v in a["state"].items()} == {
        k: list(v) for k, v in b["state"].items()
    }
    for k, entry in a["state"].items():
        for key, value in entry.items():
            assert str(value.dtype).split(".")[1] == str(b["state"][k][key].dtype).split(".")[1]
            np.testing.assert_allclose(
                value.numpy(), b["state"][k][key].numpy(), rtol=1e-5, atol=1e-6
            )

    def convert(state_dict, make_tensor):
        state = {
            k: {key: make_tensor(np.array(value.numpy())) for key, value in entry.items()}
            for k, entry in state_dict["state"].items()
        }
        return {"state": state, "param_groups": state_dict["param_groups"]}

    # Ours resumes from PyTorch's state, PyTorch's from ours.
    mine2, reference2 = (
        getattr(optim, name)(ours, lr=1.0),
        getattr(torch.optim, name)(theirs, lr=1.0),
    )
    mine2.load_state_dict(convert(b, tl.from_numpy))
    reference2.load_state_dict(convert(a, torch.from_numpy))
    advance((ours, mine2, tl.from_numpy), (theirs, reference2, torch.tensor), seed=2)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_state_is_a_view_that_the_user_may_change():
    p, q = filled(2), filled(3)
    optimizer = optim.SGD([p, q], lr=1.0, momentum=0.5)
    optimizer.step()
    optimizer.state[p]["momentum_buffer"].zero_()
    optimizer.step()
    assert p.tolist() == [-1.0, -1.0]  # 1 - 1 - 1
    assert q.tolist() == [-1.5] * 3  # 1 - 1 - 1.5


def test_state_that_the_user_replaced_is_used():
    p, q = filled(2), filled(3)
    optimizer = optim.SGD([p, q], lr=1.0, momentum=0.5)
    optimizer.step()
    optimizer.state[p]["momentum_buffer"] = tl.full((2,), 10.0)
    optimizer.state[q]["momentum_buffer"].data = tl.full((3,), 20.0)
    optimizer.step()
    assert p.tolist() == [-6.0, -6.0]  # 0 - (5 + 1)
    assert q.tolist() == [-11.0] * 3
    optimizer.state.clear()
    optimizer.step()
    assert p.tolist() == [-7.0, -7.0]


def test_parameter_with_new_data_is_stepped():
    p, q = filled(2), filled(3)
    optimizer = optim.SGD([p, q], lr=1.0)
    optimizer.step()
    p.data = tl.full((2,), 5.0)
    optimizer.step()
    assert p.tolist() == [4.0, 4.0]
    assert q.tolist() == [-1.0] * 3


def test_values_can_be_loaded_into_the_model_between_steps():
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    for p in model.parameters():
        p.grad = tl.zeros_like(p)
    optimizer.step()
    model.load_state_dict({"weight": tl.ones(2, 3), "bias": tl.zeros(2)})
    optimizer.step()
    assert model.weight.tolist() == [[1.0] * 3] * 2


def test_groups_have_their_own_settings():
    p, q = filled(2), filled(2)
    optimizer = optim.SGD([{"params": [p]}, {"params": q, "lr": 0.5}], lr=0.1)
    optimizer.step()
    np.testing.assert_allclose(p.tolist(), [0.9, 0.9], rtol=1e-6)
    assert q.tolist() == [0.5, 0.5]
    r = filled(1)
    optimizer.add_param_group({"params": [r], "lr": 1.0})
    optimizer.step()
    assert r.tolist() == [0.0]
    assert optimizer.param_groups[2]["momentum"] == 0


def test_named_parameters():
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="with/without names"):
        optimizer.add_param_group({"params": [filled(1)]})


def test_closure_runs_with_gradients_on():
    p = tl.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tl.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 4.0
    np.testing.assert_allclose(p.item(), 1.6, rtol=1e-6)


def test_step_is_noticed_by_autograd():
    """A step between forward and backward makes saved parameters stale; that must be an error."""
    p = tl.tensor([2.0], requires_grad=True)
    p.grad = tl.ones(1)
    loss = (p * p).sum()
    before = p._version
    optim.SGD([p], lr=0.1).step()
    assert p._version == before + 1
    assert p.requires_grad
    assert p.is_leaf
    assert p.grad_fn is None
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_step_leaves_gradients_alone():
    p = filled(30_000)  # updated in place, without gathering
    optim.Adam([p], maximize=True, weight_decay=0.1).step()
    assert p.grad.tolist() == [1.0] * 30_000


def test_zero_grad():
    p = filled(2)
    optimizer = optim.SGD([p], lr=0.1)
    grad = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is grad
    assert grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()  # nothing to do
    assert p.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("through", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_go_on_alike(through):
    p = filled(3)
    optimizer = optim.Adam([p], lr=0.1)
    optimizer.step()
    other = through(optimizer)
    q = other.param_groups[0]["params"][0]
    assert q is not p
    p.grad, q.grad = tl.full((3,), 2.0), tl.full((3,), 2.0)
    optimizer.step()
    other.step()
    assert p.tolist() == q.tolist()
    assert other.state[q]["step"].item() == 2


def test_step_hooks():
    calls = []
    p = filled(1)
    optimizer = optim.SGD([p], lr=0.1)
    pre = optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append(("pre", o, args)))
    post = optimizer.register_step_post_hook(
        lambda o, args, kwargs: calls.append(("post", o, args))
    )
    optimizer.step()
    assert [(name, o is optimizer, args) for name, o, args in calls] == [
        ("pre", True, (optimizer,)),
        ("post", True, (optimizer,)),
    ]
    pre.remove()
    post.remove()
    calls.clear()
    with optim.optimizer.register_optimizer_step_post_hook(lambda o, a, k: calls.append("all")):
        optimizer.step()
    optimizer.step()
    assert calls == ["all"]


def test_own_optimizer_with_hooks():
    class SignSGD(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @tl.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.add_(p.grad.sign(), alpha=-group["lr"])

    p = filled(2)
    calls = []
    optimizer = SignSGD([p], lr=0.5)
    optimizer.register_step_post_hook(lambda *args: calls.append(1))
    optimizer.step()
    assert p.tolist() == [0.5, 0.5]
    assert calls == [1]


def test_state_dict_hooks():
    optimizer = optim.SGD([filled(1)], lr=0.1)
    optimizer.register_state_dict_post_hook(lambda o, sd: {**sd, "note": "hello"})
    saved = optimizer.state_dict()
    assert saved["note"] == "hello"
    seen = []
    optimizer.register_load_state_dict_pre_hook(lambda o, sd: seen.append(sd["note"]))
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("done"))
    optimizer.load_state_dict(saved)
    assert seen == ["hello", "done"]


def test_loading_does_not_share_memory():
    p, q = filled(2), filled(2)
    a, b = optim.SGD([p], lr=1.0, momentum=0.9), optim.SGD([q], lr=1.0, momentum=0.9)
    a.step()
    b.load_state_dict(a.state_dict())
    b.step()
    assert a.state[p]["momentum_buffer"].tolist() == [1.0, 1.0]
    np.testing.assert_allclose(b.state[q]["momentum_buffer"].tolist(), [1.9, 1.9], rtol=1e-6)


def test_old_checkpoints_with_plain_step_numbers():
    p = filled(2)
    optimizer = optim.Adam([p], lr=0.1)
    optimizer.step()
    saved = optimizer.state_dict()
    saved["state"][0]["step"] = 1
    other = optim.Adam([filled(2)], lr=0.1)
    other.load_state_dict(saved)
    other.step()
    assert next(iter(other.state.values()))["step"].item() == 2


def test_repr_is_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    ours = optim.Adam([{"params": [filled(1)]}, {"params": [filled(1)], "lr": 1.0}])
    theirs = torch.optim.Adam(
        [{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": 1.0}]
    )
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optim.SGD([], lr=1), ValueError, "empty parameter list"),
        (lambda: optim.SGD(filled(1), lr=1), TypeError, "should be an iterable of Tensors"),
        (
            lambda: optim.SGD([3], lr=1),
            TypeError,
            "can only optimize Tensors, but one of the params is int",
        ),
        (lambda: optim.SGD([filled(1) * 2], lr=1), ValueError, "can't optimize a non-leaf Tensor"),
        (lambda: optim.SGD([{"params": {filled(1)}}], lr=1), TypeError, "ordered collections"),
        (lambda: optim.SGD([filled(1)], lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda: optim.SGD([filled(1)], momentum=-1), ValueError, "Invalid momentum value"),
        (lambda: optim.SGD([filled(1)], weight_decay=-1), ValueError, "Invalid weight_decay value"),
        (lambda: optim.SGD([filled(1)], nesterov=True), ValueError, "Nesterov momentum requires"),
        (
            lambda: optim.SGD([filled(1)], foreach=True, fused=True),
            RuntimeError,
            "cannot be `True` together",
        ),
        (
            lambda: optim.Adam([filled(1)], betas=(1.0, 0.9)),
            ValueError,
            "Invalid beta parameter at index 0",
        ),
        (
            lambda: optim.Adam([filled(1)], betas=(0, 0.9)),
            ValueError,
            "both floats or both Tensors",
        ),
        (lambda: optim.Adam([filled(1)], eps=-1), ValueError, "Invalid epsilon value"),
        (lambda: optim.Adam([filled(1)], lr=tl.ones(2)), ValueError, "Tensor lr must be 1-element"),
    ],
)
def test_bad_settings(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_parameter_in_two_groups_is_refused():
    p = filled(1)
    optimizer = optim.SGD([p], lr=0.1)
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": [p]})
    with pytest.raises(TypeError, match="param_group must be a dict"):
        optimizer.add_param_group([p])


def test_loading_a_state_that_does_not_fit():
    optimizer = optim.SGD([filled(1)], lr=0.1)
    two = optim.SGD([filled(1), filled(1)], lr=0.1)
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        optimizer.load_state_dict(two.state_dict())
    two.add_param_group({"params": [filled(1)]})
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optimizer.load_state_dict(two.state_dict())


def test_tensor_learning_rate():
    p = filled(2)
    optimizer = optim.SGD([p], lr=tl.tensor(0.5))
    optimizer.step()
    assert p.tolist() == [0.5, 0.5]
