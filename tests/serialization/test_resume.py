"""A training that is killed, at any step or in the middle of saving, goes on to the same bits."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tensorlab as tl

STEPS = 14

# Everything that a training consists of: dropout and noise draw from the global generator, the
# order of the data from one of its own, and the scale of the loss changes on the way.
PROGRAM = '''
import io, os, sys, time

import tensorlab as tl
from tensorlab import nn, optim
from tensorlab.utils.data import DataLoader, TensorDataset

steps, checkpoint, result, stop_at, stop_where = sys.argv[1:]
steps, stop_at = int(steps), int(stop_at)

tl.manual_seed(1)
model = nn.Sequential(
    nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)
)
optimizer = optim.AdamW(model.parameters(), lr=0.01, amsgrad=True)
schedule = optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=steps)
scaler = tl.amp.GradScaler("cpu", init_scale=2.0**8, growth_interval=3)
averaged = optim.swa_utils.AveragedModel(model)
order = tl.Generator().manual_seed(2)
data = TensorDataset(tl.randn(20, 6), tl.randint(0, 3, (20,)))
loader = DataLoader(data, batch_size=4, shuffle=True, generator=order)
step, batches_done, order_state, losses = 0, 0, order.get_state(), []
parts = {"model": model, "optimizer": optimizer, "schedule": schedule, "scaler": scaler,
         "averaged": averaged}

if os.path.exists(checkpoint):
    saved = tl.load(checkpoint)
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    step, batches_done, losses = saved["step"], saved["batches_done"], saved["losses"]
    order_state = saved["order"]
    tl.set_rng_state(saved["rng"])


def hang(*args, **kwargs):
    print("hanging", flush=True)
    time.sleep(60)


def write_half(file, *args):
    whole = io.BytesIO()
    write_archive(whole, *args)
    file.write(whole.getvalue()[: whole.tell() // 2])
    file.flush()
    hang()


def stop_in_the_next_save():
    """Stand still where the save is neither begun nor done, to be killed there."""
    global write_archive
    if stop_where == "write":
        write_archive = tl.serialization._write_archive
        tl.serialization._write_archive = write_half
    else:  # before all is on the disk; before the file has its name
        setattr(os, stop_where, hang)


while step < steps:
    order.set_state(order_state)  # as it was when this epoch began
    for number, (x, y) in enumerate(loader):
        if number < batches_done:
            continue
        optimizer.zero_grad()
        x = x + 0.1 * tl.randn(*x.shape)
        loss = nn.functional.cross_entropy(model(x), y)
        if step == 5:
            loss = loss * float("inf")  # the scaler leaves this step out
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        schedule.step() if step + 1 < steps else None
        averaged.update_parameters(model)
        losses.append(loss.item())
        step += 1
        batches_done = number + 1
        if batches_done == len(loader):
            order_state, batches_done = order.get_state(), 0
        if step == stop_at:
            stop_in_the_next_save()
        state = {name: part.state_dict() for name, part in parts.items()}
        tl.save(
            {**state, "step": step, "batches_done": batches_done, "losses": losses,
             "order": order_state, "rng": tl.get_rng_state()},
            checkpoint,
        )
        print("step", step, flush=True)
        if step == steps:
            break
os.replace(checkpoint, result)
'''


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """What an uninterrupted run ends with."""
    folder = tmp_path_factory.mktemp("straight")
    assert run(folder) == "done"
    return tl.load(folder / "result.pt")


def run(folder, kill_after=None, stop_at=0, stop_where="write"):
    """Train in a process of its own; killed after a step, or where it hangs in a save."""
    program = folder / "train.py"
    program.write_text(PROGRAM)
    arguments = [STEPS, folder / "checkpoint.pt", folder / "result.pt", stop_at, stop_where]
    command = [sys.executable, str(program), *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.strip() in (f"step {kill_after}", "hanging"):
                process.kill()
                process.wait()
                return "killed"
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    return "done"


def assert_same_bits(a, b, where="state"):
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert list(a) == list(b), where
        for key in a:
            assert_same_bits(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same_bits(x, y, f"{where}[{i}]")
    elif isinstance(a, tl.Tensor):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), where
        assert a.numpy().tobytes() == b.numpy().tobytes(), where
    elif a == a:  # not nan, and not compared by size
        assert repr(a) == repr(b), where


def test_killed_at_random_steps(straight, tmp_path, rng):
    """Killed while at the step after some step, or while saving it; five times at most."""
    kills = sorted({int(k) for k in rng.integers(1, STEPS, 4)})
    for step in kills:
        run(tmp_path, kill_after=step)
        if not (tmp_path / "checkpoint.pt").exists():
            break  # it was faster than the kill
        assert tl.load(tmp_path / "checkpoint.pt")["step"] >= step
    if not (tmp_path / "result.pt").exists():
        assert run(tmp_path) == "done"
    assert_same_bits(tl.load(tmp_path / "result.pt"), straight)


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_killed_while_saving(where, straight, tmp_path, rng):
    """With half of the file written, before it is on the disk, and before it has its name."""
    step = int(rng.integers(2, STEPS))
    assert run(tmp_path, stop_at=step, stop_where=where) == "killed"
    assert tl.load(tmp_path / "checkpoint.pt")["step"] == step - 1  # the one before, and whole
    assert run(tmp_path) == "done"
    assert_same_bits(tl.load(tmp_path / "result.pt"), straight)


def test_what_is_compared_is_not_trivial(straight):
    """The loss moved, the scaler left a step out, and dropout drew numbers."""
    assert straight["step"] == STEPS
    assert len(set(straight["losses"])) > STEPS // 2
    assert straight["scaler"]["scale"] != 2.0**8
    assert int(straight["optimizer"]["state"][0]["step"].item()) == STEPS - 1
    assert int(straight["averaged"]["n_averaged"].item()) == STEPS
