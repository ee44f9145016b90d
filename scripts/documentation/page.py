"""Makes dbt's documentation a page that asks nobody for anything (the last step of `make docs`).

    python -m documentation.page target/static_index.html

dbt writes the whole page into one file, and into its code a counter of visits: where `send_anonymous_usage_stats`
is on as the page is made, it loads a script from another host and reports to a third. A policy in the page's head
makes the browser refuse every request, whoever makes it; and what the manifest knows of this machine and of who
built it is taken out.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# Nothing but what stands in the page: its scripts and styles are written into it, its pictures are data.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:;"
    " font-src data:; base-uri 'none'; form-action 'none'"
)
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
# Of the manifest's metadata: a number that dbt gives each user, and whether it may count.
USER_ID = re.compile(r'("user_id": ?)"[^"]*"')
# A picture that dbt's own build of the page forgot to put in.
FORGOTTEN = re.compile(r"<link[^>]*\$\{require[^>]*>")
COUNTS = re.compile(r'("send_anonymous_usage_stats": ?)(?:true|null)')


def closed(page: str, project: Path) -> str:
    """The page with the policy at the head of its head, without the user's number and the project's path.

    ValueError where it has no head.
    """
    if META in page:
        return page
    found = re.search(r"<head[^>]*>", page)
    if found is None:
        raise ValueError("has no head: is it dbt's static_index.html?")
    page = f"{page[: found.end()]}{META}{page[found.end() :]}"
    page = USER_ID.sub(r"\1null", page)
    page = COUNTS.sub(r"\1false", page)
    page = FORGOTTEN.sub("", page)
    return page.replace(f"{project}/", "").replace(str(project), ".")


def main(arguments: list[str]) -> int:
    """Rewrite the page that the one argument names."""
    path = Path(arguments[0])
    try:
        page = closed(path.read_text("utf-8"), Path.cwd())
    except (OSError, ValueError) as error:
        print(f"error: {path}: {error}; run `make docs`", file=sys.stderr)
        return 1
    path.write_text(page, "utf-8")
    print(f"{path}: open it from disk; it asks nobody for anything")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
