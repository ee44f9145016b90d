"""What one key of enrichments.yml asks of another, of the files that it names and of the dbt project."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from engagement import project_yaml
from engagement.configuration.customers import ACCOUNT_TEXTS
from engagement.configuration.enrichments import (
    COMPANY_FILE,
    LEADSPACE_CONTACTS,
    AddressFile,
    CompanyFileEnrichment,
    LeadspaceContactsEnrichment,
    LeadspaceEnrichment,
    Mapping_,
    OfficeEnrichment,
)
from engagement.configuration.model import Configuration
from engagement.configuration.plain_words import shown
from engagement.configuration.source import source_of
from engagement.exports import definitions as exporting
from engagement.identifiers import slug
from engagement.locations import PROJECT_FILE, segment_ids


def cross_checks(raw: dict[str, Any], folder: Path, needs_files: bool) -> list[str]:
    """Over the file as it is, so that they are reported beside the findings of the model; `folder` is the file's."""
    findings: list[str] = list(exporting.findings(raw.get("exports")))
    enrichments = raw.get("enrichments")
    listed = [
        (position, entry)
        for position, entry in enumerate(enrichments if isinstance(enrichments, list) else [])
        if isinstance(entry, dict)
    ]
    normal_forms: dict[str, Callable[[str], str]] = {"name": slug, "output_table": str.lower}
    for key, form in normal_forms.items():
        first: dict[str, int] = {}
        for position, entry in listed:
            value = entry.get(key)
            if not isinstance(value, str) or not form(value):
                continue
            other = first.setdefault(form(value), position)
            if other != position:
                findings.append(
                    f"enrichments[{position}].{key}: {shown(value, key)} is already taken by"
                    f" enrichments[{other}]"
                    " (case and punctuation do not count); choose another"
                )
    tables = {str(entry.get("output_table")).lower(): position for position, entry in listed}
    for position, entry in listed:
        clash = tables.get(f"{str(entry.get('output_table')).lower()}_userentity")
        if clash is not None:
            findings.append(
                f"enrichments[{clash}].output_table: is"
                f" the name of the table of people of enrichments[{position}]; choose another"
            )
    notify = raw.get("notify")
    ways = [notify.get("command"), notify.get("webhook")] if isinstance(notify, dict) else [notify]
    if "notify" in raw and all(way is None for way in ways):
        findings.append("notify: has neither command nor webhook; add one of them, or remove the block")
    paths: list[tuple[str, object]] = []
    customers = raw.get("customers")
    for table in ("accounts", "contacts"):
        block = customers.get(table) if isinstance(customers, dict) else None
        if isinstance(block, dict):
            paths.append((f"customers.{table}.path", block.get("path")))
    for position, entry in listed:
        if entry.get("type") == COMPANY_FILE:
            paths.append((f"enrichments[{position}].path", entry.get("path")))
        for key in ("addresses", "opt_out"):
            block = entry.get(key)
            if isinstance(block, dict):
                paths.append((f"enrichments[{position}].{key}.path", block.get("path")))
        findings += _exported(position, entry, folder, needs_files)
        findings += _unmapped(position, entry.get("mapping"), raw)
        findings += _no_website(position, entry, raw)
    for where, path in paths if needs_files else ():
        if isinstance(path, str) and path and not source_of(folder / Path(path).expanduser()).file.is_file():
            findings.append(
                f"{where}: {shown(path, where)} does not exist;"
                " put the file there or correct the path (relative paths start at the folder of"
                " enrichments.yml)"
            )
    return findings


def _exported(position: int, entry: dict[str, Any], folder: Path, needs_files: bool) -> Iterator[str]:
    """What an enrichment that reads an export cannot have, and a folder that is not there."""
    source = entry.get("source")
    if not isinstance(source, dict):
        return
    where = f"enrichments[{position}].source.data_connect"
    path = source.get("data_connect")
    if needs_files and isinstance(path, str) and path and not (folder / Path(path).expanduser()).is_dir():
        yield (
            f"{where}: {shown(path, where)} is no folder; put the export there or correct the path"
            " (relative paths start at the folder of enrichments.yml)"
        )
    if entry.get("probe_forbidden") is not None:
        yield (
            f"enrichments[{position}].probe_forbidden: asks Microsoft Graph, which nobody does for an export;"
            " remove it, and limit the people in the pipeline of the export"
        )


def _unmapped(position: int, mapping: object, raw: dict[str, Any]) -> Iterator[str]:
    """Mapped columns that customers.accounts does not name, so that they are not landed."""
    customers = raw.get("customers")
    accounts = customers.get("accounts") if isinstance(customers, dict) else None
    if not isinstance(mapping, dict) or not isinstance(accounts, dict):
        return
    attributes = accounts.get("attributes")
    columns = [accounts.get(key) for key in ACCOUNT_TEXTS]
    columns += attributes if isinstance(attributes, list) else []
    named = list(dict.fromkeys(column for column in columns if isinstance(column, str)))
    for key, column in mapping.items():
        if key in Mapping_.model_fields and isinstance(column, str) and column and column not in named:
            yield (
                f"enrichments[{position}].mapping.{key}: {shown(column, key)} is no column that"
                f" customers.accounts names; allowed: {', '.join(named)}, or add it to"
                " customers.accounts.attributes"
            )


def _no_website(position: int, entry: dict[str, Any], raw: dict[str, Any]) -> Iterator[str]:
    """Domain matching without a column of websites would silently match nothing."""
    customers = raw.get("customers")
    accounts = customers.get("accounts") if isinstance(customers, dict) else None
    if entry.get("domain_matching") is True and isinstance(accounts, dict) and not accounts.get("website"):
        yield (
            f"enrichments[{position}].domain_matching: needs the accounts' websites;"
            " name their column in customers.accounts.website"
        )


def cross_checks_of_valid(configuration: Configuration, project_dir: Path) -> Iterator[str]:
    """Over the keys of a file that has the right form."""
    yield from _unknown_segments(configuration, project_dir)
    yield from _unknown_attributes(configuration, project_dir)
    yield from _unknown_files(configuration)
    yield from _contacts_beyond_what_is_possible(configuration)


def _unknown_segments(configuration: Configuration, project_dir: Path) -> Iterator[str]:
    """Data sets that name no segment: there is no models/segments/segment_<id>.sql."""
    known = segment_ids(project_dir)
    for position, enrichment in enumerate(configuration.enrichments):
        if isinstance(enrichment, LeadspaceEnrichment) and enrichment.segment not in (None, *known):
            near = difflib.get_close_matches(str(enrichment.segment), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
            yield (f"enrichments[{position}].dataset: there is no segment {enrichment.segment!r}; {hint}")


def _unknown_attributes(configuration: Configuration, project_dir: Path) -> Iterator[str]:
    """Columns given for something that dbt_project.yml does not list among what is known of a company."""
    mapped = {"customers.accounts.company": configuration.customers.accounts.company} | {
        f"enrichments[{position}].columns": enrichment.columns
        for position, enrichment in enumerate(configuration.enrichments)
        if isinstance(enrichment, CompanyFileEnrichment)
    }
    if not any(mapped.values()):
        return
    try:
        project = project_yaml.load((project_dir / PROJECT_FILE).read_text("utf-8"))
        known = list(project["vars"]["company_attributes"])
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return
    for where, columns in mapped.items():
        for attribute in columns:
            if attribute not in known:
                near = difflib.get_close_matches(attribute, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                yield f"{where}: {shown(attribute, where)} is nothing that is known of a company; {hint}"


def _unknown_files(configuration: Configuration) -> Iterator[str]:
    """Enrichments to go before that are no files of company data."""
    known = {
        enrichment.enrichment_id: enrichment.name
        for enrichment in configuration.enrichments
        if isinstance(enrichment, CompanyFileEnrichment)
    }
    for position, enrichment in enumerate(configuration.enrichments):
        for index, name in enumerate(getattr(enrichment, "unless_known_by", ())):
            if slug(name) not in known:
                yield (
                    f"enrichments[{position}].unless_known_by[{index}]: {shown(name, 'name')} is no enrichment of type"
                    f" company_file; known: {', '.join(known.values()) or 'none'}"
                )


def _contacts_beyond_what_is_possible(configuration: Configuration) -> Iterator[str]:
    """A second enrichment of contacts, which would ask about the same people once more; and people's titles in a
    file that shows no number of few people.
    """
    listed = [
        (position, enrichment)
        for position, enrichment in enumerate(configuration.enrichments)
        if isinstance(enrichment, LeadspaceContactsEnrichment)
    ]
    for position, enrichment in listed:
        if position != listed[0][0]:
            yield (
                f"enrichments[{position}].type: enrichments[{listed[0][0]}] is of type {LEADSPACE_CONTACTS} already,"
                " and one asks about every contact; remove one of them"
            )
        if enrichment.publish and configuration.reporting.small_numbers == "band":
            yield (
                f"enrichments[{position}].publish: true is not allowed with reporting.small_numbers: band, since it"
                " shows single people; set it to false, or small_numbers to show"
            )


def repeated_addresses(configuration: Configuration) -> Iterator[str]:
    """What is no error: addresses that an enrichment lists twice. One line each, for the warnings."""
    for position, enrichment in enumerate(configuration.enrichments):
        if not isinstance(enrichment, OfficeEnrichment) or isinstance(enrichment.addresses, AddressFile):
            continue
        first: dict[str, int] = {}
        for index, address in enumerate(enrichment.addresses):
            other = first.setdefault(address.lower(), index)
            if other != index:
                yield (
                    f"enrichments[{position}].addresses[{index}]: the same address as addresses[{other}];"
                    " it counts once, remove one of them"
                )
