"""What the Leadspace emulator says about a person: every field of the schema, those that nobody must keep included.

The people are made up: whoever is asked about is known or not, and has this or that title, by a seed of his name and
e-mail address. So no list of people is needed, and every run gives the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from emulators.identifiers import seeded_bytes, seeded_guid

__all__ = ["DEPARTMENTS", "KnownPerson", "PersonInput", "PersonSwitches", "person_content", "person_of"]

Json = dict[str, Any]

DEPARTMENTS = {
    "Sales": "Account Executive", "Marketing": "Brand Strategist", "Engineering": "Process Engineer",
    "Finance": "Controller", "Operations": "Plant Planner", "Purchasing": "Category Buyer",
}  # fmt: skip
LEVELS = ("C Level", "Board Level", "VP Level", "Director Level", "Manager Level", "Staff Level")
EMAIL_WORDS = ("VALID", "INVALID", "UNKNOWN", "CATCH-ALL")
EMPLOYMENT_WORDS = ("Moved", "Verified", "Not Verified")


# Without slots, so that it can stand beside another base.
@dataclass
class PersonSwitches:
    """How a person is written, where the public pages leave it open."""

    # the words of level and verification: as documented, in another case, others that no page has, or none
    person_words: Literal["given", "lower", "upper", "unknown", "null", "empty", "absent"] = "given"
    # the person object: as it is; not there, null or empty in spite of the status; a list or a text instead
    person_object: Literal["object", "absent", "null", "empty", "list", "text"] = "object"
    # what a title holds besides: nothing, or what is not to be kept
    title_holds: Literal["nothing", "email", "name", "run_together", "phone", "profile"] = "nothing"
    person_status: Literal["person", "both"] = "person"  # Person Enriched, or Person & Company Enriched
    everybody_known: bool = False  # instead of seven of eight


@dataclass(frozen=True, slots=True)
class PersonInput:
    """Whom a record asks about."""

    first_name: str
    last_name: str
    email: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What people are counted by."""
        return (self.first_name, self.last_name, self.email)


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """A person as the provider knows him."""

    given: PersonInput
    seed: str
    title: str
    department: str
    level: str
    email_word: str
    employment_word: str


def person_of(given: PersonInput, *, everybody: bool = False) -> KnownPerson | None:
    """The person who is meant; None where he is not known."""
    seed = f"person:{given.first_name.lower()}:{given.last_name.lower()}:{given.email.lower()}"
    random = Random(seeded_bytes(seed))
    department, title = random.choice(list(DEPARTMENTS.items()))
    known = KnownPerson(
        given,
        seed,
        title,
        department,
        random.choice(LEVELS),
        random.choice(EMAIL_WORDS),
        random.choice(EMPLOYMENT_WORDS),
    )
    return known if everybody or random.random() < 7 / 8 else None


def _word(word: str, switches: PersonSwitches) -> str | None:
    match switches.person_words:
        case "lower":
            return word.lower()
        case "upper":
            return word.upper()
        case "unknown":
            return "Partly - Known"
        case "null" | "absent":
            return None
        case "empty":
            return ""
    return word


def person_content(known: KnownPerson, switches: PersonSwitches) -> Any:
    """`data.person` of an answer; None where it is left out or null."""
    match switches.person_object:
        case "absent" | "null":
            return None
        case "empty":
            return {}
        case "list":
            return [known.title]
        case "text":
            return known.title
    given, random = known.given, Random(seeded_bytes(f"more:{known.seed}"))
    phone = f"+1 555 {random.randrange(100, 999)} {random.randrange(1000, 9999)}"
    handle = f"{given.first_name}-{given.last_name}".lower().replace(" ", "-")
    profile = f"https://www.linkedin.com/in/{handle}-{random.randrange(10**6)}"
    beside = {
        "email": f", {given.email}",
        "name": f" ({given.last_name.upper()})",
        "run_together": f" {given.first_name}{given.last_name}",
        "phone": f", call {phone}",
        "profile": f" {profile}",
    }
    return {
        "ug_person_id": seeded_guid(known.seed),
        "first_name": given.first_name,
        "last_name": given.last_name,
        "title": known.title + beside.get(switches.title_holds, ""),
        "department": known.department,
        "level": _word(known.level, switches),
        "email": given.email or f"{handle}@person.example",
        "original_email": given.email,
        "original_email_verification_status": _word(known.email_word, switches),
        "verification_status": _word(known.employment_word, switches),
        "verification_source": "Social & Email",
        "linkedin_profile": profile,
        "phone": phone,
        "person_mobile_phone_1": phone.replace("555", "556"),
        "person_mobile_phone_2": phone.replace("555", "557"),
        "person_mobile_phone_3": None,
        "is_retired": "false",
        "address": {"country": "Norway", "city": "Canaryville", "address": "7 Canary Street"},
        "analytics": {"job_functions": ["Canary function"], "technologies": [], "scores": []},
    }
