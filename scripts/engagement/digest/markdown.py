"""A digest as Markdown that reads as plain text too."""

from __future__ import annotations

import re
from typing import Any

from engagement.digest.sections import Section, notes, owner_title, sections, title_of, unchanged

_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def escaped(text: str) -> str:
    """A text that stays text: no mark-up, link or list is made of it."""
    text = _SIGNS.sub(r"\\\1", text)
    text = re.sub(r"://", r":\//", text)
    text = re.sub(r"(?i)\bwww\.", lambda found: found.group()[:-1] + "\\.", text)
    # At the beginning of a line these make lists.
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", re.sub(r"^([-+=!])", r"\\\1", text))


def as_markdown(digest: dict[str, Any]) -> str:
    """The whole digest."""
    lines = [f"# {title_of(digest)}", "", *(escaped(note) for note in notes(digest)), ""]
    for entry in digest["owners"]:
        if not entry["is_changed"]:
            continue
        if digest["owner_column"] is not None:
            lines += [f"## {escaped(owner_title(entry))}", ""]
        for section in sections(entry, with_enrichment=digest["has_several_enrichments"]):
            lines += _section(section)
    if (line := unchanged(digest)) is not None:
        lines += [escaped(line), ""]
    return "\n".join(lines)


def _section(section: Section) -> list[str]:
    lines = [f"### {escaped(section.title)}", ""]
    for first, *others in section.rows:
        said = [
            _in_words(heading, value) for heading, value in zip(section.headings[1:], others, strict=True)
        ]
        lines.append(f"- {escaped(first)}{': ' if said else ''}{_escaped_within(', '.join(said))}")
    if section.more:
        lines.append(f"- and {section.more:,} more")
    return [*lines, ""]


def _escaped_within(text: str) -> str:
    """The same within a line, where no list begins."""
    return escaped(f" {text}")[1:]


def _in_words(heading: str, value: str) -> str:
    """A value with what the heading of its column says of it."""
    if heading == "points":
        return f"{value} points"
    if heading == "accounts":
        return f"for {value} account{'' if value == '1' else 's'}"
    return f"{heading} {value}" if heading in ("score", "most of it by") else value
