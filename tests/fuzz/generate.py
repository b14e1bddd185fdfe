"""Writing a random program, line by line, with PyTorch running along to know shapes and values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .choose import Chooser, overlap_unseen, overlaps_itself
from .program import Program


def generate(number: int, lib: Any) -> Program:
    """Program `number`: the same lines for the same number."""
    return Writer(number, lib).program()


class Writer(Chooser):
    """One program in the making.

    Each kind of statement is a method that returns a line, or None if nothing suits it now. The
    line is then run, errors and all, so that the next one knows what tensors there are.
    """

    def __init__(self, number: int, lib: Any) -> None:
        super().__init__(number, lib)
        self.lines: list[str] = []

    def program(self) -> Program:
        kinds: list[tuple[float, Callable[[], str | None]]] = [
            (5, self.view), (1, self.several_views), (5, self.write), (2, self.write_by_index),
            (5, self.compute), (1.2, self.backward), (0.8, self.gradients), (0.6, self.hook),
            (0.3, self.leaf), (0.8, self.other), (0.5, lambda: "observe()"),
        ]  # fmt: skip
        weights = np.array([w for w, _ in kinds])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.add(self.leaf("float64", requires_grad=True))
            for _ in range(self.integer(0, 2)):
                self.add(self.leaf())
            for _ in range(self.integer(3, 15)):
                self.add(kinds[self.rng.choice(len(kinds), p=weights / weights.sum())][1]())
            self.add(self.backward())
        return tuple(self.lines)

    def add(self, line: str | None) -> None:
        """Take the line into the program and run it, now and then under `no_grad`."""
        if line is None:
            return
        if (
            line != "observe()"
            and ".autograd." not in line
            and "backward" not in line
            and self.chance(0.08)
        ):
            line = f"with lib.no_grad(): {line}"
        self.lines.append(line)
        try:
            exec(line, self.names)
        except Exception as error:
            error.__traceback__ = None

    # Leaves --------------------------------------------------------------------------------

    def leaf(self, dtype: str = "", requires_grad: bool = False) -> str:
        shape = tuple(
            self.choose([1, 2, 2, 3, 3, 4]) for _ in range(self.choose([0, 1, 1, 2, 2, 2, 3]))
        )
        if shape and self.chance(0.03):
            shape = (0, *shape[1:])
        dtype = dtype or self.choose(["float64"] * 9 + ["float32"] * 2 + ["int64", "int32", "bool"])
        return (
            f"{self.fresh('a')} = {self.literal(shape, dtype, requires_grad or self.chance(0.5))}"
        )

    # Views ---------------------------------------------------------------------------------

    def view(self) -> str | None:
        name = self.pick()
        if name is None:
            return None
        return f"{self.fresh()} = {name}{self.view_step(self.names[name])}"

    def view_step(self, t: Any) -> str:
        n, shape = t.ndim, tuple(t.shape)
        d, e = self.dim(n), self.dim(n)
        size = shape[d] if n and -n <= d < n else 1
        steps: list[str] = [f"[{self.key(shape)}]"] * 5
        steps += [
            f".transpose({d}, {e})", f".permute({tuple(self.rng.permutation(n).tolist())})",
            f".view({self.factors(t.numel())})", f".reshape({self.factors(t.numel())})", ".view(-1)",
            f".flatten({min(d, e)}, {max(d, e)})" if (d < 0) == (e < 0) else ".flatten()",
            f".unsqueeze({self.dim(n + 1)})", f".squeeze({d})", ".squeeze()",
            f".expand({self.expansion(shape)})", f".select({d}, {self.integer(0, max(size - 1, 0))})",
            ".detach()", ".contiguous()", f".unfold({d}, {self.integer(1, max(size, 1))}, {self.integer(1, 2)})",
            ".view_as(" + name + ")" if (name := self.pick(lambda o: o.numel() == t.numel())) else ".ravel()",
            f".movedim({d}, {e})", ".ravel()", "[...]",
        ]  # fmt: skip
        start = self.integer(0, size)
        steps.append(f".narrow({d}, {start}, {self.integer(0, size - start) or 1})")
        if n == 2:
            steps += [".T", ".t()"]
        if n >= 2:
            first, second = self.rng.permutation(n)[:2].tolist()
            steps += [".mT", f".diagonal({self.integer(-1, 1)}, {first}, {second})"]
        if n and size > 1:
            steps.append(f".unflatten({d}, ({self.factors(size)}))")
        steps += [f".split({self.integer(1, 2)}, {d})[0]", f".chunk(2, {d})[-1]"]
        if n:
            steps.append(f".unbind({d})[{self.integer(-1, 0)}]")
        return self.choose(steps)

    def several_views(self) -> str | None:
        name = self.pick(lambda t: t.ndim > 0 and t.shape[0] > 1)
        if name is None:
            return None
        t = self.names[name]
        d = self.integer(0, t.ndim - 1)
        n = t.shape[d]
        if n == 0:
            return None
        cut = self.integer(0, n)
        parts = self.integer(1, 3)
        form = self.choose([f"unbind({d})", f"split([{cut}, {n - cut}], {d})", f"split(1, {d})",
                            f"chunk({parts}, {d})", f"tensor_split({parts}, {d})"])  # fmt: skip
        return f"{self.fresh()}, *_ = {name}.{form}"

    # Writing in place ----------------------------------------------------------------------

    def target(self, want: Callable[[Any], bool] = lambda t: True) -> str | None:
        """A tensor to write to; rarely a leaf that requires a gradient, which may not be written to."""

        def is_open(t: Any) -> bool:
            root = t if t._base is None else t._base
            return want(t) and not (root.requires_grad and root.is_leaf)

        def is_defined(t: Any) -> bool:
            return not overlaps_itself(t) and not (t.requires_grad and 0 in t.stride())

        wanted = want if self.chance(0.04) else is_open
        return self.pick(lambda t: is_defined(t) and wanted(t))

    def write(self) -> str | None:
        name = self.target()
        if name is None:
            return None
        t = self.names[name]
        number = self.number() if t.is_floating_point() else self.integer(-2, 2)
        if t.dtype == self.lib.bool:
            return self.choose([f"{name}.fill_({number})", f"{name}.zero_()", f"{name}.copy_({self.operand(t, True)})",
                                f"{name}.zero_()", f"{name}.masked_fill_({name}, False)"])  # fmt: skip
        other = self.operand(t, must_fit=True)
        if self.is_large(t):
            return f"{name}.{self.choose(['tanh_()', 'sigmoid_()', 'mul_(0.125)', 'clamp_(-1, 1)', 'zero_()'])}"
        return self.choose([
            f"{name}.add_({other})", f"{name}.mul_({other})", f"{name}.sub_({other})", f"{name}.copy_({other})",
            f"{name}.add_({number})", f"{name}.mul_({number})", f"{name}.div_(2)", f"{name} += {other}",
            f"{name} *= {other}", f"{name} -= {number}", f"{name}.zero_()", f"{name}.fill_({number})",
            f"{name}.neg_()", f"{name}.tanh_()", f"{name}.sigmoid_()", f"{name}.sin_()", f"{name}.abs_()",
            f"{name}.exp_()" if self.fits_exp(t) else f"{name}.cos_()", f"{name}.clamp_(-1, 1)",
            f"{name}.clamp_(min={number})", f"{name}.relu_()", f"{name}.pow_(2)", f"{name}.square_()",
            f"{name}.masked_fill_({self.mask(name)}, {number})", f"{name}.add_({other}, alpha={number})",
            f"{name}.addcmul_({name}.detach().cos(), {name}.detach().clone(), value={number})"
            if t.is_floating_point() else f"{name}.mul_(2)",
            f"{name}.fill_({self.operand_of_no_dimension(t)})",
        ])  # fmt: skip

    def write_by_index(self) -> str | None:
        name = self.target(lambda t: t.ndim > 0 and t.numel() > 0 and 0 not in t.stride())
        if name is None:
            return None
        t = self.names[name]
        if self.is_large(t):
            return f"{name}.tanh_()"
        key = self.choose([self.key, self.key, self.advanced_key])(tuple(t.shape))
        if self.chance(0.15):
            key = self.mask(name)
        try:
            part = t[eval(key, self.names)]
        except Exception:
            return f"{name}[{key}] = {self.number()}"
        # An index array makes a copy: then it is the whole that is written to.
        into = part if part.numel() and part.data_ptr() - t.data_ptr() in range(t.nbytes) else t
        value = str(self.number()) if self.chance(0.3) else self.operand(part, True, into)
        return self.choose(
            [f"{name}[{key}] = {value}"] * 3
            + [f"{name}[{key}] += {value}", f"{name}[{key}] *= {value}"]
        )

    def mask(self, name: str) -> str:
        if self.names[name].dtype == self.lib.bool:
            return name
        return self.choose([f"{name} > {self.number()}", f"{name}.detach() < 0"])

    def operand(self, t: Any, must_fit: bool, into: Any = None) -> str:
        """Something to combine with `t`; if it `must_fit`, broadcasting leaves `t`'s shape.

        It mostly does: a shape that does not is an error to compare. `into`: what is written, if not `t`.
        """

        def suits(other: Any) -> bool:
            try:
                shape = np.broadcast_shapes(tuple(t.shape), tuple(other.shape))
            except ValueError:
                return False
            return (
                not self.is_large(other)
                and other.dtype != self.lib.bool
                and (not must_fit or shape == tuple(t.shape))
            )

        name = self.pick(lambda o: o.dtype != self.lib.bool) if self.chance(0.03) else None
        name = name or self.pick(suits)
        if name is None or self.chance(0.15):
            if not t.numel():
                return str(self.number())
            return self.literal(tuple(t.shape), self.choose(["float64"] * 4 + ["float32", "int64"]))
        other = self.names[name]
        if not t.is_floating_point() and other.requires_grad:
            return f"{name}.detach()"
        if must_fit and overlap_unseen(t if into is None else into, other):
            return f"{name}.clone()"
        change = self.choose(["detach()", "clone()", "tanh()", "sum()"])
        return name if self.chance(0.8) else f"{name}.{change}"

    def operand_of_no_dimension(self, t: Any) -> str:
        name = self.pick(lambda o: o.ndim == 0 and (t.is_floating_point() or not o.requires_grad))
        return name or str(self.number())

    # Computing -----------------------------------------------------------------------------

    def compute(self) -> str | None:
        name = self.pick()
        if name is None:
            return None
        return f"{self.fresh()} = {self.expression(name)}"

    def expression(self, name: str) -> str:
        t = self.names[name]
        n = t.ndim
        if self.is_large(t):
            return self.choose(
                [
                    f"{name}.tanh()",
                    f"{name} * 0.125",
                    f"{name}.clamp(-1, 1)",
                    f"lib.sigmoid({name})",
                ]
            )
        d, number = self.dim(n), self.number()
        if t.dtype == self.lib.bool:
            return self.choose(
                [
                    f"~{name}",
                    f"{name}.sum({d})",
                    f"{name}.double()",
                    f"{name}.clone()",
                    f"{name}.any({d})",
                ]
            )
        other = self.operand(t, must_fit=False)
        forms = [
            f"{name} * {other}", f"{name} + {other}", f"{name} - {other}", f"{other} * {name}", f"{name} * {number}",
            f"{number} - {name}", f"{name} / 2", f"-{name}", f"{name}.tanh()", f"{name}.sigmoid()", f"{name}.sin()",
            f"{name}.exp()" if self.fits_exp(t) else f"{name}.cos()", f"{name} ** 2", f"{name}.clone()",
            f"{name}.sum({d})", f"{name}.sum()", f"{name}.sum({d}, keepdim=True)", f"{name}.clamp(-1, 1)",
            f"{name}.relu()", f"{name}.abs()", f"lib.where({self.mask(name)}, {name}, {other})",
            f"lib.maximum({name}, {name} * {other})", f"{name}.cumsum({d})", f"{name} > {number}",
            f"{name}.masked_fill({self.mask(name)}, {number})", f"{name}.float()", f"{name}.double()",
            f"lib.zeros_like({name})", f"lib.stack([{name}, {name}])", f"{name}[{self.mask(name)}]",
            f"lib.tensor({name}.tolist(), dtype=lib.float64)", f"{name}.data",
        ]  # fmt: skip
        if n:
            forms += [
                f"{name}.mean({d})", f"{name}.amax({d})", f"lib.cat([{name}, {name}], {d})", f"{name}.flip({d})",
                f"{name}.double().softmax({d})", f"{name}[{self.advanced_key(tuple(t.shape))}]",
            ]  # fmt: skip
            forms += [f"{name}[{self.advanced_key(tuple(t.shape))}]"] * 2
        if n and t.numel():  # PyTorch checks no dimension where there is nothing to roll
            forms.append(f"{name}.roll(1, {d})")
        if n == 2:
            forms += [f"{name} @ {name}.mT", f"{name}.mm({name}.t())"]
        return self.choose(forms)

    # Gradients -----------------------------------------------------------------------------

    def differentiable(self) -> str | None:
        return self.pick(lambda t: t.requires_grad)

    def loss(self) -> str | None:
        """A number that depends on something that requires a gradient."""
        names = [n for n in {self.differentiable(), self.differentiable()} if n is not None]
        if not names:
            return None
        terms = [
            self.choose(
                [f"({n} * {n}).sum()", f"{n}.sum()", f"{n}.tanh().sum()", f"({n} * 3).sum()"]
            )
            for n in sorted(names)
        ]
        return " + ".join(terms)

    def backward(self) -> str | None:
        loss, name = self.loss(), self.differentiable()
        if loss is None or name is None:
            return None if self.chance(0.9) else f"{self.pick()}.sum().backward()"
        keep = self.choose(["", "retain_graph=True"])
        leaf = self.pick(lambda t: t.requires_grad and t.is_leaf)
        forms = [f"({loss}).backward({keep})"] * 5
        forms.append(f"{name}.backward(lib.ones_like({name}){keep and ', ' + keep})")
        if leaf:
            forms.append(f"({loss}).backward(inputs=[{leaf}])")
        same = self.pick(
            lambda t: t.shape == self.names[name].shape and t.dtype == self.names[name].dtype
        )
        if same:
            forms.append(f"{name}.backward({same}.detach().clone(){keep and ', ' + keep})")
        if self.names[name].numel() == 1:
            forms.append(f"{name}.backward({keep})")
        return self.choose(forms)

    def gradients(self) -> str | None:
        loss, name = self.loss(), self.differentiable()
        if loss is None or name is None:
            return None
        gradients = [
            n for n, t in self.names.items() if n[0] == "g" and t is not None and t.requires_grad
        ]
        if gradients and self.chance(0.5):  # second derivatives
            g = self.choose(gradients)
            loss = self.choose([f"({g} * {g}).sum()", f"{g}.sum()", f"({g} * 2).sum() + {loss}"])
            if self.chance(0.6):
                return f"({loss}).backward({self.choose(['', 'retain_graph=True'])})"
        flags = {"create_graph": 0.6, "retain_graph": 0.2, "allow_unused": 0.8}
        options = "".join(f", {flag}=True" for flag, p in flags.items() if self.chance(p))
        return f"({self.fresh('g')},) = lib.autograd.grad({loss}, [{name}]{options})"

    def hook(self) -> str | None:
        name = (
            self.pick(lambda t: not t.requires_grad) if self.chance(0.05) else self.differentiable()
        )
        if name is None:
            return None
        # A hook on a view that is a leaf crashes PyTorch; asking for is_leaf updates a view's history.
        line = self.choose([
            f"{name}.register_hook(lambda g: g * 2)",
            f"{name}.register_hook(lambda g: log.append(g.detach().clone()))",
            f"{name}.retain_grad()", f"{name}.retain_grad()",
            f"{name}.register_post_accumulate_grad_hook(lambda t: log.append(t.grad.detach().clone()))",
        ])  # fmt: skip
        return f"{name}.is_leaf or {line}" if name[0] == "t" and "register" in line else line

    def other(self) -> str | None:
        name = self.pick(lambda t: not t._backward_hooks and not t._post_accumulate_grad_hooks)
        if name is None:
            return None
        if self.chance(0.2) and not any(t._base is self.names[name] for t in self.live()):
            t = self.names[name]
            if not t.retains_grad:
                return (
                    f"{name}.requires_grad_(False)"
                    if self.is_fit(t, lambda t: t.is_leaf)
                    else f"{name}.detach_()"
                )
        return self.choose([
            f"{name}.requires_grad_()", f"{name}.requires_grad_()", f"{name}.grad = None",
            f"{name}.grad.zero_()", f"del {name}", f"{self.fresh('g')} = {name}.grad", f"{name}.grad = None",
            f"{name}.data.neg_()" if not overlaps_itself(self.names[name]) else "observe()",
            f"{self.fresh()} = {name}.detach().requires_grad_()",
        ])  # fmt: skip
