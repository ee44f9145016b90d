"""The kill harness itself, in small: a handful of kills, and publishing again and again, with readers beside them.

`make test-long` kills about fifty times, `make kills` a thousand times.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import kills
from command_server import Server
from kill_world import World, counted, publish_first_week, world
from kills import Chain, Tally, Truth
from published_reader import reading

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("company")
    with world(folder, latency=0.005) as one:
        publish_first_week(one, folder.parent)
        yield one


@pytest.fixture(scope="module")
def truth(company: World, server: Server) -> Truth:
    """Of the extractions of the second week; what is published is the first one's."""
    truth = kills.prepare(company, server, is_whole=False)
    company.take_up("published")
    shutil.copytree(company.states / "published", company.states / "built")
    kills.timed(company, server, truth, "publish")
    truth.marts = company.marts(kills.mart_columns())
    return truth


def good(tally: Tally, count: int) -> None:
    assert tally.is_good, tally.problems
    assert tally.kills.total() == count and tally.reads.reads > 0
    assert (tally.lost, tally.doubled, tally.charged_twice, tally.reads.wrong) == (0, 0, 0, 0)


def test_a_handful_of_kills_in_extractions(
    company: World, truth: Truth, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {command: share for command, share in kills.EXTRACTIONS.items() if command[0] != ("run",)}
    monkeypatch.setattr(kills, "EXTRACTIONS", alone)
    good(Chain(company, server, truth, "few").go("extraction", kills=5, builds=0, is_whole=False), 5)


@pytest.mark.long
def test_a_handful_of_kills_in_publishing(company: World, truth: Truth, server: Server) -> None:
    first = Truth(truth.before, truth.before, truth.marts, truth.seconds)
    good(Chain(company, server, first, "few").go("publishing", kills=2, builds=0), 2)


def test_what_is_lost_doubled_or_made_up_is_noticed(company: World, truth: Truth, server: Server) -> None:
    """A harness that sees nothing would be no proof."""
    for statement, problem in (
        (f"delete from raw.office_messages where rowid in ({_SOME})", "1 rows lost"),
        (
            f"insert into raw.office_messages select * from raw.office_messages where rowid in ({_SOME})",
            "1 doubled",
        ),
        (
            f"update raw.office_messages set from_key = 1 where rowid in ({_SOME})",
            "1 rows that no undisturbed run",
        ),
        (
            "update raw.office_units set row_count = row_count + 1 where row_count = 2",
            "not what the ledger says",
        ),
    ):
        company.take_up("published")
        with duckdb.connect(str(company.workspace.private_file)) as connection:
            connection.execute(statement)
        chain = Chain(company, server, truth, "spoilt")
        chain.generation = company.generation()
        chain._look("a look")
        assert any(problem in line for line in chain.tally.problems), (statement, chain.tally.problems)
    company.take_up("published")
    chain.generation = (company.generation()[0], company.generation()[1].replace(year=2100), "")
    chain._look("a look")
    assert "went back" in chain.tally.problems[-1]


# A message whose copy is there after both weeks.
_SOME = "select min(rowid) from raw.office_messages"


@pytest.mark.parametrize("times", [3, pytest.param(100, marks=pytest.mark.long)])
def test_published_again_and_again_no_reader_is_disturbed(
    times: int, company: World, truth: Truth, server: Server
) -> None:
    company.take_up("published")
    rows = counted(company.workspace.published_file)
    generations = [company.generation()]
    with reading(
        company.workspace.published_file, processes=2, longest_hold_seconds=5.0 if times > 3 else 2.0
    ) as reads:
        for _ in range(times):
            company.succeed(server, "publish")
            generations.append(company.generation())
            assert counted(company.workspace.published_file) == rows
    assert reads.wrong == 0, reads
    assert reads.reads > 2 * times and reads.generations > times / 4
    assert len(set(generations)) == times + 1
    assert [one[:2] for one in generations] == sorted(one[:2] for one in generations)


@pytest.mark.long
def test_fifty_kills() -> None:
    tally = kills.run(50, minutes=60.0, seed=50, workers=2)
    assert tally.is_good, tally.problems
    assert tally.kills.total() == 50
    assert tally.publishes >= 2


def test_the_figures_are_json_too() -> None:
    tally = Tally(missed=2)
    tally.kills["dbt"] += 3
    tally.kills["office"] += 1
    figures = json.loads(kills.as_json(tally, 61.04))
    assert figures["kills"] == {"dbt": 3, "office": 1} and figures["kills_count"] == 4
    assert (figures["missed"], figures["seconds"], figures["reads"]["reads"]) == (2, 61.0, 0)


def test_as_many_kills_as_are_asked_for_and_two_fifths_of_them_in_publishing() -> None:
    for count in (1, 7, 50, 1000):
        found = kills.jobs(count)
        assert sum(job.kills for job in found) == count
        assert max(job.kills for job in found) <= kills.KILLS_PER_CHAIN
        publishing = sum(job.kills for job in found if job.kind == "publishing")
        assert publishing == round(count * kills.PUBLISHING_SHARE)
    builds = sum(job.builds for job in kills.jobs(1000))
    # A build takes as long as ten other commands.
    assert 50 <= builds <= 150


def test_a_reader_notices_a_file_that_is_gone(tmp_path: Path) -> None:
    with reading(tmp_path / "nothing.duckdb") as reads:
        time.sleep(1.0)
    assert reads.failed > 0 and reads.reads == 0
