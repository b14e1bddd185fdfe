"""Grids, files, drawings and boxes."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import vision
from tensorlab.vision import ops
from tensorlab.vision.utils import (
    draw_bounding_boxes,
    draw_segmentation_masks,
    make_grid,
    save_image,
)

Image = pytest.importorskip("PIL.Image", reason="images are PIL images")


def test_the_parts_are_attributes():
    assert {"datasets", "models", "ops", "transforms", "utils"} <= set(dir(vision))
    assert vision.utils.make_grid is make_grid
    with pytest.raises(AttributeError, match="module 'tensorlab.vision' has no attribute 'io'"):
        vision.io  # noqa: B018


# Grids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "nrow", "padding"), [(7, 3, 2), (4, 8, 0), (2, 1, 5), (9, 3, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_make_grid(rng, count, nrow, padding, channels):
    images = tl.from_numpy(rng.random((count, channels, 5, 6)).astype(np.float32))
    grid = make_grid(images, nrow, padding, pad_value=0.25)
    columns = min(nrow, count)
    rows = -(-count // columns)
    wanted = np.full((3, rows * (5 + padding) + padding, columns * (6 + padding) + padding), 0.25)
    for k in range(count):
        top = k // columns * (5 + padding) + padding
        left = k % columns * (6 + padding) + padding
        wanted[:, top : top + 5, left : left + 6] = images[k].numpy()
    np.testing.assert_array_equal(grid.numpy(), wanted.astype(np.float32))
    np.testing.assert_array_equal(
        make_grid(list(images.unbind(0)), nrow, padding, pad_value=0.25).numpy(), grid.numpy()
    )


def test_make_grid_of_one_image(rng):
    one = tl.from_numpy(rng.random((1, 3, 5, 6)).astype(np.float32))
    assert make_grid(one).shape == (3, 5, 6)
    assert make_grid(one[0]).shape == (3, 5, 6)
    assert make_grid(one[0, 0]).shape == (3, 5, 6)
    assert make_grid(one[0, :1]).shape == (3, 5, 6)
    numbers = tl.randint(0, 256, (4, 1, 3, 3), dtype=tl.uint8)
    assert make_grid(numbers).dtype is tl.uint8
    assert not make_grid([one[0].clone().requires_grad_()] * 2).requires_grad


def test_make_grid_normalizes(rng):
    images = tl.from_numpy(rng.standard_normal((3, 3, 4, 4)).astype(np.float32))
    before = images.numpy().copy()
    a = images.numpy()
    for each, value_range in [(False, None), (True, None), (False, (-1, 2)), (True, (-1, 2))]:
        grid = make_grid(images, 3, 0, normalize=True, scale_each=each, value_range=value_range)
        for k in range(3):
            part = a[k] if each else a
            low, high = value_range or (part.min(), part.max())
            wanted = (np.clip(a[k], low, high) - low) / (high - low)
            np.testing.assert_allclose(grid[:, :, 4 * k : 4 * k + 4].numpy(), wanted, atol=1e-6)
    np.testing.assert_array_equal(images.numpy(), before)
    assert float(make_grid(tl.ones(2, 3, 4, 4), normalize=True, padding=0).max()) == 0


def test_make_grid_errors():
    for wrong in (3, [1, 2], np.zeros((2, 3, 4, 4))):
        with pytest.raises(TypeError, match="tensor or list of tensors expected, got"):
            make_grid(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="value_range has to be a tuple"):
        make_grid(tl.zeros(2, 3, 4, 4), normalize=True, value_range=[0, 1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"of shape \(B, C, H, W\), got \(5,\)"):
        make_grid(tl.zeros(5))


def test_save_image(rng, tmp_path):
    images = tl.from_numpy(rng.random((4, 3, 5, 6)).astype(np.float32))
    images[0, 0, 0, :2] = tl.tensor([-3.0, 7.0])
    save_image(images, tmp_path / "grid.png", nrow=2, padding=1)
    grid = make_grid(images, nrow=2, padding=1).numpy()
    wanted = np.clip(np.floor(grid * 255 + 0.5), 0, 255).transpose(1, 2, 0)
    with Image.open(tmp_path / "grid.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved), wanted)
    file = io.BytesIO()
    save_image(images, file, "bmp", nrow=2, padding=1)
    with Image.open(file) as saved:
        assert saved.format == "BMP"
        np.testing.assert_array_equal(np.asarray(saved), wanted)
    save_image(images.clone().requires_grad_(), str(tmp_path / "odd"), format="png")
    before = (tmp_path / "odd").read_bytes()
    with pytest.raises(OSError, match="cannot write mode RGB as"):
        save_image(images, tmp_path / "odd", format="xbm")
    assert (tmp_path / "odd").read_bytes() == before  # what was there is still there
    with pytest.raises(ValueError, match="unknown file extension: '.xyz'"):
        save_image(images, tmp_path / "grid.xyz")
    with pytest.raises(FileNotFoundError):
        save_image(images, tmp_path / "nowhere" / "grid.png")
    assert sorted(os.listdir(tmp_path)) == ["grid.png", "odd"]


# Drawing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [tl.uint8, tl.float32])
def test_draw_bounding_boxes(kind):
    image = tl.zeros(3, 20, 30, dtype=kind)
    out = draw_bounding_boxes(image, tl.tensor([[3, 4, 12, 15]]), colors="red")
    assert out.dtype is kind
    white = 255 if kind is tl.uint8 else 1.0
    wanted = np.zeros((20, 30), bool)
    wanted[4:16, 3:13] = True
    wanted[5:15, 4:12] = False
    np.testing.assert_array_equal(out[0].numpy() == white, wanted)
    assert float(out[1:].max()) == 0
    assert float(image.max()) == 0


def test_draw_bounding_boxes_options():
    image = tl.zeros(1, 40, 60, dtype=tl.uint8)
    boxes = tl.tensor([[3.0, 4, 30, 30], [40, 2, 55, 35]])
    plain = draw_bounding_boxes(image, boxes)
    assert plain.shape == (3, 40, 60)
    assert not bool((plain[:, 4, 3] == plain[:, 2, 40]).all())  # colours of their own
    labelled = draw_bounding_boxes(image, boxes, ["cat", None], width=2)
    assert int((labelled != draw_bounding_boxes(image, boxes, width=2)).sum()) > 0
    filled = draw_bounding_boxes(image, boxes, colors=[(0, 255, 0), "#0000ff"], fill=True)
    assert filled[:, 20, 10].tolist() == [0, 100, 0]
    assert filled[:, 2, 40].tolist() == [0, 0, 255]
    none = draw_bounding_boxes(image, tl.zeros(0, 4))
    assert float(none.max()) == 0
    for call, error, message in [
        (lambda: draw_bounding_boxes(np.zeros((3, 4, 4)), boxes), TypeError, "Tensor expected"),
        (lambda: draw_bounding_boxes(image.long(), boxes), ValueError, "must be uint8 or float"),
        (lambda: draw_bounding_boxes(image[None], boxes), ValueError, "not batches"),
        (lambda: draw_bounding_boxes(image.expand(2, -1, -1), boxes), ValueError, "Only grayscale"),
        (lambda: draw_bounding_boxes(image, boxes[:, [2, 1, 0, 3]]), ValueError, "xmin, ymin"),
        (lambda: draw_bounding_boxes(image, boxes, ["a"]), ValueError, "mismatch"),
        (lambda: draw_bounding_boxes(image, boxes, colors=["red"]), ValueError, "Number of colors"),
        (lambda: draw_bounding_boxes(image, boxes, colors=[1, 2]), ValueError, "colors must be"),
    ]:
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("kind", [tl.uint8, tl.float32])
def test_draw_segmentation_masks(kind):
    white = 200 if kind is tl.uint8 else 0.5
    image = tl.full((3, 4, 5), white, dtype=kind)
    masks = tl.zeros(2, 4, 5, dtype=tl.bool)
    masks[0, :2] = True
    masks[1, :, 4] = True
    out = draw_segmentation_masks(image, masks, 0.5, ["red", (0, 0, 255)])
    assert out.dtype is kind
    full = 255 if kind is tl.uint8 else 1.0
    red = [
        int(white / 2 + full / 2) if kind is tl.uint8 else white / 2 + full / 2,
        white / 2,
        white / 2,
    ]
    np.testing.assert_allclose(out[:, 0, 0].numpy(), red)
    np.testing.assert_allclose(out[:, 0, 4].numpy(), red[::-1])
    np.testing.assert_allclose(out[:, 3, 0].numpy(), [white] * 3)
    assert bool((draw_segmentation_masks(image, masks[0], 0.0) == image).all())
    with pytest.raises(ValueError, match="masks must be boolean"):
        draw_segmentation_masks(image, masks.float())
    with pytest.raises(ValueError, match="same height and width"):
        draw_segmentation_masks(image, masks[:, :3])


# Boxes ----------------------------------------------------------------------------------------


def random_boxes(rng, count, kind=np.float32):
    corners = rng.integers(0, 40, (count, 2))
    return np.concatenate([corners, corners + rng.integers(1, 25, (count, 2))], 1).astype(kind)


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return common / (sum(areas) - common)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.uint8])
def test_box_iou(rng, kind):
    a, b = random_boxes(rng, 7, kind), random_boxes(rng, 5, kind)
    found = ops.box_iou(tl.from_numpy(a), tl.from_numpy(b)).numpy()
    wanted = [[iou(x, y) for y in b.astype(float)] for x in a.astype(float)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    general = ops.generalized_box_iou(tl.from_numpy(a), tl.from_numpy(a)).numpy()
    np.testing.assert_allclose(np.diag(general), 1)
    assert general.min() >= -1
    areas = ops.box_area(tl.from_numpy(a)).numpy()
    np.testing.assert_allclose(areas, np.prod(a[:, 2:].astype(int) - a[:, :2], axis=1))
    far = ops.generalized_box_iou(tl.tensor([[0.0, 0, 1, 1]]), tl.tensor([[3.0, 0, 4, 1]]))
    assert float(far) == -0.5  # 2 of the 4 around both are in neither
    with pytest.raises(ValueError, match=r"boxes2 should have shape \(N, 4\)"):
        ops.box_iou(tl.zeros(2, 4), tl.zeros(4))


def plain_nms(boxes, scores, threshold):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[i], boxes[k]) <= threshold for k in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.9])
def test_nms(rng, threshold):
    boxes, scores = random_boxes(rng, 40), rng.permutation(40).astype(np.float32)
    t, s = tl.from_numpy(boxes), tl.from_numpy(scores)
    found = ops.nms(t, s, threshold)
    assert found.dtype is tl.int64
    assert found.tolist() == plain_nms(boxes, scores, threshold)
    classes = rng.integers(0, 3, 40)
    wanted = [i for c in range(3) for i in np.flatnonzero(classes == c)[
        plain_nms(boxes[classes == c], scores[classes == c], threshold)
    ]]  # fmt: skip
    wanted.sort(key=lambda i: -scores[i])
    assert ops.batched_nms(t, s, tl.from_numpy(classes), threshold).tolist() == wanted
    empty = tl.zeros(0, 4)
    assert ops.nms(empty, tl.zeros(0), 0.5).shape == (0,)
    assert ops.batched_nms(empty, tl.zeros(0), tl.zeros(0, dtype=tl.int64), 0.5).dtype is tl.int64
    with pytest.raises(ValueError, match=r"scores should have shape \(40,\), got \(39,\)"):
        ops.nms(t, s[1:], 0.5)


def test_box_convert(rng):
    boxes = tl.from_numpy(random_boxes(rng, 6))
    ways = ("xyxy", "xywh", "cxcywh")
    for a in ways:
        for b in ways:
            written = ops.box_convert(boxes, "xyxy", a)
            back = ops.box_convert(ops.box_convert(written, a, b), b, "xyxy")
            np.testing.assert_allclose(back.numpy(), boxes.numpy())
    x1, y1, x2, y2 = boxes.numpy().T
    wanted = np.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], 1)
    np.testing.assert_allclose(ops.box_convert(boxes, "xyxy", "cxcywh").numpy(), wanted)
    assert ops.box_convert(boxes, "xyxy", "xyxy") is not boxes
    with pytest.raises(ValueError, match="in_fmt xyxy and out_fmt yxyx"):
        ops.box_convert(boxes, "xyxy", "yxyx")


def test_small_and_clipped_boxes():
    boxes = tl.tensor([[-3.0, 2, 50, 9], [4, 4, 5, 30], [1, 1, 8, 3]])
    assert ops.clip_boxes_to_image(boxes, (20, 40)).tolist() == [
        [0, 2, 40, 9],
        [4, 4, 5, 20],
        [1, 1, 8, 3],
    ]
    assert ops.remove_small_boxes(boxes, 2).tolist() == [0, 2]
