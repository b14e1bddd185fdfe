"""Statistics of activation functions in the steps that a gradient recorder looks at."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tensorlab._backend import to_numpy
from tensorlab.inspect._statistics import moments, sample, zeros
from tensorlab.inspect.recording import ModuleStack

if TYPE_CHECKING:
    from tensorlab._graph import Node
    from tensorlab._op import Op
    from tensorlab.nn import Module

__all__ = ["Activations"]

#: A unit is dead when it has been 0 for so many examples in a row.
DEAD_AFTER = 256
#: One that was never active is, after so many examples in so many steps: steps that are looked at
#: seldom lie far apart, and more of them may not come.
NEVER_ACTIVE, IN_STEPS = 64, 3


class Activations:
    """Collects, over one step, what each activation function of a model gave."""

    #: Operations that are looked at: name → "dead" (can be 0 for good), "saturates", or "".
    KINDS: ClassVar[dict[str, str]] = {
        "relu": "dead", "threshold": "dead", "hardtanh": "saturates", "sigmoid": "saturates",
        "tanh": "saturates", "hardsigmoid": "saturates", "leaky_relu": "", "prelu_kernel": "", "elu": "",
        "celu": "", "gelu": "", "silu": "", "softplus": "", "mish": "", "hardswish": "",
    }  # fmt: skip

    def __init__(self, model: Module) -> None:
        self.modules = ModuleStack()
        self._names = {id(module): name for name, module in model.named_modules()}
        self._model = model
        self._quiet: dict[str, np.ndarray] = {}  # examples since each unit was last above 0
        self._seen: dict[str, int] = {}  # examples in all
        self._steps: dict[str, int] = {}  # that gave these
        self.begin()

    def begin(self) -> None:
        """A step begins."""
        self._now: dict[str, list[tuple[float, ...]]] = {}
        self._call = -1
        self._times: dict[str, int] = {}

    def here(self) -> str:
        """The name of the module that is running; "" outside of the model and in the model itself."""
        running = self.modules.now
        if running is None or (root := running.root()) is None or id(root) not in self._names:
            return ""
        prefix = self._names[id(root)]
        return f"{prefix}.{running.path}" if prefix and running.path else prefix or running.path

    def note(self, op: Op, arrays: Any, out: Any, node: Node) -> None:
        """An activation function has run."""
        running = self.modules.now
        if running is None or (root := running.root()) is None or id(root) not in self._names:
            return
        name = self._name(op, self.here())
        kind = self.KINDS[op.name]
        mean, std = moments(sample(out))
        saturated = self._saturated(op, node, out) if kind == "saturates" else nan
        if kind == "dead":
            self._count_quiet(name, out, node)
        self._now.setdefault(name, []).append(
            (mean, std, zeros(out) if out.size else nan, saturated)
        )

    def _name(self, op: Op, path: str) -> str:
        """The module's name where the module is the activation, else with the operation's."""
        module = self.modules.running[-1][0]
        name = path if not module._modules and path else f"{path}:{op.name}" if path else op.name
        if self._call != self.modules.calls:  # the next micro-batch: counting begins anew
            self._call, self._times = self.modules.calls, {}
        times = self._times[name] = self._times.get(name, 0) + 1
        return name if times == 1 else f"{name}#{times}"

    def _saturated(self, op: Op, node: Node, out: Any) -> float:
        """The share of values where the slope is below about 4 % of its largest."""
        if op.name == "tanh":
            far = abs(out) > 0.98
        elif op.name == "hardtanh":
            low, high = node.params[:2]
            far = (out <= low) | (out >= high)
        else:
            far = abs(out - 0.5) > 0.49
        return float(far.mean()) if out.size else nan

    def _count_quiet(self, name: str, out: Any, node: Node) -> None:
        if out.ndim < 2 or out.size == 0:
            return
        edge = node.parents[0]
        maker = "" if edge is None or edge[0].op is None else edge[0].op.name
        # Features come last, channels of images second.
        channels = out.ndim > 3 or (out.ndim == 3 and maker in ("convolution", "native_batch_norm"))
        unit = 1 if channels else out.ndim - 1
        others = tuple(d for d in range(out.ndim) if d != unit)
        active = to_numpy((out > 0).any(axis=others))
        quiet = self._quiet.get(name)
        if quiet is None or quiet.shape != active.shape:
            quiet = np.zeros(active.shape, np.int64)
            self._seen[name] = self._steps[name] = 0
        examples = out.size // out.shape[unit]
        self._quiet[name] = np.where(active, 0, quiet + examples)
        self._seen[name] += examples

    def _dead_after(self, name: str) -> int:
        """For how many examples a unit has to be 0 to count as dead."""
        seen = self._seen[name]
        if self._steps[name] >= IN_STEPS and NEVER_ACTIVE <= seen < DEAD_AFTER:
            return seen
        return DEAD_AFTER

    def end(self) -> dict[str, tuple[float, ...]]:
        """What the step gave: for each name mean, std, zeros, saturated and dead."""
        found = {}
        for name, passes in self._now.items():
            dead = nan
            if name in self._quiet:
                self._steps[name] += 1
                dead = float((self._quiet[name] >= self._dead_after(name)).mean())
            found[name] = (
                *(sum(column) / len(passes) for column in zip(*passes, strict=True)),
                dead,
            )
        return found
