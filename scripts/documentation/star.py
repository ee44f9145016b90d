"""Writes the tables and the picture of docs/bi.md that show how the published tables join (`make bi-docs`).

They are made of what the YAML of the marts declares (meta.role, meta.relationships), as marts.relationships is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from engagement.contract import ROLES, Contract, Relationship, Table, project_contract

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "bi.md"
BEGIN, END = "<!-- made by `make bi-docs` -->", "<!-- end of what `make bi-docs` makes -->"
# The picture has the tables that join both: what is told of accounts over time, and by segments.
ACCOUNTS = "enriched_customers"
TIMES = ("days", "segments")


def with_star(text: str, contract: Contract) -> str:
    """The text with the star between its two marks as the contract has it. SystemExit where a mark is missing."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"star: docs/bi.md: has to have each of the lines {BEGIN} and {END} once")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    marts = [table for table in contract.tables if table.role is not None]
    return f"{before}{BEGIN}\n\n{picture(marts)}\n\n{listing(marts)}\n\n{END}{after}"


def picture(marts: Iterable[Table]) -> str:
    """The heart of the star as a diagram of Mermaid, which code hosts draw."""
    lines = ["```mermaid", "erDiagram"]
    for table in marts:
        ends = {found.to for found in table.relationships}
        if table.role not in ("fact", "bridge") or ACCOUNTS not in ends or not ends & set(TIMES):
            continue
        for found in table.relationships:
            if len(found.columns) == 1 and found.to in (ACCOUNTS, *TIMES):
                lines.append(f'    {found.to} ||--o{{ {table.name} : "{found.columns[0]}"')
    return "\n".join([*lines, "```"])


def listing(marts: Iterable[Table]) -> str:
    """Every table with its role and what it joins, by role."""
    lines = ["| table | role | joins |", "| --- | --- | --- |"]
    for table in sorted(marts, key=lambda table: (ROLES.index(table.role or ""), table.name)):
        lines.append(f"| `{table.name}` | {table.role} | {', '.join(map(joined, table.relationships))} |")
    return "\n".join(lines)


def joined(found: Relationship) -> str:
    """A relationship in words, and whether some rows find none."""
    own, its = ", ".join(found.columns), ", ".join(found.to_columns)
    to = found.to if found.columns == found.to_columns else f"{found.to}.{its}"
    return f"`{own}` → `{to}`{'' if found.is_complete else ' (not all)'}"


def main() -> int:
    """Write docs/bi.md."""
    PAGE.write_text(with_star(PAGE.read_text("utf-8"), project_contract(ROOT)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
