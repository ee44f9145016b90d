"""Mail and calendars of Microsoft 365 as typed, minimal rows."""

from __future__ import annotations
