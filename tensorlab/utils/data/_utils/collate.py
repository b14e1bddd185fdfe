"""Collating: a list of samples becomes one batch, whatever the samples are nested in."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from tensorlab._tensor import Tensor
from tensorlab.ops.from_data import as_tensor, tensor
from tensorlab.ops.joining import stack

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

CollateMap = dict[Any, Callable[..., Any]]

_UNSUPPORTED = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def default_convert(data: Any) -> Any:
    """Make tensors of the NumPy arrays and numbers in `data`, and leave the rest as it is.

    What a `DataLoader` with `batch_size=None` does to each sample.

    >>> import numpy as np
    >>> default_convert({"x": np.array([1, 2]), "name": "a"})
    {'x': tensor([1, 2]), 'name': 'a'}
    """
    if isinstance(data, (np.ndarray, np.generic)) and not isinstance(data, np.str_):
        return data if data.dtype.kind in "SUO" else as_tensor(data)
    if isinstance(data, Mapping):
        return _rebuilt_mapping(data, {key: default_convert(data[key]) for key in data})
    if _is_named_tuple(data):
        return type(data)(*(default_convert(d) for d in data))
    if isinstance(data, tuple):
        return [default_convert(d) for d in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuilt_sequence(data, [default_convert(d) for d in data])
    return data


def collate(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Collate with a choice of what to do with each type.

    Args:
        batch: samples of one structure.
        collate_fn_map: type (or tuple of types) → `function(batch, *, collate_fn_map)`. The
            first exact match is taken, else the first that the sample is an instance of.
            Mappings, named tuples, tuples and other sequences are collated field by field.

    Raises:
        RuntimeError: sequences of different lengths.
        TypeError: a type that nothing applies to.
    """
    elem = batch[0]
    kind = type(elem)
    if collate_fn_map is not None:
        function = collate_fn_map.get(kind)
        if function is None:
            matching = (f for key, f in collate_fn_map.items() if isinstance(elem, key))
            function = next(matching, None)
        if function is not None:
            return function(batch, collate_fn_map=collate_fn_map)

    def together(samples: Sequence[Any]) -> Any:
        return collate(samples, collate_fn_map=collate_fn_map)

    if isinstance(elem, Mapping):
        return _rebuilt_mapping(elem, {key: together([d[key] for d in batch]) for key in elem})
    if _is_named_tuple(elem):
        return kind(*(together(samples) for samples in zip(*batch, strict=False)))
    if isinstance(elem, Sequence):
        if any(len(other) != len(elem) for other in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        fields = [together(samples) for samples in zip(*batch, strict=True)]
        return fields if isinstance(elem, tuple) else _rebuilt_sequence(elem, fields)
    raise TypeError(_UNSUPPORTED.format(kind))


def default_collate(batch: Sequence[Any]) -> Any:
    """Make one batch of a list of samples: what a `DataLoader` does unless told otherwise.

    Tensors are stacked along a new first dimension; NumPy arrays and numbers become tensors
    (Python floats in float64); strings and bytes stay a list; dicts, named tuples and lists are
    collated field by field and keep their type, tuples become lists.

    Raises:
        RuntimeError: tensors of different shapes, or sequences of different lengths.
        TypeError: a type that can't be collated, such as None.

    >>> default_collate([(1, "a"), (2, "b")])
    [tensor([1, 2]), ('a', 'b')]
    >>> default_collate([{"x": 0.5}, {"x": 1.5}])
    {'x': tensor([0.5000, 1.5000], dtype=tensorlab.float64)}
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def _collate_tensors(batch: Sequence[Tensor], *, collate_fn_map: Any = None) -> Tensor:
    return stack(list(batch), 0)


def _collate_arrays(batch: Sequence[np.ndarray], *, collate_fn_map: Any = None) -> Any:
    if batch[0].dtype.kind in "SUO":
        raise TypeError(_UNSUPPORTED.format(batch[0].dtype))
    return collate([as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def _collate_array_numbers(batch: Sequence[Any], *, collate_fn_map: Any = None) -> Tensor:
    return as_tensor(np.array(batch))


def _collate_floats(batch: Sequence[float], *, collate_fn_map: Any = None) -> Tensor:
    return as_tensor(np.array(batch, np.float64))


def _collate_ints(batch: Sequence[int], *, collate_fn_map: Any = None) -> Tensor:
    return tensor(list(batch))


def _keep(batch: Sequence[Any], *, collate_fn_map: Any = None) -> Sequence[Any]:
    return batch


default_collate_fn_map: CollateMap = {
    Tensor: _collate_tensors,
    np.ndarray: _collate_arrays,
    (np.bool_, np.number, np.object_): _collate_array_numbers,
    float: _collate_floats,
    int: _collate_ints,
    str: _keep,
    bytes: _keep,
}


def _is_named_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _rebuilt_mapping(like: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    """`items` in a mapping of the type of `like`; a dict where that type can't be made so."""
    try:
        if isinstance(like, MutableMapping):
            clone = copy.copy(like)  # keeps what a subclass has besides its items
            clone.update(items)
            return clone
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def _rebuilt_sequence(like: Sequence[Any], items: list[Any]) -> Any:
    """`items` in a sequence of the type of `like`; a list where that type can't be made so."""
    try:
        if isinstance(like, MutableSequence):
            clone = copy.copy(like)
            for i, item in enumerate(items):
                clone[i] = item
            return clone
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:  # range, for example, takes no items
        return items
