"""Account engagement: fetches mail and calendar metadata, lets dbt decide, publishes aggregates."""

from __future__ import annotations
