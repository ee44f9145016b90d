"""What was sent and what was answered, compared: the facts by which the models judge a match.

Names, websites and countries are compared here, because that needs libraries; what of it is a match is decided by
models and seeds (int_matches_judged). Every answer is compared once, and again where the rules of comparing changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from engagement.matching.names import Name, NameWords, compare, normalised
from engagement.matching.places import Countries, registrable_domain
from engagement.warehouse import Connection, append, transaction

# To be raised where the code compares otherwise than before, so that everything is compared anew.
METHOD = 1
WORDS_SEED, SPELLINGS_SEED = "company_name_words.csv", "country_spellings.csv"
# So many are compared before they are stored.
CHUNK = 20_000


class Comparer:
    """Compares what is known of two companies, by the seeds of this project."""

    def __init__(self, project_dir: Path) -> None:
        seeds = project_dir / "seeds"
        self._words = NameWords.load(seeds / WORDS_SEED)
        self._countries = Countries.load(seeds / SPELLINGS_SEED)
        self._names: dict[str | None, Name] = {}

    def _name(self, text: str | None) -> Name:
        found = self._names.get(text)
        if found is None:
            found = self._names[text] = normalised(text, self._words)
        return found

    def compared(
        self,
        sent: tuple[str | None, str | None, str | None],
        answered: tuple[str | None, str | None, str | None],
    ) -> tuple[Any, ...]:
        """The facts of raw.leadspace_comparisons after its keys: of (name, website, country) sent and answered."""
        sent_name, answered_name = self._name(sent[0]), self._name(answered[0])
        names = compare(sent_name, answered_name)
        return (
            sent_name.text or None,
            answered_name.text or None,
            names.similarity,
            names.is_equal,
            names.is_contained,
            names.is_acronym,
            names.is_comparable,
            registrable_domain(sent[1]),
            registrable_domain(answered[1]),
            self._countries.code(sent[2]),
            self._countries.code(answered[2]),
        )


def note(connection: Connection, project_dir: Path) -> int:
    """Compares every answer that has not been, and those compared by other rules; how many that were."""
    rules = rules_of(project_dir)
    # The names of all countries in all languages take a second to load.
    comparer: Comparer | None = None
    count = 0
    for rows in _uncompared(connection, rules):
        comparer = comparer or Comparer(project_dir)
        compared = [
            (fingerprint, batch_id, rules, *comparer.compared(tuple(values[:3]), tuple(values[3:])))
            for fingerprint, batch_id, *values in rows
        ]
        with transaction(connection):
            connection.execute(
                "delete from raw.leadspace_comparisons where rules != ? and (fingerprint, batch_id) in"
                " (select (unnest(?), unnest(?)))",
                [rules, [row[0] for row in compared], [row[1] for row in compared]],
            )
            append(connection, "leadspace_comparisons", compared)
        count += len(compared)
    return count


def rules_of(project_dir: Path) -> str:
    """What stands for the rules of comparing: the method and the two seeds that it reads."""
    digest = blake2b(str(METHOD).encode(), digest_size=8)
    for seed in (WORDS_SEED, SPELLINGS_SEED):
        digest.update((project_dir / "seeds" / seed).read_bytes())
    return digest.hexdigest()


def _uncompared(connection: Connection, rules: str) -> Iterator[list[tuple[Any, ...]]]:
    """Answers without a comparison by these rules, with what was sent and what came back, some at a time."""
    while True:
        rows = connection.execute(
            """
            with sent as (
                select fingerprint, any_value(company_name) as name, any_value(website) as website,
                    any_value(country) as country
                from raw.leadspace_accounts
                where fingerprint is not null
                group by fingerprint
            )
            select
                responses.fingerprint, responses.batch_id, sent.name, sent.website, sent.country,
                json_extract_string(response, '$.data.company.name'),
                json_extract_string(response, '$.data.company.website'),
                json_extract_string(response, '$.data.company.address.country')
            from raw.leadspace_responses as responses
            inner join sent using (fingerprint)
            where responses.outcome = 'result' and not exists (
                select 1 from raw.leadspace_comparisons as known
                where known.fingerprint = responses.fingerprint and known.batch_id = responses.batch_id
                    and known.rules = ?
            )
            order by responses.fingerprint, responses.batch_id
            limit ?
            """,
            [rules, CHUNK],
        ).fetchall()
        if not rows:
            return
        yield rows
