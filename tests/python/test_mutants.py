"""The list of wrong variants is sound, and a few of them are tried; `make mutants` tries all."""

from __future__ import annotations

import pytest

import mutants
from mutants import Mutant, Workshop

# One of each kind: a filter, a boundary, a join; of models with little upstream.
SAMPLE = ("drafts_count", "a_period_must_be_cut_at_both_ends", "failures_are_answers")


def test_every_mutant_fits_its_file_and_has_a_test() -> None:
    assert mutants.problems(mutants.load()) == []


def test_every_rule_has_mutants() -> None:
    groups = {mutant.group for mutant in mutants.load()}
    assert {f"D6.{number}" for number in range(1, 11)} <= groups


def test_the_document_is_up_to_date() -> None:
    expected = mutants.document(mutants.load())
    assert mutants.DOCUMENT.read_text(encoding="utf-8") == expected, "run `make mutants-docs`"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("mutants"), sample())


def sample() -> list[Mutant]:
    return [mutant for mutant in mutants.load() if mutant.id in SAMPLE]


@pytest.mark.faults
def test_a_sample_of_mutants_is_caught(workshop: Workshop) -> None:
    workshop.check(sample())
    outcomes = [workshop.try_out(mutant) for mutant in sample()]
    assert [(outcome.mutant.id, outcome.verdict, outcome.why) for outcome in outcomes] == [
        (name, "caught", "") for name in SAMPLE
    ]


@pytest.mark.faults
@pytest.mark.parametrize(
    ("replace", "by", "verdict", "why"),
    [
        ("not {{ copy }}.is_draft", "not  {{ copy }}.is_draft", "survived", "no test failed"),
        ("not {{ copy }}.is_draft", "not {{ copy }}.is_draught", "broken", "is_draught"),
        ("not messages.is_drought", "where true", "not applicable", "stands 0 times"),
        ("{{ copy }}", "copy", "not applicable", "stands 4 times"),
    ],
)
def test_what_proves_nothing_is_told(
    workshop: Workshop, replace: str, by: str, verdict: str, why: str
) -> None:
    """A variant that no test notices, one that does not compile, and two that cannot be made."""
    drafts = sample()[0]
    path = workshop.project / drafts.file
    before = path.read_text(encoding="utf-8")
    outcome = workshop.try_out(Mutant("odd", "D6.1 Odd.", drafts.file, replace, by, drafts.caught_by))
    assert (outcome.verdict, path.read_text(encoding="utf-8")) == (verdict, before)
    assert why in outcome.why


@pytest.mark.faults
def test_every_file_is_restored(workshop: Workshop) -> None:
    for path in (mutants.ROOT / "models").rglob("*.sql"):
        copy = workshop.project / path.relative_to(mutants.ROOT)
        assert path.read_bytes() == copy.read_bytes()
