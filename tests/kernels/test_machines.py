"""The kernels in the conditions they meet: other processors, many threads, forks, two at once, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.utils.data import DataLoader, Dataset

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

# A training step that uses products, convolutions, pooling and an optimizer's pass, and saves its gradients.
STEP = """
import sys
import numpy as np
import tensorlab as tl
from tensorlab import nn

def step():
    tl.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 9, 3, stride=2),
        nn.Flatten(), nn.Linear(9 * 49, 70), nn.ReLU(), nn.Linear(70, 10),
    )
    optimizer = tl.optim.Adam(model.parameters())
    model(tl.randn(6, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    return [p.grad.numpy().copy() for p in model.parameters()]

np.savez(sys.argv[1], *step())
"""
# A step of less, which is compiled sooner.
SMALL_STEP = """
import tensorlab as tl

layer = tl.nn.Linear(128, 128)
layer(tl.ones(64, 128)).sum().backward()
tl.optim.SGD(layer.parameters(), lr=0.1).step()
print(layer.weight.grad.mean().item())
"""


def gradients_of_step(file: Path, **environment: str) -> list[np.ndarray]:
    """What STEP computes, in a process of its own with these environment variables."""
    command = [sys.executable, "-c", STEP, str(file)]
    subprocess.run(command, env={**os.environ, **environment}, check=True)
    with np.load(file) as arrays:
        return [arrays[name] for name in arrays.files]


@pytest.mark.parametrize("lanes", ["4", "8"])
def test_tiles_of_other_processors(tmp_path, lanes):
    """Those with vectors of 4 and 8 numbers; their results are those without kernels."""
    got = gradients_of_step(tmp_path / "a.npz", TENSORLAB_LANES=lanes, TENSORLAB_LIVE="0")
    want = gradients_of_step(tmp_path / "b.npz", TENSORLAB_KERNELS="off")
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())


def test_a_number_of_lanes_that_no_tile_has():
    script = "import tensorlab.kernels.cpu.native.tile"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TENSORLAB_LANES": "5"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "TENSORLAB_LANES must be 4, 8 or 16, but is '5'" in done.stderr


def test_two_processes_compile_into_one_cache(tmp_path):
    """Both begin with it empty; each ends well, and so does a third, which finds it filled."""
    environment = {**os.environ, "TENSORLAB_CACHE": str(tmp_path), "TENSORLAB_LIVE": "1"}
    command = [sys.executable, "-c", SMALL_STEP]
    both = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in both:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert out == "64.0\n"
    third = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert (third.stdout, third.stderr) == ("64.0\n", "")


def _work(seed: int) -> list[np.ndarray]:
    """Products, a convolution, a pool and steps of an optimizer, all on kernels."""
    rng = np.random.default_rng(seed)

    def numbers(*shape: int) -> tl.Tensor:
        return tl.from_numpy(rng.standard_normal(shape, np.float32))

    image, weight = numbers(4, 8, 20, 20).requires_grad_(), numbers(16, 8, 3, 3).requires_grad_()
    found = tl.nn.functional.max_pool2d(tl.nn.functional.conv2d(image, weight, padding=1), 2)
    product = found.reshape(64, 100) @ numbers(100, 60)
    product.square().sum().backward()
    p = numbers(20_000).requires_grad_()
    p.grad = numbers(20_000)
    optimizer = tl.optim.Adam([p])
    for _ in range(3):
        optimizer.step()
    assert image.grad is not None
    assert weight.grad is not None
    return [a.detach().numpy() for a in (product, image.grad, weight.grad, p)]


def test_python_threads_use_kernels_side_by_side(use_threads):
    """Whichever of them has the workers, each gets its own numbers, and the same ones as alone."""
    use_threads(2)
    alone = [_work(seed) for seed in range(4)]
    wrong: list[str] = []

    def repeat(seed: int) -> None:
        try:
            for _ in range(10):
                for got, want in zip(_work(seed), alone[seed], strict=True):
                    np.testing.assert_array_equal(got, want)
        except BaseException as error:
            wrong.append(f"seed {seed}: {error}")

    running = [threading.Thread(target=repeat, args=(seed,)) for seed in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(120)
    assert not any(thread.is_alive() for thread in running)
    assert not wrong


class Worked(Dataset):
    """Items that are computed with kernels, in whichever process asks for them."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tl.Tensor:
        return tl.from_numpy(_work(index)[0].copy())


def test_forked_workers_of_a_loader_use_kernels(use_threads):
    """The parent's threads, which are at work before, are not there after a fork."""
    use_threads(2)
    want = [_work(index)[0] for index in range(4)]
    got = list(DataLoader(Worked(), batch_size=None, num_workers=2))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
    np.testing.assert_array_equal(_work(0)[0], want[0])


def interrupted_after(seconds: float, function: Callable[[], object]) -> None:
    """Call `function`, which a KeyboardInterrupt ends after that time."""
    is_called = False

    def call() -> None:
        nonlocal is_called
        is_called = True
        function()

    def interrupt(number: int, frame: FrameType | None) -> None:
        # Not yet there, on a busy machine; or where Python swallows what is raised: in the callback of
        # a weak reference.
        if not is_called or (frame and frame.f_code.co_filename == weakref.__file__):
            signal.setitimer(signal.ITIMER_REAL, seconds)
        else:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with pytest.raises(KeyboardInterrupt):
            call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


needs_timer = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="needs a timer that signals"
)


@needs_timer
def test_an_interrupted_kernel_leaves_all_in_order(use_threads):
    """Ctrl-C amid kernels raises once, and what comes next is right."""
    use_threads(2)
    want = _work(7)

    def work_on() -> None:
        while True:
            _work(7)

    for i in range(20):
        interrupted_after(0.002 + 0.0005 * i, work_on)
    for got, expected in zip(_work(7), want, strict=True):
        np.testing.assert_array_equal(got, expected)
