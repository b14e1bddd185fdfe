"""What holds of every optimizer alike: signatures, files, precisions, options that are refused."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import optim

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

ELEMENTWISE = [
    "ASGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
]
ALL = [*ELEMENTWISE, "Adafactor", "Muon"]
MORE = {"SGD": {"momentum": 0.9, "lr": 0.01}, "RMSprop": {"momentum": 0.5, "centered": True}}
OPTIONS = {name: MORE.get(name, {}) for name in ALL}
SHAPES = [(3, 4), (5, 2), (30, 30)]


def signature(function):
    """Names, kinds and defaults."""
    return [
        (p.name, p.kind, repr(p.default).replace("tensorlab.", "torch."))
        for p in inspect.signature(function).parameters.values()
    ]


def public(module):
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isclass(thing) or (
            callable(thing) and name != "swap_in_optimizer_params_and_state"
        ):
            yield name, thing


@pytest.mark.parametrize("module", ["optim", "optim.lr_scheduler", "optim.swa_utils", "amp"])
def test_signatures(module):
    ours, theirs = tl, torch
    for part in module.split("."):
        ours, theirs = getattr(ours, part), getattr(theirs, part)
    for name, thing in public(theirs):
        if name == "SparseAdam":  # there are no sparse gradients
            continue
        mine = getattr(ours, name)
        if not inspect.isclass(thing):
            assert signature(mine) == signature(thing), name
            continue
        assert signature(mine.__init__) == signature(thing.__init__), name
        for method, function in vars(thing).items():
            if not method.startswith("_") and inspect.isfunction(function):
                if method in ("share_memory", "anneal_func"):
                    continue  # of processes that share tensors; of the schedule's insides
                assert signature(getattr(mine, method)) == signature(function), (name, method)


def pairs(dtype="float32", shapes=SHAPES, seed=11):
    rng = np.random.default_rng(seed)
    start = [rng.standard_normal(s) for s in shapes]
    return (
        [tl.tensor(a, dtype=getattr(tl, dtype)).requires_grad_() for a in start],
        [torch.tensor(a, dtype=getattr(torch, dtype)).requires_grad_() for a in start],
    )


def advance(ours, theirs, optimizers, steps, seed=5, scale=1.0):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        for p, q in zip(ours, theirs, strict=True):
            g = rng.standard_normal(p.shape) * scale
            p.grad, q.grad = tl.tensor(g, dtype=p.dtype), torch.tensor(g, dtype=q.dtype)
        for optimizer in optimizers:
            optimizer.step()


def make(name, ours, theirs, **more):
    options = {**OPTIONS[name], **more}
    return getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)


def assert_same(ours, theirs, **tolerance):
    for p, q in zip(ours, theirs, strict=True):
        a, b = p.detach().double().numpy(), q.detach().double().numpy()
        np.testing.assert_allclose(a, b, **tolerance)


@pytest.mark.parametrize("name", ALL)
def test_states_travel_in_files(name, tmp_path):
    """Saved by either and loaded by the other, which goes on alike."""
    ours, theirs = pairs()
    optimizer, reference = make(name, ours, theirs)
    advance(ours, theirs, (optimizer, reference), 7)
    tl.save(optimizer.state_dict(), tmp_path / "ours.pt")
    torch.save(reference.state_dict(), tmp_path / "theirs.pt")
    optimizer2, reference2 = make(name, ours, theirs, lr=0.5)
    optimizer2.load_state_dict(tl.load(tmp_path / "theirs.pt"))
    reference2.load_state_dict(torch.load(tmp_path / "ours.pt"))
    advance(ours, theirs, (optimizer2, reference2), 7, seed=6)
    tolerance = 2e-4 if name == "Muon" else 1e-5
    assert_same(ours, theirs, rtol=tolerance, atol=tolerance)
    a, b = optimizer2.state_dict(), reference2.state_dict()
    assert a["param_groups"] == b["param_groups"]
    for mine, reference_state in zip(a["state"].values(), b["state"].values(), strict=True):
        assert list(mine) == list(reference_state)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["Adam", "AdamW", "Adagrad"])  # PyTorch's SGD then stands still
def test_low_precision_as_pytorchs_fused_steps(name, dtype):
    """Computed in float32 and rounded once, so both agree to a rounding."""
    ours, theirs = pairs(dtype)
    optimizer, reference = make(name, ours, theirs, fused=True)
    advance(ours, theirs, (optimizer, reference), 20)
    step = {"float16": 2**-10, "bfloat16": 2**-7}[dtype]
    assert_same(ours, theirs, rtol=2 * step, atol=step / 4)
    for p, q in zip(ours, theirs, strict=True):
        for key, value in reference.state[q].items():
            assert str(optimizer.state[p][key].dtype)[10:] == str(value.dtype)[6:], key


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ALL)
def test_low_precision_follows_float32(name, dtype):
    ours, _ = pairs(dtype)
    wide, _ = pairs()
    for p, q in zip(ours, wide, strict=True):
        with tl.no_grad():
            q.copy_(p)
    more = {"eps": 1e-4} if name in ("Adadelta", "Adamax", "NAdam", "RAdam", "RMSprop") else {}
    more = {"eps": 1e-4} if name in ("Adam", "AdamW", "Adagrad") else more
    first = getattr(optim, name)(ours, **{**OPTIONS[name], **more})
    second = getattr(optim, name)(wide, **{**OPTIONS[name], **more})
    advance(ours, wide_grads(wide), (first, second), 10, scale=0.5)
    step = {"float16": 2**-10, "bfloat16": 2**-7}[dtype]
    for p, q in zip(ours, wide, strict=True):
        assert p.dtype is getattr(tl, dtype)
        error = (p.detach().float() - q.detach()).abs().max().item()
        assert error < 40 * step, error


class wide_grads:
    """Stands in for PyTorch's parameters in `advance`: ours, in float32."""

    def __init__(self, params):
        self.params = params

    def __iter__(self):
        return iter([_Receiver(p) for p in self.params])


class _Receiver:
    dtype = torch.float32

    def __init__(self, param):
        object.__setattr__(self, "param", param)

    def __setattr__(self, name, value):
        self.param.grad = tl.tensor(value.numpy())


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_complex_parameters_of_every_optimizer(name):
    rng = np.random.default_rng(3)
    start = rng.standard_normal((5, 2)) + 1j * rng.standard_normal((5, 2))
    p, q = tl.from_numpy(start.copy()).requires_grad_(), torch.tensor(start, requires_grad=True)
    optimizer, reference = make(name, [p], [q])
    for _ in range(10):
        g = rng.standard_normal((5, 2)) + 1j * rng.standard_normal((5, 2))
        p.grad, q.grad = tl.from_numpy(g.copy()), torch.tensor(g)
        optimizer.step()
        reference.step()
    np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_rates_that_are_tensors(name):
    ours, theirs = pairs("float64")
    optimizer = getattr(optim, name)(ours, lr=tl.tensor(0.01, dtype=tl.float64))
    reference = getattr(torch.optim, name)(theirs, lr=torch.tensor(0.01, dtype=torch.float64))
    advance(ours, theirs, (optimizer, reference), 5)
    assert_same(ours, theirs, rtol=1e-3 if name == "Muon" else 1e-10, atol=1e-4)
    for library in (tl, torch):
        with pytest.raises(ValueError, match="Tensor lr must be 1-element"):
            getattr(library.optim, name)([library.zeros(2, 2)], lr=library.ones(2))


@pytest.mark.parametrize("name", [n for n in ELEMENTWISE if n not in ("SGD", "Adagrad")])
def test_capturable_needs_cuda(name):
    for library in (tl, torch):
        p = library.ones(2, requires_grad=True)
        p.grad = library.ones(2)
        optimizer = getattr(library.optim, name)([p], capturable=True)
        with pytest.raises(AssertionError, match="If capturable=True, params"):
            optimizer.step()


def test_fused_needs_real_numbers():
    for library in (tl, torch):
        p = library.ones(2, dtype=library.complex64, requires_grad=True)
        p.grad = library.ones(2, dtype=library.complex64)
        with pytest.raises(RuntimeError, match="`fused=True` requires all the params"):
            library.optim.Adam([p], fused=True).step()


@pytest.mark.parametrize(
    "options",
    [
        {"lr": "tensor", "foreach": True},
        {"betas": ("tensor", "tensor"), "foreach": True},
        {"betas": (0.9, "tensor")},
    ],
    ids=str,
)
def test_tensors_as_settings_of_adam(options):
    def filled(library, value):
        if isinstance(value, tuple):
            return tuple(filled(library, v) for v in value)
        return library.tensor(0.5) if value == "tensor" else value

    messages = []
    for library in (torch, tl):
        with pytest.raises(ValueError, match=".") as caught:
            library.optim.Adam(
                [library.zeros(1)], **{k: filled(library, v) for k, v in options.items()}
            )
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_adagrads_sums_begin_with_the_optimizer():
    ours, theirs = pairs("complex64")
    optimizer, reference = make("Adagrad", ours, theirs, initial_accumulator_value=0.5)
    extra = tl.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    for p, q in zip(ours, theirs, strict=True):
        assert optimizer.state[p]["sum"].tolist() == reference.state[q]["sum"].tolist()
        assert optimizer.state[p]["step"].item() == 0
    optimizer.add_param_group({"params": extra[0], "initial_accumulator_value": 2.0})
    assert optimizer.state[extra[0]]["sum"].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("name", ["Adam", "NAdam", "ASGD"])
def test_numbers_that_the_user_changed_are_used(name):
    """Of one parameter among several that are updated together."""
    ours, theirs = pairs("float64")
    optimizer, reference = make(name, ours, theirs, lr=0.1)
    advance(ours, theirs, (optimizer, reference), 3)
    for made, p in ((optimizer, ours[1]), (reference, theirs[1])):
        for key in optimizer.number_names:
            made.state[p][key].fill_(0.25 if key != "step" else 40)
    advance(ours, theirs, (optimizer, reference), 3)
    assert_same(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_checkpoints_from_before_some_settings_existed(name):
    ours, theirs = pairs()
    optimizer, reference = make(name, ours, theirs)
    advance(ours, theirs, (optimizer, reference), 2)
    saved = [optimizer.state_dict(), reference.state_dict()]
    later = ("foreach", "maximize", "differentiable", "capturable", "fused", "nesterov")
    for state_dict in saved:
        for group in state_dict["param_groups"]:
            for key in (*later, "amsgrad", "decoupled_weight_decay"):
                group.pop(key, None)
        for values in state_dict["state"].values():
            for key in optimizer.number_names:
                values[key] = float(values[key])
    optimizer, reference = make(name, ours, theirs)
    optimizer.load_state_dict(saved[0])
    reference.load_state_dict(saved[1])
    groups = optimizer.param_groups[0], reference.param_groups[0]
    for key in later:
        assert bool(groups[0].get(key)) == bool(groups[1].get(key))
    advance(ours, theirs, (optimizer, reference), 2)
    assert_same(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [*ALL, "LBFGS"])
def test_steps_with_a_closure_and_hooks(name):
    p = tl.ones(2, 2, requires_grad=True)
    frozen = tl.ones(2, 2)
    optimizer = getattr(optim, name)([p, frozen])
    seen = []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("pre"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("post"))

    def closure():
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        seen.append("closure")
        return loss

    with tl.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 4.0
    assert (seen[0], seen[1], seen[-1]) == ("pre", "closure", "post")
    assert (p.detach() != 1).all()
    assert (frozen == 1).all()
    assert list(optimizer.state) == [p] or name in ("SGD", "Adagrad")


def hooked_events(library, load_returns):
    """What happens, in order, when an optimizer with all hooks steps, saves and loads."""
    events = []
    p = library.ones(2, requires_grad=True)
    p.grad = library.ones(2)
    optimizer = library.optim.SGD([p], lr=0.1)
    note = events.append
    optimizer.register_step_pre_hook(lambda o, a, k: note(("pre", len(a), dict(k))))
    optimizer.register_step_pre_hook(
        lambda o, a, k: ((o, *a[1:]), {"closure": lambda: note("run")})
    )
    removed = optimizer.register_step_post_hook(lambda o, a, k: note("never"))
    removed.remove()
    optimizer.register_step_post_hook(lambda o, a, k: note(("post", sorted(k))))
    for first in (False, True):
        optimizer.register_state_dict_pre_hook(
            lambda o, first=first: note(("before saving", first)), prepend=first
        )
        optimizer.register_state_dict_post_hook(
            lambda o, sd, first=first: {**sd, "note": (sd.get("note"), first)}, prepend=first
        )
        optimizer.register_load_state_dict_pre_hook(
            lambda o, sd, first=first: note((first, sd.get("note"))) or load_returns(sd, first),
            prepend=first,
        )
        optimizer.register_load_state_dict_post_hook(
            lambda o, first=first: note(("loaded", first, o.param_groups[0]["lr"])), prepend=first
        )
    optimizer.step()
    saved = optimizer.state_dict()
    note(saved["note"])
    optimizer.load_state_dict(saved)
    note(sorted(saved))
    return events


def test_hooks_run_in_pytorchs_order():
    def louder(state_dict, first):
        if not first:
            return None
        groups = [{**g, "lr": 0.7} for g in state_dict["param_groups"]]
        return {**state_dict, "param_groups": groups, "note": "replaced"}

    assert hooked_events(tl, louder) == hooked_events(torch, louder)
    assert hooked_events(tl, louder)[-2] == ("loaded", False, 0.7)


def test_parameters_that_come_and_go(rng):
    """Frozen for a while, added later, with settings changed on the way: as PyTorch."""
    ours, theirs = pairs(shapes=[(3, 4), (2,), (5, 5), (4,)])
    optimizer, reference = make("Adam", ours[:2], theirs[:2], lr=0.05)
    for i in range(30):
        for k, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            g = rng.standard_normal(p.shape).astype(np.float32)
            active = (i // 5 + k) % 3 != 0
            p.grad = tl.from_numpy(g.copy()) if active else None
            q.grad = torch.tensor(g) if active else None
        if i == 10:
            for made, params in ((optimizer, ours), (reference, theirs)):
                made.add_param_group({"params": params[2:], "lr": 0.01, "betas": (0.5, 0.9)})
        if i == 20:
            for made in (optimizer, reference):
                made.param_groups[0]["amsgrad"] = False
                made.param_groups[1]["weight_decay"] = 0.1
        optimizer.step()
        reference.step()
    assert_same(ours, theirs, rtol=1e-5, atol=1e-6)
    assert optimizer.state_dict()["param_groups"] == reference.state_dict()["param_groups"]
