"""`engagement pages`: serves the pages on this machine, or behind a reverse proxy."""

from __future__ import annotations

import contextlib
import csv
import ipaddress
import socket
import sys
from pathlib import Path
from typing import Any

from engagement import logs
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.outcome import Outcome
from engagement.pages import site

# Blue, vermilion, green, purple, orange, sky blue of Okabe and Ito (2008): told apart by the colour-blind. On dark
# ground the same hues are lighter.
_LIGHT = ["#0072B2", "#D55E00", "#009E73", "#AA4499", "#B07C00", "#56B4E9", "#444444"]
_DARK = ["#56B4E9", "#FF9D5C", "#2FC99B", "#E08FC4", "#F0C040", "#9AD0F5", "#BBBBBB"]

THEME: dict[str, Any] = {
    "theme.baseRadius": "small",
    "theme.linkUnderline": True,
    "theme.font": "sans-serif",
    "theme.paddingTop": "2.5rem",
    # Headings of sections stay below that of the page.
    "theme.headingFontSizes": ["2.25rem", "1.5rem", "1.2rem", "1rem", "1rem", "1rem"],
    "theme.metricValueFontSize": "1.75rem",
    # Captions are drawn at 60 % of it, and must stay readable (4.5 to 1).
    "theme.light.textColor": "#111111",
    "theme.light.primaryColor": "#005A8C",
    "theme.light.linkColor": "#005A8C",
    "theme.light.chartCategoricalColors": _LIGHT,
    "theme.dark.primaryColor": "#56B4E9",
    "theme.dark.linkColor": "#7CC4F0",
    "theme.dark.chartCategoricalColors": _DARK,
}

# Nothing but what is asked for leaves the machine, and nothing but the published file is offered.
OPTIONS: dict[str, Any] = {
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "global.developmentMode": False,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "server.showEmailPrompt": False,
    "server.enableStaticServing": False,
    "server.maxUploadSize": 1,
    "logger.level": "error",
    **THEME,
}

LOOPBACK = "127.0.0.1"
_OWN_NAMES = ("localhost", LOOPBACK, "::1")
OWNERS_COLUMNS = ("user", "owner")


def pages(settings: Settings, *, address: str, port: int) -> Outcome:
    """Serves the pages at http://`address`:`port` until a signal ends it.

    Raises ConfigurationError where Streamlit is not installed, `pages` in enrichments.yml is wrong, the port is
    taken, or `address` can be reached from elsewhere and no proxy says who looks.
    """
    try:
        from streamlit import config, net_util
        from streamlit.web import bootstrap
    except ImportError:
        raise ConfigurationError(
            "Streamlit is not installed; install the extra: pip install 'account-engagement[pages]'"
        ) from None
    shown = site_of(settings)
    check_address(address, shown)
    _check_port(address, port)
    site.use(shown)
    host = settings.configuration.pages.host
    options = {
        **OPTIONS,
        "server.address": address,
        "server.port": port,
        # A page of another site that resolves its own name to this machine gets nothing.
        "server.allowedHosts": [*_OWN_NAMES, address, *([host] if host else [])],
        # Pages reached under another name come from that origin.
        **({"browser.serverAddress": host} if host else {}),
    }
    bootstrap.load_config_options(options)
    # Of an origin that it does not know, Streamlit asks a service in the internet whether it is this machine's.
    net_util.get_external_ip = lambda: None
    # What the first page needs is loaded before somebody waits for it.
    from altair.utils import schemapi

    from engagement.pages import app

    # Charts are checked against their schema in the tests; it takes as long again as to make them.
    schemapi.disable_debug_mode()
    logs.log.info(
        "the pages are at %s; Ctrl-C ends them", url(address, port, config.get_option("server.baseUrlPath"))
    )
    # Streamlit greets and complains on standard output, which is for results.
    with contextlib.redirect_stdout(sys.stderr):
        bootstrap.run(str(Path(app.__file__)), False, [], options)
    return Outcome(facts={"address": address, "port": port})


def site_of(settings: Settings) -> site.Site:
    """What `settings` say of the pages. Raises ConfigurationError where the file of owners is wrong."""
    block = settings.configuration.pages
    if block.user_header and not block.host:
        raise ConfigurationError(
            "enrichments.yml: pages.user_header needs pages.host, the name under which browsers reach the proxy"
        )
    return site.Site(
        published_file=settings.published_file,
        run_state_file=settings.run_state_file,
        run_lock_file=settings.run_lock_file,
        user_header=block.user_header,
        owners=_owners(settings.resolved(block.owners)) if block.owners else {},
        proxies=frozenset(block.proxies),
    )


def check_address(address: str, shown: site.Site) -> None:
    """Raises ConfigurationError where others could reach `address` and nobody says who they are."""
    try:
        is_loopback = address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        raise ConfigurationError(
            f"--address: {address!r} is no IP address; use {LOOPBACK}, or that of the network towards the proxy"
        ) from None
    if not is_loopback and not (shown.user_header and shown.proxies):
        raise ConfigurationError(
            f"--address {address}: others could open the pages, and nobody says who they are; set pages.user_header "
            "and pages.proxies in enrichments.yml (docs/pages.md), or leave --address out"
        )


def url(address: str, port: int, path: str = "") -> str:
    """Where a browser finds the pages."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}/{path.strip('/')}"


def _check_port(address: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        # As the server itself does, so that connections of the one before do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ConfigurationError(
                f"--port {port}: cannot be used at {address} ({error.strerror}); choose another with --port"
            ) from None


def _owners(path: Path) -> dict[str, frozenset[str]]:
    """From a CSV file with the columns user and owner; one user may stand for several owners, `*` for all accounts."""
    name = f"pages.owners ({path.name})"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not set(OWNERS_COLUMNS) <= set(reader.fieldnames or ()):
                raise ConfigurationError(f"{name}: needs the columns user and owner in its first line")
            found: dict[str, set[str]] = {}
            for line in reader:
                user, owner = ((line[column] or "").strip().lower() for column in OWNERS_COLUMNS)
                if not user or not owner:
                    raise ConfigurationError(f"{name} line {reader.line_num}: user or owner is missing")
                found.setdefault(user, set()).add(owner)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is no CSV file in UTF-8"
        raise ConfigurationError(f"{name}: cannot be read ({reason})") from None
    return {user: frozenset(owners) for user, owners in found.items()}
