"""What the command says of itself: its help, its exit codes, and what a shell completes."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from conftest import Workspace
from engagement import errors
from engagement.cli import SECTIONS, cli, every_command
from engagement.commands.setting_up import COMPLETE_VARIABLE, PROGRAM
from project_fixtures import ROOT

# What only a command that does something needs; each takes longer than the help may.
HEAVY = ("dbt", "duckdb", "httpx", "msgspec", "pydantic", "rich", "yaml")
EXAMPLES = re.compile(r"^Examples?:\n((?:  .+\n?)+)", re.MULTILINE)


def help_of(workspace: Workspace, *command: str) -> str:
    done = workspace.run(*command, "--help")
    assert done.exit_code == 0, done.output
    return done.stdout


def parse(line: str) -> bool:
    """Whether the command can be called as an example calls it: ClickException where it cannot, False where nothing of
    the line is a call of it. Nothing is carried out.
    """
    is_call = False
    # What the shell does with it, and a remark at its end.
    line = re.sub(r" {3,}.*$| [<>].*$", "", re.sub(r"\$\([^)]*\)", "x", line))
    for command in line.split("&&"):
        words = [word for word in shlex.split(command) if not re.match(r"[A-Z_]+=", word)]
        if words[:1] != [PROGRAM]:
            continue
        is_call = True
        group: click.Group = cli
        context = click.Context(cli, info_name=PROGRAM)
        arguments = words[1:]
        while True:
            _, found, arguments = group.resolve_command(context, arguments)
            assert found is not None, line
            if not isinstance(found, click.Group):
                if "--help" not in arguments:
                    found.make_context(found.name, arguments, parent=context)
                break
            group = found
    return is_call


# --- help


def test_the_help_lists_every_command_once_in_a_line_of_its_own(workspace: Workspace) -> None:
    text = help_of(workspace)
    places = [text.index(f"\n{title}:\n") for title in SECTIONS]
    assert places == sorted(places)
    listed = [command for commands in SECTIONS.values() for command in commands]
    assert len(listed) == len(set(listed)) == len(cli.commands)
    for command in listed:
        [line] = re.findall(rf"^  {command.name} +(\S.*)$", text.partition("Set up:")[2], re.MULTILINE)
        assert line.endswith(".") and not line.endswith("..."), line


def test_every_group_lists_whole_lines(workspace: Workspace) -> None:
    for group in (one for one in every_command(cli) if isinstance(one, click.Group)):
        lines = help_of(workspace, str(group.name)).partition("Commands:")[2].splitlines()
        assert not [line for line in lines if line.endswith("...")], group.name


def test_every_example_is_a_call_that_there_is() -> None:
    for command in (cli, *every_command(cli)):
        [examples] = EXAMPLES.findall(inspect.cleandoc(command.help or "").replace("\\\n", " ")) or [""]
        assert sum(parse(line.strip()) for line in examples.splitlines()) > 0, command.name


def test_an_example_that_is_none_is_noticed() -> None:
    for wrong in ("engagement run --iff-due", "engagement rum", "engagement segment shew stale"):
        with pytest.raises(click.ClickException):
            parse(wrong)


def test_the_help_loads_nothing_that_only_work_needs(tmp_path: Path) -> None:
    code = (
        "import sys; from engagement.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: print(' '.join(sys.modules), file=sys.stderr)"
    )
    for arguments in (["--help"], ["run", "--help"], ["completion", "bash"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={"PYTHONPATH": str(ROOT / "scripts"), "PATH": os.environ["PATH"]},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert set(HEAVY).isdisjoint(done.stderr.split()), arguments


# --- exit codes


def test_help_and_documentation_have_the_exit_codes_of_the_code(workspace: Workspace) -> None:
    kinds = errors.EngagementError.__subclasses__()
    in_code = {errors.EngagementError.exit_code, *(kind.exit_code for kind in kinds)}
    in_code |= {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    # Signals.
    in_code |= {130, 143}
    table = (ROOT / "docs" / "errors.md").read_text("utf-8").partition("## Ending")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == in_code
    told = help_of(workspace).partition("Exit codes")[2]
    assert {int(code) for code in re.findall(r"(?:^| ) +(\d+) [a-z]", told, re.MULTILINE)} == in_code
    assert "docs/errors.md" in told


def test_the_help_of_every_command_leads_to_the_exit_codes() -> None:
    for command in every_command(cli):
        with click.Context(command, info_name=command.name) as context:
            assert "docs/errors.md" in command.get_help(context).splitlines()[-1], command.name


# --- completion


@pytest.fixture
def named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Two enrichments, of which one is switched off, and two exports; a third enrichment has only a consent."""

    def change(raw: dict[str, list[dict[str, object]]]) -> None:
        off = {**raw["enrichments"][0], "name": "Other mail", "output_table": "Other", "active": False}
        raw["enrichments"].append(off)
        raw["exports"] = [
            {"name": name, "segment": "stale", "to": "exports"} for name in ("crm_stale", "bi_stale")
        ]

    workspace.configure(change)
    (workspace.root / "data").mkdir()
    records = [{"enrichment_id": name} for name in ("account-engagement", "gone")]
    (workspace.root / "data" / "consents.json").write_text(json.dumps({"records": records}), "utf-8")
    for name, value in workspace.environment.items():
        monkeypatch.setenv(name, value)
    return workspace


def completed(*arguments: str) -> list[str]:
    """What is offered for the last word."""
    *before, incomplete = arguments
    completion = ShellComplete(cli, {}, PROGRAM, COMPLETE_VARIABLE)
    return [item.value for item in completion.get_completions(before, incomplete)]


def test_names_of_enrichments_are_completed_by_their_ids(named: Workspace) -> None:
    assert completed("consent", "") == ["account-engagement", "other-mail"]
    assert completed("consent", "o") == ["other-mail"]


def test_for_removal_what_is_active_is_not_offered(named: Workspace) -> None:
    assert completed("remove", "") == ["gone", "other-mail"]


def test_names_of_exports_are_completed(named: Workspace) -> None:
    assert completed("export", "") == ["crm_stale", "bi_stale"]
    assert completed("export", "crm_stale", "b") == ["bi_stale"]


def test_names_of_segments_are_completed_wherever_one_is_taken(named: Workspace) -> None:
    every = sorted(path.stem.removeprefix("segment_") for path in (ROOT / "models/segments").glob("*.sql"))
    assert len(every) > 5
    for call in (
        ["segment", "show"],
        ["segment", "freeze"],
        ["segment", "differentiators"],
        ["segment", "overlap", "stale"],
        ["segment", "differentiators", "stale", "--against"],
        ["segment", "new", "x", "--in-all-of"],
        ["segment", "new", "x", "--in-any-of"],
        ["segment", "new", "x", "--except"],
    ):
        assert completed(*call, "") == every, call
    assert completed("segment", "new", "x", "--in-all-of", "rising,stale,st") == ["rising,stale,stale_strict"]


@pytest.mark.parametrize("content", ["enrichments: [", "[]", "enrichments: {a: b}", "\x00", None])
def test_what_cannot_be_read_completes_nothing_and_says_nothing(
    named: Workspace, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = named.root / "enrichments.yml"
    path.unlink()
    if content is not None:
        path.write_text(content, "utf-8")
    assert completed("consent", "") == completed("export", "") == []
    (named.root / "data" / "consents.json").write_text("{", "utf-8")
    assert completed("remove", "") == []
    assert capsys.readouterr() == ("", "")


def test_bash_completes_by_the_script_that_is_printed(named: Workspace, tmp_path: Path) -> None:
    program = tmp_path / "bin" / PROGRAM
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m engagement "$@"\n', "utf-8")
    program.chmod(0o755)
    script = (
        f"source <({PROGRAM} completion bash)\n"
        f"COMP_WORDS=({PROGRAM} consent acc) COMP_CWORD=2\n"
        f"_{PROGRAM}_completion {PROGRAM}\n"
        "echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "scripts"),
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("account-engagement\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_every_shell(workspace: Workspace, shell: str) -> None:
    done = workspace.run("completion", shell)
    assert done.exit_code == 0 and f"{COMPLETE_VARIABLE}={shell}_complete" in done.stdout
