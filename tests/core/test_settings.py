"""What is chosen for the whole process: default device, determinism, precision."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tensorlab as tl
from tensorlab import _backend, _settings


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    yield
    tl.set_default_device(None)
    tl.use_deterministic_algorithms(False)
    tl.set_float32_matmul_precision("highest")


def test_tensors_are_made_on_the_default_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def to_device(array, device):
        asked.append(str(device))
        return array

    monkeypatch.setattr(_backend, "to_device", to_device)
    monkeypatch.setattr("tensorlab.ops.random.to_device", to_device)
    for make in (tl.zeros, tl.rand, tl.ones):
        make(2)
    assert asked == []  # no default: nothing is moved
    monkeypatch.setattr(_settings, "default_device", tl.device("cuda:1"))
    for make in (
        lambda: tl.zeros(2), lambda: tl.ones(1), lambda: tl.tensor([1.0]), lambda: tl.arange(3), lambda: tl.eye(2),
        lambda: tl.linspace(0, 1, 3), lambda: tl.full((2,), 1.0), lambda: tl.empty(2), lambda: tl.rand(2),
        lambda: tl.randn(2), lambda: tl.randperm(3), lambda: tl.randint(5, (2,)),
    ):  # fmt: skip
        asked.clear()
        make()
        assert set(asked) == {"cuda:1"}
    asked.clear()
    tl.zeros(2, device="cpu")
    assert set(asked) == {"cpu"}


def test_the_default_device_can_be_asked() -> None:
    assert tl.get_default_device() == tl.device("cpu")
    tl.set_default_device("cpu")
    assert tl.get_default_device() == tl.device("cpu")
    with pytest.raises(RuntimeError):
        tl.set_default_device("nonsense")


def test_flags_are_remembered() -> None:
    tl.use_deterministic_algorithms(True, warn_only=True)
    assert tl.are_deterministic_algorithms_enabled()
    assert tl.is_deterministic_algorithms_warn_only_enabled()
    tl.set_float32_matmul_precision("medium")
    assert tl.get_float32_matmul_precision() == "medium"
    with pytest.warns(UserWarning, match="one of highest, high, medium, got 'low'"):
        tl.set_float32_matmul_precision("low")
    assert tl.get_float32_matmul_precision() == "medium"
