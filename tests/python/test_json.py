"""What every command prints with --json, beside docs/json.md."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import click
import pytest
import yaml

from conftest import Workspace
from documented_json import CALLS, ROWS, check_documented
from engagement.cli import cli, every_command
from project_fixtures import ROOT
from whole_run import company_service, configure, mail_service, refreshed_once

# By the call of docs/json.md: how it is called here. What takes something out comes last.
TRIED: dict[str, list[str]] = {
    "init": ["init", "{root}/begun"],
    "check": ["check", "--connect"],
    "consent": ["consent"],
    "consent NAME --request": ["consent", "account-engagement", "--request"],
    "consent NAME --withdraw": ["consent", "company-data", "--withdraw"],
    "consent NAME --yes --by NAME": ["consent", "company-data", "--yes", "--by", "Jane Doe"],
    "doctor": ["doctor"],
    "run --if-due": ["run", "--if-due"],
    "extract customers": ["extract", "customers"],
    "extract office": ["extract", "office"],
    "extract leadspace": ["extract", "leadspace"],
    "extract leadspace --estimate": ["extract", "leadspace", "--estimate"],
    "publish": ["publish"],
    "export": ["export"],
    "export --list": ["export", "--list"],
    "watch": ["watch"],
    "watch --test": ["watch", "--test"],
    "cancel": ["cancel"],
    "status": ["status"],
    "segment list": ["segment", "list"],
    "segment show SEGMENT": ["segment", "show", "never_engaged"],
    "segment new ID": [
        *("segment", "new", "german", "--name", "German", "--owner", "Sales", "--dry-run"),
        *("--where", "country = Germany"),
    ],
    "segment freeze SEGMENT": [
        *("segment", "freeze", "never_engaged", "--as", "kept", "--name", "Kept", "--owner", "Sales"),
    ],
    "segment overlap SEGMENT SEGMENT": ["segment", "overlap", "stale", "never_engaged"],
    "segment differentiators SEGMENT": ["segment", "differentiators", "stale"],
    "segment quick": ["segment", "quick"],
    "segment suggest": ["segment", "suggest"],
    "digest": ["digest", "--since", "2026-06-01"],
    "diff": ["diff"],
    "backtest": ["backtest"],
    "verify FILE": ["verify", "{root}/data/engagement.duckdb"],
    "access ADDRESS": ["access", "kim@contoso.example"],
    "upgrade": ["upgrade"],
    "backup FOLDER": ["backup", "{root}/backup"],
    "restore FOLDER": ["restore", "{root}/backup", "--yes"],
    "raw-to-parquet": ["raw-to-parquet"],
    "rotate-key": ["rotate-key", "--yes"],
}
# These build, each for many seconds.
TRIED_LONG: dict[str, list[str]] = {
    "run": ["run"],
    "erase ADDRESS": ["erase", "kim@contoso.example", "--yes"],
    "remove NAME": ["remove", "company-data", "--yes"],
}
# test_score_commands.py has the past dates that it asks for; pages are served until somebody ends them.
TRIED_ELSEWHERE = {"fit-weights", "pages"}
PRINTS_NO_RESULT = {"completion"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Everything read, built and published, with the services behind it, an export and somebody to notify."""
    made = refreshed_once(tmp_path_factory.getbasetemp()).workspace
    with ExitStack() as stack:
        mail, companies = stack.enter_context(mail_service()), stack.enter_context(company_service())
        workspace = Workspace(tmp_path_factory.mktemp("json"))
        configure(workspace, mail.url, companies.url)
        path = workspace.root / "enrichments.yml"
        raw = yaml.safe_load(path.read_text("utf-8"))
        raw["exports"] = [{"name": "never", "segment": "never_engaged", "to": "exports"}]
        raw["notify"] = {"command": ["cat"]}
        path.write_text(yaml.safe_dump(raw, sort_keys=False), "utf-8")
        for folder in ("data", "target"):
            shutil.copytree(made.root / folder, workspace.root / folder)
        yield workspace


def try_it(world: Workspace, call: str, arguments: list[str]) -> None:
    if call == "segment freeze SEGMENT":
        # It writes into the project.
        assert world.run("init", str(world.root / "own"), "--copy-models").exit_code == 0
        world.environment["ENGAGEMENT_PROJECT_DIR"] = str(world.root / "own")
    try:
        done = world.run(*(part.format(root=world.root) for part in arguments), "--json")
    finally:
        world.environment["ENGAGEMENT_PROJECT_DIR"] = str(ROOT)
    facts = json.loads(done.stdout)
    assert facts["exit_code"] == done.exit_code
    # A mailbox is denied (9), the app may read everything (11), and nobody has run anything for long (13).
    assert done.exit_code in (0, 9, 11, 13), done.output
    check_documented(call, facts)


@pytest.mark.parametrize("call", TRIED)
def test_the_object_is_as_it_is_documented(world: Workspace, call: str) -> None:
    try_it(world, call, TRIED[call])


@pytest.mark.long
def test_the_objects_of_what_builds_are_as_they_are_documented(world: Workspace) -> None:
    for call, arguments in TRIED_LONG.items():
        if call == "remove NAME":
            path = world.root / "enrichments.yml"
            raw = yaml.safe_load(path.read_text("utf-8"))
            raw["enrichments"] = [one for one in raw["enrichments"] if one["type"] != "leadspace"]
            path.write_text(yaml.safe_dump(raw, sort_keys=False), "utf-8")
        try_it(world, call, arguments)


def test_a_failure_is_an_object_too(workspace: Workspace) -> None:
    done = workspace.run("segment", "list", "--json")
    assert json.loads(done.stdout) == {
        "exit_code": 2,
        "errors": [done.stderr.strip().removeprefix("error: ")],
    }


def test_every_command_prints_json_and_is_documented() -> None:
    commands = [one for one in every_command(cli) if not isinstance(one, click.Group)]
    with_json = {one.name for one in commands if any("--json" in parameter.opts for parameter in one.params)}
    assert {one.name for one in commands} - with_json == PRINTS_NO_RESULT
    paths = {
        name
        for group in (cli, *(one for one in every_command(cli) if isinstance(one, click.Group)))
        for name in (
            f"{'' if group is cli else f'{group.name} '}{one.name}"
            for one in group.commands.values()
            if not isinstance(one, click.Group)
        )
    }
    documented = {path for path in paths if any(f"{call} ".startswith(f"{path} ") for call in CALLS)}
    assert documented == paths - PRINTS_NO_RESULT


def test_every_documented_call_is_tried() -> None:
    assert set(CALLS) == {*TRIED, *TRIED_LONG, *TRIED_ELSEWHERE}
    assert len(ROWS) > len(CALLS)
