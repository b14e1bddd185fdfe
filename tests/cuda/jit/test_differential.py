"""Random kernels without races: the simulator against Python, one thread at a time."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from tensorlab.cuda import jit

from . import kernels, one_by_one

THREADS = 48  # a warp and a half
_HEAD = """
import numpy as np
from tensorlab.cuda import jit
from tensorlab.cuda.jit import atomic, blockDim, blockIdx, grid, shared, syncthreads, threadIdx

@jit.kernel
def k(x, y, out, counts):
    held = shared.array(48, np.float32)
    i = grid(1)
    t = threadIdx.x
    f = np.float32(1.5)
    g = x[i]
    n = np.int32(3)
    held[t] = y[i]
    syncthreads()
"""


class Program:
    """Writes a random kernel. Floats are f and g, whole numbers n, m and loop variables."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.whole = ["n", "t", "i"]
        self.loops = 0
        self.lines = self.block(1, 0)

    def pick(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def float(self, depth: int = 0) -> str:
        kind = int(self.rng.integers(9 if depth < 3 else 4))
        a = self.float(depth + 1) if kind > 3 else ""
        return [
            lambda: self.pick(["f", "g"]),
            lambda: f"np.float32({self.rng.integers(-20, 20) / 8})",
            lambda: f"held[(t + {self.rng.integers(48)}) % 48]",
            lambda: f"x[(i * {self.rng.integers(1, 5)} + {self.integer(2)} % 7) % 144]",
            lambda: f"({a} {self.pick('+-*')} {self.float(depth + 1)})",
            lambda: f"min({a}, {self.float(depth + 1)})",
            lambda: f"({a} if {self.test(depth + 1)} else {self.float(depth + 1)})",
            lambda: f"abs({a})",
            lambda: f"({a} * np.float32({self.integer(depth + 1)} % 5))",
        ][kind]()

    def integer(self, depth: int = 0) -> str:
        kind = int(self.rng.integers(6 if depth < 3 else 2))
        if kind == 0:
            return str(self.rng.integers(0, 9))
        if kind == 1:
            return self.pick(self.whole)
        a, b = self.integer(depth + 1), self.integer(depth + 1)
        return [
            f"({a} + {b})",
            f"({a} - {b})",
            f"({a} // 3)",
            f"({a} % 5 * {self.rng.integers(4)})",
        ][kind - 2]

    def test(self, depth: int = 0) -> str:
        kind = int(self.rng.integers(5 if depth < 2 else 3))
        sign = self.pick(["<", "<=", ">", ">=", "!="])
        return [
            lambda: f"{self.integer(2)} % 3 == {self.rng.integers(3)}",
            lambda: f"{self.float(2)} {sign} {self.float(2)}",
            lambda: f"t {sign} {self.rng.integers(48)}",
            lambda: f"({self.test(depth + 1)} and {self.test(depth + 1)})",
            lambda: f"(not {self.test(depth + 1)} or {self.test(depth + 1)})",
        ][kind]()

    def block(self, depth: int, inside: int) -> list[str]:
        found: list[str] = []
        for _ in range(int(self.rng.integers(2, 6 if depth == 1 else 4))):
            found += self.statement(depth, inside)
        return found

    def statement(self, depth: int, inside: int) -> list[str]:
        pad = "    " * depth
        kind = int(self.rng.integers(10))
        if kind < 3:
            return [f"{pad}{self.pick('fg')} = {self.float()}"]
        if kind < 4:
            return [f"{pad}n = np.int32({self.integer()} % 50)"]
        if kind < 5:
            return [f"{pad}atomic.add(counts, {self.integer()} % 8, {self.integer()} % 10)"]
        if (
            kind < 6 and depth == 1
        ):  # all threads meet here: what was read, is, before it is written
            return [
                f"{pad}syncthreads()",
                f"{pad}held[t] = {self.pick('fg')}",
                f"{pad}syncthreads()",
            ]
        if kind < 7 and inside:
            return [f"{pad}if {self.test()}:", f"{pad}    {self.pick(['break', 'continue'])}"]
        if depth > 3:
            return [f"{pad}out[i] = {self.pick('fg')}"]
        if kind < 9:
            lines = [f"{pad}if {self.test()}:", *self.block(depth + 1, inside)]
            if self.rng.random() < 0.5:
                lines += [f"{pad}else:", *self.block(depth + 1, inside)]
            return lines
        self.loops += 1
        name = f"k{self.loops}"
        bound = self.pick(["3", "n % 6", "t % 4", "i % 3 + 1"])
        head = self.pick([f"range({bound})", f"range({bound}, -2, -2)"])
        self.whole.append(name)
        body = self.block(depth + 1, inside + 1)
        self.whole.remove(name)
        return [f"{pad}for {name} in {head}:", *body]

    @property
    def text(self) -> str:
        return "\n".join([_HEAD, *self.lines, "    out[i] = f + g", ""])


def load(text: str, folder: Any) -> Any:
    file = folder / "kernel_text.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("kernel_text", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.k


@pytest.mark.parametrize("round_", range(8))
def test_random_kernels(round_, rng, tmp_path):
    for number in range(12):
        text = Program(rng).text
        folder = tmp_path / str(number)
        folder.mkdir()
        kernel = load(text, folder)
        x, y = (rng.integers(-30, 30, (2, 144)) / 8).astype(np.float32)
        results = []
        for way in range(2):
            out, counts = np.zeros(144, np.float32), np.zeros(8, np.int32)
            if way:
                with jit.watch(seed=number) as launches:
                    kernel[3, THREADS](x, y, out, counts)
                assert launches.ok, f"{text}\n{launches}"
            else:
                with np.errstate(all="ignore"):
                    one_by_one.run(text, "k", 3, THREADS, x, y, out, counts)
            results.append((out, counts))
        for expected, got in zip(*results, strict=True):
            assert np.array_equal(expected, got, equal_nan=True), text


def test_a_kernel_with_barriers_in_a_loop(rng):
    """The oracle itself, on a kernel whose values are known otherwise."""
    import inspect

    x = rng.integers(-9, 9, 256).astype(np.float32)
    text = inspect.getsource(kernels.block_sum.source.function)
    text = text.replace("BLOCK", "128").replace("tl.float32", "np.float32")
    out = np.zeros(2, np.float32)
    one_by_one.run(text, "block_sum", 2, 128, x, out)
    assert np.array_equal(out, x.reshape(2, 128).sum(1))
