"""A webhook on loopback that remembers what it got, and a program that does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# What a program does with its standard input: it keeps it, a line for each message.
KEEP = "import sys; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read() + b'\\n')"


@dataclass(frozen=True)
class Answer:
    """After `delay` seconds; with `drip` a byte of a header comes every so many seconds, for ever."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0


@dataclass
class Receiver:
    """`answers` are given in turn, and the last one again and again."""

    url: str = ""
    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.requests]

    @property
    def events(self) -> list[str]:
        return [message["event"] for message in self.messages]

    def take(self) -> list[dict[str, Any]]:
        """The messages since the last call."""
        messages = self.messages
        self.requests.clear()
        return messages


@contextmanager
def receiving(*answers: Answer) -> Iterator[Receiver]:
    receiver = Receiver(answers=list(answers) or [Answer()])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = receiver.answers[min(len(receiver.requests), len(receiver.answers) - 1)]
            receiver.requests.append((self.path, dict(self.headers), body))
            receiver.ended.wait(answer.delay)
            try:
                if answer.drip:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                    while not receiver.ended.wait(answer.drip):
                        self.wfile.write(b"x")
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                return

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield receiver
    finally:
        receiver.ended.set()
        server.shutdown()
        server.server_close()


def kept(path: Path, *, seconds: float = 0.0) -> list[dict[str, Any]]:
    """What the program was given."""
    until = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
