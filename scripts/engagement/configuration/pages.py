"""The block `pages`: who may see what on the pages."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import BeforeValidator, Field

from engagement.configuration.part import Part, Text, refuse


def _ip_address(value: object) -> object:
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise refuse("an IP address, for example 10.0.0.5") from None


class Pages(Part):
    """Who may see what on the pages: the header in which a reverse proxy names who signed in, the name under which
    browsers reach it, a CSV file (user, owner) of whose accounts he sees, and the addresses of the proxies that are
    believed.
    """

    user_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = None
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")] | None = None
    owners: Text | None = None
    proxies: Annotated[tuple[Annotated[Text, BeforeValidator(_ip_address)], ...], Field(strict=False)] = ()
