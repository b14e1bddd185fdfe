"""no_grad, enable_grad, set_grad_enabled: as blocks, decorators, on generators, per thread."""

from __future__ import annotations

import threading

import pytest

import tensorlab as tl


def test_blocks_nest_and_restore():
    assert tl.is_grad_enabled()
    with tl.no_grad():
        assert not tl.is_grad_enabled()
        with tl.enable_grad():
            assert tl.is_grad_enabled()
        assert not tl.is_grad_enabled()
    assert tl.is_grad_enabled()


def test_the_mode_comes_back_after_an_exception():
    with pytest.raises(ZeroDivisionError), tl.no_grad():
        raise ZeroDivisionError
    assert tl.is_grad_enabled()


@pytest.mark.parametrize("decorate", [tl.no_grad(), tl.no_grad])
def test_decorator_with_and_without_brackets(decorate):
    @decorate
    def f():
        """Its docstring."""
        return tl.is_grad_enabled()

    assert f() is False
    assert f.__doc__ == "Its docstring."
    assert tl.is_grad_enabled()


def test_a_decorated_generator_changes_the_mode_only_while_it_runs():
    @tl.no_grad()
    def states():
        yield tl.is_grad_enabled()
        yield tl.is_grad_enabled()

    for state in states():
        assert state is False
        assert tl.is_grad_enabled()


def test_set_grad_enabled_acts_at_once_and_in_a_block():
    tl.set_grad_enabled(False)
    try:
        assert not tl.is_grad_enabled()
    finally:
        tl.set_grad_enabled(True)
    with tl.set_grad_enabled(False):
        assert not tl.is_grad_enabled()
    assert tl.is_grad_enabled()


def test_inference_mode():
    with tl.inference_mode():
        assert not (tl.ones(1, requires_grad=True) * 2).requires_grad


def test_each_thread_has_its_own_mode():
    seen = []
    with tl.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tl.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]
