"""inspect.gradients: what is recorded, and that nothing else changes."""

from __future__ import annotations

import json
import weakref

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import _apply, nn
from tensorlab.inspect import gradients
from tensorlab.inspect._statistics import EDGES, sample, summaries, zeros
from tensorlab.nn import functional as F
from tensorlab.nn.modules import _hooks
from tensorlab.optim import LBFGS, SGD, Adam
from tensorlab.optim import optimizer as optimizers


def model_and_data():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    return model, tl.randn(32, 6), tl.randint(0, 3, (32,))


def global_norm(norms: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(norms).sum(axis=1))


def test_numbers_are_those_of_the_gradients() -> None:
    model, x, y = model_and_data()
    optimizer = SGD(model.parameters(), lr=0.1)
    expected = {
        "norm": [],
        "mean": [],
        "std": [],
        "zeros": [],
        "update_ratio": [],
        "weight_norm": [],
    }
    losses = []
    with gradients(model, every=1) as recorder:
        for _ in range(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            losses.append(loss.item())
            loss.backward()
            grads = [p.grad.numpy().copy() for p in model.parameters()]
            before = [p.detach().numpy().copy() for p in model.parameters()]
            optimizer.step()
            after = [p.detach().numpy() for p in model.parameters()]
            expected["norm"].append([np.linalg.norm(g) for g in grads])
            expected["mean"].append([g.mean() for g in grads])
            expected["std"].append([g.std() for g in grads])
            expected["zeros"].append([(g == 0).mean() for g in grads])
            expected["weight_norm"].append([np.linalg.norm(w) for w in before])
            expected["update_ratio"].append(
                [np.linalg.norm(b - a) / np.linalg.norm(a) for a, b in zip(before, after, strict=True)]
            )  # fmt: skip
    assert recorder.names == ("0.weight", "0.bias", "2.weight", "2.bias")
    assert recorder.sizes == (48, 8, 24, 3)
    assert recorder.steps.tolist() == [0, 1, 2, 3]
    for name, rows in expected.items():
        np.testing.assert_allclose(recorder.series(name), rows, rtol=1e-4, atol=1e-7, err_msg=name)
    np.testing.assert_allclose(recorder.series("raw_norm"), expected["norm"], rtol=1e-5)
    np.testing.assert_allclose(recorder.losses, losses, rtol=1e-6)
    assert (np.nansum(recorder.series("ascent"), axis=1) < 0).all()
    assert recorder.histograms.shape == (4, 4, len(EDGES) - 1)
    assert recorder.histograms.sum(axis=2).tolist() == [list(recorder.sizes)] * 4
    assert recorder.activations == ("1",)
    assert recorder.activation_series("mean").shape == (4, 1)
    with pytest.raises(KeyError, match="no statistic 'size'"):
        recorder.series("size")


def test_training_is_the_same_with_it() -> None:
    found = []
    for watch in (False, True):
        tl.manual_seed(5)
        model, x, y = model_and_data()
        model.append(nn.Dropout(0.3))
        optimizer = Adam(model.parameters(), lr=0.01)
        recorder = gradients(model, every=2) if watch else None
        for _ in range(6):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        if recorder is not None:
            recorder.remove()
            assert recorder.steps.tolist() == [0, 2, 4]
            assert recorder.count == 6
        found.append([p.detach().numpy() for p in model.parameters()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def nothing_left(model: nn.Module) -> bool:
    return not (
        _apply.observers
        or _hooks.global_forward_hooks
        or _hooks.global_forward_pre_hooks
        or optimizers._global_pre_hooks
        or optimizers._global_post_hooks
        or any(p._node is not None and p._node.hooks is not None for p in model.parameters())
    )


def test_it_goes_without_a_trace() -> None:
    model, x, y = model_and_data()
    optimizer = SGD(model.parameters(), lr=0.1)
    recorder = gradients(model, every=1)
    assert not recorder.removed
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    assert not nothing_left(model)
    recorder.remove()
    recorder.remove()
    assert recorder.removed
    assert nothing_left(model)
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    assert recorder.count == 1
    assert recorder.flags() == []
    with pytest.raises(ZeroDivisionError), gradients(model):
        raise ZeroDivisionError
    assert nothing_left(model)


def test_between_sampled_steps_nothing_is_in_the_way() -> None:
    model, x, y = model_and_data()
    optimizer = SGD(model.parameters(), lr=0.1)
    with gradients(model, every=3):
        for step in range(6):
            watched = bool(_apply.observers)
            assert watched == (step % 3 == 0)
            assert any(p._node is not None and p._node.hooks for p in model.parameters()) == watched
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


def test_hooks_of_the_user_stay() -> None:
    model, x, y = model_and_data()
    calls = []
    model[0].weight.register_post_accumulate_grad_hook(lambda p: calls.append(p))
    gradients(model, every=1).remove()
    F.cross_entropy(model(x), y).backward()
    assert calls == [model[0].weight]


def test_accumulated_gradients() -> None:
    model, x, y = model_and_data()
    optimizer = SGD(model.parameters(), lr=0.1)
    with gradients(model, every=1) as recorder:
        for _ in range(5):
            optimizer.zero_grad()
            total = 0.0
            for part in range(4):
                rows = slice(8 * part, 8 * part + 8)
                loss = F.cross_entropy(model(x[rows]), y[rows]) / 4
                total += loss.item()
                loss.backward()
            whole = [np.linalg.norm(p.grad.numpy()) for p in model.parameters()]
            optimizer.step()
            np.testing.assert_allclose(recorder.series("norm")[-1], whole, rtol=1e-5)
            np.testing.assert_allclose(recorder.series("raw_norm")[-1], whole, rtol=1e-5)
            assert recorder.losses[-1] == pytest.approx(total, rel=1e-5)
    assert recorder.count == 5
    assert recorder.activations == ("1",)
    assert recorder.flags() == []


@pytest.mark.parametrize("how", ["scaler", "number"])
def test_loss_scaling_and_clipping(how: str) -> None:
    model, x, y = model_and_data()
    optimizer = SGD(model.parameters(), lr=0.1)
    scaler = tl.amp.GradScaler("cpu", init_scale=2.0**16) if how == "scaler" else 2.0**16
    with gradients(model, every=1, scaler=scaler) as recorder:
        for _ in range(5):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            grads = tl.autograd.grad(loss, list(model.parameters()), retain_graph=True)
            plain = [np.linalg.norm(g.numpy()) for g in grads]
            if how == "scaler":
                scaler.scale(loss).backward()
                scaler.unscale_(optimizer)
            else:
                (loss * scaler).backward()
                for p in model.parameters():
                    p.grad.div_(scaler)
            nn.utils.clip_grad_norm_(model.parameters(), 0.01)
            if how == "scaler":
                scaler.step(optimizer)
                scaler.update()
            else:
                optimizer.step()
            np.testing.assert_allclose(recorder.series("raw_norm")[-1], plain, rtol=1e-4)
            assert recorder.losses[-1] == pytest.approx(loss.item(), rel=1e-5)
    np.testing.assert_allclose(global_norm(recorder.series("norm")), 0.01, rtol=1e-3)
    assert recorder.flags() == []


def test_a_step_that_the_scaler_skips_is_no_step() -> None:
    model, x, y = model_and_data()
    optimizer = SGD(model.parameters(), lr=0.1)
    scaler = tl.amp.GradScaler("cpu", init_scale=2.0**10)
    losses = []
    with np.errstate(all="ignore"), gradients(model, every=1, scaler=scaler) as recorder:
        for step in range(6):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            if step == 2:
                model[0].weight.grad[0, 0] = float("inf")  # what an overflow leaves
            else:
                losses.append(loss.item())
            scaler.step(optimizer)
            scaler.update()
    assert recorder.count == 5
    np.testing.assert_allclose(recorder.losses, losses, rtol=1e-5)
    assert recorder.flags() == []


def test_two_optimizers_and_a_stranger() -> None:
    model, x, y = model_and_data()
    other = nn.Linear(6, 3)
    first, second = SGD(model[0].parameters(), lr=0.1), SGD(model[2].parameters(), lr=0.1)
    stranger = SGD(other.parameters(), lr=0.1)
    with gradients(model, every=1) as recorder:
        for _ in range(4):
            for optimizer in (first, second, stranger):
                optimizer.zero_grad()
            (F.cross_entropy(model(x), y) + F.cross_entropy(other(x), y)).backward()
            for optimizer in (stranger, first, second):
                optimizer.step()
    assert recorder.count == 8
    known = ~np.isnan(recorder.series("norm"))
    assert known[0].tolist() == [True, True, False, False]
    assert known[1].tolist() == [False, False, True, True]
    assert [flag.kind for flag in recorder.flags()] == []


def test_a_closure_that_the_optimizer_calls() -> None:
    model, x, y = model_and_data()
    optimizer = LBFGS(model.parameters(), lr=0.1, max_iter=2)

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    with gradients(model, every=1) as recorder:
        for _ in range(4):
            optimizer.step(closure)
    assert recorder.count == 4
    assert np.isfinite(recorder.series("norm")).all()
    assert (recorder.series("update_norm") > 0).any()
    assert recorder.flags() == []


def test_a_graph_that_is_never_read_is_not_kept() -> None:
    model, x, _ = model_and_data()
    with gradients(model, every=1):
        loss = model(x).sum()
        node = weakref.ref(loss.grad_fn)
        del loss
        assert node() is None


def test_a_gradient_penalty_is_no_loss_of_its_own() -> None:
    model, x, y = model_and_data()
    model[1] = nn.Tanh()
    optimizer = SGD(model.parameters(), lr=0.01)
    losses = []
    with gradients(model, every=1) as recorder:
        for _ in range(4):
            optimizer.zero_grad()
            inputs = x.clone().requires_grad_()
            score = model(inputs).sum()
            (slope,) = tl.autograd.grad(score, inputs, create_graph=True)
            loss = F.cross_entropy(model(x), y) + slope.square().sum()
            losses.append(loss.item())
            loss.backward()
            optimizer.step()
    np.testing.assert_allclose(recorder.losses, losses, rtol=1e-6)
    assert recorder.flags() == []


def test_two_networks_that_train_each_other() -> None:
    """A discriminator gets gradients in the generator's pass, and is zeroed before its own."""
    generator, critic = nn.Linear(4, 6), nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    first, second = SGD(critic.parameters(), lr=0.01), SGD(generator.parameters(), lr=0.01)
    real, noise = tl.randn(16, 6), tl.randn(16, 4)
    yes, no = tl.ones(16, 1), tl.zeros(16, 1)
    with gradients(critic, every=1) as watched, gradients(generator, every=1) as other:
        for _ in range(12):
            first.zero_grad()
            F.binary_cross_entropy_with_logits(critic(real), yes).backward()
            F.binary_cross_entropy_with_logits(critic(generator(noise).detach()), no).backward()
            first.step()
            second.zero_grad()
            F.binary_cross_entropy_with_logits(critic(generator(noise)), yes).backward()
            second.step()
    assert watched.count == other.count == 12
    assert watched.flags() == []
    assert other.flags() == []


def test_an_update_by_hand() -> None:
    model, x, y = model_and_data()
    with gradients(model, every=2) as recorder:
        for _ in range(5):
            model.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            recorder.step()
            with tl.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad
    assert recorder.steps.tolist() == [0, 2, 4]
    assert np.isfinite(recorder.series("norm")).all()
    assert recorder.losses.shape == (3,)
    assert np.isfinite(recorder.losses).all()


def test_memory_is_bounded_and_the_whole_run_is_covered() -> None:
    model, x, y = model_and_data()
    optimizer = SGD(model.parameters(), lr=0.01)
    with gradients(model, every=1, most=16, activations=False) as recorder:
        for _ in range(200):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    steps = recorder.steps
    assert len(steps) <= 16
    assert steps[0] == 0
    assert steps[-1] == 199
    assert (np.diff(steps) > 0).all()
    assert recorder.series("norm").shape == (len(steps), 4)
    assert recorder.histograms.shape[0] == len(recorder.losses) == len(steps)


@pytest.mark.parametrize("compiled", [0.0, 500.0])
@pytest.mark.parametrize("cost", [0.3, 1.0, 3.0], ids=lambda cost: f"a look takes {cost} steps")
def test_without_a_number_it_looks_early_and_then_rarely(
    cost: float, compiled: float, monkeypatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    model, x, y = model_and_data()
    optimizer = SGD(model.parameters(), lr=0.01)
    spent = {}
    with gradients(model) as recorder:
        for step in range(1, 1201):
            clock[0] += 1.0 + cost if _apply.observers else 1.0
            clock[0] += compiled if step == 1 else 0.0  # kernels are
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            spent[step] = cost * len(recorder.steps) / step
    steps = recorder.steps.tolist()
    assert recorder.count == 1200
    assert steps[0] == 0
    assert steps[1] <= 32 if compiled else steps[1] == pytest.approx(cost / 0.03, abs=1)
    for step in (50, 100, 150, 300, 1200):
        # The first look is made whatever it costs; and the second soon, if the first one's cost is not known.
        assert spent[step] <= 0.03 + (1.5 if compiled else 1.0) * cost / step, step
    assert 0.01 <= spent[1200] <= 0.03
    assert max(np.diff(steps[1:])) <= cost / 0.02 + 1


def histogram(values: np.ndarray) -> np.ndarray:
    return summaries([values])[2][0]


def test_histogram_bins() -> None:
    values = np.array([0.0, 1e-30, 0.5, 0.9, -3.0, 1e9, -1e9, np.inf, np.nan], np.float32)
    with np.errstate(all="ignore"):
        counts = histogram(values)
    assert len(counts) == len(EDGES) - 1
    for i, count in enumerate(counts):
        inside = [v for v in values if np.isfinite(v) and EDGES[i] <= v < EDGES[i + 1]]
        inside += [v for v in values if v < 0 and v == EDGES[i + 1]]  # nearer to zero on both sides
        assert count == len(inside), (EDGES[i], EDGES[i + 1])
    assert counts.sum() == 7
    assert histogram(values[:6].astype(np.float64)).sum() == 6
    rng = np.random.default_rng(0)
    many = rng.normal(size=5000).astype(np.float32)
    np.testing.assert_array_equal(histogram(many)[::-1], histogram(-many))
    expected = np.histogram(many, bins=np.clip(EDGES, -1e38, 1e38))[0]
    np.testing.assert_array_equal(histogram(many), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_that_are_summed_up_together_do_not_mix(dtype, rng) -> None:
    sizes = [5, 0, 1, 4000, 0, 37]
    samples = [(rng.normal(3.0 * i, 10.0**-i, size=n)).astype(dtype) for i, n in enumerate(sizes)]
    means, stds, histograms = summaries(samples)
    for i, each in enumerate(samples):
        np.testing.assert_array_equal(histograms[i], histogram(each))
        if each.size == 0:
            assert np.isnan([means[i], stds[i]]).all()
            continue
        assert means[i] == pytest.approx(each.mean(dtype=np.float64))
        assert stds[i] == pytest.approx(each.std(dtype=np.float64), rel=1e-4, abs=1e-7)
    means, stds, histograms = summaries([np.empty(0, dtype)])
    assert np.isnan(means).all()
    assert not histograms.any()


def test_the_share_of_zeros() -> None:
    assert zeros(np.array([0.0, -0.0, 1e-40, np.nan], np.float32)) == 0.5
    assert zeros(np.empty((0, 3), np.float32)) == 0.0


@pytest.mark.parametrize("dtype", [tl.float16, tl.bfloat16, tl.float64])
def test_other_types(dtype) -> None:
    model, x, y = model_and_data()
    model.to(dtype)
    optimizer = SGD(model.parameters(), lr=0.1)
    with gradients(model, every=1) as recorder:
        for _ in range(5):
            optimizer.zero_grad()
            F.cross_entropy(model(x.to(dtype)), y).backward()
            optimizer.step()
    assert np.isfinite(recorder.series("norm")).all()
    assert recorder.flags() == []


def test_a_large_gradient_is_sampled_over_all_its_columns() -> None:
    model = nn.Linear(4096, 16)
    optimizer = SGD(model.parameters(), lr=0.1)
    with gradients(model, every=1) as recorder:
        model(tl.randn(8, 4096)).square().mean().backward()
        optimizer.step()
    assert recorder.histograms[0, 0].sum() <= 4096
    g = model.weight.grad.numpy()
    assert recorder.series("norm")[0, 0] == pytest.approx(np.linalg.norm(g), rel=1e-5)
    assert recorder.series("std")[0, 0] == pytest.approx(g.std(), rel=0.1)


def test_a_sample_sees_every_column() -> None:
    columns = np.tile(np.arange(2048, dtype=np.float32), (16, 1))
    assert len(np.unique(sample(columns))) > 1900
    assert sample(columns).size <= 4096
    assert len(sample(np.ones(4096, np.float32))) == 4096


def test_a_unit_that_wakes_now_and_then_is_not_dead() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with tl.no_grad():
        model[0].weight.copy_(tl.tensor([[1.0, 0.0], [0.0, 1.0]]))
        model[0].bias.zero_()
    optimizer = SGD(model.parameters(), lr=0.0)
    x = tl.ones(100, 2)
    with gradients(model, every=1) as recorder:
        for step in range(12):
            x[:, 0] = (
                1.0 if step % 3 == 2 else -1.0
            )  # the first unit is 0 for 200 examples in a row
            x[:, 1] = -1.0  # the second always
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    dead = recorder.activation_series("dead")[:, 0].tolist()
    assert dead == [0.0, 0.0, *[0.5] * 10]


def test_saturated_values() -> None:
    model = nn.Sequential(nn.Sigmoid(), nn.Tanh(), nn.Hardtanh(), nn.Linear(4, 1))
    optimizer = SGD(model.parameters(), lr=0.0)
    with gradients(model, every=1) as recorder:
        x = tl.tensor([[-9.0, 0.0, 1.0, 9.0]], requires_grad=True)
        (model[0](x).sum() + model[1](x).sum() + model[2](x).sum()).backward()
        model[3](x).sum().backward()
        optimizer.step()
    assert recorder.activations == ("0", "1", "2")
    assert recorder.activation_series("saturated").tolist() == [[0.5, 0.5, 0.75]]


def test_to_dict() -> None:
    model, x, y = model_and_data()
    optimizer = SGD(model[0].parameters(), lr=0.1)
    with gradients(model, every=1) as recorder:
        for _ in range(4):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    document = json.loads(json.dumps(recorder.to_dict(), allow_nan=False))
    assert document["schema"] == "tensorlab.gradients/1"
    assert document["statistics"]["norm"][0][2] is None
    assert len(document["edges"]) == len(EDGES) - 2
    assert document["activations"]["names"] == ["1"]
    assert [flag["kind"] for flag in document["flags"]] == ["frozen"]
    with gradients(model) as untouched:
        assert untouched.to_dict()["steps"] == []


def test_what_is_refused() -> None:
    with pytest.raises(TypeError, match="expects a module, got int"):
        gradients(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="every must be"):
        gradients(nn.Linear(1, 1), every=0)
    with pytest.raises(ValueError, match="at least 8"):
        gradients(nn.Linear(1, 1), most=2)
