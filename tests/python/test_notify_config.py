"""The block `notify` of enrichments.yml: what is allowed, and that its secrets show nowhere."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from conftest import Workspace
from engagement.configuration.destination import NOTIFY, read_destination
from engagement.configuration.notify import RUN_ENDS
from engagement.configuration.secret_variables import SECRET_VARIABLES
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.publish import secret_values

WEBHOOK = "https://hooks.contoso.example/services/T0/B0/zqpath"


def settings_with(workspace: Workspace, block: Any, *, services: tuple[str, ...] = ()) -> Settings:
    workspace.configure(lambda raw: raw.update(notify=block))
    return workspace.settings(services=services)


def finding(workspace: Workspace, block: Any, *, services: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigurationError) as caught:
        settings_with(workspace, block, services=services)
    [line] = caught.value.findings
    assert "zq" not in line
    return line


def test_without_the_block_nobody_is_notified(workspace: Workspace) -> None:
    workspace.environment["ENGAGEMENT_WEBHOOK_URL"] = WEBHOOK
    settings = workspace.settings()
    assert (settings.configuration.notify, settings.destination) == (None, None)
    assert read_destination(workspace.environment) is None


def test_what_is_left_out(workspace: Workspace) -> None:
    notify = settings_with(workspace, {"command": ["true"]}).configuration.notify
    assert notify is not None
    assert notify.on == ("failed", "cancelled", "incomplete", "warnings") == RUN_ENDS[:-1]
    assert (notify.webhook, notify.overdue_after) == (None, None)


def test_everything_that_may_be_given(workspace: Workspace) -> None:
    workspace.environment["ENGAGEMENT_WEBHOOK_TOKEN"] = "zqtoken-of-it"
    block = {
        "command": ["./tell.sh", "--to", "oncall@contoso.example"],
        "webhook": WEBHOOK,
        "on": ["failed"],
        "overdue_after": "36 hours",
    }
    settings = settings_with(workspace, block)
    notify, destination = settings.configuration.notify, settings.destination
    assert notify is not None and destination is not None
    assert (notify.on, notify.overdue_after) == (("failed",), timedelta(hours=36))
    assert destination.command == ("./tell.sh", "--to", "oncall@contoso.example")
    assert destination.folder == workspace.root
    assert destination.webhook_url is not None and destination.webhook_url.get_secret_value() == WEBHOOK
    assert (
        destination.webhook_token is not None
        and destination.webhook_token.get_secret_value() == "zqtoken-of-it"
    )
    assert read_destination(workspace.environment) == destination
    assert "zq" not in repr(settings) + str(settings.rows()) + repr(dataclasses.asdict(destination))
    assert {WEBHOOK, "zqtoken-of-it"} <= set(secret_values(settings))


@pytest.mark.parametrize(
    ("block", "line"),
    [
        ("ops", "notify: 'ops' is not allowed; allowed: a block of keys"),
        (None, "notify: has neither command nor webhook; add one of them, or remove the block"),
        ({}, "notify: has neither command nor webhook; add one of them, or remove the block"),
        ({"webhook": None}, "notify: has neither command nor webhook; add one of them, or remove the block"),
        ({"on": ["failed"]}, "notify: has neither command nor webhook; add one of them, or remove the block"),
        (
            {"command": "sendmail zqsecret"},
            "notify.command: the value given (not shown: it may be secret) is not allowed; allowed: a list",
        ),
        ({"command": []}, "notify.command: is empty; allowed: at least one entry"),
        (
            {"command": ["true", 5]},
            "notify.command[1]: the value given (not shown: it may be secret) is not allowed; allowed: text (put"
            " quotes around numbers)",
        ),
        (
            {"command": ["true"], "on": ["never"]},
            "notify.on[0]: 'never' is not allowed; allowed: failed, cancelled, incomplete, warnings, done",
        ),
        ({"command": ["true"], "on": "failed"}, "notify.on: 'failed' is not allowed; allowed: a list"),
        ({"command": ["true"], "url": WEBHOOK}, 
            "notify.url: unknown key; allowed: command, webhook, on, overdue_after"),
        ({"command": ["true"], "web_hook": WEBHOOK}, "notify.web_hook: unknown key; did you mean webhook?"),
        (
            {"command": ["true"], "overdue_after": 12},
            "notify.overdue_after: 12 is not allowed; allowed: 'N minutes', 'N hours' or 'N days', at most 365 days,"
            " for example '12 hours'",
        ),
    ],
)  # fmt: skip
def test_what_is_not_allowed(workspace: Workspace, block: Any, line: str) -> None:
    assert finding(workspace, block) == line


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1 minute", timedelta(minutes=1)),
        ("0 minutes", None),
        ("365 days", timedelta(days=365)),
        ("366 days", None),
        ("8760 hours", timedelta(days=365)),
        ("8761 hours", None),
        ("1 week", None),
        ("-1 hours", None),
        ("1.5 hours", None),
    ],
)
def test_grace(workspace: Workspace, given: str, expected: timedelta | None) -> None:
    block = {"command": ["true"], "overdue_after": given}
    if expected is None:
        assert finding(workspace, block).startswith(f"notify.overdue_after: {given!r} is not allowed")
    else:
        notify = settings_with(workspace, block).configuration.notify
        assert notify is not None and notify.overdue_after == expected


NOT_IN_FILE = "https://h.example/a?zqsig=1"
WRONG = [
    "http://hooks.contoso.example/zqpath",
    "ftp://hooks.contoso.example/zqpath",
    "hooks.contoso.example/zqpath",
    "https://user:zqpassword@hooks.contoso.example/x",
    "https://zquser@hooks.contoso.example/x",
    "https://h.example/a#zqfragment",
    "https://h.example:99999/zq",
    "https://[::1/zq",
    "https:///zqpath",
    "https://h.example/zq a",
    "https://h.example/zq\u00e4",
    "https://h.example/zq\r\nX: y",
]


@pytest.mark.parametrize("url", [NOT_IN_FILE, *WRONG])
def test_addresses_that_are_refused_in_the_file(workspace: Workspace, url: str) -> None:
    assert finding(workspace, {"webhook": url}) == (
        "notify.webhook: the value given (not shown: it may be secret) is not allowed; allowed: an https address (plain"
        " http only for 127.0.0.1 and localhost) without a user, a query or a fragment; or the word environment, and"
        " the address in ENGAGEMENT_WEBHOOK_URL"
    )


@pytest.mark.parametrize("url", WRONG)
def test_addresses_that_are_refused_in_the_environment(workspace: Workspace, url: str) -> None:
    workspace.environment["ENGAGEMENT_WEBHOOK_URL"] = url
    assert finding(workspace, {"webhook": "environment"}) == (
        "ENGAGEMENT_WEBHOOK_URL: not allowed; allowed: an https address (plain http only for 127.0.0.1 and localhost)"
        " without a user or a fragment"
    )
    assert read_destination(workspace.environment) is None


@pytest.mark.parametrize(
    "url", [WEBHOOK, "http://127.0.0.1:8080/x", "http://localhost/x", "https://h.example"]
)
def test_addresses_that_are_allowed(workspace: Workspace, url: str) -> None:
    for block in ({"webhook": url}, {"webhook": "environment"}):
        workspace.environment["ENGAGEMENT_WEBHOOK_URL"] = url
        destination = settings_with(workspace, block, services=(NOTIFY,)).destination
        assert destination is not None and destination.webhook_url is not None
        assert destination.webhook_url.get_secret_value() == url
    workspace.environment["ENGAGEMENT_WEBHOOK_URL"] = NOT_IN_FILE
    assert settings_with(workspace, {"webhook": "environment"}).destination is not None


def test_the_address_in_the_environment_is_asked_for_by_who_notifies(workspace: Workspace) -> None:
    assert settings_with(workspace, {"webhook": "environment"}).destination is not None
    assert finding(workspace, {"webhook": "environment"}, services=(NOTIFY,)) == (
        "environment: ENGAGEMENT_WEBHOOK_URL not set; set it to the address of the webhook (notify.webhook is"
        " environment)"
    )


@pytest.mark.parametrize(
    "token", ["zqshort", "zq with a space", "zq-line\r\nX: y", "zq-\u00e4\u00e4\u00e4\u00e4"]
)
def test_tokens_that_no_header_can_hold(workspace: Workspace, token: str) -> None:
    workspace.environment["ENGAGEMENT_WEBHOOK_TOKEN"] = token
    assert finding(workspace, {"webhook": WEBHOOK}).startswith(
        "ENGAGEMENT_WEBHOOK_TOKEN: is too short for a token"
    )
    # Without a webhook it is nobody's business.
    assert settings_with(workspace, {"command": ["true"]}).destination is not None


def test_secrets_of_notifying_are_kept_from_children() -> None:
    assert {"ENGAGEMENT_WEBHOOK_URL", "ENGAGEMENT_WEBHOOK_TOKEN", "ENGAGEMENT_TOMBSTONE_KEY"} <= set(
        SECRET_VARIABLES
    )
