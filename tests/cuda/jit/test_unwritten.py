"""Kernels that are still to be written: exercises as learners get them."""

from __future__ import annotations

import pytest

import tensorlab as tl
from tensorlab.cuda import jit


def test_a_kernel_that_is_still_to_be_written_says_so_at_the_launch():
    @jit.kernel
    def kernel(x):
        """What it shall do."""
        i = jit.grid(1)
        x[i] = i
        raise NotImplementedError("exercise 18.1")

    x = tl.zeros(1)
    with pytest.raises(NotImplementedError, match="exercise 18.1") as raised:
        kernel[1, 1](x)
    assert x.item() == 0
    # Notebooks tell by the innermost frame whether the learner's own code raised it.
    frame = raised.traceback[-1].frame
    assert frame.f_globals is globals()
    assert "exercise 18.1" in str(raised.traceback[-1].statement)

    @jit.kernel
    def bare(x):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        bare[1, 1](x)


def test_other_errors_are_still_refused():
    with pytest.raises(jit.CompileError, match="can't raise errors"):

        @jit.kernel
        def kernel(x):
            raise ValueError("negative")
