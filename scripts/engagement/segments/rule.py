"""The rule of a segment, read from the options of `engagement segment new` and checked against the attributes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.segments.attributes import BOOLEAN, DATE, NUMBER, TEXT, Attribute, attribute_named

WHERE, AND, OR = "where", "and", "or"
EQUAL, UNEQUAL, CONTAINS = "=", "!=", "contains"
IS_NULL, IS_NOT_NULL, IS_TRUE, IS_FALSE = "is null", "is not null", "is true", "is false"
_WITHOUT_VALUE = (IS_NOT_NULL, IS_NULL, IS_TRUE, IS_FALSE)
_ORDERED = (EQUAL, UNEQUAL, "<", "<=", ">", ">=")
OPERATORS = {
    NUMBER: (*_ORDERED, IS_NULL, IS_NOT_NULL),
    DATE: (*_ORDERED, IS_NULL, IS_NOT_NULL),
    TEXT: (EQUAL, UNEQUAL, CONTAINS, IS_NULL, IS_NOT_NULL),
    BOOLEAN: (EQUAL, UNEQUAL, IS_TRUE, IS_FALSE, IS_NULL, IS_NOT_NULL),
}
_CONDITION = re.compile(
    r"""\s*(?:"(?P<quoted>[^"]+)"|(?P<name>.+?))\s*
    (?P<operator>!=|<=|>=|=|<|>|(?<=\s)contains(?=\s)|(?<=\s)is\s+(?:not\s+)?null|(?<=\s)is\s+(?:true|false))
    (?P<value>.*)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
LONGEST_VALUE = 100
# What doubles hold exactly enough: numbers below the first have up to as many decimal places.
DECIMAL_PLACES = ((Decimal(10) ** 6, 9), (Decimal(10) ** 12, 3), (Decimal(10) ** 15, 0))
LARGEST_NUMBER = DECIMAL_PLACES[-1][0]


@dataclass(frozen=True)
class Condition:
    """One comparison. The value is a Decimal, a text, a boolean or a date, as the attribute is; None without one.

    What is unknown (null) meets no condition but `is null`.
    """

    attribute: Attribute
    operator: str
    value: Decimal | str | bool | date | None = None

    def sql(self, relation: str = "") -> str:
        """What a model writes for it: true or false, never null."""
        column = self.attribute.expression(relation)
        if self.operator in (IS_NULL, IS_NOT_NULL):
            return f"{column} {self.operator}"
        if isinstance(self.value, bool):
            return f"coalesce({'' if self.value else 'not '}{column}, false)"
        if self.operator == CONTAINS:
            return f"coalesce(instr(lower({column}), lower({_literal(self.value)})) > 0, false)"
        return f"coalesce({column} {self.operator} {_literal(self.value)}, false)"

    def in_words(self) -> str:
        """As it was given: 'industry = Chemicals'."""
        if isinstance(self.value, bool):
            return f"{self.attribute.name} is {str(self.value).lower()}"
        if self.value is None:
            return f"{self.attribute.name} {self.operator}"
        shown = format(self.value, "f") if isinstance(self.value, Decimal) else str(self.value)
        return f"{self.attribute.name} {self.operator} {shown}"

    def is_met_by(self, value: object) -> bool:
        """Whether it holds for a value of the attribute; what the SQL says, said again for the unit test."""
        if self.operator in (IS_NULL, IS_NOT_NULL):
            return (value is None) == (self.operator == IS_NULL)
        if value is None:
            return False
        if self.operator == CONTAINS:
            return str(self.value).lower() in str(value).lower()
        of: dict[str, bool] = {EQUAL: value == self.value, UNEQUAL: value != self.value}
        if self.operator in of:
            return of[self.operator]
        is_below, is_equal = value < self.value, value == self.value  # type: ignore[operator]
        return {
            "<": is_below,
            "<=": is_below or is_equal,
            ">": not (is_below or is_equal),
            ">=": not is_below,
        }[self.operator]


@dataclass(frozen=True)
class Rule:
    """Who is in a segment: whoever meets every condition of any group, and everything else that is said here."""

    groups: tuple[tuple[Condition, ...], ...] = ()
    child_of: str | None = None
    parent_of: str | None = None
    in_all_of: tuple[str, ...] = ()
    in_any_of: tuple[str, ...] = ()
    in_none_of: tuple[str, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return tuple(condition for group in self.groups for condition in group)

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """Every attribute that it asks for, once, in the order of the conditions."""
        return tuple(dict.fromkeys(condition.attribute for condition in self.conditions))

    @property
    def parts(self) -> tuple[str, ...]:
        """The segments that it is made of."""
        return (*self.in_all_of, *self.in_any_of, *self.in_none_of)

    def in_words(self) -> str:
        """The rule in one sentence without its full stop."""
        said = [" or ".join(" and ".join(c.in_words() for c in group) for group in self.groups)]
        if len(self.groups) > 1 and (self.child_of or self.parent_of or self.parts):
            said = [f"({said[0]})"]
        said += [f"below account {self.child_of}"] if self.child_of else []
        said += [f"above account {self.parent_of}"] if self.parent_of else []
        for words, parts in (
            ("in all of", self.in_all_of),
            ("in any of", self.in_any_of),
            ("in none of", self.in_none_of),
        ):
            said += [f"{words} {', '.join(parts)}"] if parts else []
        return ", ".join(filter(None, said))


def read_rule(
    conditions: Sequence[tuple[str, str]],
    *,
    known: Mapping[str, Attribute],
    settings: Settings,
    child_of: str | None = None,
    parent_of: str | None = None,
    in_all_of: Sequence[str] = (),
    in_any_of: Sequence[str] = (),
    in_none_of: Sequence[str] = (),
) -> Rule:
    """The rule of the options: `conditions` are (where, and or or; text) in the order given. `and` binds closer.

    Raises ConfigurationError, naming the option, for whatever is not right.
    """
    groups: list[list[Condition]] = []
    for position, (option, text) in enumerate(conditions):
        if (option == WHERE) != (position == 0):
            raise ConfigurationError(
                "--where begins the rule, once, before every --and and --or; give the other conditions with those"
            )
        try:
            condition = read_condition(text, known=known, settings=settings)
        except ConfigurationError as error:
            raise ConfigurationError(f"--{option} {_short(text)}: {error.message}") from None
        if option == AND:
            groups[-1].append(condition)
        else:
            groups.append([condition])
    for option, account in (("--child-of", child_of), ("--parent-of", parent_of)):
        if account is not None:
            _require_writable(option, account)
    rule = Rule(
        tuple(tuple(group) for group in groups),
        child_of,
        parent_of,
        tuple(in_all_of),
        tuple(in_any_of),
        tuple(in_none_of),
    )
    for segment in rule.parts:
        if rule.parts.count(segment) > 1:
            raise ConfigurationError(
                f"--in-all-of, --in-any-of, --except: {segment} is named twice; name it once"
            )
    if not (rule.groups or child_of or parent_of or rule.parts):
        raise ConfigurationError(
            'there is no rule; give --where "ATTRIBUTE OPERATOR VALUE", --child-of, --parent-of, --in-all-of,'
            " --in-any-of or --except"
        )
    return rule


def read_condition(text: str, *, known: Mapping[str, Attribute], settings: Settings) -> Condition:
    """'industry = Chemicals' as a condition; ConfigurationError where a part of it is not right."""
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ConfigurationError(
            "is no condition; allowed: ATTRIBUTE OPERATOR VALUE with = != < <= > >= contains, or ATTRIBUTE and one of"
            f" {', '.join(sorted(_WITHOUT_VALUE))}"
        )
    attribute = attribute_named((found["quoted"] or found["name"]).strip(), known, settings)
    operator = " ".join(found["operator"].lower().split())
    given = found["value"].strip()
    if operator not in OPERATORS[attribute.kind]:
        raise ConfigurationError(
            f"{attribute.name} is {_a(attribute.kind)}, which {operator} does not fit; allowed:"
            f" {', '.join(OPERATORS[attribute.kind])}"
        )
    if operator in _WITHOUT_VALUE:
        if given:
            raise ConfigurationError(f"{operator} takes no value; remove {_short(given)}")
        if operator in (IS_TRUE, IS_FALSE):
            return Condition(attribute, EQUAL, operator == IS_TRUE)
        return Condition(attribute, operator)
    if len(given) > 1 and given[0] == given[-1] and given[0] in "'\"":
        given = given[1:-1].strip()
    value = _value(attribute, given)
    if isinstance(value, bool):
        # Two values are there: not one is the other.
        return Condition(attribute, EQUAL, value == (operator == EQUAL))
    return Condition(attribute, operator, value)


def _value(attribute: Attribute, given: str) -> Decimal | str | bool | date:
    if not given:
        raise ConfigurationError("the value is missing; unknown values are asked for with is null")
    if attribute.kind == NUMBER:
        return _number(attribute, given)
    if attribute.kind == BOOLEAN:
        if given.lower() not in ("true", "false"):
            raise ConfigurationError(f"{_short(given)} is no value of {attribute.name}; allowed: true, false")
        return given.lower() == "true"
    if attribute.kind == DATE:
        try:
            if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", given):
                raise ValueError
            # Tests need the days beside it.
            if not 2 <= date.fromisoformat(given).year <= 9998:
                raise ValueError
        except ValueError:
            raise ConfigurationError(f"{_short(given)} is no day; allowed: a date as yyyy-mm-dd") from None
        return date.fromisoformat(given)
    _require_writable(attribute.name, given)
    return given


def _number(attribute: Attribute, given: str) -> Decimal:
    try:
        if not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,2})?", given, re.IGNORECASE | re.ASCII):
            raise InvalidOperation
        value = Decimal(given)
    except InvalidOperation:
        raise ConfigurationError(
            f"{_short(given)} is no number; allowed: digits with a decimal point, without thousands separators"
        ) from None
    whole = LARGEST_NUMBER
    digits = next((places for below, places in DECIMAL_PLACES if abs(value) < below), 0)
    if (decimals := re.fullmatch(r"decimal\((\d+), ?(\d+)\)", attribute.data_type)) and not attribute.is_own:
        digits = int(decimals[2])
        whole = Decimal(10) ** (int(decimals[1]) - digits)
    if abs(value) >= whole:
        raise ConfigurationError(
            f"{_short(given)} is more than {attribute.name} can be; it is below {whole:,f}"
        )
    rounded = round(value, digits)
    if rounded != value:
        raise ConfigurationError(
            f"{_short(given)} is finer than {attribute.name} is; {digits} decimal places are allowed"
        )
    return Decimal(int(rounded)) if rounded == int(rounded) else rounded.normalize()


def _require_writable(what: str, text: str) -> None:
    """ConfigurationError unless a text can stand in a model as it is, and may: it would be published in reasons."""
    if not text.isprintable() or len(text) > LONGEST_VALUE:
        raise ConfigurationError(
            f"{what}: a text of one line and up to {LONGEST_VALUE} printable characters is allowed"
        )
    if any(sign in text for sign in ("{{", "{%", "{#", "}}", "%}", "#}")):
        raise ConfigurationError(
            f"{what}: a text with {{{{ or {{% would be read as a macro; leave it out, or write the model by hand"
        )
    if re.search(r"\S@\S", text):
        raise ConfigurationError(
            f"{what}: the text looks like an e-mail address, which no file of the project may hold"
        )


def _literal(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date):
        return f"cast('{value.isoformat()}' as date)"
    return "'" + str(value).replace("'", "''") + "'"


def _a(kind: str) -> str:
    return kind if kind in (BOOLEAN, TEXT) else f"a {kind}"


def _short(text: str) -> str:
    shown = " ".join(text.split())
    if "@" in shown:
        return "the value given (not shown: it may be personal)"
    return repr(shown if len(shown) <= 60 else shown[:57] + "...")
