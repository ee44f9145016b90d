"""The list of what handles the faults is sound; `make fault-mutants` takes each out and wants its test to fail."""

from __future__ import annotations

import pytest

import fault_mutants
from fault_mutants import Mutant

MUTANTS = fault_mutants.load()


def test_every_fault_has_an_entry() -> None:
    assert {mutant.fault for mutant in MUTANTS} == set(fault_mutants.FAULTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=[f"{one.fault}: {one.handling}" for one in MUTANTS])
def test_every_entry_fits_its_file_and_has_tests(mutant: Mutant) -> None:
    text = fault_mutants.mutated(mutant)
    if mutant.file.endswith(".py"):
        compile(text, mutant.file, "exec")
    assert mutant.handling.endswith(".") and mutant.caught_by
    for test in mutant.caught_by:
        assert fault_mutants.file_of(test)
        assert f"_{mutant.fault}_" in test


def test_no_entry_stands_twice() -> None:
    whole = [(one.file, one.replace, one.by, *one.caught_by) for one in MUTANTS]
    assert len(set(whole)) == len(whole)


def test_what_does_not_fit_is_an_error() -> None:
    file = "scripts/engagement/http.py"
    for replace, by, why in (
        ("no such text", "", "stands 0 times"),
        ("import", "", "times in"),
        ("LONGEST_BACKOFF = 60.0", "LONGEST_BACKOFF = 60.0", "nothing would be changed"),
    ):
        with pytest.raises(ValueError, match=why):
            fault_mutants.mutated(Mutant(16, "Odd.", file, replace, by, ["test_odd"]))
