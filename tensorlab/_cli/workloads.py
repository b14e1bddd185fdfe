"""What `tensorlab bench` times: pieces of work that are written once and run in either library.

They stand in files of the checkout, `tests/benchmarks/bench_*.py`, each with a list `WORKLOADS`. That the
same lines run in tensorlab and in PyTorch is the point of having PyTorch's names. What is needed again
and again to set one up is here: inputs, a call with its backward, a training step.

How much work one is, is counted from its sizes: `flops` are the multiplications and additions of its
matrix products, convolutions and attention, a product being as much again for each gradient; `traffic` is
the numbers in bytes that have to be read and written once if nothing is kept from one pass over the
arrays to the next. Where neither sets the pace, as in chains of tiny operations, both are 0.
"""

from __future__ import annotations

import difflib
import fnmatch
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import tensorlab
from tensorlab._cli import CommandError

__all__ = [
    "NUMBER", "Run", "Setup", "Workload", "both_ways", "chosen", "find_workloads", "normal", "numbers", "times",
    "training_step",
]  # fmt: skip

#: One run of a workload; returns its result as a tensor.
Run = Callable[[], Any]
#: Prepares a workload in the library it is given, `tensorlab` or `torch`.
Setup = Callable[[ModuleType], Run]

#: Bytes of a float32 number.
NUMBER = 4


@dataclass(frozen=True, slots=True)
class Workload:
    """One piece of work that either library can do.

    Attributes:
        name: what it is called on the command line.
        what: one line: the sizes, the dtype, forward or backward.
        setup: `setup(library)` prepares the work in `tensorlab` or `torch` and returns a function that
            does it once and returns its result as a tensor.
        flops: floating-point operations of the products of one run.
        traffic: bytes that one run has to read and write.
        step: whether it is a training step, of which peak memory is measured too.
    """

    name: str
    what: str
    setup: Setup
    flops: float = 0
    traffic: float = 0
    step: bool = False


def find_workloads() -> dict[str, list[Workload]]:
    """The workloads of the checkout that this tensorlab is imported from, by group: file by file.

    Raises `CommandError` if tensorlab was installed from a wheel: it brings no benchmarks.
    """
    folder = Path(tensorlab.__file__).parents[1] / "tests" / "benchmarks"
    files = sorted(folder.glob("bench_*.py"))
    if not files:
        raise CommandError(
            "the benchmarks are part of the source checkout (tests/benchmarks), and this tensorlab "
            "is installed without one: run it in a checkout after pip install -e ."
        )
    return {file.stem.removeprefix("bench_"): _load(file).WORKLOADS for file in files}


def chosen(groups: dict[str, list[Workload]], words: Sequence[str]) -> list[Workload]:
    """The workloads that are meant: names, patterns of names (`matmul-*`) or groups; all for no word.

    Raises `CommandError`, with the closest name, for a word that means none.
    """
    by_name = {workload.name: workload for group in groups.values() for workload in group}
    if not words:
        return list(by_name.values())
    found: dict[str, Workload] = {}
    for word in words:
        if word in by_name:
            meant = [by_name[word]]
        elif word in groups:
            meant = groups[word]
        else:
            meant = [by_name[name] for name in fnmatch.filter(by_name, word)]
        if not meant:
            close = difflib.get_close_matches(word, [*by_name, *groups], n=1)
            hint = f"did you mean {close[0]}?" if close else "see tensorlab bench --list"
            raise CommandError(f"there is no workload {word!r}; {hint}", 2)
        found.update((workload.name, workload) for workload in meant)
    return list(found.values())


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tensorlab_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Setting one up ---------------------------------------------------------------------------


def times(shape: Sequence[int]) -> str:
    """A shape as it is read: `times((3, 4))` is "3×4"."""
    return "×".join(map(str, shape))


def numbers(seed: int, *shape: int) -> np.ndarray:
    """Normally distributed float32 numbers, the same ones for both libraries."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def normal(library: ModuleType, *shape: int, seed: int = 0) -> Any:
    """The same as a tensor of `library`, on its default device."""
    found = library.from_numpy(np.asarray(numbers(seed, *shape)))
    return found.to(library.get_default_device())


def both_ways(call: Callable[..., Any], *shapes: tuple[int, ...]) -> Setup:
    """`call(library, *inputs)` and its backward, the gradient of the output being random."""

    def setup(library: ModuleType) -> Run:
        inputs = [
            normal(library, *shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)
        ]
        slope = normal(library, *call(library, *inputs).shape, seed=len(shapes))

        def run() -> Any:
            for x in inputs:
                x.grad = None
            call(library, *inputs).backward(slope)
            return inputs[0].grad

        return run

    return setup


def training_step(
    library: ModuleType, model: Any, inputs: Any, targets: Any, algorithm: str = "Adam"
) -> Run:
    """A step: cross-entropy of the model's numbers for classes, backward, and the optimizer."""
    # So that the step can be captured into a CUDA graph; PyTorch wants to know beforehand.
    settings = {"capturable": True} if inputs.is_cuda and algorithm != "SGD" else {}
    optimizer = getattr(library.optim, algorithm)(model.parameters(), lr=1e-3, **settings)

    def run() -> Any:
        optimizer.zero_grad()
        logits = model(inputs)
        loss = library.nn.functional.cross_entropy(logits.flatten(0, -2), targets)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return run
