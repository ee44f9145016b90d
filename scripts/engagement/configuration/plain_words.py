"""What pydantic finds wrong with enrichments.yml, in plain words: the key, the value and what is allowed."""

from __future__ import annotations

import difflib
from typing import Any

from engagement.configuration.customers import AccountsFile, ContactsFile, Customers
from engagement.configuration.enrichments import (
    TYPES,
    AddressFile,
    CompanyFileEnrichment,
    Consent,
    ContactMapping,
    DataConnect,
    LeadspaceContactsEnrichment,
    LeadspaceEnrichment,
    Mapping_,
    OfficeEnrichment,
)
from engagement.configuration.model import Configuration
from engagement.configuration.notify import Notify
from engagement.configuration.pages import Pages
from engagement.configuration.reporting import Reporting
from engagement.exports.definitions import MOST_PARTS, Export, ExportColumn

_ALLOWED_BY_TYPE: dict[str, str] = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "text (put quotes around numbers)",
    "tuple_type": "a list",
    "list_type": "a list",
    "date_type": "a date as yyyy-mm-dd",
    "date_from_datetime_inexact": "a date as yyyy-mm-dd",
    "date_parsing": "a date as yyyy-mm-dd",
    "model_type": "a block of keys",
    "model_attributes_type": "a block of keys",
    "dict_type": "a block of keys",
    "string_too_short": "text that is not empty",
}


def in_plain_words(problem: dict[str, Any], raw: object) -> str:
    """One line for one finding of pydantic."""
    keys, value = key_path(problem["loc"], raw)
    path = _joined(keys)
    kind = str(problem["type"])
    context: dict[str, Any] = problem.get("ctx") or {}
    if kind == "missing":
        return f"{path}: missing; add it"
    if kind == "extra_forbidden":
        return f"{path}: unknown key{_nearest_key(problem['loc'], str(keys[-1]))}"
    if kind == "union_tag_not_found":
        return f"{path}.type: missing; allowed: {', '.join(TYPES)}"
    if kind == "union_tag_invalid":
        given = shown(value.get("type") if isinstance(value, dict) else value, path)
        return f"{path}.type: {given} is not allowed; allowed: {', '.join(TYPES)}"
    if kind == "literal_error":
        allowed = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
        allowed = "graph, or {data_connect: <folder>}" if keys[-1] == "source" else allowed
    elif kind == "not_allowed":
        allowed = str(context.get("allowed") or problem["msg"])
    elif kind in ("too_short", "too_long"):
        return f"{path}: is empty; allowed: at least one entry"
    elif kind in ("greater_than_equal", "less_than_equal"):
        return f"{path}: {shown(value, path)} is not allowed; allowed: {_range_of(str(keys[-1]))}"
    else:
        allowed = _ALLOWED_BY_TYPE.get(kind, str(problem["msg"]))
    return f"{path}: {shown(value, path)} is not allowed; allowed: {allowed}"


def _range_of(key: str) -> str:
    return {
        "k": "a whole number from 3 to 100",
        "tolerated_failures": "a number from 0 to 0.5",
        "max_lookups": "a whole number from 1 on",
        "parts": f"a whole number from 1 to {MOST_PARTS:,}",
        "rows_per_part": "a whole number from 1 on",
    }[key]


def key_path(location: tuple[int | str, ...], raw: object) -> tuple[list[int | str], Any]:
    """The keys as the file has them: pydantic's names of union members are in between and left out."""
    keys: list[int | str] = []
    node: Any = raw
    for index, part in enumerate(location):
        if _holds(node, part):
            node = node[part]
        elif index < len(location) - 1 or part in (
            "list",
            "file",
            "graph",
            "export",
            "field",
            "renamed_field",
        ):
            continue
        else:
            node = None
        keys.append(part)
    return keys, node


def _holds(node: object, part: int | str) -> bool:
    if isinstance(node, list):
        return isinstance(part, int) and part < len(node)
    return isinstance(node, dict) and part in node


def _joined(keys: list[int | str]) -> str:
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text or "enrichments.yml"


def shown(value: object, path: str) -> str:
    """A value fit for a message: short, and never what may be an address or a secret."""
    if isinstance(value, dict | list):
        return "a block of keys" if isinstance(value, dict) else "a list"
    if value is None:
        return "nothing"
    text = str(value)
    if path.startswith(("notify.webhook", "notify.command")):
        return "the value given (not shown: it may be secret)"
    if "@" in text or path.rsplit(".", 1)[-1].startswith(("addresses[", "probe_forbidden", "by")):
        return "the value given (not shown: it may be personal)"
    if isinstance(value, bool):
        text = text.lower()
    return repr(text if len(text) <= 60 else text[:57] + "...") if isinstance(value, str) else text


def _nearest_key(location: tuple[int | str, ...], key: str) -> str:
    known = _known_keys(location[:-1])
    near = difflib.get_close_matches(key, known, 1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; allowed: {', '.join(known)}" if known else "; remove it"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Configuration
    by_key: dict[str, Any] = {
        "reporting": Reporting,
        "notify": Notify,
        "pages": Pages,
        "customers": Customers,
        "accounts": AccountsFile,
        "contacts": ContactsFile,
        "office": OfficeEnrichment,
        "leadspace": LeadspaceEnrichment,
        "leadspace_contacts": LeadspaceContactsEnrichment,
        "company_file": CompanyFileEnrichment,
        "consent": Consent,
        "tenant_consent": Consent,
        "file": AddressFile,
        "export": DataConnect,
        "opt_out": AddressFile,
        "mapping": Mapping_,
        "exports": Export,
        "renamed_field": ExportColumn,
    }
    for part in location:
        is_contacts = part == "mapping" and model is LeadspaceContactsEnrichment
        model = ContactMapping if is_contacts else by_key.get(str(part), model)
    return [field.alias or name for name, field in model.model_fields.items()]
