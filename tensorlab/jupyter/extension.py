"""What `%load_ext tensorlab` puts into an IPython shell, and `%unload_ext tensorlab` takes out again."""

from __future__ import annotations

from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from .complete import Completion
from .magics import TensorlabMagics
from .suggest import Suggestions
from .unwritten import UnwrittenExercises

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

_ATTRIBUTE = "_tensorlab_extension"


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Install the magic, its completion and the friendly stop at unwritten exercises, once."""
    if not hasattr(shell, _ATTRIBUTE):
        setattr(shell, _ATTRIBUTE, _Extension(shell))


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Leave the shell as it was; harmless when nothing is loaded."""
    extension: _Extension | None = getattr(shell, _ATTRIBUTE, None)
    if extension is not None:
        extension.remove()
        delattr(shell, _ATTRIBUTE)


class _Extension:
    """Everything that was put into one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._previous = self._find_magics()
        self._magics = TensorlabMagics(shell)
        shell.register_magics(self._magics)
        self._completion = Completion(shell, self._magics.parser, self._magics.notebook)
        self._completion.install()
        self._suggestions = Suggestions(shell)
        self._suggestions.install()
        self._unwritten = UnwrittenExercises(shell)
        self._unwritten.install()

    def remove(self) -> None:
        self._unwritten.remove()
        self._suggestions.remove()
        self._completion.remove()
        manager = self._shell.magics_manager
        manager.registry.pop(type(self._magics).__name__, None)
        for kind, previous in self._previous.items():
            del manager.magics[kind]["tensorlab"]
            if previous is not None:
                manager.magics[kind]["tensorlab"] = previous

    def _find_magics(self) -> dict[str, Any]:
        """Magics of the same name that somebody else defined: they come back at the end."""
        magics = self._shell.magics_manager.magics
        return {kind: magics[kind].get("tensorlab") for kind in ("line", "cell")}
