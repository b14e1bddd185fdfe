"""Spectral normalisation as a hook, in its older form; `parametrizations.spectral_norm` is the newer one."""

from __future__ import annotations

from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.autograd import no_grad
from tensorlab.nn.functional.linear import normalize
from tensorlab.nn.modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tensorlab.nn.modules.module import Module
from tensorlab.nn.parameter import Parameter, is_lazy
from tensorlab.ops.creation import empty

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The weight with dimension `dim` as its rows and everything else as columns."""
    order = [dim, *(d for d in range(weight.dim()) if d != dim)]
    return weight.permute(order).flatten(1) if dim else weight.flatten(1)


def random_direction(size: int, like: Tensor, eps: float) -> Tensor:
    """A random vector of length 1."""
    with no_grad():
        drawn = empty(size, dtype=like.dtype, device=like.device).normal_(0, 1)
        return normalize(drawn, dim=0, eps=eps)


def output_dim(module: Any, dim: int | None) -> int:
    """The dimension of the weight that belongs to the outputs, unless one is given."""
    if dim is not None:
        return dim
    return int(isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)))


class SpectralNorm:
    """The hook that computes the weight before each forward."""

    _version = 1

    def __init__(
        self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.name = name
        self.dim = dim
        self.n_power_iterations = n_power_iterations
        self.eps = eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The weight over its largest singular value, which one more step of the iteration makes more exact."""
        weight, u, v = (getattr(module, self.name + part) for part in ("_orig", "_u", "_v"))
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(normalize(matrix.T.mv(u), dim=0, eps=self.eps))
                    u.copy_(normalize(matrix.mv(v), dim=0, eps=self.eps))
                # The next iteration changes the buffers; this one's graph keeps its own.
                u, v = u.clone(), v.clone()
        return weight / u.dot(matrix.mv(v))

    @staticmethod
    def apply(
        module: Module, name: str, n_power_iterations: int, dim: int, eps: float
    ) -> SpectralNorm:
        """Give the module the parameter, the two vectors and this hook."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm) and hook.name == name:
                raise RuntimeError(
                    f"Cannot register two spectral_norm hooks on the same parameter {name}"
                )
        made = SpectralNorm(name, n_power_iterations, dim, eps)
        weight = module._parameters[name]
        if weight is None:
            raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
        if is_lazy(weight):
            raise ValueError(
                "The module passed to `SpectralNorm` can't have uninitialized parameters. Make sure to run the "
                "dummy forward before applying spectral normalization"
            )
        rows, columns = as_matrix(weight.detach(), dim).shape
        u = random_direction(rows, weight, eps)
        v = random_direction(columns, weight, eps)
        delattr(module, name)
        module.register_parameter(f"{name}_orig", weight)
        setattr(module, name, weight.data)
        module.register_buffer(f"{name}_u", u)
        module.register_buffer(f"{name}_v", v)
        module.register_forward_pre_hook(made)
        module.register_state_dict_post_hook(_NoteVersion(made))
        return made

    def remove(self, module: Module) -> None:
        """Make the weight an ordinary parameter again."""
        with no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        for part in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + part)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


class _NoteVersion:
    """Says in a state's metadata which form it has, as PyTorch's states do."""

    def __init__(self, norm: SpectralNorm) -> None:
        self.norm = norm

    def __call__(self, module: Any, state: Any, prefix: str, local_metadata: Any) -> None:
        versions = local_metadata.setdefault("spectral_norm", {})
        versions[f"{self.norm.name}.version"] = self.norm._version


def spectral_norm(
    module: Any,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Any:
    """Divide a weight by its largest singular value; `nn.utils.parametrizations.spectral_norm` is newer.

    The value is that of a power iteration, of which each forward in training does a few steps.

    Args:
        module: holds the weight.
        name: its name; what is trained is `<name>_orig`.
        n_power_iterations: steps per forward.
        eps: keeps lengths from 0.
        dim: the dimension of the outputs; 0, or 1 for transposed convolutions, unless given.

    Returns:
        `module`.

    Source: T. Miyato et al., "Spectral normalization for generative adversarial networks", arXiv:1802.05957.
    """
    SpectralNorm.apply(module, name, n_power_iterations, output_dim(module, dim), eps)
    return module


def remove_spectral_norm(module: Any, name: str = "weight") -> Any:
    """Take `spectral_norm` off again; `ValueError` if it is not there."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            break
    else:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    for key, hook in list(module._state_dict_hooks.items()):
        if isinstance(hook, _NoteVersion) and hook.norm.name == name:
            del module._state_dict_hooks[key]
    return module
