"""What one result says: whose it is, and whether it is an answer."""

from __future__ import annotations

from typing import Any

import msgspec

# The outcome of one record: a result, or what the service says that it could not do with it.
RESULT, FAILED, INVALID = "result", "failed", "invalid"
# Codes of a record that could not be enriched (the article "Leadspace Intent Only API").
INTERNAL_ERROR_CODE, INVALID_INPUT_CODE = RECORD_CODES = (1100, 1200)

# Where a code may stand, in the result, in its `data`, and in what these hold under "error" or "errors".
_PLACES_OF_CODES = ("code", "error_code", "errorCode", "status_code", "error")
_CODE_KEYS = frozenset((*_PLACES_OF_CODES, "errors"))


def read_result(raw: bytes) -> tuple[str | None, str] | None:
    """Our id and the outcome of one result; None where it is not of the documented shape.

    Where a record's error code stands is not documented, so it is looked for in every plausible place.
    """
    try:
        result = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    request_id = result.get("external_id")
    if request_id is not None and not isinstance(request_id, str):
        return None
    data = result.get("data")
    inner = data if isinstance(data, dict) else {}
    codes = set(_codes(result)) | set(_codes(inner))
    statuses = {str(part.get("status")).strip().lower() for part in (result, inner)}
    status = inner.get("enrichment_status") or ""
    if INVALID_INPUT_CODE in codes or "invalid input" in statuses | {str(status).strip().lower()}:
        return request_id, INVALID
    if INTERNAL_ERROR_CODE in codes or "failure" in statuses:
        return request_id, FAILED
    # Without a word about what was enriched, the company's fields have to tell.
    if not isinstance(data, dict) or not isinstance(status, str):
        return None
    company = inner.get("company")
    if company is not None and not isinstance(company, dict):
        return None
    return request_id, RESULT


def _codes(part: dict[str, Any]) -> list[int]:
    if _CODE_KEYS.isdisjoint(part):
        return []
    places = [part, part.get("error"), part.get("errors")]
    found = []
    for place_ in places:
        if isinstance(place_, list):
            place_ = place_[0] if place_ else None
        values = [place_.get(key) for key in _PLACES_OF_CODES] if isinstance(place_, dict) else [place_]
        found += [code for value in values for code in RECORD_CODES if str(value) == str(code)]
    return found
