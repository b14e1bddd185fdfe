"""Run a command that serves the course, and see that it does: with its token, and with nothing less.

    python .ci/serves.py tensorlab lab --no-browser

Exit status 0 if the printed address answers with JupyterLab, refuses a visitor without the token,
and the server then ends when it is told to.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

START_LIMIT = 600  # seconds; the command may install before it serves
STOP_LIMIT = 30


def main(command: list[str]) -> None:
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    # A server that never speaks ends this program and, with it, the wait below.
    signal.signal(signal.SIGALRM, lambda *_: stop(server, f"no address after {START_LIMIT} s"))
    signal.alarm(START_LIMIT)
    assert server.stdout is not None
    for line in server.stdout:
        print(line, end="", flush=True)
        found = re.search(r"http://127\.0\.0\.1:\d+/\S+token=\S+", line)
        if found:
            break
    else:
        sys.exit(f"the command ended with status {server.wait()} before it served anything")
    signal.alarm(0)
    url = found.group()
    with urllib.request.urlopen(url, timeout=30) as page:
        if b"jupyter-config-data" not in page.read():
            stop(server, f"{url} is not JupyterLab")
    address = urlsplit(url)
    try:
        urllib.request.urlopen(f"http://{address.netloc}/api/contents", timeout=30)
    except urllib.error.HTTPError as error:
        if error.code != 403:
            stop(server, f"a visitor without the token got status {error.code}, not 403")
    else:
        stop(server, "a visitor without the token was let in")
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        stop(server, f"the server did not end within {STOP_LIMIT} s")
    print("served, guarded by its token, and ended")


def stop(server: subprocess.Popen[str], reason: str) -> None:
    os.killpg(server.pid, signal.SIGKILL)
    sys.exit(reason)


if __name__ == "__main__":
    main(sys.argv[1:])
