"""docs/schedules: each file is read as its scheduler reads it, and does with every exit code what its page says."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from engagement import errors
from project_fixtures import ROOT
from test_development import require_workflow, workflow

SCHEDULES = ROOT / "docs" / "schedules"
UNITS = sorted((SCHEDULES / "systemd").iterdir())
FILES = [path for path in sorted(SCHEDULES.rglob("*")) if path.is_file() and path.suffix != ".md"]
PROJECT, SECRETS = "/srv/engagement", "/etc/engagement.env"

RUN, WATCH = "engagement run --if-due", "engagement watch"
# What the page says.
WARNINGS = (errors.DONE_WITH_UNREAD_MAILBOXES, errors.DONE_WITH_FAILED_EXPORTS)
BUSY, ALARM, INTERRUPTED, TERMINATED = errors.BusyError.exit_code, errors.RUNS_NEED_ATTENTION, 130, 143
FAILED = (1, 2, 3, 4, 5, 6, 7, 10, 12, 14)


def test_the_page_has_every_exit_code_in_one_kind() -> None:
    page = (SCHEDULES / "README.md").read_text("utf-8").partition("## Exit codes")[2]
    kinds = re.findall(r"^\| ([\d, ]+|any other) \| ([^|]+?) \|", page, re.MULTILINE)
    assert kinds == [
        ("0", "done"),
        (", ".join(map(str, WARNINGS)), "done, with a warning"),
        (str(BUSY), "skipped"),
        (str(ALARM), "an alarm of the watch"),
        ("any other", "failed"),
    ]
    known = set(map(int, re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "errors.md").read_text("utf-8"), re.M)))
    # `engagement doctor` alone ends with 11, and no schedule runs it; Ctrl-C needs somebody before a terminal.
    assert known == {0, *WARNINGS, BUSY, ALARM, *FAILED, errors.CHECKS_FAILED, INTERRUPTED, TERMINATED}


def test_the_page_names_every_file_and_every_file_runs_both_commands() -> None:
    page = (SCHEDULES / "README.md").read_text("utf-8")
    for path in FILES:
        name = path.relative_to(SCHEDULES).parts[0]
        assert f"]({name})" in page, name
    for group in ("crontab", "systemd", "github-actions.yml", "airflow_dag.py", "dagster_definitions.py"):
        paths = [path for path in FILES if path.relative_to(SCHEDULES).parts[0] == group]
        text = "".join(path.read_text("utf-8") for path in paths)
        if group.startswith("dagster"):
            assert 'engagement("run", "--if-due")' in text and 'engagement("watch")' in text
        else:
            assert text.count(RUN) == 1, group
            assert text.count(f"bin/{WATCH}") == 1, group


def test_no_file_holds_a_secret() -> None:
    given = re.compile(r"(?:SECRET|TOKEN|PASSWORD|KEY|WEBHOOK_URL)\w*\s*[:=]\s*(?!\$\{\{ secrets\.)\S")
    assert given.search("LEADSPACE_TOKEN=abc")
    for path in FILES:
        assert not given.search(path.read_text("utf-8")), path.name


# --- shell


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A project folder whose command ends with the code that stands in `code`, and says so."""
    command = tmp_path / ".venv" / "bin" / "engagement"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\necho "$@: $SECRET"\nexit "$(cat code)"\n', "utf-8")
    command.chmod(0o755)
    (tmp_path / "data").mkdir()
    (tmp_path / "secrets.env").write_text("SECRET='it is known'\n", "utf-8")
    return tmp_path


def in_shell(installed: Path, text: str, code: int, *shell: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of a text of shell, its paths brought to the folder, where the command ends so."""
    (installed / "code").write_text(str(code), "utf-8")
    text = text.replace(PROJECT, str(installed)).replace(SECRETS, str(installed / "secrets.env"))
    done = subprocess.run(
        [*shell, text],
        cwd=installed,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


FIELDS = (
    r"(?:\*|(?:[0-5]?\d))(?:/[1-9]\d?)?",
    r"(?:\*|(?:[01]?\d|2[0-3]))(?:/[1-9]\d?)?",
    r"(?:\*|(?:[12]?\d|3[01]))",
    r"(?:\*|(?:[1-9]|1[0-2]))",
    r"(?:\*|[0-7])",
)
CRON_LINE = re.compile(rf"({' '.join(FIELDS)}) (\S.*)")


def cron_lines() -> dict[str, str]:
    """The commands of the crontab by their times; every line must be one of those, a comment or a variable."""
    text = (SCHEDULES / "crontab").read_text("utf-8")
    # cron leaves out a last line without an end.
    assert text.endswith("\n")
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#") and not re.fullmatch(r"[A-Z]+=\S+", line):
            match = CRON_LINE.fullmatch(line)
            assert match is not None, line
            # To cron it is the end of the line; a line may have 999 characters.
            assert "%" not in line and len(line) < 999
            found[match[1]] = match[2]
    return found


def test_lines_of_a_crontab_are_told_from_what_is_none() -> None:
    for line in ("*/15 * * * * a", "0 3 * * 1 a b"):
        assert CRON_LINE.fullmatch(line), line
    for line in (
        "* * * * a",
        "60 * * * * a",
        "0 24 * * * a",
        "* * 32 * * a",
        "* * * 13 * a",
        "*/0 * * * * a",
    ):
        assert not CRON_LINE.fullmatch(line), line


def test_cron_mails_what_somebody_should_see(installed: Path) -> None:
    lines = cron_lines()
    assert list(lines) == ["*/15 * * * *", "*/5 * * * *"]
    for times, command, silent in (
        ("*/15 * * * *", RUN, (0, BUSY)),
        ("*/5 * * * *", WATCH, (0, ALARM)),
    ):
        said = f"{command.removeprefix('engagement ')}: it is known\n"
        for code in (0, BUSY, ALARM, TERMINATED, *WARNINGS, *FAILED):
            assert in_shell(installed, lines[times], code, "/bin/sh", "-c") == (
                0,
                "" if code in silent else said,
            ), (command, code)


# --- GitHub Actions


def test_github_actions_take_warnings_for_done_and_run_one_at_a_time(installed: Path) -> None:
    path = SCHEDULES / "github-actions.yml"
    found = workflow(path)
    assert found["permissions"] == {}
    assert [CRON_LINE.fullmatch(f"{entry['cron']} x") is not None for entry in found["on"]["schedule"]] == [
        True
    ]
    run, watch = require_workflow(found)
    for name, job in found["jobs"].items():
        assert job["concurrency"] == {"group": f"engagement-{name}", "cancel-in-progress": False}
        assert "self-hosted" in job["runs-on"]
        for variable, value in job["env"].items():
            assert value == f"${{{{ secrets.{variable} }}}}"
    for code in (0, BUSY, TERMINATED, *WARNINGS, *FAILED):
        ended, said = in_shell(
            installed, run["run"], code, "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"
        )
        assert ended == (0 if code in (0, BUSY, *WARNINGS) else code)
        assert ("::warning::" in said) == (code in WARNINGS)
    assert in_shell(installed, watch["run"], ALARM, "bash", "-ec")[0] == ALARM


# --- systemd


def unit(path: Path) -> configparser.ConfigParser:
    read = configparser.ConfigParser(
        strict=True, interpolation=None, delimiters=("=",), comment_prefixes=("#",)
    )
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string(path.read_text("utf-8"))
    return read


def test_every_service_has_its_timer() -> None:
    assert [path.name for path in UNITS] == [
        f"engagement-{name}.{kind}" for name in ("run", "watch") for kind in ("service", "timer")
    ]
    for path, command, codes in (
        (UNITS[0], RUN, {BUSY, *WARNINGS, TERMINATED}),
        (UNITS[2], WATCH, {ALARM, TERMINATED}),
    ):
        service = unit(path)["Service"]
        assert service["ExecStart"] == f"{PROJECT}/.venv/bin/{command}"
        assert set(map(int, service["SuccessExitStatus"].split())) == codes
        assert (service["Type"], service["EnvironmentFile"]) == ("oneshot", SECRETS)
    for path in (UNITS[1], UNITS[3]):
        assert unit(path)["Install"]["WantedBy"] == "timers.target"


def test_systemd_takes_the_units(installed: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    folder = installed / "units"
    folder.mkdir()
    for path in UNITS:
        (folder / path.name).write_text(path.read_text("utf-8").replace(PROJECT, str(installed)), "utf-8")
    assert said_by_systemd(folder) == []
    wrong = folder / UNITS[0].name
    wrong.write_text(wrong.read_text("utf-8").replace("Type=", "Typ="), "utf-8")
    assert len(said_by_systemd(folder)) == 1


def said_by_systemd(folder: Path) -> list[str]:
    """What `systemd-analyze verify` says of the units of a folder, and not of those of the machine."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(map(str, folder.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    return [line for line in done.stderr.splitlines() if str(folder) in line or "engagement-" in line]


# --- Airflow and Dagster


def module(name: str) -> ast.Module:
    text = (SCHEDULES / name).read_text("utf-8")
    compile(text, name, "exec")
    return ast.parse(text)


def constants(tree: ast.Module) -> dict[str, Any]:
    """The constants at the top of a module, by their names."""
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id.isupper()
    }


def keywords(call: ast.Call) -> dict[str, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg}


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == name]


def test_airflow_has_two_dags_of_one_task_each(installed: Path) -> None:
    tree = module("airflow_dag.py")
    blocks = [node for node in tree.body if isinstance(node, ast.With)]
    assert len(blocks) == 2
    for block, name in zip(blocks, ("run", "watch"), strict=True):
        [dag], [task] = calls(block.items[0], "DAG"), calls(block, "BashOperator")
        assert ast.literal_eval(dag.args[0]) == f"engagement_{name}"
        asked = keywords(dag)
        assert (asked["catchup"], asked["max_active_runs"]) == ("False", "1")
        assert CRON_LINE.fullmatch(f"{ast.literal_eval(asked['schedule'])} x")
        told = keywords(task)
        assert (told["task_id"], told["bash_command"]) == (repr(name), name.upper())
        assert (told["cwd"], told["retries"]) == ("PROJECT", "0")
        # Without `env` the command has the worker's own environment, secrets included.
        assert "env" not in told
        assert told.get("skip_on_exit_code") == ("BUSY" if name == "run" else None)
    values = constants(tree)
    assert (values["PROJECT"], values["BUSY"]) == (PROJECT, BUSY)
    for code in (0, BUSY, TERMINATED, *WARNINGS, *FAILED):
        ended, said = in_shell(installed, values["RUN"], code, "bash", "-c")
        assert ended == (0 if code in WARNINGS else code)
        assert ("warning:" in said) == (code in WARNINGS)
    assert in_shell(installed, values["WATCH"], ALARM, "bash", "-c")[0] == ALARM
    # A command that ends in .sh would be taken for a file with a template.
    assert not re.search(r"\.(?:sh|bash)$", values["WATCH"])


def test_dagster_has_two_jobs_with_a_schedule_each() -> None:
    tree = module("dagster_definitions.py")
    values = constants(tree)
    assert (values["PROJECT"], values["DONE"], values["BUSY"]) == (PROJECT, 0, BUSY)
    assert values["WARNINGS"] == WARNINGS
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    decorators = {
        name: [ast.unparse(decorator) for decorator in function.decorator_list]
        for name, function in functions.items()
    }
    assert decorators["run"] == decorators["watch"] == ["dg.op"]
    jobs = {name for name, found in decorators.items() if any(text.startswith("dg.job(") for text in found)}
    assert jobs == {"engagement_run", "engagement_watch"}
    scheduled = [
        keywords(decorator)
        for function in functions.values()
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "dg.schedule"
    ]
    assert {asked["job"] for asked in scheduled} == jobs
    for asked in scheduled:
        assert CRON_LINE.fullmatch(f"{ast.literal_eval(asked['cron_schedule'])} x")
        assert f"none_going_on(context, {asked['job']!r})" in asked["should_execute"]


def test_yaml_of_the_schedules_is_read() -> None:
    assert [path.name for path in FILES if path.suffix == ".yml"] == ["github-actions.yml"]
    assert yaml.safe_load((SCHEDULES / "github-actions.yml").read_text("utf-8"))


# --- in Airflow and Dagster themselves


def scheduler(name: str) -> Path:
    python = ROOT / f".venv-{name}" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{name} is not installed: `make schedulers`")
    return python


def driven(
    name: str, file: str, installed: Path, code: int, **environment: str
) -> tuple[dict[str, Any], str]:
    """What a scheduler makes of a file where the command ends with `code`, and all that it prints."""
    (installed / "code").write_text(str(code), "utf-8")
    folder = installed / "schedules"
    folder.mkdir(exist_ok=True)
    text = (SCHEDULES / file).read_text("utf-8").replace(PROJECT, str(installed))
    (folder / file).write_text(text, "utf-8")
    done = subprocess.run(
        [scheduler(name), ROOT / "tests" / "schedules" / f"drive_{name}.py", folder / file],
        cwd=installed,
        env={"PATH": os.environ["PATH"], "HOME": str(installed), "SECRET": "it is known", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    [found] = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    return json.loads(found.removeprefix("FOUND ")), done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("code", "run", "watch"),
    [
        (0, "success", "success"),
        (WARNINGS[0], "success", "failed"),
        (BUSY, "skipped", "failed"),
        (ALARM, "failed", "failed"),
        (FAILED[0], "failed", "failed"),
    ],
)
def test_airflow_runs_the_dags_as_the_page_says(installed: Path, code: int, run: str, watch: str) -> None:
    found, printed = driven(
        "airflow",
        "airflow_dag.py",
        installed,
        code,
        AIRFLOW_HOME=str(installed / "airflow"),
        AIRFLOW__CORE__DAGS_FOLDER=str(installed / "schedules"),
        AIRFLOW__CORE__LOAD_EXAMPLES="false",
    )
    assert found["errors"] == []
    assert {name: dag["tasks"] for name, dag in found["dags"].items()} == {
        "engagement_run": {"run": run},
        "engagement_watch": {"watch": watch},
    }
    for dag, schedule in (("engagement_run", "*/15 * * * *"), ("engagement_watch", "*/5 * * * *")):
        told = found["dags"][dag]
        assert (told["schedule"], told["catchup"], told["max_active_runs"]) == (schedule, False, 1)
    assert "run --if-due: it is known" in printed, "the command has the environment of the worker"


@pytest.mark.long
@pytest.mark.parametrize(
    ("code", "run", "watch"),
    [
        (0, True, True),
        (WARNINGS[0], True, False),
        (BUSY, True, False),
        (ALARM, False, False),
        (FAILED[0], False, False),
    ],
)
def test_dagster_runs_the_jobs_as_the_page_says(installed: Path, code: int, run: bool, watch: bool) -> None:
    home = installed / "dagster"
    home.mkdir()
    found, printed = driven("dagster", "dagster_definitions.py", installed, code, DAGSTER_HOME=str(home))
    assert {name: job.pop("success") for name, job in found.items()} == {
        "engagement_run": run,
        "engagement_watch": watch,
    }
    for job, cron in (("engagement_run", "*/15 * * * *"), ("engagement_watch", "*/5 * * * *")):
        assert found[job] == {"cron": cron, "asked_alone": True, "asked_beside_another": False}
    assert ("done and published, with a warning" in printed) == (code in WARNINGS)
