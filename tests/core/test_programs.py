"""Random programs of views, in-place writes, index writes and double backward, against PyTorch.

Each program runs line by line in both libraries. After every line all tensors must have the same
values, and a line must fail in both or in neither; at the end the gradients must agree, and the
gradients of the gradients.

Two things that PyTorch refuses work here, so programs with them end early: using a view from
`split` after its base was written to, and the gradient of a write whose operand shares the
target's memory (`x.mul_(x)`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensorlab as tl

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")

Line = Callable[[Any, list[Any]], Any]


def view_of(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[str, Callable[[Any], Any]]:
    """A view that a tensor of this shape has."""
    ndim = len(shape)
    choices: list[tuple[str, Callable[[Any], Any]]] = [
        ("[None]", lambda x: x[None]),
        ("unsqueeze(-1)", lambda x: x.unsqueeze(-1)),
        ("view(-1)", lambda x: x.view(-1)),
        ("reshape(-1)", lambda x: x.reshape(-1)),
        ("squeeze()", lambda x: x.squeeze()),
        ("detach()", lambda x: x.detach()),
    ]
    if ndim:
        d, n = int(rng.integers(ndim)), shape[int(rng.integers(ndim))]
        n = shape[d]
        choices.append((f"flatten from {d}", lambda x: x.flatten(d)))
        if n:
            i = int(rng.integers(-n, n))
            start, length = sorted(rng.integers(0, n + 1, 2).tolist())
            choices += [
                (f"select({d}, {i})", lambda x: x.select(d, i)),
                (
                    f"narrow({d}, {start}, {length - start})",
                    lambda x: x.narrow(d, start, length - start),
                ),
                (
                    f"slice ::2 of dim {d}",
                    lambda x: x[(slice(None),) * d + (slice(None, None, 2),)],
                ),
                (f"split(1, {d})[{i % n}]", lambda x: x.split(1, d)[i % n]),
            ]
    if ndim > 1:
        a, b = rng.choice(ndim, 2, replace=False).tolist()
        choices += [
            (f"transpose({a}, {b})", lambda x: x.transpose(a, b)),
            (f"diagonal(0, {a}, {b})", lambda x: x.diagonal(0, a, b)),
        ]
    return choices[int(rng.integers(len(choices)))]


def write_to(
    rng: np.random.Generator, others: list[int]
) -> tuple[str, Callable[[Any, list[Any]], Any]]:
    """An in-place operation on a tensor, with another one as operand where they broadcast."""
    other = int(rng.choice(others))
    choices: list[tuple[str, Callable[[Any, list[Any]], Any]]] = [
        ("mul_(2)", lambda x, all: x.mul_(2)),
        ("sin_()", lambda x, all: x.sin_()),
        ("zero_()", lambda x, all: x.zero_()),
        (f"mul_(t{other})", lambda x, all: x.mul_(all[other])),
        (f"add_(t{other})", lambda x, all: x.add_(all[other])),
        (f"copy_(t{other})", lambda x, all: x.copy_(all[other])),
        ("[...] = 3", lambda x, all: x.__setitem__(Ellipsis, 3.0)),
        (f"[0] = t{other}", lambda x, all: x.__setitem__(0, all[other])),
        ("[::2] = 1", lambda x, all: x.__setitem__(slice(None, None, 2), 1.0)),
        ("clamp_(-1, 1)", lambda x, all: x.clamp_(-1, 1)),
    ]
    return choices[int(rng.integers(len(choices)))]


def outcome(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except (RuntimeError, IndexError, ValueError) as error:
        return error


class Refused(Exception):
    """PyTorch refuses something that is meant to work here."""


REFUSED = "base or another view of its base has been modified inplace"


class Both:
    """The same program's tensors here and in PyTorch, and what was run."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.ours: list[Any] = []
        self.theirs: list[Any] = []
        self.text: list[str] = []
        self.leaves = 0
        for _ in range(2):
            array = rng.uniform(0.3, 1.5, tuple(rng.integers(1, 4, rng.integers(1, 4)).tolist()))
            self.ours.append(tl.tensor(array, requires_grad=True))
            self.theirs.append(torch.tensor(array, requires_grad=True))
            self.text.append(f"t{self.leaves} = leaf{list(array.shape)}")
            self.leaves += 1
        for i in range(2):
            self.line(f"t{self.leaves + i} = t{i} * 1", lambda all, i=i: all[i] * 1)

    def line(self, text: str, function: Callable[[list[Any]], Any]) -> None:
        """Run one line in both; keep its result if it has one."""
        self.text.append(text)
        got, want = outcome(lambda: function(self.ours)), outcome(lambda: function(self.theirs))
        if REFUSED in str(want):
            raise Refused
        assert isinstance(got, Exception) == isinstance(want, Exception), (
            f"{self}\nPyTorch: {want!r}\nhere: {got!r}"
        )
        if isinstance(want, Exception):
            self.text[-1] += f"  # {type(want).__name__}"
            assert type(got) is type(want), f"{self}\nPyTorch: {want!r}\nhere: {got!r}"
        elif isinstance(want, torch.Tensor) and not any(want is t for t in self.theirs):
            self.ours.append(got)
            self.theirs.append(want)
        self.compare()

    def compare(self) -> None:
        for i, (a, b) in enumerate(zip(self.ours, self.theirs, strict=True)):
            assert a.shape == tuple(b.shape), f"{self}\nshape of t{i}"
            assert a.requires_grad == b.requires_grad, (
                f"{self}\nrequires_grad of t{i}: {b.requires_grad}"
            )
            np.testing.assert_allclose(
                a.detach().numpy(),
                b.detach().numpy(),
                rtol=1e-9,
                atol=1e-12,
                err_msg=f"{self}\nt{i}",
            )

    def step(self) -> None:
        rng, count = self.rng, len(self.ours)
        i = int(rng.integers(count))
        kind = rng.random()
        if kind < 0.45:
            text, function = view_of(rng, self.ours[i].shape)
            self.line(f"t{count} = t{i}.{text}", lambda all: function(all[i]))
        elif kind < 0.85:
            apart = [k for k in range(count) if self.storage(k) != self.storage(i)]
            text, write = write_to(rng, apart)
            self.line(f"t{i}.{text}", lambda all: write(all[i], all))
        else:
            j = int(rng.integers(count))
            self.line(f"t{count} = t{i} * t{j}", lambda all: all[i] * all[j])

    def storage(self, i: int) -> int:
        return self.theirs[i].untyped_storage().data_ptr()

    def finish(self) -> None:
        """Gradients of the sum of squares of everything, and gradients of their squares."""
        live = [i for i, t in enumerate(self.theirs) if t.requires_grad]
        first = [
            outcome(lambda all=all, lib=lib: self.gradients(lib, all, live))
            for all, lib in self.sides()
        ]
        ours, theirs = first
        if REFUSED in str(theirs):
            raise Refused
        assert isinstance(ours, Exception) == isinstance(theirs, Exception), (
            f"{self}\nPyTorch: {theirs!r}\nhere: {ours!r}"
        )
        if isinstance(theirs, Exception):
            return
        for order, (a, b) in enumerate(zip(ours, theirs, strict=True), start=1):
            for i, (g, h) in enumerate(zip(a, b, strict=True)):
                assert (g is None) == (h is None), f"{self}\ngradient of t{i}, order {order}: {h}"
                if g is not None:
                    np.testing.assert_allclose(
                        g.detach().numpy(), h.detach().numpy(), rtol=1e-7, atol=1e-9,
                        err_msg=f"{self}\ngradient of t{i}, order {order}",
                    )  # fmt: skip

    def sides(self) -> list[tuple[list[Any], Any]]:
        return [(self.ours, tl), (self.theirs, torch)]

    def gradients(self, library: Any, tensors: list[Any], live: list[int]) -> list[list[Any]]:
        leaves = tensors[: self.leaves]
        total = sum((tensors[i] * tensors[i]).sum() for i in live)
        grad = library.autograd.grad
        first = grad(total, leaves, create_graph=True, allow_unused=True)
        again = sum((g * g).sum() for g in first if g is not None)
        second = (
            grad(again, leaves, allow_unused=True) if getattr(again, "requires_grad", False) else []
        )
        return [list(first), list(second)]

    def __str__(self) -> str:
        return "\n".join(self.text)


@pytest.mark.parametrize("part", range(4))
def test_random_programs(part: int) -> None:
    """The same programs every time: a failure is the change's, not the draw's."""
    seed = int(os.environ.get("TENSORLAB_TEST_SEED", "0"))
    for number in range(60):
        program = Both(np.random.default_rng([seed, part, number]))
        try:
            for _ in range(int(program.rng.integers(3, 12))):
                program.step()
            program.finish()
        except Refused:
            continue
