"""What a kernel may say: types as on a GPU, and clear errors for what no GPU can do."""

from __future__ import annotations

import importlib.util
import math
import re

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.cuda import jit
from tensorlab.cuda.jit import atomic, grid, shared, shfl_sync, syncthreads, threadIdx

LIMIT = 3
TABLE = (2, 3, 5)


def from_text(text: str, tmp_path, name: str = "k"):
    """The function that a text defines, in a file of its own: a kernel needs its source."""
    file = tmp_path / "kernel_text.py"
    file.write_text(
        "import math\nimport numpy as np\nimport tensorlab as tl\nfrom tensorlab.cuda import jit\n"
        "from tensorlab.cuda.jit import *\n" + text
    )
    spec = importlib.util.spec_from_file_location("kernel_text", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("y = [1, 2]", "no lists.*local.array"),
        ("y = {1: 2}", "no dictionaries"),
        ("y = sum(a for a in x)", "no generators"),
        ("try:\n        y = 1\n    except ValueError:\n        y = 2", "can't catch errors"),
        ("raise ValueError", "can't raise errors"),
        ("assert x[0] > 0", "can't raise errors"),
        ("with x:\n        y = 1", "has no with"),
        ("def f():\n        return 1", "jit.device"),
        ("import os", "can't import"),
        ("yield 1", "no generators"),
        ("y = lambda: 1", "no lambda"),
        ("y = f'{x}'", "no text"),
        ("y = 'text'", "no text"),
        ("y = x[0:2]", "one element at a time"),
        ("y = x[-1]", "does not count from the end"),
        ("y = x[0, 0]", "x has 1 dimension, and 2 indexes are given"),
        ("y = x[0.5]", "whole numbers"),
        ("y = x", "x is a whole array.*x\\[i\\]"),
        ("x = 1", "x is an array.*assign its elements"),
        ("x[0] = 1\n    return 3", "a kernel returns nothing"),
        ("print(x[0])", "print after the launch"),
        ("y = sorted(x)", "function of Python"),
        ("y = treadIdx.x", "treadIdx is not defined; did you mean threadIdx"),
        ("y = threadIdx.w", "has .x, .y and .z, not .w"),
        ("y = threadIdx", "write threadIdx.x"),
        ("y = jit.gird(1)", "did you mean grid"),
        ("y = grid(4)", "1, 2 or 3"),
        ("y = grid(2)", "x, y = grid\\(2\\)"),
        ("y = syncthreads()", "on a line of its own"),
        (
            "y = 0\n    y += x[0]",
            "y is int32 since line \\d+, and the value is float32; start it as a float",
        ),
        ("counts[0] = x[0]", "counts holds int64, and the value is float32; cast it: np.int64"),
        ("for a in x:\n        y = a", "range"),
        ("for i in range(0.5):\n        y = i", "whole numbers"),
        ("for i in range(3):\n        y = i\n    else:\n        y = 0", "no else"),
        ("while x[0] < 1:\n        break\n        y = 1", "never reached"),
        ("x[0] + 1", "does nothing"),
        ("y = z + 1\n    z = 1", "z is used before it has a value"),
        ("y = shared.array(len(x), tl.float32)", "made of constants"),
        ("y = shared.array((200, 200), tl.float32)", "160,000 bytes of shared"),
        ("y = shared.array(4, tl.bfloat16)", "kernels have no bfloat16"),
        ("if x[0] > 0:\n        y = shared.array(4, tl.float32)", "at the top"),
        ("atomic.max(x, 0, 1.0)", "no atomic.max for float32"),
        ("atomic.add(x, 0)", "atomic.add takes \\(array, index, value\\)"),
        ("y = shfl_sync(0, x[0], 1)", "a mask is a constant"),
        ("y = k2(x)", "k2 is a kernel"),
        ("y = x.T", "not T"),
        ("y = x[0] @ x[0]", "loop over k"),
        ("y = 1 << 0.5", "unsupported operand"),
        ("y = a = 1", "one name at a time"),
        ("y: float = 1.0", "no annotations"),
        ("del x", "can't delete"),
        ("y = 0 < x[0] + x[1] < 1", "two with and"),
    ],
)
def test_error_says_line_and_what_to_write(line, words, tmp_path):
    text = f"@jit.kernel\ndef k2(x):\n    x[0] = 1\n\ndef k(x, counts):\n    {line}\n"
    function = from_text(text, tmp_path)
    with pytest.raises(jit.CompileError) as caught:
        jit.kernel(function)[1, 1](tl.zeros(4), tl.zeros(4, dtype=tl.int64))
    message = str(caught.value)
    assert re.search(words, message.replace("\n", " ")), message
    number = re.search(r"line (\d+): ", message)
    assert number, message
    shown = (tmp_path / "kernel_text.py").read_text().splitlines()[int(number[1]) - 1].strip()
    assert f"{number[1]} | {shown}" in message


@jit.kernel
def fill(x, value):
    i = grid(1)
    if i < len(x):
        x[i] = value


@pytest.mark.parametrize(
    ("configuration", "error", "words"),
    [
        ((0, 32), ValueError, "blocks.x is 0"),
        ((1, 0), ValueError, "threads.x is 0"),
        ((1, 1025), ValueError, "from 1 to 1,024"),
        ((1, (64, 32)), ValueError, "64 × 32 × 1 = 2,048 threads"),
        ((1, (1, 1, 65)), ValueError, "threads.z is 65"),
        (((1, 70000), 32), ValueError, "blocks.y is 70,000"),
        ((1, (1, 1, 1, 1)), ValueError, "4 dimensions"),
        ((1.5, 32), TypeError, "whole numbers"),
        ((True, 32), TypeError, "whole numbers"),
        (32, TypeError, r"fill\[blocks, threads\]"),
        ((1, 32, 0), TypeError, "two things"),
    ],
)
def test_launch_configuration(configuration, error, words):
    with pytest.raises(error, match=words):
        fill[configuration](tl.zeros(4), 1.0)


def test_launch_arguments():
    with pytest.raises(TypeError, match="launch it as fill"):
        fill(tl.zeros(4), 1.0)
    with pytest.raises(TypeError, match="takes 2 arguments"):
        fill[1, 32](tl.zeros(4))
    with pytest.raises(TypeError, match=r"got list; make it a tensor"):
        fill[1, 32]([1.0, 2.0], 1.0)
    with pytest.raises(TypeError, match="kernels have bool"):
        fill[1, 32](tl.zeros(4, dtype=tl.complex64), 1.0)
    with pytest.raises(jit.CompileError, match="x holds int64, and the value is float32"):
        fill[1, 32](tl.zeros(4, dtype=tl.int64), 1.5)
    frozen = np.zeros(4, np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        fill[1, 32](frozen, 1.0)
    with pytest.raises(ValueError, match="64 bits"):
        fill[1, 32](tl.zeros(4), 2**70)


def test_autograd_is_told():
    x = tl.zeros(4, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"requires grad.*x.detach\(\)"):
        fill[1, 32](x, 1.0)
    before = x._version
    with tl.no_grad():
        fill[1, 32](x, 1.0)
    assert x.tolist() == [1.0] * 4
    assert x._version == before + 1


def test_report_before_a_launch():
    @jit.kernel
    def never(x):
        x[0] = 1.0

    with pytest.raises(RuntimeError, match="has not run"):
        _ = never.report
    with pytest.raises(RuntimeError, match="inside of a kernel"):
        syncthreads()
    with pytest.raises(RuntimeError, match="inside of a kernel"):
        _ = threadIdx.x


def test_constants_are_taken_when_it_is_launched():
    @jit.kernel
    def scaled(x):
        x[grid(1)] *= scale

    scale = 2.0
    x = tl.ones(4)
    scaled[1, 4](x)
    scale = 5.0
    scaled[1, 4](x)
    assert x.tolist() == [10.0] * 4


@jit.kernel
def types_of(f, d, i, b, out):
    k = threadIdx.x
    out[0] = 1 if f[k] * 2 == np.float32(0.2) else 0  # float32 stays float32
    out[1] = 1 if d[k] * 2 == 0.2 else 0  # and float64 has all digits of 0.1
    out[2] = i[k] + 2147483647 < 0  # int32 wraps around
    out[3] = i[k] // -2  # rounded down, as Python has it
    out[4] = i[k] % -3
    out[5] = int(-1.5)
    out[6] = TABLE[LIMIT - 2]
    out[7] = b[k] + b[k]
    out[8] = (threadIdx.x - 1) < 0  # signed
    out[9] = math.floor(-0.5) + math.ceil(f[k])
    out[10] = i[k] / 2 == 3.5


def test_types_are_those_of_a_gpu():
    out = np.zeros(11, np.int64)
    types_of[1, 1](
        np.array([0.1], np.float32),
        np.array([0.1]),
        np.array([7], np.int32),
        np.array([True]),
        out,
    )
    assert out.tolist() == [1, 1, 1, -4, -2, -1, 3, 2, 1, 0, 1]


def test_float16_is_computed_in_float32():
    @jit.kernel
    def product(x, out):
        out[0] = x[0] * x[1] * x[2]

    x = np.array([300, 300, 1e-3], np.float16)
    out = np.zeros(1, np.float16)
    product[1, 1](x, out)
    wide = x.astype(np.float32)
    assert out[0] == np.float16(wide[0] * wide[1] * wide[2])


def test_a_float32_sum_of_float64_is_noted():
    @jit.kernel
    def total(x, out):
        acc = 0.0
        for i in range(len(x)):
            acc += x[i]
        out[0] = acc

    with jit.watch() as launches:
        total[1, 1](np.full(10, 0.1), np.zeros(1))
    (note,) = launches.findings
    assert (note.kind, note.severity) == ("precision", "note")
    assert "np.float64" in note.advice


@jit.kernel
def control(x, out):
    i = grid(1)
    n = len(x)
    k = 0
    a, b = 1, 2
    while True:
        if i >= n:
            break
        a, b = b, a + b
        if a > 50 or not x[i] > a:
            break
        if a % 2:
            continue
        b += 1
    for k in range(10, 0, -3):
        if k == i:
            break
        a += k
    else_value = k if i < 5 else -k
    if i < n and x[i] > 3:
        out[i] = a
    elif i < n:
        out[i] = b + else_value


def control_in_python(x):
    out = np.zeros(len(x), np.int64)
    for i in range(len(x)):
        a, b, k = 1, 2, 0
        while True:
            a, b = b, a + b
            if a > 50 or not x[i] > a:
                break
            if a % 2:
                continue
            b += 1
        for k in range(10, 0, -3):
            if k == i:
                break
            a += k
        value = k if i < 5 else -k
        out[i] = a if x[i] > 3 else b + value
    return out


def test_control_flow(rng):
    x = rng.uniform(0, 100, 77).astype(np.float32)
    x[::7] = 0
    out = np.zeros(77, np.int64)
    control[2, 64](x, out)
    assert control.report.ok
    assert np.array_equal(out, control_in_python(x))


@jit.device
def clamp(value, low, high):
    return min(max(value, low), high)


def test_device_functions(tmp_path, rng):
    text = """
@jit.device
def clamp(value, low, high):
    if value < low:
        return low
    if value > high:
        return high
    return value

@jit.device
def add_to(array, i, value):
    array[i] += clamp(value, -1.0, 1.0)

@jit.kernel
def k(x, out):
    mine = local.array(2, tl.float32)
    i = grid(1)
    mine[1] = 0.5
    if i < len(x):
        add_to(mine, 1, x[i])
        add_to(out, i, mine[1])
"""
    kernel = from_text(text, tmp_path)
    x = 3 * rng.standard_normal(50).astype(np.float32)
    out = np.zeros(50, np.float32)
    kernel[1, 64](x, out)
    assert kernel.report.ok, str(kernel.report)
    once = np.float32(0.5) + np.clip(x, -1, 1)
    assert np.array_equal(out, np.clip(once, -1, 1))
    with pytest.raises(TypeError, match="inside of a kernel"):
        clamp(1.0, 0.0, 2.0)


def test_names_of_a_device_function_are_those_of_its_own_place(tmp_path):
    device = from_text("LIMIT = 100\n\n@jit.device\ndef k(x):\n    return x + LIMIT\n", tmp_path)

    @jit.kernel
    def both(x):
        x[grid(1)] = device(x[grid(1)]) + LIMIT

    x = np.zeros(4, np.int32)
    both[1, 4](x)
    first = both.program(x)
    assert x.tolist() == [103] * 4
    assert both.program(x) is first  # read once, though LIMIT is two things


def test_device_function_without_a_result(tmp_path):
    text = """
@jit.device
def sometimes(value):
    if value > 0:
        return value

@jit.kernel
def k(x):
    x[grid(1)] = sometimes(x[grid(1)])
"""
    kernel = from_text(text, tmp_path)
    with jit.watch() as launches:
        kernel[1, 4](np.array([1, -1, 1, 1], np.float32))
    (found,) = launches.findings
    assert "ends without return" in found.message


def test_recursion_is_refused(tmp_path):
    text = (
        "@jit.device\ndef f(n):\n    return f(n - 1)\n\n@jit.kernel\ndef k(x):\n    x[0] = f(3)\n"
    )
    with pytest.raises(jit.CompileError, match="no recursion"):
        from_text(text, tmp_path)[1, 1](tl.zeros(1))


@jit.kernel
def atomics(counts, old):
    t = threadIdx.x
    old[t] = atomic.add(counts, 0, 2)
    atomic.max(counts, 1, t)
    atomic.min(counts, 2, -t)
    atomic.xor(counts, 3, 1 << (t % 8))
    atomic.cas(counts, 4, 0, t + 1)
    atomic.or_(counts, 5, t)
    atomic.sub(counts, 6, 1)


def test_atomics():
    counts, old = np.zeros(7, np.int32), np.zeros(40, np.int32)
    atomics[1, 40](counts, old)
    assert atomics.report.ok
    assert sorted(old) == list(range(0, 80, 2))
    first = counts[4]
    assert 1 <= first <= 40
    assert counts.tolist() == [80, 39, -39, 255, first, 63, -40]


@pytest.mark.parametrize("width", [32, 8])
def test_shuffles(width, tmp_path):
    text = f"""
@jit.kernel
def k(x, out):
    i = grid(1)
    v = x[i]
    out[0, i] = shfl_sync(0xffffffff, v, i + 3, width={width})
    out[1, i] = shfl_up_sync(0xffffffff, v, 3, width={width})
    out[2, i] = shfl_down_sync(0xffffffff, v, 3, width={width})
    out[3, i] = shfl_xor_sync(0xffffffff, v, 5, width={width})
    out[4, i] = popc(ballot_sync(0xffffffff, v % 3 == 0))
    out[5, i] = any_sync(0xffffffff, v == 40) + 2 * all_sync(0xffffffff, v < 40)
"""
    kernel = from_text(text, tmp_path)
    x, out = np.arange(64, dtype=np.int32), np.zeros((6, 64), np.int32)
    kernel[1, 64](x, out)
    assert kernel.report.ok
    at = np.arange(64)
    first = at // width * width
    assert np.array_equal(out[0], first + (at + 3) % width)
    assert np.array_equal(out[1], np.where(at - 3 >= first, at - 3, at))
    assert np.array_equal(out[2], np.where(at + 3 < first + width, at + 3, at))
    assert np.array_equal(out[3], at ^ 5)
    assert out[4].tolist() == [11] * 64
    assert out[5].tolist() == [2] * 32 + [1] * 32


def test_empty_arrays_and_no_dimensions():
    fill[1, 32](tl.zeros(0), 1.0)
    assert fill.report.ok
    scalar = tl.zeros(())

    @jit.kernel
    def set_it(x):
        x[()] = 3.0

    set_it[1, 1](scalar)
    assert scalar.item() == 3.0


def test_three_dimensions():
    @jit.kernel
    def where_am_i(out):
        x, y, z = grid(3)
        if x < out.shape[2] and y < out.shape[1] and z < out.shape[0]:
            out[z, y, x] = 100 * z + 10 * y + x

    out = np.zeros((5, 7, 9), np.int32)
    where_am_i[(3, 2, 3), (4, 4, 2)](out)
    assert where_am_i.report.ok
    z, y, x = np.indices(out.shape)
    assert np.array_equal(out, 100 * z + 10 * y + x)


def test_function_without_text_is_refused():
    namespace: dict = {}
    exec("def k(x):\n    x[0] = 1", namespace)
    with pytest.raises(jit.CompileError, match="notebook cell or in a file"):
        jit.kernel(namespace["k"])
    with pytest.raises(TypeError, match="written with def"):
        jit.kernel(len)


def test_words_outside_of_kernels():
    assert repr(shared) == "<shared of tensorlab.cuda.jit>"
    with pytest.raises(AttributeError, match="array, not aray"):
        _ = shared.aray
    assert "lanes" in (shfl_sync.__doc__ or "")
