"""A digest as one HTML file that needs nothing else and asks nobody for anything."""

from __future__ import annotations

from html import escape
from typing import Any

from engagement.digest.sections import Section, notes, owner_title, sections, title_of, unchanged

_STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --back: #ffffff; --line: #767676; --head: #f0f0f0; }
@media (prefers-color-scheme: dark) {
  :root { --text: #ececec; --back: #16181c; --line: #8a8f98; --head: #24272d; }
}
body { font: 1rem/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 0 auto;
  max-width: 60rem; padding: 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0 0 1.5rem; }
caption { text-align: left; font-weight: 600; padding: .25rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .5rem; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
thead th { background: var(--head); }
tbody th { font-weight: 400; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
"""
_NUMBERS = ("points", "score", "accounts")


def as_html(digest: dict[str, Any]) -> str:
    """The whole digest."""
    title = escape(title_of(digest))
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{title}</title>",
        f"<style>{_STYLE}</style>",
        "</head>",
        "<body>",
        "<main>",
        f"<h1>{title}</h1>",
        *(f"<p>{escape(note)}</p>" for note in notes(digest)),
    ]
    for entry in digest["owners"]:
        if not entry["is_changed"]:
            continue
        if digest["owner_column"] is not None:
            lines.append(f"<h2>{escape(owner_title(entry))}</h2>")
        for section in sections(entry, with_enrichment=digest["has_several_enrichments"]):
            lines += _table(section)
    if (line := unchanged(digest)) is not None:
        lines.append(f"<p>{escape(line)}</p>")
    return "\n".join([*lines, "</main>", "</body>", "</html>", ""])


def _table(section: Section) -> list[str]:
    def column(heading: str) -> str:
        return ' class="number"' if heading in _NUMBERS else ""

    lines = ["<table>", f"<caption>{escape(section.title)}</caption>", "<thead><tr>"]
    lines += [f'<th scope="col"{column(heading)}>{escape(heading)}</th>' for heading in section.headings]
    lines.append("</tr></thead>")
    lines.append("<tbody>")
    for first, *others in section.rows:
        cells = "".join(
            f"<td{column(heading)}>{escape(value)}</td>"
            for heading, value in zip(section.headings[1:], others, strict=True)
        )
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    if section.more:
        lines.append(f'<tr><td colspan="{len(section.headings)}">and {section.more:,} more</td></tr>')
    return [*lines, "</tbody>", "</table>"]
