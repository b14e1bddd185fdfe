"""Writing in place: versions, views and their bases, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")


def both(program, *shapes: tuple[int, ...], seed: int = 0) -> None:
    """Run `program(lib, *leaves)` in both libraries; outputs and all gradients must agree."""
    arrays = [np.random.default_rng(seed + i).standard_normal(s) for i, s in enumerate(shapes)]
    ours = [tl.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    out, expected = program(tl, *ours), program(torch, *theirs)
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    (out * out).sum().backward()
    (expected * expected).sum().backward()
    for x, y in zip(ours, theirs, strict=True):
        if y.grad is None:
            assert x.grad is None
        else:
            np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-10)


def simple(lib, x, y):
    z = x * 1
    z.mul_(y).add_(x)
    z /= 2
    return z


def through_a_view(lib, x, y):
    z = x * 1
    z[0].mul_(3)
    z[1:, 0] = y[0, :1]
    return z


def view_made_before_its_base_changed(lib, x, y):
    z = x * 1
    row, column = z[0], z[:, 1]
    z.mul_(2)
    row.add_(y[0, 0])
    return row.sum() * column + z.sum()


def view_of_a_view(lib, x, y):
    z = x * 1
    flat = z.view(-1)
    flat[2:5].mul_(y.reshape(-1)[0])
    z.t()[1].add_(y.reshape(-1)[1])
    return z * flat.view(z.shape)


def into_a_fresh_buffer(lib, x, y):
    buffer = lib.zeros(4, 6, dtype=x.dtype)
    buffer[:2, :3] = x
    buffer[2:, 3:] = y
    buffer[1] = buffer[1] * 2 + buffer[0]
    return buffer


def masks_and_index_arrays(lib, x, y):
    z = x * 1
    z[z > 0] = 0.5
    z[lib.tensor([0, 1]), lib.tensor([1, 2])] = y[0, :2]
    return z


def saved_input_is_kept(lib, x, y):
    z = x * 1
    z.mul_(y)  # needs the old z for y's gradient
    return z.exp_()


def transposed_base(lib, x, y):
    z = (x * 1).t().contiguous().t()  # column-major memory
    z[0].mul_(2)
    z.reshape(-1)
    return z


def under_no_grad(lib, x, y):
    z = x * 1
    with lib.no_grad():
        z.mul_(2)
    return z + y


def zeroed(lib, x, y):
    z = x * y
    z.zero_()
    z.add_(x)
    return z


def copied(lib, x, y):
    z = x * 1
    z.copy_(y)
    z[0].fill_(3)
    return z * x


@pytest.mark.parametrize(
    "program",
    [
        simple, through_a_view, view_made_before_its_base_changed, view_of_a_view, into_a_fresh_buffer,
        masks_and_index_arrays, saved_input_is_kept, transposed_base, under_no_grad, zeroed, copied,
    ],
)  # fmt: skip
def test_in_place_programs_agree_with_torch(program):
    both(program, (2, 3), (2, 3))


def test_in_place_views_have_right_second_derivatives():
    x = tl.tensor(np.random.default_rng(0).standard_normal((2, 3)), requires_grad=True)
    y = tl.tensor(np.random.default_rng(1).standard_normal((2, 3)), requires_grad=True)
    for program in (through_a_view, view_of_a_view, into_a_fresh_buffer):
        assert tl.autograd.gradgradcheck(lambda x, y, p=program: p(tl, x, y), (x, y))


def errors(call) -> tuple[type[Exception], str]:
    with pytest.raises(Exception) as caught:
        call()
    return caught.type, str(caught.value)


@pytest.mark.parametrize(
    ("program", "match"),
    [
        (lambda lib, x: x.add_(1), "leaf Variable that requires grad"),
        (lambda lib, x: x[0].add_(1), "view of a leaf Variable"),
        (lambda lib, x: (x * 1).unbind(0)[0].add_(1), "multiple views"),
        (lambda lib, x: lib.ones(3).add_(lib.ones(2, 3)), "doesn't match the broadcast shape"),
        (lambda lib, x: lib.tensor([1, 2]).add_(1.5), "result type Float can't be cast"),
        (lambda lib, x: lib.ones(1).expand(3).add_(1), "more than one element"),
        (lambda lib, x: (lambda a: a[1:].add_(a[:-1]))(lib.ones(4)), "some elements of the input"),
    ],
)
def test_refused_as_torch_refuses(program, match):
    for lib in (tl, torch):
        with pytest.raises(RuntimeError, match=match):
            program(lib, lib.ones(2, 3, requires_grad=True))


def test_a_saved_value_that_changed_is_noticed():
    for change in (
        lambda y: y.add_(1),
        lambda y: y[0].add_(1),
        lambda y: y.detach().add_(1),
        lambda y: y.__setitem__(0, 5.0),
    ):
        x = tl.ones(3, requires_grad=True)
        y = tl.exp(x)
        change(y)
        with pytest.raises(
            RuntimeError, match=r"modified by an inplace operation.*version 1; expected version 0"
        ):
            y.sum().backward()


def test_a_change_through_data_is_not_noticed_as_documented():
    x = tl.ones(3, requires_grad=True)
    y = tl.exp(x)
    y.data.add_(1)
    y.sum().backward()


def test_versions_count_writes_and_are_shared():
    x = tl.zeros(3)
    view = x[1:]
    assert x._version == 0
    view.add_(1)
    x.mul_(2)
    x[0] = 4
    assert x._version == view._version == x.detach()._version == 3
    assert x.tolist() == [4.0, 2.0, 2.0]


def test_in_place_keeps_identity_and_dtype():
    x = tl.tensor([1, 2], dtype=tl.int32)
    y = x
    x += 1
    assert x is y
    assert x.dtype is tl.int32
