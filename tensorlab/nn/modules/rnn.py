"""Recurrent layers: RNN, LSTM and GRU over whole sequences."""

from __future__ import annotations

import functools
import math
import numbers
import warnings
from collections.abc import Callable
from typing import Any

from tensorlab._autocast import autocast_is_on
from tensorlab.nn import functional as F
from tensorlab.nn import init
from tensorlab.nn.modules.module import Module
from tensorlab.nn.modules.rnn_cells import GATES, STEPS
from tensorlab.nn.parameter import Parameter
from tensorlab.nn.utils.rnn import PackedSequence
from tensorlab.ops.creation import empty, zeros
from tensorlab.ops.joining import cat, stack
from tensorlab.ops.recurrent import gru_sequence, lstm_sequence, rnn_sequence
from tensorlab.ops.selecting import index_select

__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]

#: The operation for a whole sequence; the first of its results are the states at every step.
SEQUENCES: dict[str, Callable[..., Any]] = {
    "RNN_TANH": rnn_sequence,
    "RNN_RELU": functools.partial(rnn_sequence, relu=True),
    "LSTM": lstm_sequence,
    "GRU": gru_sequence,
}


class RNNBase(Module):
    """What the recurrent layers share: their parameters, and the way through a sequence.

    Parameters of layer `k`: `weight_ih_l{k}` (of the input), `weight_hh_l{k}` (of the hidden
    state), `bias_ih_l{k}`, `bias_hh_l{k}`, with the rows of the gates one below the other; for the
    way back the names end in `_reverse`. With a projection there is `weight_hr_l{k}`. All are drawn
    uniformly from ±1/√hidden_size.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if (
            not isinstance(dropout, numbers.Number)
            or isinstance(dropout, bool)
            or not 0 <= dropout <= 1
        ):
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={num_layers}",
                stacklevel=3,
            )
        for name, value, kind in [
            ("bias", bias, bool),
            ("batch_first", batch_first, bool),
            ("input_size", input_size, int),
            ("hidden_size", hidden_size, int),
        ]:
            if not isinstance(value, kind):
                raise TypeError(
                    f"{name} should be of type {kind.__name__}, got: {type(value).__name__}"
                )
        for name, value in [
            ("input_size", input_size),
            ("hidden_size", hidden_size),
            ("num_layers", num_layers),
        ]:
            if value <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if mode not in GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size

        rows = GATES[mode] * hidden_size
        out_size = proj_size or hidden_size
        directions = 2 if bidirectional else 1
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            columns = input_size if layer == 0 else out_size * directions
            for suffix in ("", "_reverse")[:directions]:
                shapes: dict[str, Any] = {
                    "weight_ih": (rows, columns),
                    "weight_hh": (rows, out_size),
                }
                if bias:
                    shapes.update(bias_ih=rows, bias_hh=rows)
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for name, shape in shapes.items():
                    parameter = Parameter(empty(shape, device=device, dtype=dtype))
                    self.register_parameter(f"{name}_l{layer}{suffix}", parameter)
                self._all_weights.append([f"{name}_l{layer}{suffix}" for name in shapes])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, a list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Does nothing: it is there because programs call it for the sake of cuDNN."""

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        parts += [
            f"{name}={getattr(self, name)}"
            for name, default in defaults.items()
            if getattr(self, name) != default
        ]
        return ", ".join(parts)

    # The way through a sequence ----------------------------------------------------------

    def forward(self, input: Any, hx: Any = None) -> Any:
        is_lstm = self.mode == "LSTM"
        packed = input if isinstance(input, PackedSequence) else None
        data: Any = input
        batched = True
        if packed is not None:
            data = packed.data
            sizes = [int(n) for n in packed.batch_sizes._data]
        else:
            if data.ndim not in (2, 3):
                raise ValueError(
                    f"{type(self).__name__}: Expected input to be 2D or 3D, got {data.ndim}D instead"
                )
            batched = data.ndim == 3
            if not batched:
                data = data.unsqueeze(1)
            elif self.batch_first:
                data = data.transpose(0, 1)
            sizes = [data.shape[1]] * data.shape[0]
        self._check_input(data, 2 if packed is not None else 3)
        if not sizes:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")

        if hx is None:
            starts = self._zeros(data, sizes[0])
        else:
            states = self._given(hx, sizes[0], batched)
            if packed is not None and packed.sorted_indices is not None:
                order = packed.sorted_indices
                states = tuple(index_select(s, 1, order) for s in states)
            starts = [tuple(s[k] for s in states) for k in range(len(states[0]))]
        out, finals = self._run(data, sizes, starts)

        if packed is not None:
            back = packed.unsorted_indices
            if back is not None:
                finals = tuple(index_select(s, 1, back) for s in finals)
            result: Any = PackedSequence(out, *packed[1:])
        else:
            result = out
            if not batched:
                result = result.squeeze(1)
                finals = tuple(s.squeeze(1) for s in finals)
            elif self.batch_first:
                result = result.transpose(0, 1)
        return result, (finals if is_lstm else finals[0])

    def _run(
        self, data: Any, sizes: list[int], starts: list[tuple[Any, ...]]
    ) -> tuple[Any, tuple[Any, ...]]:
        """All layers, on data `(T, B, ·)` or packed; gives the last layer's output and the states at the end."""
        directions = 2 if self.bidirectional else 1
        weights: list[Any] = self.all_weights
        finals: list[tuple[Any, ...]] = []
        for layer in range(self.num_layers):
            outs = []
            for direction in range(directions):
                k = layer * directions + direction
                out, final = self._direction(
                    data, sizes, starts[k], weights[k], backward=direction == 1
                )
                outs.append(out)
                finals.append(final)
            data = cat(outs, -1) if directions == 2 else outs[0]
            if self.dropout and layer < self.num_layers - 1:
                data = F.dropout(data, self.dropout, self.training)
        return data, tuple(stack(list(of_kind)) for of_kind in zip(*finals, strict=True))

    def _direction(
        self,
        data: Any,
        sizes: list[int],
        initial: tuple[Any, ...],
        weights: list[Any],
        *,
        backward: bool,
    ) -> tuple[Any, tuple[Any, ...]]:
        """One layer in one direction."""
        step = STEPS[self.mode]
        w_ih, w_hh = weights[:2]
        b_ih, b_hh = weights[2:4] if self.bias else (None, None)
        w_hr = weights[-1] if self.proj_size else None
        # Sequences of one length are one operation, unless autocast wants other dtypes on the way.
        of_one_type = len({x.dtype for x in (data, *initial, w_ih, w_hh)}) == 1
        if w_hr is None and sizes[0] == sizes[-1] and of_one_type and not autocast_is_on():
            steps = data if data.ndim == 3 else data.reshape(len(sizes), sizes[0], -1)
            found = SEQUENCES[self.mode](steps, *initial, w_ih, w_hh, b_ih, b_hh, reverse=backward)
            outs = found[: len(initial)] if isinstance(found, tuple) else (found,)
            last = 0 if backward else -1
            out = outs[0] if data.ndim == 3 else outs[0].reshape(-1, self.hidden_size)
            return out, tuple(x[last] for x in outs)
        # What the input adds to the gates needs no state: one product for all steps.
        joined = F.linear(data, w_ih, b_ih)
        gates = joined.unbind() if data.ndim == 3 else joined.split(sizes)
        count = sizes[-1] if backward else sizes[0]
        state = tuple(s[:count] for s in initial) if count < sizes[0] else initial
        outs, ended = [], []
        for t in range(len(sizes))[:: -1 if backward else 1]:
            n = sizes[t]
            if n < count:  # the shortest sequences end
                ended.append(tuple(s[n:] for s in state))
                state = tuple(s[:n] for s in state)
            elif n > count:  # on the way back they begin
                state = tuple(cat([s, s0[count:n]]) for s, s0 in zip(state, initial, strict=True))
            count = n
            state = step(gates[t], state, w_hh, b_hh, w_hr)
            outs.append(state[0])
        if ended:
            parts = [state, *reversed(ended)]
            state = tuple(cat(list(of_kind)) for of_kind in zip(*parts, strict=True))
        return (stack if data.ndim == 3 else cat)(outs[::-1] if backward else outs), state

    # Checks ------------------------------------------------------------------------------

    def _check_input(self, data: Any, dims: int) -> None:
        weight: Any = getattr(self, self._all_weights[0][0])
        if data.dtype != weight.dtype and not autocast_is_on():
            raise ValueError(
                f"RNN input dtype ({data.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype}), or convert model: model.to({data.dtype})"
            )
        if data.ndim != dims:
            raise RuntimeError(f"input must have {dims} dimensions, got {data.ndim}")
        if data.shape[-1] != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {data.shape[-1]}"
            )

    def _zeros(self, data: Any, batch: int) -> list[tuple[Any, ...]]:
        """The states at the beginning, each `(batch, size)`, of every layer and direction: zeros that all share."""
        cell = state = zeros((batch, self.hidden_size), dtype=data.dtype, device=data.device)
        if self.proj_size:
            state = zeros((batch, self.proj_size), dtype=data.dtype, device=data.device)
        count = self.num_layers * (2 if self.bidirectional else 1)
        return [(state, cell) if self.mode == "LSTM" else (state,)] * count

    def _given(self, hx: Any, batch: int, batched: bool) -> tuple[Any, ...]:
        """The states that the caller begins with, each `(layers · directions, batch, size)`."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        is_lstm = self.mode == "LSTM"
        shapes = [(count, batch, self.proj_size or self.hidden_size)]
        if is_lstm:
            shapes.append((count, batch, self.hidden_size))
        states = tuple(hx) if is_lstm else (hx,)
        if len(states) != len(shapes):
            raise RuntimeError(
                f"LSTM: expected hx to be the pair (h_0, c_0), got {len(states)} tensors"
            )
        dims = 3 if batched else 2
        if any(s.ndim != dims for s in states):
            what = "batched 3-D" if batched else "unbatched 2-D"
            have = ", ".join(f"{s.ndim}-D" for s in states)
            named = (
                f"hx and cx should also be {dims}-D but got ({have}) tensors"
                if is_lstm
                else (f"hx should also be {dims}-D but got {have} tensor")
            )
            raise RuntimeError(f"For {what} input, {named}")
        if not batched:
            states = tuple(s.unsqueeze(1) for s in states)
        for s, shape, name in zip(states, shapes, ("hidden[0]", "hidden[1]"), strict=False):
            if s.shape != shape:
                which = f"Expected {name} size" if is_lstm else "Expected hidden size"
                raise RuntimeError(f"{which} {shape}, got {list(s.shape)}")
        return states


class RNN(RNNBase):
    r"""Elman's recurrent network: `hₜ = tanh(W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh)`.

    Args:
        input_size: features of the input.
        hidden_size: features of the hidden state.
        num_layers: how many layers, each on the outputs of the one before.
        nonlinearity: "tanh" or "relu".
        bias: whether there are `b_ih` and `b_hh`.
        batch_first: whether input and output are `(B, T, ·)` instead of `(T, B, ·)`; the states
            stay as they are.
        dropout: probability of a zero in the outputs of all layers but the last, in training.
        bidirectional: whether to go through the sequence backward, too.
        device, dtype: of the parameters.

    Shapes:
        input `(T, B, input_size)`, or `(T, input_size)` without a batch, or a `PackedSequence`;
        `h_0` (zeros if left out) and `h_n` `(layers · directions, B, hidden_size)`;
        output `(T, B, directions · hidden_size)`.

    Raises:
        ValueError, TypeError, RuntimeError: a setting or a shape is wrong.

    Source: J. L. Elman, "Finding Structure in Time", Cognitive Science 14, 1990.

    >>> import tensorlab
    >>> output, h_n = RNN(3, 4, num_layers=2)(tensorlab.zeros(5, 1, 3))
    >>> output.shape, h_n.shape
    (tensorlab.Size([5, 1, 4]), tensorlab.Size([2, 1, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    r"""Long short-term memory: a cell `c` that gates protect, so that gradients last.

    With σ the sigmoid and `W x` short for `W_i xₜ + b_i + W_h hₜ₋₁ + b_h` of each gate:

        i = σ(W x)    f = σ(W x)    g = tanh(W x)    o = σ(W x)
        cₜ = f ⊙ cₜ₋₁ + i ⊙ g
        hₜ = o ⊙ tanh(cₜ)    (times W_hr with a projection)

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device,
            dtype: see `RNN`.
        proj_size: features of `h` after the projection; 0 for none.

    Shapes:
        as `RNN`, with a pair of states `(h, c)`, where `h` has `proj_size` features if that is
        not 0. Rows of the weights: i, f, g, o.

    Source: S. Hochreiter, J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9, 1997;
    projections: H. Sak, A. Senior, F. Beaufays, arXiv:1402.1128.

    >>> import tensorlab
    >>> output, (h_n, c_n) = LSTM(3, 4, bidirectional=True)(tensorlab.zeros(5, 1, 3))
    >>> output.shape, c_n.shape
    (tensorlab.Size([5, 1, 8]), tensorlab.Size([2, 1, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )


class GRU(RNNBase):
    r"""Gated recurrent units: one state, mixed by an update gate.

        r = σ(W_ir x + b_ir + W_hr h + b_hr)
        z = σ(W_iz x + b_iz + W_hz h + b_hz)
        n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn))
        hₜ = (1 - z) ⊙ n + z ⊙ hₜ₋₁

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device,
            dtype: see `RNN`.

    Shapes:
        as `RNN`. Rows of the weights: r, z, n.

    Source: K. Cho et al., "Learning Phrase Representations using RNN Encoder–Decoder",
    arXiv:1406.1078, with r applied after the product, as cuDNN and PyTorch do.

    >>> import tensorlab
    >>> output, h_n = GRU(3, 4, batch_first=True)(tensorlab.zeros(2, 5, 3))
    >>> output.shape, h_n.shape
    (tensorlab.Size([2, 5, 4]), tensorlab.Size([1, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
