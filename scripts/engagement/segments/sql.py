"""A rule as the SQL of a model, in the style of the shipped segments."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engagement.segments.attributes import ATTRIBUTES_MODEL, NUMBER, Attribute
from engagement.segments.rule import Rule

_ATTRIBUTES, _CHILDREN, _PARENTS = "attributes", "children", "parents"
# What sqlfluff allows; a long value cannot be broken.
LONGEST_LINE = 120
_KEYS = ("enrichment_id", "account_id", "judged_on")


def model_sql(rule: Rule) -> str:
    """The whole model: who is a member, and in words every value that decided."""
    if macro := _made_of_segments_alone(rule):
        return macro
    relations = [
        (_ATTRIBUTES, [f"select * from {{{{ ref('{ATTRIBUTES_MODEL}') }}}}"]),
        *_hierarchy(rule),
        *((f"segment_{part}", [f"select * from {{{{ ref('segment_{part}') }}}}"]) for part in rule.parts),
    ]
    is_joined = len(relations) > 1
    prefix = f"{_ATTRIBUTES}." if is_joined else ""
    lines = ["with", ""]
    for position, (name, query) in enumerate(relations):
        lines += [f"{name} as (", "", *(f"    {line}" for line in query), ""]
        lines += [")" if position == len(relations) - 1 else "),", ""]
    lines += ["select", *(f"    {prefix}{key}," for key in _KEYS)]
    member = _member(rule, _ATTRIBUTES if is_joined else "")
    # A column that is called so already needs no other name.
    is_one_column = len(member) == 1 and re.fullmatch(r"\w+\.is_member", member[0])
    member[-1] += "," if is_one_column else " as is_member,"
    lines += [f"    {line}" for line in member]
    reason = _reason(rule, _ATTRIBUTES if is_joined else "")
    reason[-1] += " as reason"
    lines += [f"    {line}" for line in reason]
    lines += [f"from {_ATTRIBUTES}"]
    for name in (name for name, _ in relations[1:]):
        if name in (_CHILDREN, _PARENTS):
            lines += [f"left join {name} on {_ATTRIBUTES}.account_id = {name}.account_id"]
        else:
            lines += [f"inner join {name}", "    on"]
            lines += [
                f"        {'and ' if key != _KEYS[0] else ''}{_ATTRIBUTES}.{key} = {name}.{key}"
                for key in _KEYS
            ]
    return "".join(f"{line}{'  -- noqa: LT05' if len(line) > LONGEST_LINE else ''}\n" for line in lines)


def frozen_sql(segment_id: str) -> str:
    """The model of a static segment: its members stand in the seed segment_frozen_members."""
    return f"{{{{ segment_frozen('{segment_id}') }}}}\n"


def _made_of_segments_alone(rule: Rule) -> str | None:
    """One call of a macro where that says it all."""
    if rule.groups or rule.child_of or rule.parent_of:
        return None
    macro = None
    if len(rule.in_all_of) > 1 and not rule.in_any_of and not rule.in_none_of:
        macro = "segment_intersect"
    elif len(rule.in_any_of) > 1 and not rule.in_all_of and not rule.in_none_of:
        macro = "segment_union"
    elif len(rule.in_all_of) == 1 and rule.in_none_of and not rule.in_any_of:
        macro = "segment_except"
    if macro is None:
        return None
    return f"{{{{ {macro}([{', '.join(repr(part) for part in rule.parts)}]) }}}}\n"


def _hierarchy(rule: Rule) -> list[tuple[str, list[str]]]:
    found = []
    for name, account, own, other in (
        (_CHILDREN, rule.child_of, "account_id", "ancestor_account_id"),
        (_PARENTS, rule.parent_of, "ancestor_account_id", "account_id"),
    ):
        if account is not None:
            text = account.replace("'", "''")
            found.append(
                (
                    name,
                    [
                        "select",
                        f"    {own}{' as account_id' if own != 'account_id' else ''},",
                        "    levels_count",
                        "from {{ ref('int_account_ancestors_resolved') }}",
                        f"where {other} = '{text}'",
                    ],
                )
            )
    return found


def _member(rule: Rule, relation: str) -> list[str]:
    """The lines of the expression that decides."""
    terms: list[list[str]] = []
    groups = [_joined([[condition.sql(relation)] for condition in group], "and") for group in rule.groups]
    if len(groups) > 1:
        groups = [_in_brackets(group) if len(group) > 1 else group for group in groups]
        either = _joined(groups, "or")
        terms.append(_in_brackets(either) if rule.child_of or rule.parent_of or rule.parts else either)
    elif groups:
        terms += [[line.removeprefix("and ")] for line in groups[0]]
    terms += [[f"{_CHILDREN}.account_id is not null"]] if rule.child_of else []
    terms += [[f"{_PARENTS}.account_id is not null"]] if rule.parent_of else []
    terms += [[f"segment_{part}.is_member"] for part in rule.in_all_of]
    if len(rule.in_any_of) == 1:
        terms += [[f"segment_{rule.in_any_of[0]}.is_member"]]
    elif rule.in_any_of:
        terms.append(_in_brackets(_joined([[f"segment_{part}.is_member"] for part in rule.in_any_of], "or")))
    terms += [[f"not segment_{part}.is_member"] for part in rule.in_none_of]
    return _joined(terms, "and")


def _joined(terms: Sequence[list[str]], operator: str) -> list[str]:
    lines = list(terms[0])
    for first, *others in terms[1:]:
        lines += [f"{operator} {first}", *others]
    return lines


def _in_brackets(lines: Sequence[str]) -> list[str]:
    return ["(", *(f"    {line}" for line in lines), ")"]


def _reason(rule: Rule, relation: str) -> list[str]:
    """The lines of the text that says every value used, one a line."""
    said = [[_said(attribute, relation)] for attribute in rule.attributes]
    for name, account, place in ((_CHILDREN, rule.child_of, "below"), (_PARENTS, rule.parent_of, "above")):
        if account is not None:
            text = account.replace("'", "''")
            level = f"coalesce(', level ' || cast({name}.levels_count as string), '')"
            said.append(
                [
                    f"case when {name}.account_id is null then 'not ' else '' end",
                    f"'{place} {text}' || {level}",
                ]
            )
    for part in rule.parts:
        said.append(
            [
                f"case when segment_{part}.is_member then '' else 'not ' end",
                f"'{part.replace('_', ' ')}: ' || segment_{part}.reason",
            ]
        )
    lines = []
    for position, (first, *others) in enumerate(said):
        if position:
            # What begins with its label has the comma in it.
            first = f"', {first[1:]}" if first.startswith("'") else f"', ' || {first}"
        lines += [f"{'|| ' if position else ''}{first}", *(f"|| {other}" for other in others)]
    return lines


def _said(attribute: Attribute, relation: str) -> str:
    """How an attribute is called, and the macro that says its value."""
    words, macro = attribute.name.replace("_", " ").replace("'", "''"), "said"
    if attribute.kind == NUMBER:
        macro = "number_said"
    elif attribute.is_own:
        # The text of a day or a truth is as the file has it.
        attribute = Attribute(attribute.name, "string", is_own=True)
    if not attribute.is_own and attribute.name.startswith("days_since_"):
        words, macro = words.removeprefix("days since "), "ago"
    elif not attribute.is_own and attribute.name.endswith("_ratio"):
        words, macro = words.removesuffix(" ratio"), "percent_said"
    return f"'{words} ' || {{{{ {macro}({attribute.argument(relation)}) }}}}"
