"""Pre-trained weights as enums, and models by name, with torchvision's interface."""

from __future__ import annotations

import fnmatch
import functools
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType
from typing import Any, TypeVar, cast

from tensorlab.nn.modules.module import Module
from tensorlab.serialization import load

__all__ = [
    "Weights",
    "WeightsEnum",
    "get_model",
    "get_model_builder",
    "get_model_weights",
    "get_weight",
    "list_models",
    "register_model",
]

Builder = TypeVar("Builder", bound=Callable[..., Module])
_BUILDERS: dict[str, Callable[..., Module]] = {}
_WEIGHTS: dict[str, type[WeightsEnum] | None] = {}


@dataclass(frozen=True)
class Weights:
    """What a member of a weights enum stands for.

    Args:
        url: where the file is; its name ends in the first digits of its SHA-256 checksum.
        transforms: makes the preprocessing that the weights were trained with.
        meta: facts: "num_params", "min_size", "_metrics" and others.
    """

    url: str
    transforms: Callable[..., Any]
    meta: dict[str, Any] = field(default_factory=dict, hash=False)


class WeightsEnum(Enum):
    """Base class of the weights of one model; the value of a member is a `Weights`.

    Nothing is downloaded before `get_state_dict` is called or a member is given to the model's
    function as `weights`.

    >>> from tensorlab.vision.models import ResNet18_Weights
    >>> weights = ResNet18_Weights.DEFAULT
    >>> weights, weights.meta["num_params"]
    (ResNet18_Weights.IMAGENET1K_V1, 11689512)
    >>> ResNet18_Weights.verify("IMAGENET1K_V1") is weights
    True
    """

    @classmethod
    def verify(cls, obj: Any) -> WeightsEnum | None:
        """The member that `obj` is or names; None for None.

        Raises `TypeError` for members of other enums and other types, `KeyError` for a name that
        is not one of this enum's.
        """
        if obj is None or isinstance(obj, cls):
            return obj
        if isinstance(obj, str):
            name = obj.removeprefix(cls.__name__ + ".")
            if name not in cls.__members__:
                raise KeyError(
                    f"{cls.__name__} has no weights {name!r}; it has {', '.join(cls.__members__)}"
                )
            return cls[name]
        raise TypeError(
            f"Invalid Weight class provided; expected {cls.__name__} but received "
            f"{type(obj).__name__}."
        )

    @property
    def url(self) -> str:
        """Where the file is."""
        return self.value.url

    @property
    def transforms(self) -> Callable[..., Any]:
        """Makes the preprocessing: `weights.transforms()(image)`."""
        return self.value.transforms

    @property
    def meta(self) -> dict[str, Any]:
        """Facts about the weights."""
        return self.value.meta

    def get_state_dict(
        self,
        model_dir: str | os.PathLike[str] | None = None,
        map_location: Any = None,
        progress: bool = True,
        check_hash: bool = True,
        file_name: str | None = None,
    ) -> Mapping[str, Any]:
        """The weights, downloaded if they are not in `model_dir` yet.

        Args:
            model_dir: the folder of the files. Default: `$TENSORLAB_HOME/hub/checkpoints`, or
                the system's place for caches (`~/.cache/tensorlab/hub/checkpoints`).
            map_location: where the tensors go, as for `tensorlab.load`.
            progress: tell on stderr how far the download is.
            check_hash: compare a downloaded file with the checksum in its name. True unless you
                say otherwise, as the names of all files here have one.
            file_name: the name of the file, if it is not to be that of the URL.

        Raises:
            OSError: the download failed (no network, not found, the disk is full).
            RuntimeError: the file is not the one that was published.
        """
        from tensorlab.vision.datasets._download import download

        folder = os.fspath(model_dir) if model_dir is not None else _checkpoints()
        name = file_name or os.path.basename(self.url)
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            digits = self.url.rpartition("-")[2].partition(".")[0] if check_hash else None
            download([self.url], path, sha256=digits, progress=progress)
        return load(path, map_location=map_location)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    __str__ = __repr__


def _checkpoints() -> str:
    home = os.environ.get("TENSORLAB_HOME")
    if not home:
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
        home = os.path.join(cache, "tensorlab")
    return os.path.expanduser(os.path.join(home, "hub", "checkpoints"))


def register_model(
    name: str | None = None, weights: type[WeightsEnum] | None = None
) -> Callable[[Builder], Builder]:
    """A decorator that makes a function `(*, weights=None, progress=True, **kwargs) -> Module` known.

    The model can then be made with `get_model(name)`. The function also understands the old
    `pretrained=True`, with a warning, and takes the name of a member for `weights`.

    Args:
        name: the model's name; the function's if left out.
        weights: the enum of its weights, the oldest first, if it has any.

    Raises `ValueError` if there is such a model already.
    """

    def decorate(function: Builder) -> Builder:
        key = name if name is not None else function.__name__
        if key in _BUILDERS:
            raise ValueError(f"An entry is already registered under the name '{key}'.")

        @functools.wraps(function)
        def build(*args: Any, **kwargs: Any) -> Module:
            if len(args) > 1 or (args and ("weights" in kwargs or "pretrained" in kwargs)):
                raise TypeError(
                    f"{key}() takes keyword arguments only: weights=, progress= and those of the model"
                )
            given = args[0] if args else kwargs.pop("weights", None)
            if "pretrained" in kwargs:
                given = _pretrained(key, weights, kwargs.pop("pretrained"))
            elif isinstance(given, bool):
                given = _pretrained(key, weights, given)
            if weights is not None:
                given = weights.verify(given)
            return function(weights=given, **kwargs)

        _BUILDERS[key] = build
        _WEIGHTS[key] = weights
        return cast(Builder, build)

    return decorate


def _pretrained(
    name: str, weights: type[WeightsEnum] | None, wanted: bool | None
) -> WeightsEnum | None:
    """What the argument of before 0.13 means: the first weights that there were."""
    first = next(iter(weights)) if weights is not None and wanted else None
    warnings.warn(
        f"The parameter 'pretrained' is deprecated since 0.13 and may be removed in the future, "
        f"please use 'weights' instead: {name}(weights={first}).",
        UserWarning,
        stacklevel=3,
    )
    return first


def get_model(name: str, **config: Any) -> Module:
    """The model of this name, made with these arguments.

    Raises `ValueError` if there is none.

    >>> from tensorlab.vision import models
    >>> models.get_model("resnet18", num_classes=10).fc
    Linear(in_features=512, out_features=10, bias=True)
    """
    return get_model_builder(name)(**config)


def get_model_builder(name: str) -> Callable[..., Module]:
    """The function that makes the model of this name; capitals do not matter.

    Raises `ValueError` if there is none.
    """
    return _BUILDERS[_known(name)]


def _known(name: str) -> str:
    if name.lower() in _BUILDERS:
        return name.lower()
    import difflib

    close = difflib.get_close_matches(name.lower(), _BUILDERS, 1)
    hint = f". Did you mean {close[0]!r}?" if close else f"; there are {', '.join(list_models())}"
    raise ValueError(f"Unknown model {name}{hint}")


def get_model_weights(name: Callable[..., Module] | str) -> type[WeightsEnum]:
    """The enum of the weights of a model, given by its name or its function.

    Raises `ValueError` if it has none.
    """
    if callable(name):
        names = [key for key, build in _BUILDERS.items() if build is name]
        if not names:
            raise ValueError(f"{name!r} is not the function of a registered model")
        key = names[0]
    else:
        key = _known(name)
    weights = _WEIGHTS[key]
    if weights is None:
        raise ValueError(f"The model {key} has no weights")
    return weights


def get_weight(name: str) -> WeightsEnum:
    """The weights with this full name, like `"ResNet50_Weights.IMAGENET1K_V2"`.

    Raises `ValueError` if there are none.
    """
    enum, dot, member = name.partition(".")
    if not dot or not member:
        raise ValueError(f"Invalid weight name provided: '{name}'.")
    for weights in _WEIGHTS.values():
        if weights is not None and weights.__name__ == enum:
            if member not in weights.__members__:
                raise ValueError(
                    f"{enum} has no weights {member!r}; it has {', '.join(weights.__members__)}"
                )
            return weights[member]
    raise ValueError(f"The weight enum '{enum}' was not found.")


def list_models(
    module: ModuleType | None = None,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
) -> list[str]:
    """The names of all models, sorted.

    Args:
        module: only those whose function is in this module.
        include: only names that fit one of these patterns (`*` is anything).
        exclude: no names that fit one of these.

    >>> from tensorlab.vision import models
    >>> models.list_models(include="resnet1*")
    ['resnet101', 'resnet152', 'resnet18']
    """
    names = set(_BUILDERS)
    if module is not None:
        package = module.__name__ + "."
        names = {n for n in names if (_BUILDERS[n].__module__ + ".").startswith(package)}
    if include:
        names = _fitting(names, include)
    if exclude:
        names -= _fitting(names, exclude)
    return sorted(names)


def _fitting(names: set[str], patterns: Iterable[str] | str) -> set[str]:
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    return {n for n in names if any(fnmatch.fnmatch(n, pattern) for pattern in patterns)}


def load_weights(model: Module, weights: Any, progress: bool) -> Module:
    """`model` with these weights, if there are any."""
    if weights is not None:
        model.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))
    return model


def classes_of(weights: Any, kwargs: dict[str, Any]) -> None:
    """Let the number of classes of the weights be that of the model, or say that it differs."""
    if weights is not None:
        wanted = kwargs.setdefault("num_classes", NUM_CLASSES)
        if wanted != NUM_CLASSES:
            raise ValueError(
                f"The parameter 'num_classes' expected value {NUM_CLASSES} but got {wanted} instead. "
                "Load the weights first and then replace the last layer."
            )


NUM_CLASSES = 1000  # of ImageNet-1k, which all weights here were trained on


def imagenet(url: str, transforms: Callable[..., Any], num_params: int, top1: float, top5: float,
             min_size: tuple[int, int] = (1, 1)) -> Weights:  # fmt: skip
    """The entry of weights that PyTorch publishes, trained on ImageNet-1k; accuracies in percent."""
    metrics = {"ImageNet-1K": {"acc@1": top1, "acc@5": top5}}
    facts = {"min_size": min_size, "num_params": num_params, "_metrics": metrics}
    return Weights(f"https://download.pytorch.org/models/{url}", transforms, facts)
