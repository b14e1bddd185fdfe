"""Downloading a file so that it is either all there and right, or not there.

What has come so far stands in a file of its own (`.part`), so that a broken connection costs only
what was on its way; the file gets its name when its length and its checksum are right.
"""

from __future__ import annotations

import errno
import hashlib
import ipaddress
import os
import re
import shutil
import socket
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPMessage
from typing import IO, Any

__all__ = ["DownloadError", "checksum", "download"]

_TIMEOUT = 30.0  # seconds without any answer
_PAUSE = 1.0  # seconds before the first retry; doubled for each further one
_TRIES = 4  # in a row that bring nothing new
_CHUNK = 1 << 18  # bytes
_AGENT = "tensorlab"
#: What a server may answer now and not in a moment.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
#: What the system says of a full disk; Windows knows no quota.
_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


class DownloadError(RuntimeError):
    """A file could not be downloaded; the message says why, for each place that was tried."""


class _Failed(Exception):
    """One place does not have the file, or not the right one."""


class _Interrupted(Exception):
    """The connection broke; asking again for the rest may help."""


def download(
    urls: Sequence[str],
    path: str | os.PathLike[str],
    *,
    md5: str | None = None,
    sha256: str | None = None,
    progress: bool = True,
) -> None:
    """Get the file `path` from the first of these URLs that has it.

    A download that was cut short goes on where it ended: within this call if the server still has
    the same version, and in a later call if there is a checksum to find out.

    Args:
        urls: the places to try, in order; https, or http on this computer.
        path: the name to give it; its folder is made if need be. A file of this name is replaced.
        md5: the checksum that the file must have, in hexadecimal digits.
        sha256: the first digits of the checksum that it must have.
        progress: tell on stderr how far it is.

    Raises:
        ValueError: a URL is neither https nor on this computer.
        DownloadError: no place had the file: no network, not found, wrong bytes.
        OSError: it can't be written; "No space left on device" names the bytes that are missing.
    """
    target = os.fspath(path)
    for url in urls:
        _refuse_unsafe(url)
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    known = md5 is not None or sha256 is not None
    reasons: list[str] = []
    with _alone(f"{target}.part") as part:
        for url in urls:
            if not known:
                part.truncate(0)  # perhaps the beginning of another version
            try:
                _fetch_checked(url, target, part, md5, sha256, progress)
            except _Failed as failure:
                reasons.append(f"{url}: {failure}")
            else:
                part.flush()
                os.fsync(part.fileno())
                if os.name == "nt":  # which does not rename an open file
                    part.close()
                os.replace(part.name, target)
                return
        useful = known and part.seek(0, os.SEEK_END) > 0
        name = part.name
    if not useful and os.path.exists(name):
        os.unlink(name)
    raise DownloadError(
        f"{os.path.basename(target)} could not be downloaded:\n  " + "\n  ".join(reasons)
    )


def checksum(path: str | os.PathLike[str], name: str = "md5") -> str:
    """The checksum of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        # Not for security: it tells a damaged file from a whole one.
        return hashlib.file_digest(
            file, lambda: hashlib.new(name, usedforsecurity=False)
        ).hexdigest()


def _refuse_unsafe(url: str) -> None:
    parsed = urllib.parse.urlsplit(url)
    if parsed.scheme == "https" or (parsed.scheme == "http" and _is_here(parsed.hostname or "")):
        return
    raise ValueError(
        f"only https is downloaded, since anybody on the way can change what http brings: got {url}"
    )


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        try:
            _refuse_unsafe(newurl)
        except ValueError as error:
            raise _Failed(f"it sends on to an unsafe address: {error}") from None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextmanager
def _alone(name: str) -> Iterator[IO[bytes]]:
    """The file of what has come so far, for this download alone.

    Another one of the same file that is under way is not disturbed: this one then uses a file with
    a name of its own, which does not outlive it.
    """
    with open(name, "a+b") as file:
        if _lock(file):
            yield file
            return
    own = f"{name.removesuffix('.part')}.{os.getpid()}-{threading.get_ident()}.part"
    try:
        with open(own, "w+b") as file:
            yield file
    finally:
        if os.path.exists(own):
            os.unlink(own)


def _lock(file: IO[bytes]) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows, where an open file can't be replaced by another process anyway
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    try:  # whoever had the lock may have renamed the file just now
        return os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))
    except FileNotFoundError:
        return False


def _fetch_checked(
    url: str, target: str, part: Any, md5: str | None, sha256: str | None, progress: bool
) -> None:
    """Complete `part` from `url`; what an earlier call left is given up if it does not fit."""
    continued = part.seek(0, os.SEEK_END) > 0
    _fetch(url, target, part, progress)
    wrong = _wrong_bytes(part.name, md5, sha256)
    if wrong and continued:
        part.truncate(0)
        _fetch(url, target, part, progress)
        wrong = _wrong_bytes(part.name, md5, sha256)
    if wrong:
        part.truncate(0)
        raise _Failed(wrong)


def _wrong_bytes(path: str, md5: str | None, sha256: str | None) -> str:
    for name, wanted in (("md5", md5), ("sha256", sha256)):
        if wanted is not None:
            found = checksum(path, name)
            if not found.startswith(wanted.lower()):
                found = found[: len(wanted)]
                return f"the file is not the right one: its {name} is {found}, expected {wanted}"
    return ""


def _fetch(url: str, target: str, part: Any, progress: bool) -> None:
    """Bring the rest of the file; broken connections are taken up again."""
    version = ""
    tries = 0
    while True:
        before = part.seek(0, os.SEEK_END)
        try:
            version = _continue(url, target, part, version, progress)
            return
        except _Interrupted as interruption:
            version = interruption.args[1] or version
            tries = 0 if part.seek(0, os.SEEK_END) > before else tries + 1
            if tries == _TRIES:
                raise _Failed(interruption.args[0]) from None
        time.sleep(_PAUSE * 2 ** max(tries - 1, 0))


def _continue(url: str, target: str, part: Any, version: str, progress: bool) -> str:
    """Ask for what is missing in `part` and append it; returns the version that the server names."""
    have = part.seek(0, os.SEEK_END)
    headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if version:
            headers["If-Range"] = version
    # A proxy is for what is elsewhere: http is only for this computer.
    proxies = urllib.request.ProxyHandler({} if url.startswith("http:") else None)
    opener = urllib.request.build_opener(_SafeRedirects, proxies)
    try:
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and have:  # there is nothing after what is here
                if error.headers.get("Content-Range", "") == f"bytes */{have}":
                    return version
                part.truncate(0)
                raise _Interrupted("what is here is no part of the file", "") from None
            text = f"the server answers {error.code} {error.reason}"
            if error.code in _PASSING:
                raise _Interrupted(text, "") from None
            raise _Failed(text) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, (TimeoutError, ConnectionResetError)):
            raise _Interrupted(f"the server does not answer ({error.reason})", "") from None
        raise _Failed(_why_unreachable(error.reason)) from None
    except (OSError, HTTPException) as error:
        raise _Interrupted(f"the connection broke ({error or type(error).__name__})", "") from None
    with response:
        version = _version(response.headers)
        total = _begin(response, part, have)
        have = part.seek(0, os.SEEK_END)
        _room_for(target, None if total is None else total - have)
        with _Report(url, target, total, progress) as report:
            while True:
                try:
                    data = response.read(_CHUNK)
                except (OSError, HTTPException) as error:
                    reason = f"the connection broke ({error or type(error).__name__})"
                    raise _Interrupted(reason, version) from None
                if not data:
                    break
                _append(part, data, target)
                have += len(data)
                report.at(have)
        part.flush()
        if total is not None and have < total:
            raise _Interrupted(f"the connection broke after {have} of {total} bytes", version)
        if total is not None and have > total:
            part.truncate(0)
            raise _Failed(f"the server sent {have} bytes of {total}")
        return version


def _begin(response: Any, part: Any, have: int) -> int | None:
    """Bring `part` to where the answer begins; returns the length of the whole file, if known."""
    if response.status == 206:
        found = re.fullmatch(
            r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip()
        )
        if not found or int(found[1]) != have:
            part.truncate(0)
            raise _Interrupted("the server sends another part than asked for", "")
        return None if found[2] == "*" else int(found[2])
    part.truncate(0)  # the server sends all of it, because it can't do otherwise or it has changed
    length = response.headers.get("Content-Length")
    return int(length) if length and length.isdigit() else None


def _version(headers: HTTPMessage) -> str:
    """What identifies these bytes: a strong ETag, or the date."""
    tag = headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return headers.get("Last-Modified", "")


def _why_unreachable(reason: Any) -> str:
    if isinstance(reason, socket.gaierror):
        return f"the server was not found; is this computer online? ({reason})"
    return f"the server can't be reached ({reason})"


def _room_for(target: str, missing: int | None) -> None:
    free = shutil.disk_usage(os.path.dirname(target) or ".").free
    if missing is not None and missing > free:
        text = f"No space left on device: {missing} bytes are to come and {free} are free"
        raise OSError(errno.ENOSPC, text, target)


def _append(part: Any, data: bytes, target: str) -> None:
    try:
        part.write(data)
        part.flush()
    except OSError as error:
        if error.errno in _FULL:
            text = "No space left on device: make room and start the download again, it goes on"
            raise OSError(error.errno, text, target) from None
        raise


class _Report:
    """How far a download is, on stderr: a line that grows on a terminal, else one line per tenth."""

    def __init__(self, url: str, target: str, total: int | None, shown: bool) -> None:
        self.name, self.total, self.shown = os.path.basename(target), total, shown
        self.live = shown and sys.stderr.isatty()
        self.last = -1
        self.host = urllib.parse.urlsplit(url).netloc

    def __enter__(self) -> _Report:
        if self.shown:
            size = "" if self.total is None else f" ({_megabytes(self.total)})"
            print(f"Downloading {self.name} from {self.host}{size}", file=sys.stderr)
        return self

    def at(self, have: int) -> None:
        if not self.shown or not self.total:
            return
        step = have * (100 if self.live else 10) // self.total
        if step > self.last:
            self.last = step
            percent = step if self.live else step * 10
            line = f"{self.name}: {percent:3d}% of {_megabytes(self.total)}"
            print(
                f"\r{line}" if self.live else line, end="" if self.live else "\n", file=sys.stderr
            )

    def __exit__(self, *exception: object) -> None:
        if self.live and self.last >= 0:
            print(file=sys.stderr)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
