"""How many accounts a rule selects now, condition by condition, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import duckdb

from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError, EngagementError
from engagement.locations import segment_file
from engagement.outcome import counted
from engagement.segments.attributes import ATTRIBUTES_MODEL
from engagement.segments.rendered import rendered
from engagement.segments.rule import Rule
from engagement.segments.sql import model_sql
from engagement.warehouse import connect

NAMES_SHOWN = 10
_CURRENT = f"(select * from intermediate.{ATTRIBUTES_MODEL} where is_current)"


@dataclass(frozen=True)
class Preview:
    """Accounts, each once: all, those that the rule selects, and that each condition does alone; the first by name."""

    accounts_count: int
    members_count: int
    conditions: tuple[tuple[str, int], ...]
    first: tuple[tuple[str, str], ...]

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "accounts": self.accounts_count,
            "members": self.members_count,
            "conditions": [{"condition": said, "members": count} for said, count in self.conditions],
            "first": [{"account": name, "reason": reason} for name, reason in self.first],
        }

    @property
    def lines(self) -> list[str]:
        """For a person."""
        width = max((len(said) for said, _ in self.conditions), default=0)
        lines = [f"It selects {self.members_count:,} of {counted(self.accounts_count, 'account')} now."]
        lines += [f"  {said:<{width}}  {count:>7,}" for said, count in self.conditions]
        if self.first:
            lines.append("First by name:" if self.members_count > len(self.first) else "They are:")
            lines += [f"  {name}: {reason}" for name, reason in self.first]
        return lines

    @property
    def warning(self) -> str | None:
        """What is odd about whom it selects; None where nothing is."""
        if self.members_count == 0:
            return "the rule selects nobody now"
        if self.members_count == self.accounts_count:
            return "the rule selects every account now"
        return None


def preview(settings: Settings, segment_id: str, rule: Rule, variables: dict[str, Any]) -> Preview | None:
    """What the rule selects in what was built last; None where nothing is built, or another process has the file.

    Raises ConfigurationError where the rule asks for an account that the customer file does not have.
    """
    if not settings.private_file.is_file():
        return None
    relations = {
        ATTRIBUTES_MODEL: _CURRENT,
        "int_account_ancestors_resolved": "intermediate.int_account_ancestors_resolved",
        **{f"segment_{part}": f"segments.segment_{part}" for part in rule.parts},
    }

    def as_sql(text: str) -> str:
        return rendered(
            text,
            project_dir=settings.project_dir,
            relations=relations,
            variables=variables,
            model=segment_file(segment_id).as_posix(),
        )

    try:
        # A preview is not worth waiting for.
        with connect(replace(settings, file_wait_seconds=0.0), read_only=True) as connection:
            [(accounts,)] = connection.execute(
                f"select count(distinct account_id) from {_CURRENT}"
            ).fetchall()
            for option, account in (("--child-of", rule.child_of), ("--parent-of", rule.parent_of)):
                if account is not None and accounts:
                    found = connection.execute(
                        f"select 1 from {_CURRENT} where account_id = ? limit 1", [account]
                    ).fetchall()
                    if not found:
                        raise ConfigurationError(
                            f"{option}: the customer file has no account with the id {account!r}; give an account's id"
                        )
            members = (
                f"select distinct on (members.account_id) members.account_id, members.reason, current_row.account_name"
                f" from ({as_sql(model_sql(rule))}) as members"
                f" inner join {_CURRENT} as current_row using (enrichment_id, account_id, judged_on)"
                " where members.is_member order by members.account_id, members.enrichment_id"
            )
            rows = connection.execute(
                f"select coalesce(account_name, account_id), reason, count(*) over () from ({members})"
                " order by 1, account_id limit ?",
                [NAMES_SHOWN],
            ).fetchall()
            conditions = []
            for said, condition in _alone(rule):
                [(count,)] = connection.execute(
                    f"select count(distinct account_id) from ({as_sql(model_sql(condition))}) where is_member"
                    f" and judged_on in (select judged_on from {_CURRENT})"
                ).fetchall()
                conditions.append((said, count))
    except ConfigurationError:
        raise
    except (duckdb.CatalogException, duckdb.BinderException, EngagementError):
        return None
    return Preview(
        accounts,
        rows[0][2] if rows else 0,
        tuple(conditions),
        tuple((name, reason) for name, reason, _ in rows),
    )


def _alone(rule: Rule) -> list[tuple[str, Rule]]:
    """Every part of a rule as a rule of its own, with its words; groups too where there are several."""
    alone: list[Rule] = []
    for group in rule.groups:
        alone += [Rule(((condition,),)) for condition in group]
        if len(group) > 1 and len(rule.groups) > 1:
            alone.append(Rule((group,)))
    alone += [Rule(child_of=rule.child_of)] if rule.child_of else []
    alone += [Rule(parent_of=rule.parent_of)] if rule.parent_of else []
    for part in (*rule.in_all_of, *rule.in_any_of):
        alone.append(Rule(in_any_of=(part,)))
    for part in rule.in_none_of:
        alone.append(Rule(in_none_of=(part,)))
    return list(dict((one.in_words(), one) for one in alone).items())
