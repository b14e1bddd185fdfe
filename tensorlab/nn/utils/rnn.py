"""Sequences of different lengths: padded to one tensor, or packed without the padding.

Of the sequences `abc`, `de` and `f`, padding makes a 3×3 batch with three empty places. Packing
writes one step of all sequences after the other, `adf be c`, with the batch sizes 3, 2, 1: a
recurrent layer then computes nothing for empty places, and ends each sequence where it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tensorlab import _dtypes
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops.creation import empty_like, full
from tensorlab.ops.from_data import as_tensor
from tensorlab.ops.joining import cat, stack
from tensorlab.ops.selecting import index_copy, index_select
from tensorlab.ops.sorting import sort

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences of different lengths without padding; `pack_padded_sequence` makes one.

    Attributes:
        data: all steps, `(sum of lengths, *)`: the first step of all sequences, then the second.
        batch_sizes: how many sequences have a first step, a second, …: int64, on the CPU.
        sorted_indices: the original numbers of the sequences, longest first; None if they were
            sorted.
        unsorted_indices: the inverse of it.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be "
                "created manually. They should be instantiated by functions like pack_sequence and "
                "pack_padded_sequences in nn.utils.rnn."
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With `data` converted as `Tensor.to` does; itself if there is nothing to do."""
        data: Tensor = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        moved = [None if i is None else i.to(data.device) for i in self[2:]]
        return type(self)(data, self.batch_sizes, *moved)

    def cpu(self) -> PackedSequence:
        """In the computer's main memory."""
        return self.to("cpu")

    def cuda(self, device: Any = "cuda") -> PackedSequence:
        """On a CUDA device."""
        return self.to(device)

    def double(self) -> PackedSequence:
        """As float64."""
        return self.to(_dtypes.float64)

    def float(self) -> PackedSequence:
        """As float32."""
        return self.to(_dtypes.float32)

    def half(self) -> PackedSequence:
        """As float16."""
        return self.to(_dtypes.float16)

    def long(self) -> PackedSequence:
        """As int64."""
        return self.to(_dtypes.int64)

    @property
    def is_cuda(self) -> bool:
        """Whether `data` is on a CUDA device."""
        return self.data.is_cuda


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes another one; None of None.

    >>> import tensorlab
    >>> invert_permutation(tensorlab.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    out = empty_like(permutation)
    out._data[permutation._data] = np.arange(permutation.numel())
    return out


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Leave the padding out of a batch of sequences.

    Args:
        input: `(T, B, *)`, or `(B, T, *)` if `batch_first`.
        lengths: of each sequence, on the CPU.
        batch_first: which of the first two dimensions is the batch.
        enforce_sorted: whether to refuse sequences that do not come longest first, instead of
            sorting them.

    Raises:
        RuntimeError: lengths that are not sorted, not positive, or do not fit the input.

    >>> import tensorlab
    >>> x = tensorlab.tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6]])
    >>> packed = pack_padded_sequence(x, [2, 1, 3], batch_first=True, enforce_sorted=False)
    >>> packed.data, packed.batch_sizes
    (tensor([4, 1, 3, 5, 2, 6]), tensor([3, 2, 1]))
    """
    sizes: Any = as_tensor(lengths, dtype=_dtypes.int64)
    if sizes.device.type != "cpu":
        raise RuntimeError(
            f"'lengths' argument should be a 1D CPU int64 tensor, but got 1D {sizes.device}: "
            "use lengths.cpu()"
        )
    order = None
    if not enforce_sorted:
        sizes, order = sort(sizes, descending=True)
        order = order.to(input.device)
        input = index_select(input, 0 if batch_first else 1, order)
    if batch_first:
        input = input.transpose(0, 1)
    steps, batch = input.shape[:2]
    counts = sizes._data
    if counts.shape != (batch,):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {counts.size} "
            f"(batch_size={batch})"
        )
    if batch == 0 or counts[-1] <= 0 or counts.min() <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if (np.diff(counts) > 0).any():
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You "
            "can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if counts[0] > steps:
        raise RuntimeError(
            f"the longest of `lengths` is {counts[0]}, but the input has {steps} steps"
        )
    places, batch_sizes = _places(counts)
    flat = input.reshape(steps * batch, *input.shape[2:])
    data = index_select(flat, 0, wrap(places).to(input.device))
    return PackedSequence(data, wrap(batch_sizes), order)


def _places(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the packed steps stand in a flat `(T, B)`, and the batch sizes."""
    steps, batch = np.arange(lengths[0])[:, None], np.arange(lengths.size)
    there = steps < lengths
    return (steps * lengths.size + batch)[there], there.sum(1)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The inverse of `pack_padded_sequence`.

    Args:
        sequence: what was packed.
        batch_first: whether the output is `(B, T, *)` instead of `(T, B, *)`.
        padding_value: for the places behind the ends.
        total_length: T; the longest length if None.

    Returns:
        The batch in its original order, and the lengths.

    Raises:
        ValueError: `total_length` is too short.
    """
    sizes = sequence.batch_sizes._data
    longest = steps = sizes.size
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in "
                f"input, but got total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    batch = int(sizes[0])
    lengths = (np.arange(batch) < sizes[:, None]).sum(0)
    places, _ = _places(lengths)
    data = sequence.data
    assert longest == lengths[0]
    blank: Any = full(
        (steps * batch, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device
    )
    out: Any = index_copy(blank, 0, wrap(places).to(data.device), data)
    out = out.reshape(steps, batch, *data.shape[1:])
    if batch_first:
        out = out.transpose(0, 1)
    back = sequence.unsorted_indices
    if back is not None:
        out = index_select(out, 0 if batch_first else 1, back)
        lengths = lengths[back.cpu()._data]
    return out, wrap(lengths)


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack sequences of different lengths, filled up to the longest.

    Args:
        sequences: tensors `(L, *)` that differ in `L` only.
        batch_first: whether the output is `(B, T, *)` instead of `(T, B, *)`.
        padding_value: what to fill up with.
        padding_side: "right" or "left".

    Raises:
        RuntimeError: there are no sequences, or `padding_side` is something else.

    >>> import tensorlab
    >>> pad_sequence([tensorlab.ones(3), tensorlab.ones(1)], batch_first=True)
    tensor([[1., 1., 1.],
            [1., 0., 0.]])
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    parts: list[Any] = list(sequences)
    if not parts:
        raise RuntimeError("received an empty list of sequences")
    longest = max(p.shape[0] for p in parts)

    def filled(p: Any) -> Any:
        shape = (longest - p.shape[0], *p.shape[1:])
        if not shape[0]:
            return p
        blank = full(shape, padding_value, dtype=p.dtype, device=p.device)
        return cat([p, blank] if padding_side == "right" else [blank, p])

    return stack([filled(p) for p in parts], 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The sequences of a padded batch, each of its own length."""
    batch: Any = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[: int(n)] for row, n in zip(batch, lengths, strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences of different lengths; see `pack_padded_sequence`.

    >>> import tensorlab
    >>> pack_sequence([tensorlab.tensor([1, 2]), tensorlab.tensor([3])]).data
    tensor([1, 3, 2])
    """
    lengths = [s.shape[0] for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that `pack_sequence` packed, each of its own length, in their order.

    >>> import tensorlab
    >>> unpack_sequence(pack_sequence([tensorlab.tensor([1, 2]), tensorlab.tensor([3])]))
    [tensor([1, 2]), tensor([3])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
