"""What every emulator needs: a server on loopback, a log of requests, and faults on demand.

An emulator is an app and a `Service`, the state behind it. `Transport` lies around the app and asks the
service what to send along, whom to admit and how to word a refusal.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import importlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Literal

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as AsgiMessage

FaultKind = Literal[
    "answer",
    "reset",
    "cut_connection",
    "truncated_json",
    "cut_gzip",
    "invalid_utf8",
    "html",
    "stall",
    "drip",
]


@dataclass(slots=True)
class Fault:
    """An answer that the next `times` requests get whose `path?query` (decoded) contains `match`.

    Kinds: `answer` (the given status, headers and body), `reset` (connection reset, no answer),
    `cut_connection` (the connection ends in the middle of the body), `truncated_json` (200, a whole answer
    whose JSON is cut off), `cut_gzip` (200, a whole answer whose compressed body is cut off), `invalid_utf8`
    (200, JSON with bytes that are no text), `html` (200 with a page of HTML), `stall` (the body begins, then
    nothing comes), `drip` (the body comes a byte at a time, `pause` seconds apart, without end). `stall` and
    `drip` end after `lasting` seconds with the connection, and count in `abandoned` who left before.

    `delay` seconds pass first; an `answer` without a status then answers as usual. `after` lets the service do
    its work first: only the answer is lost.
    """

    match: str
    times: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    kind: FaultKind = "answer"
    delay: float = 0.0
    after: bool = False
    pause: float = 0.02
    lasting: float = 60.0
    used: int = 0
    abandoned: int = 0


@dataclass(slots=True)
class LoggedRequest:
    """One request as it came; `status` is 0 until it is answered, and stays 0 where the connection broke.

    `at` is when, in monotonic seconds; `under_way` counts the requests whose answer had not begun then, itself
    included.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    status: int = 0
    at: float = 0.0
    under_way: int = 1


class Refusal(Exception):
    """An error answer of a service; which words and which shape it has is the service's own."""

    def __init__(self, status: int, message: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


class Service:
    """The state behind an app: log, faults and what is under way; an emulator fills in its own ways."""

    json_type: ClassVar[str] = "application/json"
    cut_off: ClassVar[bytes] = b'{"value":[{"id":"'  # a `truncated_json` answer, whole
    no_text: ClassVar[bytes] = b'{"value":[{"id":"\xff\xfe\xc3("}]}'  # an `invalid_utf8` answer

    def __init__(self) -> None:
        self.requests: list[LoggedRequest] = []
        self.faults: list[Fault] = []
        self.under_way = 0
        self.in_flight: dict[str, int] = {}
        self.most_in_flight: dict[str, int] = {}

    def forget(self) -> None:
        """Drop the log and the faults."""
        self.requests.clear()
        self.faults.clear()
        self.most_in_flight.clear()

    def next_fault(self, target: str) -> Fault | None:
        """Take the first fault that is waiting for a request of this path and query."""
        for fault in self.faults:
            if fault.used < fault.times and fault.match in target:
                fault.used += 1
                return fault
        return None

    def own_fault(self, request: Request, target: str) -> Fault | None:
        """Give the fault that the service's switches make of a request for which no test's fault is waiting."""
        return None

    def latency(self) -> float:
        """Give the seconds that every answer takes."""
        return 0.0

    def headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        """Give what every answer to this request carries."""
        return []

    def counted_as(self, request: Request) -> str | None:
        """Name what this request is in flight for; None where that is not counted."""
        return None

    def admit(self, request: Request, busy: int) -> None:
        """Refuse a counted request before anything else; `busy` others are in flight for the same."""

    def check(self, request: Request) -> None:
        """Refuse a request that no fault has taken, before the app sees it."""

    def refuse(self, request: Request, error: Exception) -> Response:
        """Answer with an error of the service."""
        raise NotImplementedError

    def usual_body(self, status: int) -> bytes:
        """Give what a fault of this status says where the test gives no body."""
        return b""


class Transport:
    """What lies around every answer: log, faults, throttling, headers and the shape of errors.

    It is written as ASGI, not as Starlette middleware, because faults break the connection itself.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        service = self.service
        request = Request(scope, receive)
        service.under_way += 1
        logged = LoggedRequest(
            request.method,
            request.url.path,
            dict(request.query_params),
            dict(request.headers),
            at=time.monotonic(),
            under_way=service.under_way,
        )
        service.requests.append(logged)
        common = service.headers(request)
        query = "&".join(f"{name}={value}" for name, value in logged.query.items())
        target = f"{logged.path}?{query}"
        fault = service.next_fault(target) or service.own_fault(request, target)

        waiting = True

        def end_waiting() -> None:
            # before the first byte of the answer: who has it may ask again before this is done here
            nonlocal waiting
            service.under_way -= waiting
            waiting = False

        async def send_with_headers(message: AsgiMessage) -> None:
            if message["type"] == "http.response.start":
                end_waiting()
                logged.status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), *common]}
            await send(message)

        async def send_to_nobody(message: AsgiMessage) -> None:
            pass

        key = service.counted_as(request)
        busy = service.in_flight.get(key, 0) if key is not None else 0
        if key is not None:
            service.in_flight[key] = busy + 1
            service.most_in_flight[key] = max(service.most_in_flight.get(key, 0), busy + 1)
        try:
            if key is not None:
                service.admit(request, busy)
            # also without latency the loop must turn once, else requests that came together never overlap
            await asyncio.sleep(service.latency() + (fault.delay if fault else 0.0))
            failing = fault if fault and not (fault.kind == "answer" and fault.status is None) else None
            if failing is None or failing.after:
                service.check(request)
                await self.app(scope, receive, send_to_nobody if failing else send_with_headers)
            if failing is not None:
                await self._fail(failing, scope, receive, send, send_with_headers)
        except Refusal as error:
            await service.refuse(request, error)(scope, receive, send_with_headers)
        finally:
            end_waiting()
            if key is not None:
                service.in_flight[key] -= 1

    async def _fail(self, fault: Fault, scope: Scope, receive: Receive, send: Send, normal: Send) -> None:
        """Give the answer that a fault stands for."""
        json_type = self.service.json_type
        if fault.kind == "answer":
            assert fault.status is not None
            headers = {"content-type": "application/json", **fault.headers}
            await Response(fault.body, fault.status, headers)(scope, receive, normal)
        elif fault.kind == "html":
            body = fault.body or b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"
            await Response(body, 200, {"content-type": "text/html", **fault.headers})(scope, receive, normal)
        elif fault.kind == "truncated_json":
            headers = {"content-type": json_type, **fault.headers}
            await Response(self.service.cut_off, 200, headers)(scope, receive, normal)
        elif fault.kind == "cut_gzip":
            whole = gzip.compress(b'{"value":[' + Random(0).randbytes(2_000).hex().encode(), mtime=0)
            headers = {"content-type": json_type, "content-encoding": "gzip", **fault.headers}
            await Response(whole[: len(whole) // 2], 200, headers)(scope, receive, normal)
        elif fault.kind == "invalid_utf8":
            headers = {"content-type": json_type, **fault.headers}
            await Response(self.service.no_text, 200, headers)(scope, receive, normal)
        elif fault.kind in ("cut_connection", "stall", "drip"):
            start = {"type": "http.response.start", "status": 200}
            headers_list = [(b"content-type", json_type.encode()), (b"content-length", b"100000")]
            await normal({**start, "headers": headers_list})
            await normal({"type": "http.response.body", "body": b'{"value":[', "more_body": True})
            if fault.kind == "cut_connection":
                await asyncio.sleep(0.02)
            else:
                await self._dawdle(fault, send)
            await self._abort(receive, send, reset=False)
        else:
            await self._abort(receive, send, reset=True)

    async def _dawdle(self, fault: Fault, send: Send) -> None:
        """Keep the client waiting, with a byte now and then or with nothing, until either has had enough."""
        connection: asyncio.Transport = send.__self__.transport  # type: ignore[attr-defined]
        end = time.monotonic() + fault.lasting
        while time.monotonic() < end:
            await asyncio.sleep(min(fault.pause, 0.02) if fault.kind == "stall" else fault.pause)
            if connection.is_closing():
                fault.abandoned += 1
                return
            if fault.kind == "drip":
                await send({"type": "http.response.body", "body": b" ", "more_body": True})

    async def _abort(self, receive: Receive, send: Send, *, reset: bool) -> None:
        """Close the connection under the client; uvicorn's own transport stands behind the bound `send`."""
        transport: asyncio.Transport = send.__self__.transport  # type: ignore[attr-defined]
        if reset:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        # the server notes the loss on its next turn; returning earlier would make it answer 500 into the void
        while (await receive())["type"] != "http.disconnect":
            pass


def surround(app: Starlette, service: Service) -> Starlette:
    """Put the transport around an app."""
    # outside of Starlette's own layers, which hide the server's `send`
    app.middleware_stack = Transport(app.build_middleware_stack(), service)
    return app


def set_switches(switches: Any, changed: Mapping[str, Any]) -> None:
    """Set fields of an emulator's switches by name."""
    known = {f.name for f in fields(switches)}
    for name, value in changed.items():
        if name not in known:
            raise TypeError(f"unknown switch {name!r}; known: {', '.join(sorted(known))}")
        setattr(switches, name, value)


def overwrite(target: Any, source: Any) -> None:
    """Give every field of a dataclass the value that it has in another."""
    for name in (f.name for f in fields(target)):
        setattr(target, name, getattr(source, name))


# ---------------------------------------------------------------------------------------------------
# running it


def _listen(port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY on sockets of this protocol only; without it each small answer waits 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(256)
    return listener


def _address(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _server(app: Starlette) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,
            log_level="critical",
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=60,
        )
    )


class Handle:
    """A running emulator, as a test sees it."""

    def __init__(self, url: str, service: Service, stop: Callable[[], None]) -> None:
        self.url = url
        self._service = service
        self._stop = stop

    @property
    def requests(self) -> list[LoggedRequest]:
        """Every request so far, oldest first; `.clear()` it between two runs to count the second's."""
        return self._service.requests

    @property
    def most_in_flight(self) -> dict[str, int]:
        """The most requests that were under way at once, by what the service counts them for."""
        return self._service.most_in_flight

    def fail(
        self,
        match: str = "",
        *,
        times: int = 1,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | str | Mapping[str, Any] = b"",
        kind: FaultKind = "answer",
        delay: float = 0.0,
        after: bool = False,
        pause: float = 0.02,
        lasting: float = 60.0,
    ) -> Fault:
        """Let the next requests whose `path?query` contains `match` fail (see `Fault`); a mapping is JSON."""
        if isinstance(body, str):
            body = body.encode()
        elif not isinstance(body, bytes):
            body = msgspec.json.encode(body)
        if status is not None and not body:
            body = self._service.usual_body(status)
        fault = Fault(match, times, status, dict(headers or {}), body, kind, delay, after, pause, lasting)
        self._service.faults.append(fault)
        return fault

    def recover(self) -> None:
        """Drop every fault that `fail` has set, those that were never met among them."""
        self._service.faults.clear()

    def stop(self) -> None:
        """Stop listening now, so that connections are refused; leaving the context does the same."""
        self._stop()


@contextmanager
def in_thread(app: Starlette, name: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Serve an app in a thread on a free loopback port; gives its address and what stops it."""
    listener = _listen(0)
    server = _server(app)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name=f"{name}-emulator", daemon=True
    )

    def stop() -> None:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()

    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError(f"the {name} emulator did not start")
        time.sleep(0.005)
    try:
        yield _address(listener), stop
    finally:
        stop()


def call(path: str, usual: str = "build") -> Any:
    """Call what `MODULE:FUNCTION` names, and the usual function where only the module is named."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name or usual)()


def add_serving_options(parser: argparse.ArgumentParser) -> None:
    """Let a command line say where to listen and for how long."""
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--url-file", type=Path, help="file that gets the address once the service listens")
    parser.add_argument(
        "--until-input-ends",
        action="store_true",
        help="stop when standard input ends, as a parent's death ends it",
    )


def serve(app: Starlette, given: argparse.Namespace) -> None:
    """Serve an app as the options of `add_serving_options` say, until interrupted or terminated."""
    listener = _listen(given.port)
    url = _address(listener)
    # the socket listens already, so whoever reads the address may connect at once
    if given.url_file is not None:
        unfinished = given.url_file.with_name(given.url_file.name + ".tmp")
        unfinished.write_text(url, encoding="utf-8")
        os.replace(unfinished, given.url_file)
    print(f"listening on {url}", flush=True)
    server = _server(app)

    def stop_at_the_end_of_input() -> None:
        # the descriptor itself: a thread inside sys.stdin's buffer would break the interpreter's own ending
        while os.read(0, 4096):
            pass
        server.should_exit = True

    if given.until_input_ends:
        threading.Thread(target=stop_at_the_end_of_input, daemon=True).start()
    server.run(sockets=[listener])
