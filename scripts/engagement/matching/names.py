"""Names of companies in one form: without case, accents, punctuation and legal form, in Latin letters.

Which words say nothing about who is meant is a seed (seeds/company_name_words.csv), because an analyst may know more of
them. Read here, before comparing, since the names are compared here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from anyascii import anyascii
from rapidfuzz import fuzz

from engagement.errors import ConfigurationError
from engagement.seeds import rows_of

LEGAL_FORM, NEUTRAL, ABBREVIATION = WORD_ROLES = ("legal_form", "neutral", "abbreviation")
# Initials of fewer words than this stand for too many companies.
FEWEST_INITIALS = 3
# Where scripts differ, the shorter name must be so long to be found in the beginning of the longer one, which may end
# in a description that is translated rather than spelled (Huawei, 华为技术).
SHORTEST_SPELLED = 5

_AND = str.maketrans({"&": " and ", "+": " and "})
# Apostrophes stand within a word: Lowe's, L'Oréal.
_APOSTROPHES = re.compile("['`\u00b4\u02bc\u2019\u2018]")
# A run of single letters with points, U.S. or S.A., is one word; so are forms such as A/S.
_INITIALS = re.compile(r"(?<!\w)(?:[^\W\d_]\.\s?){1,}[^\W\d_]?(?!\w)\.?")
_SLASHED = re.compile(r"(?<!\w)([^\W\d_])/([^\W\d_])(?!\w)")
_AROUND = " ()"
_WORD = re.compile(r"[a-z0-9]+")
# Letters that languages write differently in Latin script, brought to one sound; for names of two scripts only.
_SOUNDS = (
    ("shch", "s"), ("sch", "s"), ("tsch", "c"), ("sh", "s"), ("ch", "c"), ("kh", "h"), ("zh", "j"), ("ph", "f"),
    ("th", "t"), ("ts", "c"), ("tz", "c"), ("ck", "k"), ("x", "ks"), ("q", "k"), ("c", "k"), ("w", "v"), ("y", "i"),
    ("j", "i"), ("gh", "g"), ("h", "k"), ("ou", "u"), ("ee", "i"), ("oo", "u"),
)  # fmt: skip


@dataclass(frozen=True)
class NameWords:
    """The words of the seed, each as it stands in a normalised name."""

    legal_forms: frozenset[tuple[str, ...]]
    neutral: frozenset[str]
    abbreviations: Mapping[str, str]
    # Legal forms of scripts without spaces, as they are written: at the beginning or the end of a name.
    unspaced: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> NameWords:
        """Reads the seed; ConfigurationError where it cannot be read or a role is none."""
        listed = rows_of(path, ("word", "word_role", "stands_for"))
        for position, (word, role, stands_for) in enumerate(listed, start=2):
            if role not in WORD_ROLES or not word or (role == ABBREVIATION) != bool(stands_for):
                raise ConfigurationError(
                    f"seeds/{path.name} line {position}: word_role is one of {', '.join(WORD_ROLES)}, and only an"
                    " abbreviation stands_for another word"
                )
        legal = [word for word, role, _ in listed if role == LEGAL_FORM]
        return cls(
            legal_forms=frozenset(tuple(_words(word)) for word in legal),
            neutral=frozenset(word for form, role, _ in listed if role == NEUTRAL for word in _words(form)),
            abbreviations={
                _words(word)[0]: " ".join(_words(full)) for word, role, full in listed if role == ABBREVIATION
            },
            unspaced=tuple(sorted(filter(_is_unspaced, map(_folded, legal)), key=len, reverse=True)),
        )

    @cached_property
    def longest(self) -> int:
        return max((len(form) for form in self.legal_forms), default=0)


@dataclass(frozen=True)
class Name:
    """One name: `words` are what tells it from others, `full` all of them. Both are empty where nothing is a letter."""

    words: tuple[str, ...]
    full: tuple[str, ...]
    scripts: frozenset[str]

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def key(self) -> str:
        """Without blanks, so that DukeEnergy and Duke Energy are one."""
        return "".join(self.words)

    @property
    def initials(self) -> str:
        return "".join(word[0] for word in self.words)


@dataclass(frozen=True)
class NameComparison:
    """What two names have in common. `similarity` is 0 to 1, and None where one of them says nothing.

    `is_comparable` is false where they are of different scripts and not alike: it may be one name, translated.
    `is_contained`: every telling word of one stands in the other, which has more. `is_acronym`: one is the other's
    initials.
    """

    similarity: float | None
    is_equal: bool
    is_contained: bool
    is_acronym: bool
    is_comparable: bool


def normalised(name: str | None, words: NameWords) -> Name:
    """A name in one form.

    Legal forms go from the end, however many, and from the beginning where something else follows; neutral words go
    wherever they stand. At least one word stays.
    """
    text = _folded(name or "")
    scripts = _scripts(text)
    text = _without_unspaced(text, words.unspaced)
    found = _words(text)
    if not found:
        return Name((), (), scripts)
    kept = _without_legal_forms(found, words)
    telling = [word for word in kept if word not in words.neutral] or kept
    return Name(
        tuple(part for word in telling for part in words.abbreviations.get(word, word).split()),
        tuple(found),
        scripts,
    )


def compare(left: Name, right: Name) -> NameComparison:
    """What two normalised names have in common; the same whichever comes first."""
    if not left.words or not right.words:
        return NameComparison(None, False, False, False, is_comparable=False)
    if left.key == right.key:
        return NameComparison(1.0, True, False, False, is_comparable=True)
    crosses = left.scripts.isdisjoint(right.scripts)
    similarity = max(
        fuzz.ratio(left.key, right.key),
        fuzz.token_sort_ratio(left.text, right.text),
        _by_sound(left, right) if crosses else 0,
    )
    is_spelled = crosses and _begins_with_the_other(left, right)
    shorter, longer = sorted(
        (set(left.words), set(right.words)), key=lambda words: (len(words), sorted(words))
    )
    is_contained = (shorter < longer) or is_spelled or _is_run_of_the_other(left, right)
    return NameComparison(
        round(similarity / 100, 4),
        crosses and similarity >= 100,
        is_contained,
        _is_acronym(left, right) or _is_acronym(right, left),
        is_comparable=not crosses or is_spelled or similarity >= 80,
    )


def _by_sound(left: Name, right: Name) -> float:
    return fuzz.ratio(_sound(left.key), _sound(right.key))


def _begins_with_the_other(left: Name, right: Name) -> bool:
    shorter, longer = sorted((_sound(left.words[0]), _sound(right.key)), key=len)
    other_shorter, other_longer = sorted((_sound(right.words[0]), _sound(left.key)), key=len)
    return any(
        len(short) >= SHORTEST_SPELLED and long.startswith(short)
        for short, long in ((shorter, longer), (other_shorter, other_longer))
    )


def _is_run_of_the_other(left: Name, right: Name) -> bool:
    """Whether one is written in one word and begins the other: PetroChina, Petro China Daqing."""
    shorter, longer = sorted((left, right), key=lambda name: len(name.key))
    runs = {"".join(longer.words[:count]) for count in range(1, len(longer.words))}
    return len(shorter.key) >= SHORTEST_SPELLED and shorter.key in runs


def _is_acronym(short: Name, long: Name) -> bool:
    initials = {long.initials, "".join(word[0] for word in long.full)}
    return len(short.key) >= FEWEST_INITIALS and len(long.words) > 1 and short.key in initials


def _sound(text: str) -> str:
    for written, spoken in _SOUNDS:
        text = text.replace(written, spoken)
    return re.sub(r"(.)\1+", r"\1", text)


def _words(text: str) -> list[str]:
    """The words of a text in Latin letters. Also called for the seed, so that both stand in the same form."""
    text = _folded(text).translate(_AND)
    text = _APOSTROPHES.sub("", text)
    text = _SLASHED.sub(r"\1\2", text)
    text = _INITIALS.sub(lambda run: re.sub(r"[.\s]", "", run[0]) + " ", text)
    return _WORD.findall(_latin(text).casefold().replace("'", ""))


def without_accents(text: str) -> str:
    """Every letter without what Unicode takes apart from it."""
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))


def _folded(text: str) -> str:
    """Full-width and composed forms as plain ones (\u3231 is (\u682a)), in lower case."""
    return unicodedata.normalize("NFKC", text).casefold()


def _latin(text: str) -> str:
    """Letters in Latin script; what Unicode takes apart loses its accents first, so that ö is o rather than oe."""
    plain = without_accents(text)
    return plain if plain.isascii() else anyascii(unicodedata.normalize("NFC", plain))


def _without_legal_forms(found: list[str], words: NameWords) -> list[str]:
    kept = list(found)
    for take_from_end in (True, False):
        is_changed = True
        while is_changed and len(kept) > 1:
            is_changed = False
            for length in range(min(words.longest, len(kept) - 1), 0, -1):
                part = kept[-length:] if take_from_end else kept[:length]
                if tuple(part) in words.legal_forms:
                    kept = kept[:-length] if take_from_end else kept[length:]
                    is_changed = True
                    break
    return kept


def _without_unspaced(text: str, forms: Iterable[str]) -> str:
    rest = text.strip(_AROUND)
    for form in forms:
        shorter = rest.removeprefix(form).removesuffix(form).strip(_AROUND)
        rest = shorter or rest
    return rest


def _is_unspaced(word: str) -> bool:
    return bool(_scripts(word) & {"CJK", "HIRAGANA", "KATAKANA", "HANGUL"})


def _scripts(text: str) -> frozenset[str]:
    """The scripts of a text's letters, by the first word of each letter's Unicode name: LATIN, CYRILLIC, CJK."""
    return frozenset(
        "LATIN" if char.isascii() else unicodedata.name(char, "UNKNOWN").split(" ")[0].split("-")[0]
        for char in text
        if char.isalpha()
    )
