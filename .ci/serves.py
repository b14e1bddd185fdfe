"""Run a command that serves the course, and see that it does: with its token, and with nothing less.

    python .ci/serves.py tensorlab lab --no-browser

Exit status 0 if the printed address answers with JupyterLab, refuses a visitor without the token,
and the server then ends when it is told to.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

START_LIMIT = 600  # seconds; the command may install before it serves
STOP_LIMIT = 100
ANSWER_LIMIT = 100


def main(command: list[str]) -> None:
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"no address after {START_LIMIT} s"))
    try:
        visit(address_of(server))
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        sys.exit(f"the server did not end within {STOP_LIMIT} s")
    finally:
        # Whatever went wrong, no server stays behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
    print("served, guarded by its token, and ended")


def address_of(server: subprocess.Popen[str]) -> str:
    """The address that the server prints, token included; all it prints until then is shown."""
    assert server.stdout is not None
    signal.alarm(START_LIMIT)
    for line in server.stdout:
        print(line, end="", flush=True)
        found = re.search(r"http://127\.0\.0\.1:\d+/\S+token=\S+", line)
        if found:
            signal.alarm(0)
            return found.group()
    sys.exit(f"the command ended with status {server.wait()} before it served anything")


def visit(url: str) -> None:
    """Ask for JupyterLab with the token, and for the folder's contents without it."""
    with urllib.request.urlopen(url, timeout=ANSWER_LIMIT) as page:
        if b"jupyter-config-data" not in page.read():
            sys.exit(f"{url} is not JupyterLab")
    try:
        urllib.request.urlopen(f"http://{urlsplit(url).netloc}/api/contents", timeout=ANSWER_LIMIT)
    except urllib.error.HTTPError as error:
        if error.code != 403:
            sys.exit(f"a visitor without the token got status {error.code}, not 403")
    else:
        sys.exit("a visitor without the token was let in")


if __name__ == "__main__":
    main(sys.argv[1:])
