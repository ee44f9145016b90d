"""Opens a published file in Harlequin on a terminal of its own, pastes a query, and prints what the screen then shows.

    HOME=... python drive_harlequin.py FILE QUERY UNTIL

Ends with 0 once the text UNTIL stands there, with 1 after 60 seconds without it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

import pyte

COLUMNS, LINES = 160, 50
SECONDS = 60
RUN, QUIT = "\x0a", "\x11"  # ctrl+j and ctrl+q

path, query, until = sys.argv[1:]
process, terminal = pty.fork()
if process == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    harlequin = os.path.join(os.path.dirname(sys.executable), "harlequin")
    os.execve(
        harlequin,
        [harlequin, "--read-only", "--theme", "harlequin", path],
        {**os.environ, "TERM": "xterm-256color"},
    )
screen = pyte.Screen(COLUMNS, LINES)
stream = pyte.ByteStream(screen)


def wait_for(text: str) -> bool:
    """Whether the text is shown within the time."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if any(text in line for line in screen.display):
            return True
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                stream.feed(os.read(terminal, 65536))
            except OSError:
                return False
    return False


try:
    # The footer names this once the editor takes keys.
    found = wait_for("Format Query")
    if found:
        # Pasted, as from a page: what is typed gets suggestions on top.
        os.write(terminal, f"\x1b[200~{query}\x1b[201~".encode())
        found = wait_for(query[-20:])
        os.write(terminal, RUN.encode())
        found = found and wait_for(until)
    print("\n".join(screen.display))
finally:
    os.write(terminal, QUIT.encode())
    for _ in range(50):
        if os.waitpid(process, os.WNOHANG)[0]:
            break
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                os.read(terminal, 65536)
            except OSError:
                time.sleep(0.1)
    else:
        os.kill(process, 9)
        os.waitpid(process, 0)
sys.exit(0 if found else 1)
