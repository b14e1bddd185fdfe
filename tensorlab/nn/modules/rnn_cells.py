"""One step of the recurrent layers, as functions and as modules."""

from __future__ import annotations

import math
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn import init
from tensorlab.nn.modules.module import Module
from tensorlab.nn.parameter import Parameter
from tensorlab.ops.creation import empty, zeros

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]

#: How many gates, hence how many times hidden_size rows, the weights of each kind have.
GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}

# A step takes what the input adds to the gates, the states, and the weights of the hidden state.
State = tuple[Any, ...]


def _tanh_step(gates: Any, state: State, w_hh: Any, b_hh: Any, w_hr: Any = None) -> State:
    return ((gates + F.linear(state[0], w_hh, b_hh)).tanh(),)


def _relu_step(gates: Any, state: State, w_hh: Any, b_hh: Any, w_hr: Any = None) -> State:
    return ((gates + F.linear(state[0], w_hh, b_hh)).relu(),)


def _lstm_step(gates: Any, state: State, w_hh: Any, b_hh: Any, w_hr: Any = None) -> State:
    h, c = state
    i, f, g, o = (gates + F.linear(h, w_hh, b_hh)).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return (h if w_hr is None else F.linear(h, w_hr)), c


def _gru_step(gates: Any, state: State, w_hh: Any, b_hh: Any, w_hr: Any = None) -> State:
    (h,) = state
    i_r, i_z, i_n = gates.chunk(3, 1)
    h_r, h_z, h_n = F.linear(h, w_hh, b_hh).chunk(3, 1)
    r, z = (i_r + h_r).sigmoid(), (i_z + h_z).sigmoid()
    n = (i_n + r * h_n).tanh()
    return ((h - n) * z + n,)


STEPS = {"RNN_TANH": _tanh_step, "RNN_RELU": _relu_step, "LSTM": _lstm_step, "GRU": _gru_step}


class RNNCellBase(Module):
    """What the cells share: parameters `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh`."""

    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(empty((rows, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            value = Parameter(empty(rows, device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew, uniformly from ±1/√hidden_size."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        parts += [] if self.bias else ["bias=False"]
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        parts += [] if nonlinearity == "tanh" else [f"nonlinearity={nonlinearity}"]
        return ", ".join(parts)

    def _step(self, mode: str, input: Any, states: tuple[Any, ...] | None) -> State:
        name = type(self).__name__
        count = 2 if mode == "LSTM" else 1
        if input.ndim not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        for i, s in enumerate(states or ()):
            if s.ndim not in (1, 2):
                which = f"hx[{i}]" if count == 2 else "hidden"
                raise ValueError(f"{name}: Expected {which} to be 1D or 2D, got {s.ndim}D instead")
        batched = input.ndim == 2
        x = input if batched else input.unsqueeze(0)
        if x.shape[1] != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {x.shape[1]} expected {self.input_size}"
            )
        if states is None:
            blank: Any = zeros(x.shape[0], self.hidden_size, dtype=x.dtype, device=x.device)
            states = (blank,) * count
        else:
            states = tuple(s if s.ndim == 2 else s.unsqueeze(0) for s in states)
        for i, s in enumerate(states):
            if s.shape[0] != x.shape[0]:
                raise RuntimeError(
                    f"Input batch size {x.shape[0]} doesn't match hidden{i} batch size {s.shape[0]}"
                )
            if s.shape[1] != self.hidden_size:
                raise RuntimeError(
                    f"hidden{i} has inconsistent hidden_size: got {s.shape[1]}, "
                    f"expected {self.hidden_size}"
                )
        gates = F.linear(x, self.weight_ih, self.bias_ih)
        out = STEPS[mode](gates, states, self.weight_hh, self.bias_hh)
        return out if batched else tuple(s.squeeze(0) for s in out)


class RNNCell(RNNCellBase):
    """One step of `RNN`: the next hidden state.

    Args:
        input_size: features of the input.
        hidden_size: features of the hidden state.
        bias: whether there are `bias_ih` and `bias_hh`.
        nonlinearity: "tanh" or "relu".
        device, dtype: of the parameters.

    Shapes:
        input `(B, input_size)`, `hx` (zeros if left out) and output `(B, hidden_size)`; without a
        batch, one dimension less.

    >>> import tensorlab
    >>> RNNCell(3, 4)(tensorlab.zeros(2, 3)).shape
    tensorlab.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        states = None if hx is None else (hx,)
        return self._step(f"RNN_{self.nonlinearity.upper()}", input, states)[0]


class LSTMCell(RNNCellBase):
    """One step of `LSTM`: the next `(h, c)`.

    Args:
        input_size, hidden_size, bias, device, dtype: see `RNNCell`.

    Shapes:
        input `(B, input_size)`, `hx` a pair of `(B, hidden_size)` as is the output; without a
        batch, one dimension less.

    >>> import tensorlab
    >>> h, c = LSTMCell(3, 4)(tensorlab.zeros(2, 3))
    >>> c.shape
    tensorlab.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        h, c = self._step("LSTM", input, None if hx is None else tuple(hx))
        return h, c


class GRUCell(RNNCellBase):
    """One step of `GRU`: the next hidden state.

    Args:
        input_size, hidden_size, bias, device, dtype: see `RNNCell`, as the shapes.

    >>> import tensorlab
    >>> GRUCell(3, 4)(tensorlab.zeros(2, 3)).shape
    tensorlab.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step("GRU", input, None if hx is None else (hx,))[0]
