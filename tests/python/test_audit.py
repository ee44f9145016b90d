"""The record of what was done with what is held."""

from __future__ import annotations

import json
import stat

from conftest import Workspace
from engagement import audit, warehouse


def test_events_are_appended_whole_and_copied_to_the_private_file(workspace: Workspace) -> None:
    settings = workspace.settings()
    assert audit.events(settings) == []
    audit.note(settings, audit.CONSENT_GIVEN, enrichment_id="mail", detail="by the administrator")
    with settings.audit_file.open("a") as file:
        file.write('{"event_id": "torn')
    audit.note(settings, audit.ERASURE)
    assert stat.S_IMODE(settings.audit_file.stat().st_mode) == 0o600
    found = audit.events(settings)
    assert [(event["action"], event["enrichment_id"]) for event in found] == [
        ("consent_given", "mail"),
        ("erasure", None),
    ]
    assert len({event["event_id"] for event in found}) == 2
    for _ in range(2):
        with warehouse.private_file(settings) as connection:
            audit.record(connection, settings)
            rows = connection.execute(
                'select action, enrichment_id, detail, happened_at is not null, "user" is not null'
                " from raw.audit_events order by happened_at, action"
            ).fetchall()
        assert rows == [
            ("consent_given", "mail", "by the administrator", True, True),
            ("erasure", None, None, True, True),
        ]


def test_what_is_no_event_is_left_out(workspace: Workspace) -> None:
    settings = workspace.settings()
    audit.note(settings, audit.ACCESS)
    settings.audit_file.write_text("[]\n{}\n" + settings.audit_file.read_text() + json.dumps({"event_id": 1}))
    assert [event["action"] for event in audit.events(settings)] == ["access"]
