"""docs/json.md as a test reads it: which keys the object of a command has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from project_fixtures import ROOT

PAGE = ROOT / "docs" / "json.md"
_ROW = re.compile(r"^\| `engagement ([^`]+)`(?: `(\w+)\[\]`)? \| ([^|]*) \| ([^|]*) ?\|$", re.MULTILINE)
_NAME = re.compile(r"`([a-z_]+)`")


@dataclass(frozen=True)
class Row:
    """The keys that an object always has, and those that it may have beside them."""

    always: frozenset[str]
    sometimes: frozenset[str]
    has_others: bool

    def check(self, facts: Mapping[str, Any]) -> None:
        """AssertionError unless an object is as it is documented."""
        assert self.always <= set(facts), sorted(self.always - set(facts))
        others = set(facts) - self.always - self.sometimes
        assert not others or self.has_others, sorted(others)


def _row(keys: str, words: str) -> Row:
    return Row(
        frozenset(_NAME.findall(keys)),
        frozenset(_NAME.findall(words)),
        not keys.strip() or "further columns" in words,
    )


ROWS = {(call, part): _row(keys, words) for call, part, keys, words in _ROW.findall(PAGE.read_text("utf-8"))}
# As a person calls them, without the lists in what comes back.
CALLS = tuple(call for call, part in ROWS if not part)


def check_documented(call: str, facts: Mapping[str, Any]) -> None:
    """AssertionError unless the object of a call, and those of its lists, are as docs/json.md says. `run` has what
    publishing and the extractions have.
    """
    rest = {key: value for key, value in facts.items() if key != "exit_code"}
    assert "exit_code" in facts
    ROWS[call, ""].check(rest)
    for (other, part), row in ROWS.items():
        for entry in rest[part] if other == call and part else ():
            row.check(entry)
