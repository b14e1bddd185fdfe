"""Exceptions that travel from a worker to the loader's process."""

from __future__ import annotations

import traceback
from typing import Any

__all__ = ["ExceptionWrapper", "KeyErrorMessage"]


class KeyErrorMessage(str):
    """A message that is printed as it is: `KeyError` prints the repr of its argument."""

    __slots__ = ()

    def __repr__(self) -> str:
        return self


class ExceptionWrapper:
    """An exception's class and printed traceback, to be raised again in another process.

    Args:
        error: the exception.
        where: the place to name in the message, such as "in DataLoader worker process 0".
        hint: a sentence on what to do, if there is one.
    """

    def __init__(self, error: BaseException, where: str, hint: str = "") -> None:
        self.exc_type: Any = type(error)
        self.name = self.exc_type.__name__
        self.exc_msg = "".join(traceback.format_exception(error))
        self.where = where
        self.hint = hint

    def without_class(self) -> ExceptionWrapper:
        """The same as a `RuntimeError`, for classes that can't be found from another process."""
        named = object.__new__(ExceptionWrapper)
        named.__dict__.update(self.__dict__, exc_type=RuntimeError)
        named.where = f"{self.where} (its class {self.exc_type.__qualname__} can't be sent)"
        return named

    def reraise(self) -> None:
        """Raise an exception of the same class, with the original traceback as its message.

        A class that does not take one message becomes a `RuntimeError`.
        """
        message = f"Caught {self.name} {self.where}.\nOriginal {self.exc_msg}{self.hint}"
        if self.exc_type is KeyError:
            message = KeyErrorMessage(message)
        elif getattr(self.exc_type, "message", None):
            raise self.exc_type(message=message)
        try:
            error = self.exc_type(message)
        except Exception:  # it takes other arguments: nothing of it is lost in the message
            raise RuntimeError(message) from None
        raise error
