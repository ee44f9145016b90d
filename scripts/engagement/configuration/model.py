"""enrichments.yml as a whole: its blocks, each in a module of its own; that of `exports` is with the exports."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engagement.configuration.customers import Customers
from engagement.configuration.enrichments import Enrichment
from engagement.configuration.notify import Notify
from engagement.configuration.pages import Pages
from engagement.configuration.part import Part, Text
from engagement.configuration.reporting import Reporting
from engagement.exports.definitions import Export


class Configuration(Part):
    """enrichments.yml as a whole."""

    reporting: Reporting = Reporting()
    notify: Notify | None = None
    customers: Customers
    enrichments: Annotated[tuple[Enrichment, ...], Field(strict=False, min_length=1)]
    exports: Annotated[tuple[Export, ...], Field(strict=False)] = ()
    pages: Pages = Pages()
    # Folder of `engagement raw-to-parquet`, unless ENGAGEMENT_RAW_PARQUET names one.
    raw_parquet: Text | None = None
