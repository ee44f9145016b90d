"""The addresses of the services, and which addresses may be asked at all."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from engagement.statements import LOOPBACK_HOSTS

DEFAULT_AUTHORITY_URL = "https://login.microsoftonline.com"
DEFAULT_GRAPH_URL = "https://graph.microsoft.com"
DEFAULT_LEADSPACE_URL = "https://apigw.leadspace.com"


def service_urls(environment: Mapping[str, str], findings: list[str]) -> dict[str, str]:
    """The address of every service, by the variable that may set it."""
    urls = {}
    for name, default in (
        ("ENGAGEMENT_AUTHORITY_URL", DEFAULT_AUTHORITY_URL),
        ("ENGAGEMENT_GRAPH_URL", DEFAULT_GRAPH_URL),
        ("ENGAGEMENT_LEADSPACE_URL", DEFAULT_LEADSPACE_URL),
    ):
        urls[name] = (environment.get(name) or default).rstrip("/")
        if problem := url_problem(urls[name]):
            findings.append(f"{name}: {problem}")
    return urls


def url_problem(url: str) -> str | None:
    """What is allowed, where this is not."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return None
    if parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS:
        return None
    return "not allowed; an https address (plain http only for 127.0.0.1 and localhost)"
