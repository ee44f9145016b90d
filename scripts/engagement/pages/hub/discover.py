"""What can be enriched: a tile for each type."""

from __future__ import annotations

import re

import streamlit as st

from engagement.pages import enrichments, formats
from engagement.pages.hub import catalogue
from engagement.pages.reader import Reader

IN_USE = """
    select enrichment_type, count(*) as enrichments_count
    from enrichments
    group by enrichment_type
    order by enrichment_type
"""

TILES_IN_A_ROW = 2
# A line of a statement that lists properties: its name comes first.
_LISTED = re.compile(r"[a-z-]+: ")


def show(reader: Reader) -> None:
    """The tiles, and how many enrichments of each type are in use."""
    st.header("Discover")
    in_use = {row["enrichment_type"]: row["enrichments_count"] for row in reader.records(IN_USE)}
    st.markdown(
        "Each type may be used several times, under names of its own. To add one, write its lines below "
        "`enrichments:` in enrichments.yml; then `engagement check` says whether all is right, "
        "`engagement consent` asks for consent, and `engagement run` enriches."
    )
    types = catalogue.types()
    for first in range(0, len(types), TILES_IN_A_ROW):
        for place, kind in zip(st.columns(TILES_IN_A_ROW), types[first:], strict=False):
            with place.container(border=True, height="stretch"):
                _tile(kind, in_use.get(kind.name, 0))


def _tile(kind: catalogue.Type, used: int) -> None:
    st.subheader(enrichments.type_in_words(kind.name))
    st.markdown(kind.adds)
    st.markdown(f"**In use:** {formats.count(used) if used else 'not yet'}")
    needs = ", and ".join(kind.consents)
    secrets = ", ".join(f"`{name}`" for name in kind.secrets)
    st.markdown(
        "\n".join(
            [
                f"- **Consent needed:** {needs}.",
                *([f"- **Secrets, from the environment:** {secrets}."] if secrets else []),
                f"- **What leaves:** {kind.leaves}",
                f"- **Limits:** {' '.join(kind.limits)}",
            ]
        )
    )
    with st.expander("Lines for enrichments.yml"):
        st.code(kind.example, language="yaml", wrap_lines=True)
    with st.expander("What is agreed to"):
        st.caption("The statement for these lines; yours names your own columns, people and settings.")
        for heading, text in kind.statement.items():
            lines = "  \n".join(formats.with_commands(line) for line in _unwrapped(text))
            st.markdown(f"**{formats.plain(heading)}**  \n{lines}")


def _unwrapped(text: str) -> list[str]:
    """The lines of a statement without the breaks that only keep them short; those of lists stay."""
    lines: list[str] = []
    for line in text.splitlines():
        if lines and not lines[-1].endswith((".", ":", ")")) and not _LISTED.match(lines[-1]):
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    return lines
