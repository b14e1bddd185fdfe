"""Random numbers for CUDA tensors: one stream serves all devices.

The numbers are those of the CPU's default generator whatever the device, so that a seed gives the same
numbers everywhere; these functions are PyTorch's names for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tensorlab import _random
from tensorlab._backend import Device
from tensorlab._tensor import Tensor
from tensorlab.cuda.devices import device_count, index_of, require


def manual_seed(seed: int) -> None:
    """Seed random numbers; one stream serves all devices, so this is `tensorlab.manual_seed`."""
    _random.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """As `manual_seed`: one stream serves all devices."""
    _random.manual_seed(seed)


def seed() -> None:
    """Seed from the operating system's entropy."""
    _random.seed()


def seed_all() -> None:
    """As `seed`: one stream serves all devices."""
    _random.seed()


def initial_seed() -> int:
    """The seed that the numbers started from; `RuntimeError` without a CUDA device."""
    require()
    return _random.initial_seed()


def get_rng_state(device: int | str | Device = "cuda") -> Tensor:
    """The state of the numbers, a uint8 tensor on the CPU; `RuntimeError` without a CUDA device."""
    index_of(device, require())
    return _random.get_rng_state()


def set_rng_state(new_state: Tensor, device: int | str | Device = "cuda") -> None:
    """Go back to a state that `get_rng_state` returned; `RuntimeError` without a CUDA device."""
    index_of(device, require())
    _random.set_rng_state(new_state)


def get_rng_state_all() -> list[Tensor]:
    """`get_rng_state` for each device: all alike; none without a CUDA device."""
    return [_random.get_rng_state() for _ in range(device_count())]


def set_rng_state_all(new_states: Iterable[Tensor]) -> None:
    """Go back to the states that `get_rng_state_all` returned; nothing happens with none."""
    for state in new_states:
        _random.set_rng_state(state)
