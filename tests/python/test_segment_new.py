"""`engagement segment new`: what it writes, what it refuses, and that what it writes is right."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from conftest import ROOT, Workspace
from engagement import durable
from engagement.errors import ConfigurationError
from engagement.locations import segment_file
from engagement.segments import files, rendered
from engagement.segments import new as making
from engagement.segments.attributes import Attribute, known_attributes
from engagement.segments.rule import OPERATORS, read_condition
from project_fixtures import CompiledProject, run_dbt

# The customer's own columns, of every type that a file can have.
OWN = {
    "tier": "string",
    "worth": "bigint",
    "growth": "double",
    "price": "decimal(9,2)",
    "is_key": "boolean",
    "signed_on": "date",
    "renewed_at": "timestamp",
    "O'Neil / ~ x": "double",
}
Options = Mapping[str, Any]
# Every operator for every type, groups, the hierarchy and other segments.
RULES: dict[str, tuple[list[str], Options]] = {
    "text_equal": (["industry = Chemicals"], {}),
    "text_unequal": (['industry != O\'Brien & Söhne, "x"'], {}),
    "text_contains": (["company_name contains ab", "and company_name contains xy"], {}),
    "text_null": (["industry is null", "or sub_industry is not null"], {}),
    "numbers": (
        [
            "employees_count >= 10",
            "and employees_count < 50",
            "or employees_count = 7",
            "or employees_count > 1000.5",
        ],
        {},
    ),
    "decimals": (
        [
            "engagement_score <= 29.5",
            "and engagement_score != 12",
            "or annual_revenue_usd > 1e6",
            "and top_contact_share_ratio > 0.8",
            "or usual_gap_days is null",
        ],
        {},
    ),
    "days": (
        ["days_since_last_email > 60", "and days_since_enriched <= 0", "or own_score_change_points < -5"],
        {},
    ),
    "large_numbers": (
        [
            "annual_revenue_usd >= 1234567.891",
            "and annual_revenue_usd < 999999999999",
            "or value_amount >= 3e14",
        ],
        {},
    ),
    "own_text": (["tier = A", "or tier contains 'b c'", "or tier is null"], {}),
    "own_numbers": (
        ["worth >= 20000", "and growth < 0.25", "or price != 9.99", 'and "O\'Neil / ~ x" = 1'],
        {},
    ),
    "own_truth": (["is_key is true", "or is_key != true", "and signed_on = 2026-02-28"], {}),
    "own_days": (
        [
            "is_key is false",
            "or is_key is not null",
            "and renewed_at > 2026-02-28",
            "or signed_on <= 2025-01-01",
        ],
        {},
    ),
    "own_days_beside": (
        ["signed_on != 2026-02-28", "and renewed_at < 2026-12-31", "and signed_on >= 2020-01-01"],
        {},
    ),
    "hierarchy": (
        ["employees_count > 3", "or industry = Mining"],
        {"child_of": "A-10'01", "parent_of": "A-1003"},
    ),
    "above": ([], {"parent_of": "A-1003"}),
    "everything": (
        ["employees_count > 3", "and industry = Mining"],
        {
            "in_all_of": ["high_value"],
            "in_any_of": ["stale", "rising"],
            "in_none_of": ["one_way", "never_engaged"],
            "child_of": "A-1001",
        },
    ),
    "all_of": ([], {"in_all_of": ["high_value", "rising"]}),
    "any_of": ([], {"in_any_of": ["high_value", "rising", "stale"]}),
    "except": ([], {"in_all_of": ["high_value"], "in_none_of": ["rising", "stale"]}),
    "none_of": ([], {"in_none_of": ["rising"]}),
    "one_of": ([], {"in_any_of": ["rising"]}),
    "long_values": (["company_name = " + "x y " * 24, "and company_name != " + "a b " * 24], {}),
    "contradiction": (["employees_count > 5", "and employees_count < 3"], {}),
}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What of the project a new segment depends on; nobody changes it."""
    folder = tmp_path_factory.mktemp("project")
    for name in (
        "models/segments",
        "models/intermediate/segments",
        "models/marts/segments",
        "macros",
        "seeds",
    ):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copyfile(ROOT / "dbt_project.yml", folder / "dbt_project.yml")
    return folder


@pytest.fixture
def project(copied: Path, workspace: Workspace) -> Path:
    """A copy of the project that the workspace works on."""
    folder = workspace.root / "project"
    shutil.copytree(copied, folder)
    workspace.environment["ENGAGEMENT_PROJECT_DIR"] = str(folder)
    return folder


def contents(project: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(project)): path.read_bytes() for path in project.rglob("*") if path.is_file()
    }


def conditions_of(listed: list[str]) -> list[tuple[str, str]]:
    """['a = 1', 'and b = 2'] as the command hands them on."""
    split = (re.fullmatch(r"(?:(and|or) )?(.*)", text) for text in listed)
    return [(found[1] or "where", found[2]) for found in split if found]


def write_all(project_dir: Path, workspace: Workspace) -> None:
    """Every rule of RULES as a segment of its own."""
    workspace.configure(lambda raw: raw["customers"]["accounts"].update(attributes=list(OWN)))
    settings = workspace.settings()
    assert settings.project_dir == project_dir
    known = known_attributes(settings) | {
        name: Attribute(name, data_type, is_own=True) for name, data_type in OWN.items()
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(making, "known_attributes", lambda _: known)
        for name, (conditions, options) in RULES.items():
            making.new(
                settings,
                f"try_{name}",
                name=f"Try: {name} # \"x\" 'y'",
                owner="Sales & Service",
                conditions=conditions_of(conditions),
                tags=["yes", "a b"],
                **options,
            )


class Judge:
    """The rows of a segment's unit test in a database of their own: what any SQL says of them."""

    def __init__(self, project_dir: Path, segment: str) -> None:
        self.project_dir, self.path = project_dir, project_dir / segment_file(segment)
        about = yaml.load(self.path.with_suffix(".yml").read_text("utf-8"), Loader=yaml.CSafeLoader)
        [test] = about["unit_tests"]
        self.expected = sorted((row["account_id"], row["is_member"]) for row in test["expect"]["rows"])
        self.relations = {}
        self.connection = duckdb.connect()
        types = {
            "attributes_json": "varchar",
            "is_member": "boolean",
            "reason": "varchar",
            "judged_on": "date",
        }
        types |= {"ancestor_account_id": "varchar", "levels_count": "bigint"}
        types |= {name: one.data_type for name, one in model_attributes(project_dir).items()}
        for given in test["given"]:
            name = given["input"].removeprefix("ref('").removesuffix("')")
            self.relations[name] = f"given_{name}"
            columns = dict.fromkeys(column for row in given["rows"] for column in row)
            said = ", ".join(f"{column} {types[column]}" for column in columns)
            self.connection.execute(f"create table given_{name} ({said})")
            rows = [[row.get(column) for column in columns] for row in given["rows"]]
            self.connection.executemany(
                f"insert into given_{name} values ({', '.join('?' * len(columns))})", rows
            )

    def says(self, sql: str) -> list[Any]:
        """Each account and whether it is a member; every one has a reason."""
        text = rendered.rendered(
            sql,
            project_dir=self.project_dir,
            relations=self.relations,
            variables={},
            model=self.path.as_posix(),
        )
        found = self.connection.execute(f"select account_id, is_member, reason from ({text})").fetchall()
        assert all(reason for _, _, reason in found)
        return sorted((account, member) for account, member, _ in found)


@functools.cache
def model_attributes(project_dir: Path) -> dict[str, Attribute]:
    settings = types.SimpleNamespace(project_dir=project_dir)
    return known_attributes(settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def all_rules(copied: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with a segment of every rule."""
    workspace = Workspace(tmp_path_factory.mktemp("rules"))
    folder = workspace.root / "project"
    shutil.copytree(copied, folder)
    workspace.environment["ENGAGEMENT_PROJECT_DIR"] = str(folder)
    write_all(folder, workspace)
    return folder


# Comparisons, conjunctions and joins, and what each is made into.
CHANGES = (
    (" >= ", " > "),
    # No whole number lies on 1000.5.
    (r" > (?!0, false|1000\.5)", " >= "),
    (" <= ", " < "),
    (" < ", " <= "),
    (r" = (?='|\d|cast)", " != "),
    (" != ", " = "),
    (r"\band (?=coalesce|segment)", "or "),
    (r"\bor (?=\(|coalesce|segment)", "and "),
    (r"\band not ", "and "),
    (r"    not segment_", "    segment_"),
    (r"    segment_(?=\w+\.is_member)", "    not segment_"),
    ("is not null", "is null"),
    ("> 0, false", "> 1, false"),
    ("segment_union", "segment_intersect"),
    ("segment_intersect", "segment_union"),
    ("segment_except", "segment_intersect"),
)
UNKNOWN = (r", false\)", ", true)")


def changed(sql: str, *, unknown: bool) -> Iterator[str]:
    """The SQL with each comparison, conjunction and join made another in turn; with `unknown` also what null means."""
    begin = max(sql.rfind("\nselect\n"), 0)
    end = sql.find("is_member,", begin) + len("is_member") if begin else len(sql)
    for pattern, by in (*CHANGES, *((UNKNOWN,) if unknown else ())):
        for found in re.finditer(pattern, sql[begin:end]):
            yield sql[: begin + found.start()] + by + sql[begin + found.end() :]
    for found in re.finditer(r"where (?:ancestor_)?account_id = ", sql):
        yield sql[: found.start()] + "where true or " + sql[found.start() + len("where ") :]


@pytest.mark.parametrize("name", RULES)
def test_what_is_written_follows_its_rule_and_its_unit_test_catches_every_other(
    name: str, all_rules: Path
) -> None:
    sql = (all_rules / segment_file(f"try_{name}")).read_text("utf-8")
    judge = Judge(all_rules, f"try_{name}")
    assert judge.says(sql) == judge.expected
    if name == "contradiction":
        assert not any(member for _, member in judge.expected)
        return
    assert {member for _, member in judge.expected} == {True, False}
    # Of an attribute that several conditions ask for, null is decided by all of them together.
    attributes = [text.split()[0].strip('"') for _, text in conditions_of(RULES[name][0])]
    others = list(changed(sql, unknown=len(set(attributes)) == len(attributes)))
    assert others
    for text in others:
        try:
            said = judge.says(text)
        except duckdb.Error:
            # No SQL at all.
            continue
        assert said != judge.expected, text


def test_every_operator_of_every_type_is_among_the_rules(all_rules: Path, workspace: Workspace) -> None:
    known = known_attributes(workspace.settings()) | {
        name: Attribute(name, data_type, is_own=True) for name, data_type in OWN.items()
    }
    used = set()
    for listed, _ in RULES.values():
        for _, text in conditions_of(listed):
            condition = read_condition(text, known=known, settings=workspace.settings())
            for operator in OPERATORS[condition.attribute.kind]:
                if f" {operator}" in text:
                    used.add((condition.attribute.kind, operator))
    wanted = {(kind, operator) for kind, operators in OPERATORS.items() for operator in operators}
    # A truth that is null is asked for as any other value is.
    assert wanted - used <= {("true or false", "is null"), ("true or false", "="), ("number", "is not null"),
                             ("date", "is null"), ("date", "is not null")}  # fmt: skip


@pytest.mark.long
def test_dbt_builds_and_tests_what_is_written_and_sqlfluff_finds_nothing(
    workspace: Workspace, compiled_project: CompiledProject
) -> None:
    folder = workspace.root / "project"
    folder.mkdir()
    for name in ("models", "macros", "seeds", "tests/generic"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("dbt_project.yml", "profiles.yml", "pyproject.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    workspace.environment["ENGAGEMENT_PROJECT_DIR"] = str(folder)
    write_all(folder, workspace)
    private_file = workspace.root / "private.duckdb"
    shutil.copyfile(compiled_project.private_file, private_file)
    segments = [f"segment_try_{name}" for name in RULES]
    run_dbt(
        "build", "-s", *segments, project=folder, target=workspace.root / "target", private_file=private_file
    )
    results = json.loads((workspace.root / "target" / "run_results.json").read_text("utf-8"))["results"]
    assert sum(result["unique_id"].startswith("unit_test.") for result in results) == len(RULES)
    lint = subprocess.run(
        [
            "sqlfluff",
            "lint",
            "--disable-progress-bar",
            *(str(segment_file(f"try_{name}")) for name in RULES),
        ],
        cwd=folder,
        env={**os.environ, "ENGAGEMENT_PRIVATE_FILE": str(private_file)},
        capture_output=True,
        text=True,
    )
    assert lint.returncode == 0, lint.stdout


def test_the_three_files(workspace: Workspace, project: Path) -> None:
    before = contents(project)
    result = workspace.run(
        *("segment", "new", "cold", "--name", "Cold: chemicals", "--owner", "Sales", "--tags", "a, b"),
        *("--where", "industry = Chemicals", "--and", "engagement_score < 30"),
        *("--or", "days_since_last_email > 60", "--audience", "contacts"),
    )
    assert result.exit_code == 0, result.stderr
    after = contents(project)
    sql, about = "models/segments/segment_cold.sql", "models/segments/segment_cold.yml"
    assert set(after) - set(before) == {sql, about}
    assert {name for name in before if before[name] != after[name]} == {"dbt_project.yml"}
    assert after["dbt_project.yml"] == before["dbt_project.yml"].replace(
        b"    - one_way\n", b"    - one_way\n    - cold\n"
    )
    assert (project / sql).stat().st_mode & 0o777 == 0o644
    text = after[sql].decode()
    assert (
        "coalesce(industry = 'Chemicals', false)\n        and coalesce(engagement_score < 30, false)" in text
    )
    assert "|| ', last email ' || {{ ago('days_since_last_email') }} as reason" in text
    [model] = yaml.safe_load(after[about])["models"]
    assert model["config"]["meta"]["segment"] == {
        "name": "Cold: chemicals",
        "owner": "Sales",
        "audience": "contacts",
        "membership": "dynamic",
        "active": True,
        "tags": ["a", "b"],
    }
    shipped = yaml.safe_load((ROOT / "models/segments/segment_stale.yml").read_text("utf-8"))["models"][0]
    assert [{**column} for column in model["columns"]] == shipped["columns"]
    assert model["data_tests"] == shipped["data_tests"]
    assert shipped["description"].startswith(files.GRAIN) and model["description"].startswith(files.GRAIN)
    assert "dbt build -s segment_cold" in result.stdout


def test_a_dry_run_writes_nothing_and_shows_the_sql(workspace: Workspace, project: Path) -> None:
    before = contents(project)
    result = workspace.run(
        *("segment", "new", "cold", "--name", "Cold", "--owner", "Sales", "--dry-run", "--json"),
        *("--where", "industry = Chemicals"),
    )
    assert result.exit_code == 0, result.stderr
    assert contents(project) == before
    facts = json.loads(result.stdout)
    assert facts["written"] == [] and "industry = 'Chemicals'" in facts["sql"] and facts["preview"] is None


WHERE = ("--where", "industry = Chemicals")
REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "unknown attribute": (("--where", "industri = x"), "is no attribute of an account; did you mean industry?"),
    "an own column not landed": (("--where", "tier = A"), "tier: its type is not known yet; land the customer files"),
    "operator of another type": (("--where", "industry > x"), "industry is text, which > does not fit; allowed: =, !="),
    "value of another type": (("--where", "employees_count = many"), "'many' is no number"),
    "a number too fine": (("--where", "engagement_score < 0.00001"), "finer than engagement_score is; 4 decimal"),
    "a number too large": (("--where", "engagement_score < 100000"), "is more than engagement_score can be"),
    "not finite": (("--where", "employees_count = nan"), "'nan' is no number"),
    "no operator": (("--where", "industry"), "is no condition; allowed: ATTRIBUTE OPERATOR VALUE"),
    "no value": (("--where", "industry ="), "the value is missing"),
    "a value too many": (("--where", "industry is null 3"), "is null takes no value; remove '3'"),
    "an address": (("--where", "website = kim@contoso.example"), "the text looks like an e-mail address"),
    "a macro in a value": (("--where", "industry = {{ x }}"), "would be read as a macro"),
    "a control character": (("--where", "industry = a\x07b"), "a text of one line"),
    "no rule": ((), "there is no rule; give --where"),
    "and first": (("--and", "industry = x"), "--where begins the rule"),
    "two beginnings": ((*WHERE, *WHERE), "--where begins the rule"),
    "unknown segment": (("--in-all-of", "stael"), "there is no segment 'stael'; did you mean stale?"),
    "a segment twice": (("--in-all-of", "stale", "--except", "stale"), "stale is named twice"),
    "itself": (("--in-all-of", "cold"), "there is no segment 'cold'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_rule_that_is_not_right_is_one_line_and_nothing_is_written(
    case: str, workspace: Workspace, project: Path
) -> None:
    options, line = REFUSED[case]
    before = contents(project)
    result = workspace.run("segment", "new", "cold", "--name", "Cold", "--owner", "Sales", *options)
    assert (result.exit_code, result.stdout) == (2, ""), result.stdout
    assert line in result.stderr and len(result.stderr.splitlines()) == 1
    assert "@" not in result.stderr
    assert contents(project) == before


@pytest.mark.parametrize(
    ("segment", "name", "owner", "line"),
    [
        ("stale", "Cold", "Sales", "segment stale is there already (models/segments/segment_stale.sql)"),
        ("members", "Cold", "Sales", "there already (models/marts/segments/segment_members.sql)"),
        ("Bad-Id", "Cold", "Sales", "'Bad-Id' is no id of a segment; allowed: up to 50 of a-z, 0-9 and _"),
        ("1st", "Cold", "Sales", "no id of a segment"),
        ("../x", "Cold", "Sales", "no id of a segment"),
        ("cold", "stale accounts", "Sales", "--name: 'stale accounts' is the name of segment stale too"),
        ("cold", " ", "Sales", "--name: a text of one line"),
        ("cold", "Cold", "kim@contoso.example", "--owner: looks like an e-mail address"),
        ("cold", "Cold {{ x }}", "Sales", "--name: a text with {{"),
    ],
)
def test_an_id_or_name_that_cannot_be(
    segment: str, name: str, owner: str, line: str, workspace: Workspace, project: Path
) -> None:
    before = contents(project)
    result = workspace.run("segment", "new", segment, "--name", name, "--owner", owner, *WHERE)
    assert result.exit_code == 2 and line in result.stderr
    assert contents(project) == before


@pytest.mark.parametrize("failing", range(3))
def test_a_file_that_cannot_be_written_leaves_all_as_they_were(
    failing: int, workspace: Workspace, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, replace, calls = contents(project), os.replace, []

    def refuse_one(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == failing + 1:
            raise OSError(30, "Read-only file system", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse_one)
    result = workspace.run("segment", "new", "cold", "--name", "Cold", "--owner", "Sales", *WHERE)
    assert result.exit_code == 2
    assert "cannot be written (Read-only file system); correct the rights of its folder" in result.stderr
    assert contents(project) == before


def test_a_folder_that_refuses(workspace: Workspace, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(durable, "written_beside", refuse)
    before = contents(project)
    result = workspace.run("segment", "new", "cold", "--name", "Cold", "--owner", "Sales", *WHERE)
    assert (
        result.exit_code == 2 and "segment_cold.sql: cannot be written (Permission denied)" in result.stderr
    )
    assert contents(project) == before


LIST = (
    "name: x\nvars:\n  a: 1  # first\n  segments:  # ours\n    - one\n    # and\n    - two\n"
    "models:\n  segments:\n    - no\n"
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LIST, LIST.replace("    - two\n", "    - two\n    - new\n")),
        (
            LIST.replace("\n", "\r\n"),
            LIST.replace("    - two\n", "    - two\n    - new\n").replace("\n", "\r\n"),
        ),
        ("vars:\n  segments:\n  - one", "vars:\n  segments:\n  - one\n  - new\n"),
        (
            "vars:\n  segments: []  # none yet\n  b: 2\n",
            "vars:\n  segments:  # none yet\n    - new\n  b: 2\n",
        ),
    ],
)
def test_the_list_keeps_its_comments_and_line_ends(before: str, after: str) -> None:
    assert files.project_with(before, "new") == after


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("vars:\n  segments: [one, two]\n", "is not written as one id a line"),
        ("vars:\n  segments: &x\n    - one\n  b: *x\n", "is not written as one id a line"),
        ("vars:\n  segments: one\n", "cannot be read as a list of ids"),
        ("vars: {}\n", "cannot be read as a list of ids"),
        ("vars: [\n", "cannot be read as a list of ids"),
    ],
)
def test_a_list_that_is_written_otherwise_is_left_alone(text: str, line: str) -> None:
    with pytest.raises(ConfigurationError, match=line):
        files.project_with(text, "new")


# --- the preview


@pytest.fixture
def built(workspace: Workspace, project: Path) -> Workspace:
    """A private file with three accounts, two of them known of an earlier day too."""
    workspace.private_file.parent.mkdir(mode=0o700)
    with duckdb.connect(str(workspace.private_file)) as connection:
        connection.execute("create schema raw")
        connection.execute(
            "create table raw.account_attributes as select 'tier' as attribute, 'string' as data_type"
        )
        connection.execute("create schema intermediate")
        connection.execute(
            "create table intermediate.int_account_attributes_dated as select * from (values"
            " ('mail', 'A1', date '2026-06-30', true, 'Zeta', 'Mining', 10, '{\"tier\": \"A\"}'),"
            " ('mail', 'A2', date '2026-06-30', true, 'Alpha', 'Mining', 50, '{\"tier\": \"B\"}'),"
            " ('mail', 'A3', date '2026-06-30', true, null, null, null, null),"
            " ('mail', 'A1', date '2026-06-21', false, 'Zeta', 'Energy', 99, '{\"tier\": \"A\"}'),"
            " ('mail', 'A2', date '2026-06-21', false, 'Alpha', 'Energy', 99, '{\"tier\": \"B\"}'))"
            " as rows (enrichment_id, account_id, judged_on, is_current, account_name, industry, employees_count,"
            " attributes_json)"
        )
        connection.execute(
            "create table intermediate.int_account_ancestors_resolved as"
            " select 'A2' as account_id, 'A1' as ancestor_account_id, 1::bigint as levels_count"
        )
    return workspace


def test_the_preview_counts_each_condition_alone_and_all_together(built: Workspace) -> None:
    new = ("segment", "new", "cold", "--name", "Cold", "--owner", "Sales", "--dry-run", "--json")
    result = built.run(
        *new, "--where", "industry = Mining", "--and", "employees_count > 20", "--or", "tier = A"
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["preview"] == {
        "accounts": 3,
        "members": 2,
        "conditions": [
            {"condition": "industry = Mining", "members": 2},
            {"condition": "employees_count > 20", "members": 1},
            {"condition": "industry = Mining and employees_count > 20", "members": 1},
            {"condition": "tier = A", "members": 1},
        ],
        "first": [
            {"account": "Alpha", "reason": "industry Mining, employees count 50, tier B"},
            {"account": "Zeta", "reason": "industry Mining, employees count 10, tier A"},
        ],
    }
    assert "warning" not in result.stderr
    result = built.run(*new, "--child-of", "A1")
    assert json.loads(result.stdout)["preview"]["first"] == [
        {"account": "Alpha", "reason": "below A1, level 1"}
    ]
    result = built.run(*new, "--child-of", "A9")
    assert result.exit_code == 2 and "the customer file has no account with the id 'A9'" in result.stderr


@pytest.mark.parametrize(
    ("conditions", "line"),
    [
        (("--where", "industry = Energy"), "warning: cold: the rule selects nobody now"),
        (
            ("--where", "industry is null", "--or", "tier is not null"),
            "warning: cold: the rule selects every account now",
        ),
    ],
)
def test_a_rule_that_selects_nobody_or_everybody_is_written_with_a_warning(
    conditions: tuple[str, ...], line: str, built: Workspace, project: Path
) -> None:
    result = built.run("segment", "new", "cold", "--name", "Cold", "--owner", "Sales", *conditions)
    assert result.exit_code == 0 and line in result.stderr
    assert (project / segment_file("cold")).is_file()


def test_the_types_of_attributes_are_those_of_the_built_table(
    compiled_project: CompiledProject, workspace: Workspace
) -> None:
    names = {
        "VARCHAR": "string",
        "BIGINT": "bigint",
        "DOUBLE": "double",
        "BOOLEAN": "boolean",
        "DATE": "date",
    }
    with duckdb.connect(str(compiled_project.private_file), read_only=True) as connection:
        built = {
            name: names.get(kind, kind.lower())
            for name, kind in connection.execute(
                "select column_name, data_type from information_schema.columns"
                " where table_name = 'int_account_attributes_dated'"
            ).fetchall()
            if name not in ("judged_on", "is_current", "attributes_json")
        }
    assert built == {name: one.data_type for name, one in known_attributes(workspace.settings()).items()}
