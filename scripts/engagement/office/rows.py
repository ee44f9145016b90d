"""What the readers hand to the writer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engagement.errors import ServiceError
from engagement.office.slices import MEETINGS, MESSAGES, Slice

# The raw table of a kind, and when an item of it happened, which says to what slice it belongs.
TABLE = {MESSAGES: "office_messages", MEETINGS: "office_meetings"}
TIME_COLUMN = {MESSAGES: "received_at", MEETINGS: "start_at"}


class TooMany(Exception):
    """More items in a range than are read at once: read it in two halves."""


class Uneven(ServiceError):
    """A range that gives other items each time, or fewer than the service counts: its halves may not."""


# What landing adds to a row; a row is the columns of a raw table in their order, up to these.
LANDED = ("read_at", "gone_at", "landing_id")
Row = tuple[Any, ...]


@dataclass(slots=True)
class Read:
    """The rows of one series of requests, each item once; `moments` are the instants that decide the slices of
    those with a date.
    """

    rows: list[Row] = field(default_factory=list)
    moments: list[datetime] = field(default_factory=list)
    dropped_keys: list[int] = field(default_factory=list)  # seen but not kept: an earlier row of theirs goes
    # Rows with a date that cannot be read, and so is null.
    undated_keys: list[int] = field(default_factory=list)
    # Properties that came unasked and were dropped, by name: on how many items.
    unasked: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Landing:
    """One read of one mailbox and kind, ready to be written with its ledger rows."""

    mailbox_id: int
    kind: str
    pieces: tuple[Slice, ...]
    read_to: tuple[datetime, ...]
    read: Read
