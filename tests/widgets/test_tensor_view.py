"""`view`: what it says and sends of tensors of all shapes, of large ones, and of two."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab_widgets import _tensor_source, view
from tensorlab_widgets._tensor_source import Source, read_plane


def numbers(data: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(data) // 8}d", data))


class Tape:
    """As the learner's own class in lesson 01."""

    def __init__(self, buffer: Any, shape: Any, strides: Any, offset: int = 0) -> None:
        self.buffer, self.shape, self.strides, self.offset = buffer, shape, strides, offset


def test_values_and_memory_of_random_views(rng: np.random.Generator) -> None:
    for _ in range(50):
        shape = tuple(int(n) for n in rng.integers(1, 5, rng.integers(0, 5)))
        base = tl.from_numpy(rng.normal(size=(*shape, 3))).permute(
            *rng.permutation(len(shape) + 1).tolist()
        )
        x = base[..., ::2] if base.ndim else base
        (panel,) = view(x)._state()["panels"]
        assert numbers(panel["values"]) == x.numpy().reshape(-1).tolist()
        storage = Source(x, "x").storage
        assert panel["strides"] == list(x.stride())
        assert panel["offset"] == x.storage_offset()
        for index in np.ndindex(*x.shape):
            place = panel["offset"] + sum(i * s for i, s in zip(index, x.stride(), strict=True))
            assert storage[place] == x[index].item()


def test_a_view_of_the_lesson_and_its_transpose_on_one_tape() -> None:
    tape = np.arange(10, 22)
    shown = view(
        Tape(tape, (3, 4), (4, 1)), Tape(tape, (4, 3), (1, 4)), names=["x", "its transpose"]
    )
    assert repr(shown) == "<view of x: int64 [3, 4], its transpose: int64 [4, 3]>"
    assert shown._text().splitlines()[-2:] == [
        "Both lie in the same memory: who writes to one writes to the other.",
        "tape of 12: 10 11 12 13 14 15 16 17 18 19 20 21",
    ]
    state = shown._state()
    assert state["shared"]
    assert numbers(state["tape"]) == tape.tolist()
    assert numbers(state["panels"][1]["values"]) == tape.reshape(3, 4).T.reshape(-1).tolist()
    with pytest.raises(ValueError, match="places 0 to 14"):
        view(Tape(tape, (3, 4), (4, 2)))


def test_a_difference_is_told_and_equal_nans_are_equal() -> None:
    a = tl.tensor([[1.0, float("nan"), float("inf")], [2.0, 3.0, 4.0]])
    b = a.clone()
    assert "Both are equal, element by element." in view(a, b)._text()
    b[1, 1] += 0.5
    text = view(a, b)._text()
    assert "1 of 6 elements differ, 1 by more than" in text
    assert "the largest difference is 0.5, at [1, 1]." in text
    b[0, 0] = float("nan")
    assert "2 of 6 elements differ" in view(a, b)._text()
    assert "at [0, 0]" in view(a, b)._text()
    difference = view(a, b)._state()["panels"][2]
    assert numbers(difference["values"])[1:] == [0.0, 0.0, 0.0, -0.5, 0.0]
    assert difference["strides"] is None
    ranges = [panel["range"] for panel in view(a, b)._state()["panels"]]
    assert ranges == [[1, 4], [1, 4], [-0.5, 0.5]]


def test_nothing_is_read_before_it_is_shown_and_then_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    part = Source.part
    monkeypatch.setattr(Source, "part", lambda self, key: reads.append(key) or part(self, key))
    shown = view(tl.ones(3, 4))
    assert (repr(shown), reads) == ("<view of tensor: float32 [3, 4]>", [])
    first = shown._known()
    assert shown._known() is first
    assert len(reads) == 1


def test_a_large_tensor_is_read_in_part_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tensor_source, "MOST_READ", 10_000)
    x = tl.zeros(300, 500)
    x[1, 1] = float("nan")  # between the elements that are read
    shown = view(x)
    text = shown._text()
    assert "are of 9,375 of 150,000 elements, evenly spread" in text
    assert "nan 1 " in text
    (panel,) = shown._state()["panels"]
    assert panel["values"] is None
    assert panel["plane"]["block"] == [3, 2]
    assert "9,375 of 150,000" in panel["sampled"]


def test_blocks_are_means_of_what_is_finite(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = rng.normal(size=(2, 300, 700))
    array[1, 5, 9] = np.nan
    about, (means, bad) = read_plane(Source(tl.from_numpy(array), "x"), [1])
    assert about == {"window": [0, 300, 0, 700], "block": [3, 3], "every": [1, 1]}
    rows = np.array(numbers(means)).reshape(100, 234)
    np.testing.assert_allclose(rows[0, 0], array[1, :3, :3].mean())
    np.testing.assert_allclose(rows[1, 3], np.nanmean(array[1, 3:6, 9:12]))
    np.testing.assert_allclose(rows[99, 233], array[1, 297:, 699:].mean())
    assert np.frombuffer(bad, "<i4").reshape(100, 234)[1, 3] == 1
    about, (exact, _) = read_plane(Source(tl.from_numpy(array), "x"), [1], [4, 8, 8, 12])
    np.testing.assert_array_equal(np.array(numbers(exact)).reshape(4, 4), array[1, 4:8, 8:12])
    with pytest.raises(IndexError, match="no plane"):
        read_plane(Source(tl.from_numpy(array), "x"), [2])
    # Too large to read all of it: each 8th part of a block, in step with the blocks.
    monkeypatch.setattr(_tensor_source, "MOST_READ", 1000)
    ramp = np.broadcast_to(np.arange(5000.0), (4000, 5000))
    about, (means, _) = read_plane(Source(ramp, "x"), [])
    assert about == {"window": [0, 4000, 0, 5000], "block": [32, 20], "every": [4, 2]}
    first = np.array(numbers(means)).reshape(125, 250)[:, 0]
    np.testing.assert_allclose(first, np.arange(0, 20, 2).mean())


@pytest.mark.parametrize(
    ("shape", "count"),
    [((8, 8), 1), ((3, 8, 8), 1), ((5, 8, 8), 5), ((100, 3, 8, 8), 64), ((4, 2, 8, 8), None), ((8,), None)],
)  # fmt: skip
def test_images(shape: tuple[int, ...], count: int | None) -> None:
    x = tl.linspace(0, 1, int(np.prod(shape))).reshape(shape)
    images = view(x)._state()["panels"][0]["images"]
    if count is None:
        assert images is None
        return
    assert images["count"] == count
    pixels = np.frombuffer(images["pixels"], np.uint8).reshape(count, 8, 8, 4)
    planes = x.numpy().reshape(-1, 8, 8)
    assert pixels[0, 3, 4, 0] == round(255 * planes[0, 3, 4])
    assert "0 is black, 1 is white" in images["words"]
    assert ("the first 64 of 100 images" in images["words"]) == (count == 64)


def test_pixels_that_are_not_finite_are_marked_and_counted() -> None:
    x = tl.zeros(4, 4)
    x[1, 2] = float("nan")
    images = view(x)._state()["panels"][0]["images"]
    assert np.frombuffer(images["pixels"], np.uint8).reshape(4, 4, 4)[1, 2].tolist() == [255, 0, 255, 255]  # fmt: skip
    assert "1 pixels that are not finite" in images["words"]


@pytest.mark.parametrize(
    "x",
    [tl.tensor(3.0), tl.zeros(0, 3), tl.tensor([True, False]), tl.tensor([1 + 1j, 2.0]), tl.arange(5)],
    ids=["scalar", "empty", "bool", "complex", "integer"],
)  # fmt: skip
def test_every_kind_of_tensor_has_words_and_a_page(x: tl.Tensor) -> None:
    shown = view(x)
    assert f"{x.dtype.name} {list(x.shape)}" in shown._text()
    assert "@@state@@" not in shown._page()
    assert (shown._figure() is None) == (x.numel() == 0)


def test_what_cannot_be_shown_is_refused_in_words() -> None:
    with pytest.raises(TypeError, match="a tensor, a NumPy array or an object with buffer"):
        view([1, 2])
    with pytest.raises(ValueError, match="one shape, to compare them, or of one memory"):
        view(tl.ones(2), tl.ones(3))
    with pytest.raises(ValueError, match="expected 1 names"):
        view(tl.ones(2), names=["a", "b"])


def test_questions_of_the_browser() -> None:
    shown = view(tl.arange(200_000).reshape(2, 400, 250))
    about, (values, _) = shown._answer("plane", {"panel": 0, "index": [1], "window": [0, 2, 0, 2]})
    assert about["block"] == [1, 1]
    assert numbers(values) == [100_000, 100_001, 100_250, 100_251]
    shown.update()
    with pytest.raises(LookupError):
        shown._answer("nonsense", {})
