"""Chains of elementwise operations as one kernel, written by the kernel's own text generator.

Done one after the other, each operation of `x / (1 + exp(-x))` reads and writes the whole array: four
times the memory traffic of the result. So a Python function is called once with `Value`s, which write down
what is done to them as lines of CUDA, and those lines become the body of a loop:

    silu = Chain("silu", lambda x: x / (1 + exp(-x)), arrays="x")

What is used twice is computed once. `Chain.text` is the kernel, `chain(x)` runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorlab.kernels.cuda.launch import (
    CHAINS,
    aligned,
    launch,
    like,
    strided_grid,
    type_of,
)

THREADS = 256


class Value:
    """A number of each element, by its name in the kernel's text."""

    def __init__(self, lines: dict[str, str], name: str) -> None:
        self.lines = lines  # what has been computed so far: expression → name
        self.name = name

    def _new(self, expression: str, kind: str = "A") -> Value:
        name = self.lines.get(expression)
        if name is None:
            name = self.lines[expression] = f"{'b' if kind == 'bool' else 't'}{len(self.lines)}"
        return Value(self.lines, name)

    def __add__(self, other: Any) -> Value:
        return self._new(f"{self.name} + {text(other)}")

    def __radd__(self, other: Any) -> Value:
        return self._new(f"{text(other)} + {self.name}")

    def __sub__(self, other: Any) -> Value:
        return self._new(f"{self.name} - {text(other)}")

    def __rsub__(self, other: Any) -> Value:
        return self._new(f"{text(other)} - {self.name}")

    def __mul__(self, other: Any) -> Value:
        return self._new(f"{self.name} * {text(other)}")

    def __rmul__(self, other: Any) -> Value:
        return self._new(f"{text(other)} * {self.name}")

    def __truediv__(self, other: Any) -> Value:
        return self._new(f"{self.name} / {text(other)}")

    def __rtruediv__(self, other: Any) -> Value:
        return self._new(f"{text(other)} / {self.name}")

    def __neg__(self) -> Value:
        return self._new(f"-{self.name}")

    def __lt__(self, other: Any) -> Value:
        return self._new(f"{self.name} < {text(other)}", "bool")

    def __le__(self, other: Any) -> Value:
        return self._new(f"{self.name} <= {text(other)}", "bool")

    def __gt__(self, other: Any) -> Value:
        return self._new(f"{self.name} > {text(other)}", "bool")

    def __ge__(self, other: Any) -> Value:
        return self._new(f"{self.name} >= {text(other)}", "bool")

    def __and__(self, other: Value) -> Value:
        return self._new(f"{self.name} && {other.name}", "bool")

    def __or__(self, other: Value) -> Value:
        return self._new(f"{self.name} || {other.name}", "bool")


def text(value: Any) -> str:
    """A value's name, or a number as it stands in the kernel.

    >>> text(0.5), text(-1)
    ('(A)0.5', '(A)-1')
    """
    return value.name if isinstance(value, Value) else f"(A){value!r}"


def function(name: str) -> Callable[..., Value]:
    """A function of CUDA's, or of `activation.cuh`, by its name there."""
    return lambda *values: values[0]._new(f"{name}({', '.join(v.name for v in values)})")


exp, expm1, log1p, tanh = map(function, ("exp", "expm1", "log1p", "tanh"))
magnitude = function("abs")


def where(condition: Value, x: Any, y: Any) -> Value:
    """`x` where the condition holds, else `y`."""
    return condition._new(f"{condition.name} ? {text(x)} : {text(y)}")


class Chain:
    """A function of elements as a kernel.

    Args:
        name: of the kernel; no two chains may have the same.
        formula: of `Value`s: one for each of `arrays`, then one for each of `numbers`. It returns one.
        arrays: the names of the arrays, all of one shape and dtype, with blanks between.
        numbers: those of numbers that are given in each call.
    """

    def __init__(
        self, name: str, formula: Callable[..., Value], arrays: str, numbers: str = ""
    ) -> None:
        self.name = name
        self.arrays, self.numbers = arrays.split(), numbers.split()
        lines: dict[str, str] = {}
        values = [Value(lines, n) for n in (*self.arrays, *self.numbers)]
        result = formula(*values)
        self.text = self._kernel(lines, result.name)
        CHAINS[name] = self.text

    def _kernel(self, lines: dict[str, str], result: str) -> str:
        arrays = self.arrays
        body = [f"{'bool' if n[0] == 'b' else 'A'} {n} = {e};" for e, n in lines.items()]
        taken = [f"A {a} = widen({a}_in.at[j]);" for a in arrays]
        inner = "\n            ".join([*taken, *body, f"out.at[j] = narrow<T>({result});"])
        packs = "\n        ".join(f"Pack<T, N> {a}_in = {{}};" for a in arrays)
        whole = " ".join(f"{a}_in = load<N>({a}_from + i);" for a in arrays)
        single = " ".join(f"{a}_in.at[j] = {a}_from[i + j];" for a in arrays)
        rest = "#pragma unroll\n            for (int j = 0; j < N; j++) if (j < here)"
        pointers = ", ".join(f"const T* {a}_from" for a in arrays)
        numbers = "".join(f", double {n}_given" for n in self.numbers)
        wide = "".join(f"\n    const A {n} = (A){n}_given;" for n in self.numbers)
        return f"""
template <typename T, int N>
__global__ void {self.name}({pointers}, T* to, long long count{numbers}) {{
    typedef typename Wide<T>::type A;{wide}
    long long step = (long long)gridDim.x * blockDim.x * N;
    for (long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * N; i < count; i += step) {{
        {packs}
        Pack<T, N> out;
        int here = count - i < N ? (int)(count - i) : N;  // the last pack may be short
        if (here == N) {{
            {whole}
        }} else {{
{rest} {{ {single} }}
        }}
#pragma unroll
        for (int j = 0; j < N; j++) {{
            {inner}
        }}
        if (here == N) {{
            store<N>(to + i, out);
        }} else {{
{rest} to[i + j] = out.at[j];
        }}
    }}
}}
"""

    def __call__(self, *given: Any) -> Any:
        """The chain on arrays that kernels take, followed by the numbers."""
        count = len(self.arrays)
        arrays, numbers = tuple(map(aligned, given[:count])), map(float, given[count:])
        out = like(arrays[0])
        size, wide = int(out.size), 16 // out.dtype.itemsize
        grid = strided_grid(size, THREADS * wide)
        name = f"{self.name}<{type_of(out)}, {wide}>"
        launch("chains", name, grid if size else (0,), (THREADS,), *arrays, out, size, *numbers)
        return out
