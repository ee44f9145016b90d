"""Who stands above whom, by the compiled SQL of int_account_ancestors_resolved, beside a plain walk upwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from random import Random

import duckdb
import pytest

from project_fixtures import CompiledProject

DEEPEST = 32
Ancestors = set[tuple[str, str, int]]
Resolve = Callable[[Mapping[str, str | None]], Ancestors]


def walked(parents: Mapping[str, str | None]) -> Ancestors:
    """Every account with all above it, the parents of accounts on a cycle left out."""

    def above(account: str) -> Iterator[str]:
        parent = parents.get(account)
        while parent in parents:
            yield parent
            parent = parents[parent]

    def is_on_cycle(account: str) -> bool:
        for steps, ancestor in enumerate(above(account), start=1):
            if ancestor == account or steps > len(parents):
                return ancestor == account
        return False

    cut = {account: None if is_on_cycle(account) else parent for account, parent in parents.items()}
    found: Ancestors = set()
    for account in cut:
        parent = cut[account]
        for level in range(1, DEEPEST + 1):
            if parent is None or parent not in cut:
                break
            found.add((account, parent, level))
            parent = cut[parent]
    return found


@pytest.fixture(scope="module")
def resolve(compiled_project: CompiledProject, tmp_path_factory: pytest.TempPathFactory) -> Resolve:
    """Gives what the model makes of accounts and their parents; the model's tables are a copy's."""
    copy = tmp_path_factory.mktemp("hierarchies") / "private.duckdb"
    shutil.copyfile(compiled_project.private_file, copy)
    [model] = [
        node for node in compiled_project.nodes("model") if node["name"] == "int_account_ancestors_resolved"
    ]

    def resolved(parents: Mapping[str, str | None]) -> Ancestors:
        with duckdb.connect(str(copy)) as connection:
            connection.execute("delete from raw.accounts")
            connection.executemany(
                "insert into raw.accounts (account_id, parent_account_id) values (?, ?)",
                list(parents.items()),
            )
            rows = connection.execute(model["compiled_code"]).fetchall()
        assert len(rows) == len(set(rows))
        return set(rows)

    return resolved


def test_a_line_is_seen_up_to_32_levels(resolve: Resolve) -> None:
    line = {f"a{n}": f"a{n - 1}" if n else None for n in range(40)}
    found = resolve(line)
    assert found == walked(line)
    assert ("a32", "a0", 32) in found
    assert not any(account == "a33" and ancestor == "a0" for account, ancestor, _ in found)


@pytest.mark.parametrize("length", [1, 2, 3, 16, 17, 31, 32])
def test_a_cycle_is_cut_whatever_its_length(resolve: Resolve, length: int) -> None:
    cycle: dict[str, str | None] = {f"c{n}": f"c{(n + 1) % length}" for n in range(length)}
    found = resolve(cycle | {"below": "c0", "further": "below"})
    assert found == {("below", "c0", 1), ("further", "below", 1), ("further", "c0", 2)}


def test_a_cycle_of_more_than_32_ends_too(resolve: Resolve) -> None:
    assert len(resolve({f"c{n}": f"c{(n + 1) % 40}" for n in range(40)})) == 40 * DEEPEST


def test_any_tangle_of_parents_is_the_plain_walk(resolve: Resolve) -> None:
    """Three hundred small files in one, each with accounts of its own; seeded, so that a failure comes again."""
    rng = Random("tangles")
    parents: dict[str, str | None] = {}
    for tangle in range(300):
        accounts = [f"{tangle}-{number}" for number in range(rng.randint(1, 12))]
        for account in accounts:
            parents[account] = rng.choice([*accounts, None, "nobody"])
    found = resolve(parents)
    assert found == walked(parents)
    assert max(level for _, _, level in found) > 4
