"""Where this library differs from PyTorch on purpose, each with its reason. Keep it short."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from .program import Mismatch, Program


class Difference(NamedTuple):
    """A difference that is meant: why, and how to know it."""

    reason: str
    matches: Callable[[Mismatch, Program], bool]


VIEW = (
    r"(\[(?!.*(lib\.tensor| > | < ))|"  # an index without index arrays or masks
    r"\.(transpose|permute|view|view_as|reshape|flatten|unsqueeze|squeeze|expand|select|unfold|movedim|"
    r"ravel|narrow|T|t|mT|diagonal|unflatten|split|chunk|unbind|tensor_split)\b)"
)


def _is_view(name: str, program: Program) -> bool:
    """Whether the tensor of this name was made by indexing or a view operation."""
    return any(re.search(rf"\b{name}(, \*_)? = \w+{VIEW}", line) for line in program)


def _writes_to_view(mismatch: Mismatch, program: Program) -> bool:
    target = re.search(r"t\d+", program[mismatch.line]) if mismatch.line < len(program) else None
    made = rf"\b{target.group()}(, \*_)? = \w+[.\[]" if target else ""
    return any(re.search(made, line) for line in program) if made else False


#: Differences that are meant. `generate.py` leaves out what has no one right result: writing to one
#: memory through strided tensors that overlap, where PyTorch's result depends on its order of elements;
#: writing to an expanded tensor that requires grad, whose backward PyTorch cannot run; `x.data = y`
#: between forward and backward, after which PyTorch computes with y; hooks on views made under
#: `no_grad`, which crash PyTorch; and hooks on a leaf that is deleted: a leaf that nobody holds is gone
#: here, PyTorch's graph holds it.
ALLOWED = [
    Difference(
        "PyTorch frees everything a node saved, and then refuses a second backward. Here index arrays and "
        "such are parameters of the node, and a node that kept no tensor may run again.",
        lambda m, p: m.ours is None and "backward through the graph a second time" in str(m.theirs),
    ),
    Difference(
        "A computed result lies in memory in NumPy's order 'K', which is PyTorch's for inputs that fill "
        "their memory; for others, and for broadcast ones, each library has its own rule.",
        lambda m, p: (
            m.kind in ("stride()", "is_contiguous()") and not _is_view(m.what.partition(".")[0], p)
        ),
    ),
    Difference(
        "Whether a gradient that is constant has a history (of zeros) or none depends on how its rule is written.",
        lambda m, p: (
            (m.what.startswith("g") and m.kind in ("grad_fn", "requires_grad", "is_leaf"))
            or m.kind == "grad.requires_grad"
        ),
    ),
    Difference(
        "A write through `.data` is not noticed. What it does to gradients depends on what each library saved.",
        lambda m, p: (
            (m.kind == "grad" or m.what.startswith("g")) and any(".data" in line for line in p)
        ),
    ),
    Difference(
        "`.grad` is never shared. PyTorch may give one buffer to two leaves, or keep the seed that it was given.",
        lambda m, p: m.kind == "grad.shares" and m.ours is None,
    ),
    Difference(
        "What is computed from a view made under no_grad has a history that leads nowhere. PyTorch saves "
        "nothing for it, so that nothing can have been freed or changed.",
        lambda m, p: (
            m.theirs is None
            and re.search("a second time|modified by an inplace", str(m.ours)) is not None
            and any("no_grad" in line for line in p)
        ),
    ),
    Difference(
        "PyTorch's backward refuses a view that the user made require grad when a write to its base gave it a "
        "history. Here it has both.",
        lambda m, p: (
            m.ours is None
            and (
                "moved into the graph interior" in str(m.theirs)
                or (
                    # The same of one of several outputs, which PyTorch finds out when it collects.
                    "its base or another view of its base has been modified" in str(m.theirs)
                    and m.line < len(p)
                    and re.search(r"backward\(|autograd\.grad\(", p[m.line]) is not None
                    and any(re.fullmatch(r"t\d+\.requires_grad_\(\)", line) for line in p)
                )
            )
        ),
    ),
    Difference(
        "A view that the user made require grad is cut off from its own views by a write to its base. Here it "
        "still collects their gradient.",
        lambda m, p: (
            m.kind == "grad"
            and f"{m.what.partition('.')[0]}.requires_grad_()" in p
            and _is_view(m.what.partition(".")[0], p)
        ),
    ),
    Difference(
        "Values written by index arrays into the tensor that they come from: PyTorch reads them while it "
        "writes, so that a later place gets what an earlier one was given. Here they are read first.",
        lambda m, p: (
            m.kind == "values"
            and any(re.match(r"(\w+)\[.*lib\.tensor\(.*\] = \1$", line) for line in p)
        ),
    ),
    Difference(
        "PyTorch refuses to use a saved tensor after `detach_()` on it. Here its array was saved, not itself.",
        lambda m, p: m.ours is None and "has been detached in-place" in str(m.theirs),
    ),
    Difference(
        "PyTorch calls a view a leaf, and refuses to write to it, when its base came to require grad after "
        "the view was made and nobody has asked for the view's grad_fn since. Here the view follows at once.",
        lambda m, p: (
            m.ours is None
            and "a leaf Variable that requires grad" in str(m.theirs)
            and _writes_to_view(m, p)
        ),
    ),
]


def reason_for(mismatch: Mismatch, program: Program) -> str | None:
    """Why this difference is meant; None if it is a mistake."""
    return next((d.reason for d in ALLOWED if d.matches(mismatch, program)), None)
