"""Boxes around things in images: areas, overlaps, and which of many to keep.

A box is `(x1, y1, x2, y2)`, its left, top, right and bottom, with x1 ≤ x2 and y1 ≤ y2.
"""

from __future__ import annotations

import numpy as np

from tensorlab._dtypes import int64
from tensorlab._tensor import Tensor
from tensorlab.ops.compare import maximum, minimum, where
from tensorlab.ops.from_data import tensor
from tensorlab.ops.joining import stack

__all__ = [
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "generalized_box_iou",
    "nms",
    "remove_small_boxes",
]


def _boxes(boxes: Tensor, name: str = "boxes") -> Tensor:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name} should have shape (N, 4), got {tuple(boxes.shape)}")
    return boxes


def _upcast(values: Tensor) -> Tensor:
    """Numbers in which an area does not overflow."""
    if values.is_floating_point():
        return values if values.element_size() >= 4 else values.float()
    return values if values.element_size() >= 4 else values.int()


def box_area(boxes: Tensor) -> Tensor:
    """The areas `(N,)` of boxes `(N, 4)`."""
    x1, y1, x2, y2 = _upcast(_boxes(boxes)).unbind(1)
    return (x2 - x1) * (y2 - y1)


def _overlap(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """The areas `(N, M)` that two boxes have in common and together."""
    boxes1, boxes2 = _upcast(boxes1), _upcast(boxes2)
    left_top = maximum(boxes1[:, None, :2], boxes2[:, :2])
    right_bottom = minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    width, height = (right_bottom - left_top).clamp(min=0).unbind(2)
    common = width * height
    return common, box_area(boxes1)[:, None] + box_area(boxes2) - common


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """The area in common divided by the area together, `(N, M)`, of `(N, 4)` and `(M, 4)` boxes.

    >>> import tensorlab
    >>> from tensorlab.vision.ops import box_iou
    >>> box_iou(tensorlab.tensor([[0.0, 0, 2, 2]]), tensorlab.tensor([[1.0, 0, 3, 2], [5, 5, 6, 6]]))
    tensor([[0.3333, 0.0000]])
    """
    common, together = _overlap(_boxes(boxes1, "boxes1"), _boxes(boxes2, "boxes2"))
    return common / together


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """`box_iou` less the share of the smallest box around both that is in neither; from -1 to 1.

    Source: H. Rezatofighi and others, "Generalized Intersection over Union" (2019),
    https://arxiv.org/abs/1902.09630.
    """
    common, together = _overlap(_boxes(boxes1, "boxes1"), _boxes(boxes2, "boxes2"))
    boxes1, boxes2 = _upcast(boxes1), _upcast(boxes2)
    left_top = minimum(boxes1[:, None, :2], boxes2[:, :2])
    right_bottom = maximum(boxes1[:, None, 2:], boxes2[:, 2:])
    width, height = (right_bottom - left_top).clamp(min=0).unbind(2)
    around = width * height
    return common / together - (around - together) / around


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes `(N, 4)` written in another way.

    Args:
        in_fmt, out_fmt: "xyxy", "xywh" (left, top, width, height) or "cxcywh" (centre, width,
            height).

    Raises `ValueError` for others.

    >>> import tensorlab
    >>> from tensorlab.vision.ops import box_convert
    >>> box_convert(tensorlab.tensor([[1.0, 2, 3, 6]]), "xyxy", "cxcywh")
    tensor([[2., 4., 2., 4.]])
    """
    known = ("xyxy", "xywh", "cxcywh")
    if in_fmt not in known or out_fmt not in known:
        raise ValueError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}: "
            f"known are {', '.join(known)}"
        )
    if in_fmt == out_fmt:
        return boxes.clone()
    a, b, c, d = boxes.unbind(-1)
    if in_fmt == "xywh":
        a, b, c, d = a, b, a + c, b + d
    elif in_fmt == "cxcywh":
        a, b, c, d = a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d
    if out_fmt == "xywh":
        a, b, c, d = a, b, c - a, d - b
    elif out_fmt == "cxcywh":
        a, b, c, d = (a + c) / 2, (b + d) / 2, c - a, d - b
    return stack([a, b, c, d], -1)


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The boxes with what is outside of an image of `(height, width)` cut off."""
    height, width = size
    x1, y1, x2, y2 = boxes.unbind(-1)
    return stack(
        [x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)], -1
    )


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """The indices of the boxes with both sides at least `min_size`."""
    x1, y1, x2, y2 = _boxes(boxes).unbind(1)
    return where((x2 - x1 >= min_size) & (y2 - y1 >= min_size))[0]  # type: ignore[call-overload]


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The boxes to keep, the best first: no other that is better overlaps one of them more than that.

    Args:
        boxes: `(N, 4)`.
        scores: `(N,)`.
        iou_threshold: `box_iou` from which on two boxes are taken for the same thing.

    Returns int64 indices, in decreasing order of their scores.

    Raises `ValueError` if the shapes do not fit.

    >>> import tensorlab
    >>> from tensorlab.vision.ops import nms
    >>> boxes = tensorlab.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30]])
    >>> nms(boxes, tensorlab.tensor([0.8, 0.9, 0.3]), 0.5)
    tensor([1, 2])
    """
    _boxes(boxes)
    if scores.shape != boxes.shape[:1]:
        raise ValueError(f"scores should have shape ({len(boxes)},), got {tuple(scores.shape)}")
    order = scores.detach().argsort(descending=True, stable=True)
    overlaps = box_iou(boxes.detach()[order], boxes.detach()[order]).cpu().numpy() > iou_threshold
    dropped = np.zeros(len(boxes), bool)
    kept = []
    for i in range(len(boxes)):
        if not dropped[i]:
            kept.append(i)
            dropped |= overlaps[i]
    return order[tensor(kept, dtype=int64, device=boxes.device)]


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """`nms` among the boxes of each class, which `idxs`, `(N,)`, names; the best first."""
    if boxes.numel() == 0:
        return tensor([], dtype=int64, device=boxes.device)
    # Far enough from each other, boxes of different classes do not overlap.
    apart = (boxes.max() - boxes.min() + 1) * idxs.to(boxes.dtype)
    return nms(boxes + apart[:, None], scores, iou_threshold)
