"""Numbers, dates and instants as the reader's browser says that he writes them; the words are English.

What is missing is a dash, never a zero. Instants are stored in UTC and shown in the browser's time zone.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas
import streamlit as st
from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal, format_percent

from engagement.status import ago as ago_in_words

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
WORD_JOINER = "\N{WORD JOINER}"
FALLBACK_LOCALE = Locale("en", "GB")
# What a field's name says in short.
_IN_FIELDS = {
    "usd": "(US dollars)",
    "hr": "HR",
    "it": "IT",
    "sic": "SIC",
    "naics": "NAICS",
    "linkedin": "LinkedIn",
    "url": "address",
    "degrees": "(degrees)",
    "on": "(day)",
}
# A command of ours between backticks, as `plain` leaves it.
_COMMAND = re.compile(r"\\`(engagement(?:[ A-Za-z0-9]|\\[-_])*)\\`")


def locale() -> Locale:
    """The browser's, else British English."""
    try:
        return Locale.parse(st.context.locale or "", sep="-")
    except (ValueError, TypeError, UnknownLocaleError):
        return FALLBACK_LOCALE


def time_zone() -> dt.tzinfo:
    """The browser's, else UTC."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return dt.UTC


def is_missing(value: Any) -> bool:
    """Whether a value of a frame or a record is null."""
    return value is None or bool(pandas.isna(value))


def text(value: Any) -> str:
    """Text as it is."""
    return MISSING if is_missing(value) else str(value)


def words(value: Any) -> str:
    """A code of the data as words: completed_with_warnings is Completed with warnings."""
    spoken = text(value).replace("_", " ")
    return spoken[:1].upper() + spoken[1:]


def field(value: Any) -> str:
    """The name of a field of company data as words: annual_revenue_usd is Annual revenue (US dollars)."""
    name = text(value).removesuffix("_count")
    spoken = " ".join(_IN_FIELDS.get(part, part) for part in name.split("_"))
    return spoken[:1].upper() + spoken[1:]


def count(value: Any) -> str:
    """A whole number: 12,345."""
    return MISSING if is_missing(value) else format_decimal(round(float(value)), locale=locale())


def decimal(value: Any, digits: int = 1) -> str:
    """A number with so many digits after the point: 12,345.6. Minus zero is zero."""
    if is_missing(value):
        return MISSING
    rounded = round(float(value), digits)
    return format_decimal(rounded or 0.0, format="#,##0." + "0" * digits, locale=locale())


def points(value: Any) -> str:
    """Points of a score to the last digit, so that a reader can add them up: 17.0000."""
    return decimal(value, 4)


def signed(value: Any, digits: int = 1) -> str:
    """A change, with its sign: +1.5, 0.0, and a true minus."""
    if is_missing(value):
        return MISSING
    rounded = round(float(value), digits)
    sign = "+" if rounded > 0 else MINUS if rounded < 0 else ""
    return sign + decimal(abs(rounded), digits)


def signed_count(value: Any) -> str:
    """A change of a whole number, with its sign: +3, 0, and a true minus."""
    if is_missing(value):
        return MISSING
    change = round(float(value))
    sign = "+" if change > 0 else MINUS if change < 0 else ""
    return sign + count(abs(change))


def thousandth(value: Any) -> str:
    """A number with three digits after the point, as measures of quality are written: 0.934."""
    return decimal(value, 3)


def signed_thousandth(value: Any) -> str:
    """The difference of two such measures, with its sign: +0.024."""
    return signed(value, 3)


def ratio(value: Any, digits: int = 0) -> str:
    """A ratio of 0 to 1 as per cent: 12 %."""
    if is_missing(value):
        return MISSING
    pattern = "#,##0" + ("." + "0" * digits if digits else "") + " %"
    return format_percent(float(value), format=pattern, locale=locale())


def day(value: Any) -> str:
    """A date: 30 Jun 2026."""
    if is_missing(value):
        return MISSING
    return format_date(pandas.Timestamp(value).date(), format="medium", locale=locale())


def month(value: Any) -> str:
    """The month of a date: Jun 2026."""
    if is_missing(value):
        return MISSING
    return format_date(pandas.Timestamp(value).date(), format="LLL y", locale=locale())


def instant(value: Any) -> str:
    """An instant (UTC) in the reader's time zone, with date and minute."""
    if is_missing(value):
        return MISSING
    moment = pandas.Timestamp(value).to_pydatetime().replace(tzinfo=dt.UTC)
    return format_datetime(moment.astimezone(time_zone()), format="medium", locale=locale())


def ago(value: Any) -> str:
    """How long ago an instant (UTC) was, or in what time it is: 2 hours ago, in 6 days."""
    if is_missing(value):
        return MISSING
    moment = pandas.Timestamp(value).to_pydatetime()
    return ago_in_words(moment.isoformat() + "Z", dt.datetime.now(dt.UTC).replace(tzinfo=None))


def people(number: Any, band: Any, is_banded: bool) -> str:
    """A number of people, or its band where the file shows no small numbers: 12, or 10-19."""
    return text(band).replace("-", "\N{EN DASH}") if is_banded else count(number)


def duration(seconds: Any) -> str:
    """How long something took: 26.6 s, 3 min 05 s, 2 h 04 min."""
    if is_missing(seconds):
        return MISSING
    length = float(seconds)
    if length < 60:
        return f"{decimal(length)} s"
    minutes, rest = divmod(round(length), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def money(value: Any) -> str:
    """An amount in US dollars, without cents: $ 65,360,000. NaN and infinity are missing."""
    if is_missing(value) or math.isinf(float(value)):
        return MISSING
    return f"$ {count(value)}"


def sentence(value: Any) -> str:
    """Text with a full stop, so that another sentence may follow."""
    spoken = text(value).rstrip()
    return spoken if spoken.endswith((".", "!", "?")) else f"{spoken}."


def with_commands(value: str) -> str:
    """Text of the command for a place that reads Markdown: `engagement run` stands as code, all else as it is."""
    return _COMMAND.sub(lambda found: "`" + found[1].replace("\\", "") + "`", plain(value))


def plain(value: str) -> str:
    """Text of the data for a place that reads Markdown (labels, captions): shown as it is, nothing of it is markup."""
    # Markdown makes links of bare addresses, escaped or not, unless something invisible stands in them.
    value = re.sub(r"(?i)(?<=\bwww)(?=\.)|(?<=:)(?=//)|(?=@)", WORD_JOINER, value)
    return "".join("\\" + sign if sign in r"\`*_{}[]()<>#+-.!|~$:&^=" else sign for sign in value)
