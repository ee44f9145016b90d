"""The period of a digest: since the last one, which is remembered in digest_state.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from engagement import durable
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError

FIRST_DAYS = 7
STATE = "digest_state.json"


@dataclass(frozen=True)
class Period:
    """Days after `since` up to the as-of date. Company data have instants (UTC) instead: those after `instant_from`, up
    to the file's publication, so that what comes after the as-of date is told once.
    """

    since: date
    as_of: date
    instant_from: datetime
    instant_to: datetime


def state_file(settings: Settings) -> Path:
    """Where the last digest is remembered."""
    return settings.data_dir / STATE


def period_of(settings: Settings, *, as_of: date, published_at: datetime, since: date | None) -> Period:
    """The period up to the published as-of date: from `since`, or from the last digest, or else of 7 days. Where the
    last one was of this very day, its own again.

    Raises ConfigurationError where nothing lies between, and where what is remembered cannot be read.
    """
    if since is not None:
        if since >= as_of:
            raise ConfigurationError(
                f"--since: {since} is not before the as-of date {as_of} that is published; give an earlier day"
            )
        return _from_day(since, as_of, published_at)
    last = _read(state_file(settings))
    if last is None:
        return _from_day(as_of - timedelta(days=FIRST_DAYS), as_of, published_at)
    if last.as_of > as_of:
        raise ConfigurationError(
            f"{STATE}: the last digest was of {last.as_of}, and the published file is of {as_of}; give --since, or run"
            " `engagement run` first"
        )
    if last.as_of == as_of:
        return Period(last.since, as_of, last.instant_from, published_at)
    return Period(last.as_of, as_of, last.instant_to, published_at)


def remember(settings: Settings, period: Period) -> None:
    """Puts a period down as that of the last digest; ConfigurationError where it cannot be written, and then what was
    remembered stays.
    """
    text = json.dumps(
        {
            "since": period.since.isoformat(),
            "as_of_date": period.as_of.isoformat(),
            "instant_from": period.instant_from.isoformat(),
            "instant_to": period.instant_to.isoformat(),
        },
        indent=2,
    )
    path = state_file(settings)
    try:
        durable.write(path, f"{text}\n".encode())
    except OSError as error:
        raise ConfigurationError(
            f"{STATE}: cannot be written ({error.strerror}), so this digest is not remembered; correct its rights or"
            " make room, then run again"
        ) from None


def _from_day(since: date, as_of: date, published_at: datetime) -> Period:
    begin = datetime.combine(since + timedelta(days=1), datetime.min.time())
    return Period(since, as_of, begin, published_at)


def _read(path: Path) -> Period | None:
    try:
        state = json.loads(path.read_text("utf-8"))
        return Period(
            date.fromisoformat(state["since"]),
            date.fromisoformat(state["as_of_date"]),
            datetime.fromisoformat(state["instant_from"]),
            datetime.fromisoformat(state["instant_to"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{STATE}: cannot be read ({type(error).__name__}); remove it, or give --since"
        ) from None
