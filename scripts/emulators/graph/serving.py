"""The app over a tenant, and running it."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emulators.graph.calendars import calendar_view, unknown
from emulators.graph.directory import group, groups, transitive_members, transitive_users, user, users
from emulators.graph.mail import mail_folder, mail_folders, messages
from emulators.graph.refusals import GraphError, Switches
from emulators.graph.service import Emulator, refuse
from emulators.graph.sign_in import token
from emulators.server import Handle as ServerHandle
from emulators.server import add_serving_options, call, in_thread, overwrite, serve, set_switches, surround
from emulators.tenant import Tenant


def create_app(tenant: Tenant, switches: Switches | None = None, **changed: Any) -> Starlette:
    """Make the app over a tenant; keyword arguments set fields of `Switches`. State: `app.state.emulator`."""
    switches = Switches() if switches is None else switches
    set_switches(switches, changed)
    get: list[tuple[str, Callable[[Request], Awaitable[Response]]]] = [
        ("/v1.0/users", users),
        ("/v1.0/users/{user}", user),
        ("/v1.0/users/{user}/messages", messages),
        ("/v1.0/users/{user}/mailFolders", mail_folders),
        ("/v1.0/users/{user}/mailFolders/{folder}", mail_folder),
        ("/v1.0/users/{user}/calendarView", calendar_view),
        ("/v1.0/groups", groups),
        ("/v1.0/groups/{group}", group),
        ("/v1.0/groups/{group}/transitiveMembers", transitive_members),
        ("/v1.0/groups/{group}/transitiveMembers/microsoft.graph.user", transitive_users),
    ]
    every_method = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
    app = Starlette(
        routes=[
            Route("/{tenant}/oauth2/v2.0/token", token, methods=["POST"]),
            *(Route(path, endpoint, methods=["GET"]) for path, endpoint in get),
            Route("/{path:path}", unknown, methods=every_method),
        ],
        exception_handlers={GraphError: refuse},
    )
    emulator = Emulator(tenant, switches)
    app.state.emulator = emulator
    return surround(app, emulator)


class Handle(ServerHandle):
    """A running emulator, as a test sees it."""

    def __init__(self, url: str, emulator: Emulator, stop: Callable[[], None]) -> None:
        super().__init__(url, emulator, stop)
        self.emulator = emulator
        self.tenant = emulator.tenant
        self.switches = emulator.switches

    def expire_tokens(self) -> None:
        """Make every token issued so far worthless."""
        self.emulator.expire_tokens()

    def reset(self, tenant: Tenant) -> None:
        """Begin anew with another tenant's records and no switch set; cheaper than another server."""
        overwrite(self.tenant, tenant)
        overwrite(self.switches, Switches())
        self.emulator.forget()


@contextmanager
def running(tenant: Tenant, **switches: Any) -> Iterator[Handle]:
    """Run the emulator in a thread on a free loopback port; keyword arguments set fields of `Switches`."""
    app = create_app(tenant, **switches)
    with in_thread(app, "Graph") as (url, stop):
        yield Handle(url, app.state.emulator, stop)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a tenant until interrupted or terminated."""
    parser = argparse.ArgumentParser(prog="python -m emulators.graph", description=main.__doc__)
    parser.add_argument("--tenant", required=True, metavar="MODULE:FUNCTION", help="what builds the tenant")
    parser.add_argument(
        "--switches", default="{}", metavar="JSON", help="fields of Switches, as an object of JSON"
    )
    add_serving_options(parser)
    given = parser.parse_args(arguments)
    tenant = call(given.tenant)
    if not isinstance(tenant, Tenant):
        raise SystemExit(f"{given.tenant} gave no Tenant")
    serve(create_app(tenant, **msgspec.json.decode(given.switches)), given)
