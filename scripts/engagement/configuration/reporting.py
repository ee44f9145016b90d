"""The block `reporting`: the time zone of the days, and what is shown of small numbers and of people."""

from __future__ import annotations

import difflib
import zoneinfo
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from engagement.configuration.part import Part, refuse


def _time_zone(value: object) -> object:
    if isinstance(value, str) and value not in _time_zones():
        near = difflib.get_close_matches(value, _time_zones(), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise refuse(f"a time zone of the IANA list, for example UTC or Europe/Berlin{hint}")
    return value


@lru_cache(maxsize=1)
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


class Reporting(Part):
    time_zone: Annotated[str, BeforeValidator(_time_zone)] = "UTC"
    small_numbers: Literal["show", "band"] = "show"
    # Of two, the only small group would be one person.
    k: Annotated[int, Field(ge=3, le=100)] = 5
    user_table: bool = True
