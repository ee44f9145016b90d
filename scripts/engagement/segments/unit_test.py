"""The unit test of a new segment: rows on, below and above each limit, each condition deciding alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from engagement.segments.attributes import ATTRIBUTES_MODEL, BOOLEAN, DATE, NUMBER, Attribute
from engagement.segments.rule import CONTAINS, DECIMAL_PLACES, IS_NOT_NULL, IS_NULL, Condition, Rule

_ENRICHMENT, _DAY = "mail", "2026-06-30"
_OTHER = "other"


@dataclass
class _Case:
    """An account of the test: its values, where it stands in the hierarchy, and the segments that it is in."""

    values: dict[Attribute, Any] = field(default_factory=dict)
    is_child: bool = True
    is_parent: bool = True
    segments: frozenset[str] = frozenset()

    def key(self) -> tuple[Any, ...]:
        values = tuple((attribute.name, str(value)) for attribute, value in self.values.items())
        return values, self.is_child, self.is_parent, self.segments


def unit_test(segment_id: str, rule: Rule, *, is_macro: bool) -> dict[str, Any]:
    """The test as dbt's YAML has it. `is_macro`: the model asks for its segments alone."""
    cases = list(_distinct(_cases(rule)))
    accounts = [f"a{number}" for number in range(1, len(cases) + 1)]
    keys = [{"enrichment_id": _ENRICHMENT, "account_id": account, "judged_on": _DAY} for account in accounts]
    given: list[dict[str, Any]] = []
    if not is_macro:
        given.append(
            {
                "input": f"ref('{ATTRIBUTES_MODEL}')",
                "rows": [key | _columns(case) for key, case in zip(keys, cases, strict=True)],
            }
        )
    if rule.child_of is not None or rule.parent_of is not None:
        given.append(
            {
                "input": "ref('int_account_ancestors_resolved')",
                "rows": [
                    row
                    for account, case in zip(accounts, cases, strict=True)
                    for row in _ancestors(rule, account, case)
                ],
            }
        )
    for part in rule.parts:
        given.append(
            {
                "input": f"ref('segment_{part}')",
                "rows": [
                    key | {"is_member": part in case.segments, "reason": "as it is there"}
                    for key, case in zip(keys, cases, strict=True)
                ],
            }
        )
    return {
        "name": f"segment_{segment_id}_follows_its_rule",
        "description": f"Rows on both sides of every limit, and every condition deciding alone: {rule.in_words()}.",
        "model": f"segment_{segment_id}",
        "given": given,
        "expect": {
            "rows": [
                {"account_id": account, "is_member": _is_member(rule, case)}
                for account, case in zip(accounts, cases, strict=True)
            ]
        },
    }


def _is_member(rule: Rule, case: _Case) -> bool:
    return (
        (not rule.groups or any(_is_met(group, case.values) for group in rule.groups))
        and (rule.child_of is None or case.is_child)
        and (rule.parent_of is None or case.is_parent)
        and all(part in case.segments for part in rule.in_all_of)
        and (not rule.in_any_of or any(part in case.segments for part in rule.in_any_of))
        and not any(part in case.segments for part in rule.in_none_of)
    )


def _is_met(group: Sequence[Condition], values: dict[Attribute, Any]) -> bool:
    return all(condition.is_met_by(values[condition.attribute]) for condition in group)


def _distinct(cases: Iterator[_Case]) -> Iterator[_Case]:
    seen = set()
    for case in cases:
        if case.key() not in seen:
            seen.add(case.key())
            yield case


def _cases(rule: Rule) -> Iterator[_Case]:
    everywhere = frozenset((*rule.in_all_of, *rule.in_any_of[:1]))
    met: dict[Attribute, Any] = {}
    for number, group in enumerate(rule.groups):
        values = _values_meeting(rule, group)
        met = met or values
        yield _Case(values, segments=everywhere)
        # Where a text contains several, in the other order as well.
        yield _Case(
            values | {a: " ".join(reversed(texts)) for a, texts in _contained(group).items()},
            segments=everywhere,
        )
        for condition in group:
            for probe in _probes(condition):
                yield _Case(values | {condition.attribute: probe}, segments=everywhere)
        # What meets two groups at once is in it as well.
        for other in rule.groups[number + 1 :]:
            yield _Case(_values_meeting(rule, (*group, *other)), segments=everywhere)
    if rule.groups:
        yield _Case(_values_meeting(rule, ()), segments=everywhere)
    if rule.child_of is not None or rule.parent_of is not None or rule.parts:
        yield _Case(met, segments=everywhere)
    if rule.child_of is not None:
        yield _Case(met, is_child=False, segments=everywhere)
    if rule.parent_of is not None:
        yield _Case(met, is_parent=False, segments=everywhere)
    for part in (*rule.in_all_of, *rule.in_none_of):
        yield _Case(met, segments=everywhere ^ {part})
    for part in rule.in_any_of:
        yield _Case(met, segments=frozenset((*rule.in_all_of, part)))
    if rule.in_any_of:
        yield _Case(met, segments=frozenset(rule.in_all_of))
        yield _Case(met, segments=frozenset((*rule.in_all_of, *rule.in_any_of)))
    if rule.parts:
        yield _Case(met)


def _values_meeting(rule: Rule, group: Sequence[Condition]) -> dict[Attribute, Any]:
    """Values that meet a group, as far as any can, and as little else as possible."""
    values = {}
    for attribute in rule.attributes:
        wanted = [condition for condition in group if condition.attribute == attribute]
        others = [c for c in rule.conditions if c.attribute == attribute and c not in wanted]
        candidates = [probe for c in rule.conditions if c.attribute == attribute for probe in _probes(c)]
        contained = _contained(wanted).get(attribute)
        candidates += [" ".join(contained)] if contained else []
        values[attribute] = max(
            candidates,
            key=lambda value: (
                sum(condition.is_met_by(value) for condition in wanted),
                -sum(condition.is_met_by(value) for condition in others),
            ),
        )
    return values


def _contained(conditions: Sequence[Condition]) -> dict[Attribute, list[str]]:
    """The texts that attributes have to contain, where those are several."""
    found: dict[Attribute, list[str]] = {}
    for condition in conditions:
        if condition.operator == CONTAINS:
            found.setdefault(condition.attribute, []).append(str(condition.value))
    return {attribute: texts for attribute, texts in found.items() if len(texts) > 1}


def _probes(condition: Condition) -> list[Any]:
    """Values on the limit of a condition, just beside it, and none."""
    value, attribute = condition.value, condition.attribute
    if condition.operator in (IS_NULL, IS_NOT_NULL):
        return [None, _any_value(attribute)]
    if isinstance(value, bool):
        return [value, not value, None]
    if isinstance(value, Decimal):
        if attribute.is_whole:
            below = Decimal(int(value) - (1 if value <= int(value) else 0))
            above = Decimal(int(value) + (1 if value >= int(value) else 0))
            return [below, *([value] if value == int(value) else []), above, None]
        step = _step(attribute, value)
        return [value - step, value, value + step, None]
    if isinstance(value, date):
        return [value - timedelta(days=1), value, value + timedelta(days=1), None]
    text = str(value)
    if condition.operator == CONTAINS:
        part = text[:-1].strip()
        return [text, f"an {text.swapcase()} too", part if part else _other(text), None]
    return [text, _other(text), *([text.swapcase()] if text.swapcase() != text else []), None]


def _other(text: str) -> str:
    return _OTHER if text.lower() not in _OTHER else "12345" if text.lower() not in "12345" else "-"


def _any_value(attribute: Attribute) -> Any:
    known = {NUMBER: Decimal(1), BOOLEAN: False, DATE: date(2026, 1, 1)}
    return known.get(attribute.kind, "something")


def _step(attribute: Attribute, value: Decimal) -> Decimal:
    """How far beside a number the next one is tried."""
    if attribute.data_type.startswith("decimal(") and not attribute.is_own:
        return Decimal(1).scaleb(-int(attribute.data_type.rpartition(",")[2].strip(" )")))
    if abs(value) >= DECIMAL_PLACES[0][0]:
        # Finer steps are lost in a double.
        return Decimal(1) if value == int(value) else Decimal("0.01")
    exponent = int(value.as_tuple().exponent)
    return Decimal(1).scaleb(min(-3, exponent - 1))


def _columns(case: _Case) -> dict[str, Any]:
    """The values as columns of the input; the customer's own together as one object in JSON."""
    columns = {a.name: _plain(a, value) for a, value in case.values.items() if not a.is_own}
    own = {a.name: _plain(a, value) for a, value in case.values.items() if a.is_own}
    return columns | ({"attributes_json": json.dumps(own, ensure_ascii=False)} if own else {})


def _plain(attribute: Attribute, value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return value.isoformat() if isinstance(value, date) else value


def _ancestors(rule: Rule, account: str, case: _Case) -> Iterator[dict[str, Any]]:
    """Its lines to accounts above and below it; also to one that the rule does not ask for."""
    lines = []
    if rule.child_of is not None:
        lines.append((account, rule.child_of if case.is_child else "x1"))
    if rule.parent_of is not None:
        lines.append((rule.parent_of if case.is_parent else "x2", account))
    for below, above in lines:
        yield {"account_id": below, "ancestor_account_id": above, "levels_count": 1}
