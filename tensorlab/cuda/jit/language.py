"""The words of a kernel: what stands in one for the thread, its block, their memory and their meeting.

Outside of a kernel these objects do nothing: a kernel is never run by Python. It is read, and
either translated for the GPU or carried out by the simulator. So a kernel may name them any way
it likes: `threadIdx.x`, `jit.threadIdx.x`, or under an alias.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "activemask",
    "all_sync",
    "any_sync",
    "atomic",
    "ballot_sync",
    "blockDim",
    "blockIdx",
    "grid",
    "gridDim",
    "gridsize",
    "laneid",
    "local",
    "popc",
    "rsqrt",
    "shared",
    "shfl_down_sync",
    "shfl_sync",
    "shfl_up_sync",
    "shfl_xor_sync",
    "syncthreads",
    "syncwarp",
    "threadIdx",
    "warpsize",
]


class Word:
    """Something that has a meaning inside of a kernel only."""

    def __init__(self, name: str, doc: str) -> None:
        self.name = name
        self.__doc__ = doc

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"{self.name}() has a meaning inside of a kernel only: write it in a function "
            f"decorated with @jit.kernel, and launch that as kernel[blocks, threads](…)"
        )

    def __repr__(self) -> str:
        return f"<{self.name} of tensorlab.cuda.jit>"


class Coordinates(Word):
    """Three whole numbers: `.x`, `.y` and `.z`, of dtype int32."""

    x: int
    y: int
    z: int

    def __getattr__(self, name: str) -> Any:
        if name in ("x", "y", "z"):
            raise RuntimeError(f"{self.name}.{name} has a value inside of a kernel only")
        raise AttributeError(f"{self.name} has .x, .y and .z, not .{name}", name=name, obj=self)


class Family(Word):
    """Words that share a first name, as `atomic.add` and `atomic.max` do."""

    def __init__(self, name: str, doc: str, members: dict[str, str]) -> None:
        super().__init__(name, doc)
        for member, text in members.items():
            setattr(self, member, Word(f"{name}.{member}", text))

    def __getattr__(self, name: str) -> Any:
        known = ", ".join(key for key in vars(self) if not key.startswith("_") and key != "name")
        raise AttributeError(f"{self.name} has {known}, not {name}", name=name, obj=self)


threadIdx = Coordinates("threadIdx", "Which thread of its block this is: from 0 to blockDim - 1.")
blockIdx = Coordinates("blockIdx", "Which block of the grid this thread is in.")
blockDim = Coordinates("blockDim", "How many threads a block has in each direction.")
gridDim = Coordinates("gridDim", "How many blocks the grid has in each direction.")

grid = Word(
    "grid",
    "This thread's place in the whole grid: `grid(1)` is blockIdx.x * blockDim.x + threadIdx.x; "
    "`x, y = grid(2)` and `x, y, z = grid(3)` give the other directions too.",
)
gridsize = Word("gridsize", "How many threads the grid has: `gridsize(1)`, `w, h = gridsize(2)`.")

#: Threads of a warp: they run the same instruction at the same time.
warpsize = 32
laneid = Word("laneid", "Which thread of its warp this is: 0 to 31.")

syncthreads = Word(
    "syncthreads",
    "Wait until all threads of the block are here; what they wrote before can then be read by all.",
)
syncwarp = Word(
    "syncwarp",
    "Wait until the threads of the warp that `mask` names (by default all) are here; what they "
    "wrote before can then be read by all of them.",
)

shared = Family(
    "shared",
    "Memory that the threads of a block share.",
    {
        "array": "An array of the block: `tile = shared.array((16, 16), float32)`. Its shape is made "
        "of constants. Nothing is in it before somebody writes it."
    },
)
local = Family(
    "local",
    "Memory of one thread.",
    {
        "array": "An array of the thread's own: `best = local.array(4, float32)`. Its shape is made of "
        "constants. Nothing is in it before the thread writes it."
    },
)

_ATOMIC = (
    "in one step that no other thread can come between; the value is the one that was there before."
)
atomic = Family(
    "atomic",
    "Changes of one element that other threads change too.",
    {
        "add": f"`atomic.add(array, index, value)`: array[index] += value, {_ATOMIC}",
        "sub": f"`atomic.sub(array, index, value)`: array[index] -= value, {_ATOMIC}",
        "max": f"`atomic.max(array, index, value)`: keep the larger, {_ATOMIC} Integers only.",
        "min": f"`atomic.min(array, index, value)`: keep the smaller, {_ATOMIC} Integers only.",
        "exch": f"`atomic.exch(array, index, value)`: array[index] = value, {_ATOMIC}",
        "cas": "`atomic.cas(array, index, old, value)`: array[index] = value if it is `old`, "
        f"{_ATOMIC} Integers only.",
        "and_": f"`atomic.and_(array, index, value)`: array[index] &= value, {_ATOMIC}",
        "or_": f"`atomic.or_(array, index, value)`: array[index] |= value, {_ATOMIC}",
        "xor": f"`atomic.xor(array, index, value)`: array[index] ^= value, {_ATOMIC}",
    },
)

_SHUFFLE = "`mask` names the lanes that take part (0xffffffff: all 32), `width` splits the warp."
shfl_sync = Word(
    "shfl_sync", f"`shfl_sync(mask, value, lane, width=32)`: `value` of that lane. {_SHUFFLE}"
)
shfl_up_sync = Word(
    "shfl_up_sync",
    f"`shfl_up_sync(mask, value, delta, width=32)`: `value` of the lane `delta` below. {_SHUFFLE}",
)
shfl_down_sync = Word(
    "shfl_down_sync",
    f"`shfl_down_sync(mask, value, delta, width=32)`: `value` of the lane `delta` above. {_SHUFFLE}",
)
shfl_xor_sync = Word(
    "shfl_xor_sync",
    f"`shfl_xor_sync(mask, value, bits, width=32)`: `value` of the lane whose number differs in "
    f"`bits`. {_SHUFFLE}",
)
ballot_sync = Word(
    "ballot_sync", "`ballot_sync(mask, yes)`: uint32 with a bit for each lane whose `yes` is true."
)
any_sync = Word("any_sync", "`any_sync(mask, yes)`: whether `yes` is true in any lane of `mask`.")
all_sync = Word("all_sync", "`all_sync(mask, yes)`: whether `yes` is true in all lanes of `mask`.")
activemask = Word("activemask", "uint32 with a bit for each lane that runs this instruction.")
popc = Word("popc", "`popc(bits)`: how many bits of a whole number are 1.")
rsqrt = Word("rsqrt", "`rsqrt(x)`: 1 / sqrt(x), in one instruction.")
