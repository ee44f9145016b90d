"""Cells that a spreadsheet would compute, made text, in SQL: what OWASP says of CSV injection.

A spreadsheet computes a cell that begins with = + - or @, in their full width as well, and some pass over white space
before it, or take a line inside a cell for a cell. A single quote before it makes it text.
"""

from __future__ import annotations

# Controls, white space of every kind and what has no width: what may be passed over. Tab and line ends are among it.
_SKIPPED = (
    r"[\x{0}-\x{20}\x{7f}-\x{a0}\x{ad}\x{61c}\x{1680}\x{180e}\x{2000}-\x{200f}\x{2028}-\x{202f}\x{205f}-\x{206f}"
    r"\x{3000}\x{feff}]"
)
_SIGN = r"[=+\-@\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]"
_BEGIN = rf"^(?:{_SKIPPED}*{_SIGN}|[\t\r\n])"
_LINE = rf"([\r\n]{_SKIPPED}*)({_SIGN})"
_TAB_OF_LINE = r"([\r\n])([\t\r])"


def as_text(cell: str) -> str:
    """An SQL expression of the same text, which no spreadsheet computes; `cell` is an expression of text."""
    # Nearly every cell is one line that begins with a letter or a digit, and to see that costs a fifth of a search.
    is_line = f"not contains({cell}, chr(10)) and not contains({cell}, chr(13))"
    is_plain = f"({cell} >= '0' and {cell} < ':' or {cell} >= 'A' and {cell} < '[' or {cell} >= 'a' and {cell} < '{{')"
    begun = f"case when regexp_matches({cell}, '{_BEGIN}') then '''' else '' end"
    lines = f"regexp_replace({cell}, '{_LINE}', '\\1''\\2', 'g')"
    lines = f"regexp_replace({lines}, '{_TAB_OF_LINE}', '\\1''\\2', 'g')"
    rest = f"when {is_line} then {begun} || {cell} else {begun} || {lines} end"
    return f"case when {is_plain} and {is_line} then {cell} {rest}"
