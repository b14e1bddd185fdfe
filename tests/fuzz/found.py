"""Programs on which the two libraries once disagreed, shrunk. They must agree for ever."""

from __future__ import annotations

FOUND: dict[str, str] = {
    # Views made under no_grad, or overtaken by a write ------------------------------------------
    "a view made under no_grad requires grad as its base does": """
        a1 = lib.tensor([[[1.5, -1.25, -2.0, -0.75]]], dtype=lib.float64, requires_grad=True)
        with lib.no_grad(): t2, *_ = a1.tensor_split(1, 2)
    """,
    "a view made under no_grad collects no gradient": """
        a1 = lib.tensor(2.0, dtype=lib.float64, requires_grad=True)
        with lib.no_grad(): t5 = a1.view(-1)
        (t5.sum()).backward()
    """,
    "nor is it the root of a backward": """
        a1 = lib.tensor([[0.0]], dtype=lib.float64, requires_grad=True)
        with lib.no_grad(): t2 = a1.unbind(1)[-1]
        t2.backward()
    """,
    "nor the input of a gradient": """
        a1 = lib.tensor([0.25], dtype=lib.float64, requires_grad=True)
        with lib.no_grad(): t5 = a1.unbind(-1)[-1]
        (g6,) = lib.autograd.grad(t5.sum(), [t5])
        (g7,) = lib.autograd.grad(t5.sum(), [t5], allow_unused=True)
    """,
    "a comparison does not ask for the history of a view": """
        a1 = lib.tensor([1.25], dtype=lib.float64, requires_grad=True)
        t3 = lib.where(a1 > 1.0, a1, a1)
        with lib.no_grad(): t4 = t3[lib.tensor(0)]
        t3.div_(2)
        t5 = t4 > 0.25
        t6 = t4 * 2
    """,
    "a flag may be cleared on an overtaken view": """
        a1 = lib.tensor([[0.75], [1.5]], dtype=lib.float64, requires_grad=True)
        t3 = a1.exp()
        with lib.no_grad(): t4 = t3.split(1, 1)[0]
        t3[lib.tensor([True, True]), lib.tensor([0])] = 0.25
        t4.requires_grad_(False)
    """,
    "retain_grad on an overtaken view of a leaf does nothing": """
        a1 = lib.tensor(1.75, dtype=lib.float64, requires_grad=True)
        t3 = a1.detach()
        with lib.no_grad(): t4 = a1.ravel()
        t3.mul_(1.25)
        t4.retain_grad()
    """,
    "unfold gives a view": """
        a2 = lib.tensor([[[1.25, -0.25, 1.25, -2.0]]], dtype=lib.float64)
        t4 = a2.transpose(2, 0)
        t7 = t4.unfold(0, 4, 2)
        a2.mul_(-0.75)
    """,
    "the pieces of tensor_split may be written to": """
        a1 = lib.tensor(-0.5, dtype=lib.float64, requires_grad=True)
        a3 = lib.tensor([-2.0], dtype=lib.float64)
        t8, *_ = a3.tensor_split(1, 0)
        a3.fill_(a1)
        (g9,) = lib.autograd.grad(a3.sum() + t8.sum(), [a1])
    """,
    "flatten without work is the tensor itself": """
        a2 = lib.tensor([-0.75], dtype=lib.float64)
        t4 = a2.flatten(-1, -1)
        a2.add_(1)
    """,
    "ravel copies what is not contiguous": """
        a3 = lib.tensor([[1.0, -2.0], [-1.75, 1.25]], dtype=lib.float64)
        t6 = a3.diagonal(0, 1, 0)
        t9 = t6.ravel()
    """,
    "a leaf that no longer requires grad collects none": """
        a3 = lib.tensor([[0.25]], dtype=lib.float64, requires_grad=True)
        t5 = a3[:, lib.tensor([True])]
        a3.requires_grad_(False)
        t5.backward(t5.detach().clone())
    """,
    "a leaf with new data is the same leaf": """
        a2 = lib.tensor(-1.5, dtype=lib.float32, requires_grad=True)
        t3 = a2.to(lib.float64)
        a2.data = a2.data * 2
        (t3.sum()).backward(inputs=[a2])
    """,
    # What retain_grad and hooks follow ------------------------------------------------------------
    "retain_grad follows a write": """
        a1 = lib.tensor(-0.25, dtype=lib.float64, requires_grad=True)
        t2 = a1 * a1
        t2.retain_grad()
        t2.div_(2)
        t2.backward(lib.ones_like(t2))
    """,
    "retain_grad follows a write through a view": """
        a1 = lib.tensor(0.25, dtype=lib.float64)
        a2 = lib.tensor([[[0.0], [0.0]]], dtype=lib.float64, requires_grad=True)
        t5 = a2 * a1
        t5.retain_grad()
        t8 = t5[::2]
        t8[:, lib.tensor([1, 0])] = -1.0
        (t5.sum()).backward()
    """,
    "retain_grad on a view follows a write to its base": """
        a1 = lib.tensor(-1.75, dtype=lib.float64, requires_grad=True)
        t2 = a1 ** 2
        t3 = t2.squeeze(0)
        t3.retain_grad()
        t2.fill_(0.25)
    """,
    "and a write under no_grad": """
        a1 = lib.tensor([[-2.0, 0.75], [-0.25, 0.0]], dtype=lib.float64, requires_grad=True)
        t3 = a1.view(-1, 4, 1)
        t3.retain_grad()
        with lib.no_grad(): t3.sin_()
        (t3.sum()).backward()
    """,
    "the gradient of a write when it arrives transposed": """
        a2 = lib.tensor([2.0, -0.5], dtype=lib.float64, requires_grad=True)
        t4 = lib.stack([a2, a2])
        t5 = t4.mT
        t6 = t4.view(-1)
        t6.add_(t6.detach().clone())
        ((t5 * 3).sum()).backward()
    """,
    "nor does one on a view between": """
        a1 = lib.tensor([[1.5], [0.25]], dtype=lib.float64, requires_grad=True)
        t4 = a1.T
        t5 = -t4
        t9 = t5.permute((0, 1))
        t9.is_leaf or t9.register_hook(lambda g: log.append(g))
        t9[:1:2, lib.tensor([0, 0, 1])] = 0.25
        (t5.sum()).backward()
    """,
    "a hook on a view does not see what a later write sends on": """
        a1 = lib.tensor([1.75], dtype=lib.float64, requires_grad=True)
        t3 = a1 * 1.25
        t4 = t3.expand(-1)
        t4.is_leaf or t4.register_hook(lambda g: log.append(g))
        t4.relu_()
        (t3.sum()).backward()
    """,
    "hooks run though a leaf no longer collects": """
        a2 = lib.tensor([[[2.0, -0.75]]], dtype=lib.float64, requires_grad=True)
        t4 = lib.cat([a2, a2], 2)
        a2.register_post_accumulate_grad_hook(lambda t: log.append(lib.ones(1)))
        a2.requires_grad_(False)
        t4.backward(lib.ones_like(t4))
    """,
    "post-accumulate hooks run for backward(inputs=…)": """
        a1 = lib.tensor(0.0, dtype=lib.float64, requires_grad=True)
        a1.register_post_accumulate_grad_hook(lambda t: log.append(t.grad))
        (a1.sum()).backward(inputs=[a1])
    """,
    # Writing in place -------------------------------------------------------------------------------
    "x *= x is an error in backward": """
        a1 = lib.tensor(-0.75, dtype=lib.float64, requires_grad=True)
        t4 = a1.clamp(-1, 1)
        t4 *= t4
        (t4.sum()).backward()
    """,
    "a tensor saved besides the target is not copied": """
        a1 = lib.tensor(-1.0, dtype=lib.float64, requires_grad=True)
        a2 = lib.tensor(-1.25, dtype=lib.float64)
        a2.addcmul_(a2, a1, value=-1.5)
        a2.backward(lib.ones_like(a2))
    """,
    "a write to a view is freed with its graph": """
        a1 = lib.tensor([[-0.25, 0.0], [-2.0, 0.5]], dtype=lib.float64, requires_grad=True)
        a2 = lib.tensor(1.25, dtype=lib.float64, requires_grad=True)
        t4 = lib.maximum(a1, a2.detach())
        t4[-2, -2] += a2
        (g8,) = lib.autograd.grad(a2.sum() + t4.sum(), [a2])
        (g10,) = lib.autograd.grad(a2.sum() + t4.sum(), [a1])
    """,
    "an integer tensor takes no history from what is copied into it": """
        a1 = lib.tensor(-1.75, dtype=lib.float64, requires_grad=True)
        a3 = lib.tensor(-2, dtype=lib.int64)
        a3.copy_(a1)
    """,
    "an expanded tensor that repeats nothing may be written to": """
        a3 = lib.tensor([1.25], dtype=lib.float64)
        t5 = a3.expand(-1)
        t5.div_(2)
        t5[lib.tensor([0, 0])] *= -1.0
    """,
    "fill_ with the element it overwrites": """
        a2 = lib.tensor(-1.5, dtype=lib.float64)
        t3 = a2.reshape(1, 1, 1)
        t3.fill_(a2)
    """,
    "overlap is seen through .data": """
        a3 = lib.tensor([-4, 0], dtype=lib.int64)
        t5 = a3[lib.tensor(1)]
        t6 = t5.data
        a3[...] *= t6
    """,
    "fill_ of a repeated element: by a number, not by a tensor": """
        a1 = lib.tensor(1.25, dtype=lib.float64)
        t5 = a1.expand(2, 1)
        t5.fill_(2.0)
        t5.fill_(lib.tensor(-2.0, dtype=lib.float64))
        t5.copy_(t5)
    """,
    "index writes may not read what they write": """
        a1 = lib.tensor(0.0, dtype=lib.float64)
        t8 = a1.expand(2)
        t8[lib.tensor([[1, -2], [-1, 0]])] = t8
    """,
    "a strided tensor's detached self is not noticed": """
        a2 = lib.tensor([[1.5, 1.75], [-0.75, -0.25]], dtype=lib.float64)
        t4, *_ = a2.unbind(1)
        t4[t4 > -0.75] = t4.detach()
    """,
    "a view of a view that the user made require grad": """
        a2 = lib.tensor(-0.5, dtype=lib.float32)
        t3 = a2.ravel()
        t3.requires_grad_()
        t6 = t3.expand(-1)
        with lib.no_grad(): t3 += t6
    """,
    "views of a view that the user made require grad, overtaken": """
        a2 = lib.tensor([[0.25, 0.75, 1.75]], dtype=lib.float64)
        t3 = a2.unfold(-1, 3, 2)
        t3.requires_grad_()
        t10, *_ = t3.split([0, 1], 1)
        a2[...] = -1.25
    """,
    # Indexing -----------------------------------------------------------------------------------
    "a mask without dimensions": """
        a1 = lib.tensor(-0.25, dtype=lib.float64)
        t3 = a1[a1 < 0]
        a1[a1 < 0] = a1
    """,
    "a mask over everything and one element": """
        a2 = lib.tensor([0.0], dtype=lib.float64)
        a2[a2 < 0] = a2
        a2[a2 > -1] = a2
    """,
    "x[...] = x": """
        a2 = lib.tensor([[0.75, 0.0]], dtype=lib.float64)
        a2[...] = a2
        a2[None] = a2
    """,
    "x[...] = y is a copy to x, not to a view of it": """
        a1 = lib.tensor(-2.0, dtype=lib.float64, requires_grad=True)
        t2 = a1 * a1
        t2[...] += t2
    """,
    "so is x[:, ...] = y": """
        a1 = lib.tensor([[0.0]], dtype=lib.float64, requires_grad=True)
        t7 = a1.flip(-2)
        t7[:, ...] = -0.25
    """,
    "slices beside an index array are a view first": """
        a1 = lib.tensor([[[-1.75, -0.5, -1.0], [1.0, -1.0, 1.75]]], dtype=lib.float64, requires_grad=True)
        t9 = lib.where(a1 > 0.25, a1, a1)
        t9[1:3, lib.tensor([True, True]), lib.tensor([1])] = -0.75
    """,
    "a slice longer than the dimension is no view": """
        a1 = lib.tensor([[-0.25]], dtype=lib.float64, requires_grad=True)
        t2 = a1.flip(-2)
        t2[:3, lib.tensor([True])] = -0.25
    """,
    "index writes do not convert": """
        a1 = lib.tensor([[1.75]], dtype=lib.float64)
        t2 = a1.float()
        t2[lib.tensor([-1, 0]), lib.tensor([0])] = lib.tensor([2.0, -2.0], dtype=lib.float64)
    """,
    "but a mask takes one number of any type": """
        a2 = lib.tensor([[-1.75, 1.75, -1.75]], dtype=lib.float64)
        a2[-1, lib.tensor([True, False, False])] = lib.tensor([1.5], dtype=lib.float32)
    """,
    "too many dimensions for a mask": """
        a1 = lib.tensor([-2.0, 1.0], dtype=lib.float64)
        a1[a1 > 0.5] = lib.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=lib.float64)
    """,
    "an int, a slice and an index array": """
        a1 = lib.tensor([[[1.25, -2.0, -0.75], [0.25, -1.0, 2.0]]], dtype=lib.float64)
        t3 = a1[-1, :, lib.tensor([0, -2])]
    """,
    "narrow of no dimensions": """
        a1 = lib.tensor([-1.5, 0.5, -1.25], dtype=lib.float64)
        t4 = a1[2]
        t7 = t4.narrow(0, 1, 1)
    """,
}


def programs() -> dict[str, tuple[str, ...]]:
    """The programs by what they show."""
    return {
        name: tuple(line.strip() for line in text.strip().splitlines())
        for name, text in FOUND.items()
    }
