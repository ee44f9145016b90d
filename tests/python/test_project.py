"""The house itself: layering, documentation, contracts, keys, clocks and the SQL that DuckDB and Spark share."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from dbt.cli.main import dbtRunner
from dbt.constants import PARTIAL_PARSE_FILE_NAME
from dbt.contracts.graph.manifest import Manifest
from sqlfluff.core import FluffConfig, Linter

from engagement.contract import manifest_contract, project_contract
from project_fixtures import ROOT, CompiledProject, run_dbt

LAYERS = ("staging", "intermediate", "marts")


def layer(node: dict[str, Any]) -> str:
    return str(node["path"]).split("/", 1)[0]


def models(project: CompiledProject) -> list[dict[str, Any]]:
    found = project.nodes("model")
    assert len(found) > 30
    return found


def parents(project: CompiledProject, node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for parent in node["depends_on"]["nodes"]:
        yield project.manifest["nodes"].get(parent) or project.manifest["sources"][parent]


def test_dbt_takes_up_what_it_has_read(compiled_project: CompiledProject) -> None:
    """A YAML key that is a word for true or false (`on:`) is written, and then refused: each build reads all anew."""
    Manifest.from_msgpack((compiled_project.target / PARTIAL_PARSE_FILE_NAME).read_bytes())


def test_data_flows_one_way(compiled_project: CompiledProject) -> None:
    allowed = {
        "staging": {"source"},
        # what segments there are is counted, and they are made of what was counted before
        "intermediate": {"staging", "intermediate", "segments", "seed"},
        "segments": {"intermediate", "segments", "seed"},
        "marts": {"staging", "intermediate", "marts", "seed"},
    }
    wrong = []
    for node in models(compiled_project):
        for parent in parents(compiled_project, node):
            kind = parent["resource_type"] if parent["resource_type"] != "model" else layer(parent)
            if kind not in allowed[layer(node)]:
                wrong.append(f"{node['name']} reads {parent['name']} ({kind})")
    assert wrong == []


def test_each_staging_model_reads_one_source_table(compiled_project: CompiledProject) -> None:
    for node in models(compiled_project):
        if layer(node) == "staging":
            assert len(node["depends_on"]["nodes"]) == 1, node["name"]


def test_names_say_the_layer(compiled_project: CompiledProject) -> None:
    prefixes = {
        "staging": r"stg_[a-z]+(_[a-z]+)*__[a-z_]+",
        "intermediate": r"int_[a-z_]+|as_of",
        "segments": r"segment_[a-z0-9_]+",
        "marts": r"(?!stg_|int_)[a-z_]+",
    }
    for node in models(compiled_project):
        assert re.fullmatch(prefixes[layer(node)], node["name"]), node["name"]


def test_every_model_and_every_column_is_described(compiled_project: CompiledProject) -> None:
    missing = []
    columns = final_columns(compiled_project)
    for node in models(compiled_project):
        if not re.match(r"One row", node["description"]):
            missing.append(f"{node['name']}: the description does not start with the grain")
        selected = columns[node["name"]]
        described = {name.lower() for name in node["columns"]}
        missing += [f"{node['name']}.{name}: not described" for name in sorted(selected - described)]
        missing += [
            f"{node['name']}.{name}: described but not there" for name in sorted(described - selected)
        ]
        missing += [
            f"{node['name']}.{column['name']}: empty description"
            for column in node["columns"].values()
            if not column["description"].strip()
        ]
    assert missing == []


def final_columns(project: CompiledProject) -> dict[str, set[str]]:
    """The columns that each model really has, asked of DuckDB by describing its compiled SQL."""
    with duckdb.connect(str(project.private_file), read_only=True) as connection:
        return {
            node["name"]: {
                name.lower()
                for name, *_ in connection.execute(f"describe {node['compiled_code']}").fetchall()
            }
            for node in models(project)
        }


def test_every_number_says_its_unit(compiled_project: CompiledProject) -> None:
    numbers = re.compile(
        r"_(count|ratio|hours|minutes|milliseconds|points|score)$|^(days_since|NoOf|Average|DaysSince)"
    )
    missing = [
        f"{node['name']}.{column['name']}"
        for node in models(compiled_project)
        for column in node["columns"].values()
        if numbers.search(column["name"]) and not (column["config"].get("meta") or column["meta"]).get("unit")
    ]
    assert missing == []


def test_every_mart_has_a_contract_a_group_and_is_public(compiled_project: CompiledProject) -> None:
    for node in models(compiled_project):
        if layer(node) == "marts":
            assert node["contract"]["enforced"], node["name"]
            assert node["config"]["group"], node["name"]
            assert node["access"] == "public", node["name"]
            assert all(column["data_type"] for column in node["columns"].values()), node["name"]
        else:
            assert node["access"] == "protected", node["name"]


# A person may stand on several lines of an attendee list, a company in several places of a family tree, and a list of a
# provider may name one thing twice, so these rows have no key.
WITHOUT_KEY = {
    "stg_office__meeting_attendees",
    "stg_leadspace__family_trees",
    "stg_leadspace__intent",
    "stg_leadspace__specialties",
    "stg_leadspace__technologies",
}


def test_every_model_has_a_key_test(compiled_project: CompiledProject) -> None:
    tested = {
        node["attached_node"]
        for node in compiled_project.nodes("test")
        if (node.get("test_metadata") or {}).get("name") == "unique_key"
    }
    follows = {
        node["name"]: node["config"]["meta"]["key_follows_from"]
        for node in models(compiled_project)
        if "key_follows_from" in node["config"]["meta"]
    }
    untested = {node["name"] for node in models(compiled_project) if node["unique_id"] not in tested}
    assert untested == WITHOUT_KEY | set(follows)
    # Only views take their key from others, and those have one.
    for node in models(compiled_project):
        if node["name"] in follows:
            assert node["config"]["materialized"] == "view", node["name"]
            for name in follows[node["name"]]:
                assert name not in WITHOUT_KEY, node["name"]
                assert name in follows or name not in untested, node["name"]


def test_unit_tests_found_are_those_written(compiled_project: CompiledProject) -> None:
    written = [
        test["name"]
        for path in (ROOT / "models").rglob("*.yml")
        for test in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("unit_tests", [])
    ]
    found = [node["name"] for node in compiled_project.manifest["unit_tests"].values()]
    assert sorted(written) == sorted(found)
    assert len(found) >= 30


# Of every var two values that nobody ships, a low and a high one.
OTHER_VALUES: dict[str, tuple[Any, Any]] = {
    "as_of_date": ("2020-02-02", "2030-02-02"),
    "score_version": ("v9", "zz"),
    "medium_confidence_from": (2, 50),
    "high_confidence_from": (3, 200),
    "chance_days": (7, 900),
    "chance_half_life_days": (3, 450),
    "chance_prior_weeks": (1, 100),
    "chance_evidence_least": (1, 10000),
    "rhythm_least_days": (2, 50),
    "going_silent_after_gaps": (2, 30),
    "silent_after_gaps": (5, 80),
    "backtest_dates": (["2020-01-01"], ["2029-01-01"]),
    "backtest_judged_from": ("2020-01-01", "2040-01-01"),
    "backtest_replicates": (3, 0),
    "backtest_drawn_rows": (100, 1),
    "early_warning_points": (3, 99),
    "stale_after_days": (7, 600),
    "single_thread_ratio": (0.5, 0.99),
    "segment_history_weeks": (4, 1),
    "rising_from_points": (3, 90),
    "single_thread_from": (2, 50),
    "one_way_from": (2, 30),
    "value_attribute": ("worth", "worth"),
    "high_value_from_ratio": (0.5, 0.99),
    "low_engagement_below_score": (60, 3),
    "newly_enriched_days": (5, 300),
    "suggestion_measure": ("days_since_last_email", "worth"),
    "suggestion_least_accounts": (2, 500),
    "segment_significance_ratio": (0.5, 1e-06),
    "distribution_values": (2, 200),
    "own_category_values": (2, 500),
    "reply_limit_hours": (24, 7200),
    "reciprocity_prior_messages": (3, 100),
    "name_similar_ratio": (0.5, 0.9999),
    "owner_attribute": ("keeper", "keeper"),
    "enriching_verdicts": (["accept"], ["review"]),
    "watched_answers_per_run": (2, 1),
    "watched_answer_runs": (2, 1),
}
# What is a list of models and columns, and so no limit that one sets.
LISTS_OF_NAMES = {"segments", "company_attributes", "company_sources"}


def test_every_var_has_other_values_here() -> None:
    project = yaml.safe_load((ROOT / "dbt_project.yml").read_text(encoding="utf-8"))
    assert set(OTHER_VALUES) == set(project["vars"]) - LISTS_OF_NAMES


@pytest.mark.long
@pytest.mark.parametrize("which", [0, 1])
def test_unit_tests_hold_whatever_the_vars_are(
    which: int, compiled_project: CompiledProject, tmp_path: Path
) -> None:
    """Who sets a limit of his own, or chooses another version of the score, must not have the build fail for it: a unit
    test says itself which values it is about.
    """
    private_file = tmp_path / "private.duckdb"
    shutil.copyfile(compiled_project.private_file, private_file)
    values = {name: pair[which] for name, pair in OTHER_VALUES.items()}
    run_dbt(
        *("test", "--select", "test_type:unit", "--vars", json.dumps(values)),
        target=tmp_path / "target",
        private_file=private_file,
    )


def test_no_model_looks_at_a_clock(compiled_project: CompiledProject) -> None:
    clock = re.compile(
        r"\b(now|current_date|current_timestamp|localtimestamp|today|getdate|random|uuid)\b", re.I
    )
    for node in models(compiled_project):
        code = re.sub(r"--.*|'[^']*'", "", node["compiled_code"])
        assert not clock.search(code), node["name"]


def test_raw_columns_are_all_described(compiled_project: CompiledProject) -> None:
    for source in compiled_project.manifest["sources"].values():
        for column in source["columns"].values():
            assert column["description"], (source["name"], column["name"])
            assert re.fullmatch(
                r"string|bigint|double|boolean|date|timestamp|array<(bigint|string)>", column["data_type"]
            )


def test_plain_dbt_builds_and_tests_on_a_new_file(compiled_project: CompiledProject) -> None:
    """With every unit test and data test."""
    results = json.loads((compiled_project.target / "run_results.json").read_text(encoding="utf-8"))
    assert results["args"]["which"] == "build"
    passed = {result["unique_id"] for result in results["results"] if result["status"] in ("success", "pass")}
    manifest = compiled_project.manifest
    assert passed >= {
        *manifest["unit_tests"],
        *(node["unique_id"] for node in compiled_project.nodes("test")),
    }
    assert passed >= {node["unique_id"] for node in models(compiled_project)}


def test_a_build_of_a_file_into_which_nothing_was_read_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGAGEMENT_PRIVATE_FILE", str(tmp_path / "private.duckdb"))
    options = [
        "--project-dir",
        str(ROOT),
        "--profiles-dir",
        str(ROOT),
        "--target-path",
        str(tmp_path / "target"),
    ]
    for settings, says in (
        ((), True),
        (("insert into raw.settings values ('', 'reporting.time_zone', 'UTC')",), False),
    ):
        with duckdb.connect(str(tmp_path / "private.duckdb")) as connection:
            for statement in settings:
                connection.execute(statement)
        assert (
            dbtRunner()
            .invoke(["run", "--select", "stg_office__mailboxes", "--log-path", str(tmp_path), *options])
            .success
        )
        assert ("Nothing was read into this private file yet" in capfd.readouterr().out) is says


# --- the SQL that DuckDB and Spark share


@pytest.fixture(scope="module")
def spark_sql(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every model compiled with Spark's variant of each dialect macro: a copy of the project has the two swapped."""
    folder = tmp_path_factory.mktemp("spark")
    copy = folder / "project"
    copy.mkdir()
    for name in ("models", "macros", "seeds", "tests/generic"):
        shutil.copytree(ROOT / name, copy / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copyfile(ROOT / name, copy / name)
    # The hooks would send Spark's statements to DuckDB.
    project_file = copy / "dbt_project.yml"
    settings = yaml.safe_load(project_file.read_text(encoding="utf-8"))
    del settings["on-run-start"]
    project_file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    for path in (copy / "macros" / "dialect").glob("*.sql"):
        text = path.read_text(encoding="utf-8")
        assert text.count("macro duckdb__") == text.count("macro spark__") > 0, (
            f"{path.name}: a variant is missing"
        )
        path.write_text(text.replace("duckdb__", "unused__").replace("spark__", "duckdb__"), encoding="utf-8")
    run_dbt("compile", project=copy, target=folder / "target", private_file=folder / "private.duckdb")
    compiled = {
        path.stem: in_spark_quotes(path.read_text(encoding="utf-8"))
        for path in (folder / "target" / "compiled" / "customer_engagement" / "models").rglob("*.sql")
        if ".yml" not in str(path)
    }
    assert len(compiled) > 30
    return compiled


def in_spark_quotes(sql: str) -> str:
    """Relations lose DuckDB's catalogue, and identifiers take Spark's quotes, as its adapter would write them."""
    return re.sub(r'"([^"]*)"', r"`\1`", re.sub(r'"[^"]*"\."([^"]*)"\."([^"]*)"', r'"\1"."\2"', sql))


@pytest.fixture(scope="module")
def spark_grammar() -> Linter:
    return Linter(config=FluffConfig(overrides={"dialect": "sparksql", "templater": "raw"}))


def violations(grammar: Linter, sql: str) -> list[str]:
    parsed = grammar.parse_string(sql)
    return [violation.desc() for violation in parsed.violations] + refused_words(sql)


def refused_words(sql: str) -> list[str]:
    """Forms that the grammar takes for names or functions, and that Spark refuses or reads otherwise."""
    found = []
    for words in (
        r"\bqualify\b",
        r"\bexclude\b",
        r"//",
        r"->>?",
        r"\bby\s+name\b",
        r"::",
        r"\bunnest\b",
        r"\blist\s*\(",
        r"\{",
    ):
        if re.search(words, re.sub(r"--.*|'[^']*'", "''", sql), re.I):
            found.append(f"{words} is not Spark's")
    return found


def test_every_model_has_nothing_that_spark_does_not_share(spark_sql: dict[str, str]) -> None:
    assert {name: found for name, sql in spark_sql.items() if (found := refused_words(sql))} == {}


@pytest.mark.parametrize(
    "step", [pytest.param(1, id="all", marks=pytest.mark.long), pytest.param(8, id="every eighth")]
)
def test_every_model_parses_as_spark_sql(step: int, spark_sql: dict[str, str], spark_grammar: Linter) -> None:
    assert {
        name: found
        for name in sorted(spark_sql)[::step]
        if (found := violations(spark_grammar, spark_sql[name]))
    } == {}


@pytest.mark.parametrize(
    "sql",
    [
        "select a from t qualify row_number() over (order by a) = 1",
        "select * exclude (a) from t",
        "select a // 2 from t",
        "select a ->> '$.b' from t",
        "select a from t union all by name select a from u",
        "select list_transform(a, x -> x + 1) from t",
        "select unnest(a) from t",
        "select {'a': 1} as b from t",
        "select a from t where",
        "from t select a",
    ],
)
def test_what_spark_does_not_share_is_refused(sql: str, spark_grammar: Linter) -> None:
    assert violations(spark_grammar, sql)


def test_windows_say_where_nulls_go(compiled_project: CompiledProject) -> None:
    """DuckDB puts nulls last and Spark first, so every order inside a window says it, on every column."""
    wrong = []
    for node in models(compiled_project):
        code = re.sub(r"--.*", "", node["compiled_code"])
        for order in re.findall(r"order by(.*?)(?:rows between|\)\s*(?:as|,|$))", code, re.S | re.I):
            for part in re.split(r",(?![^()]*\))", order):
                if "nulls last" not in part and "nulls first" not in part:
                    wrong.append(f"{node['name']}: {' '.join(part.split())}")
    assert wrong == []


def test_divisions_are_by_nullif_or_a_number(compiled_project: CompiledProject) -> None:
    """1/0 is infinite on DuckDB and an error on Spark."""
    for node in models(compiled_project):
        code = re.sub(r"--.*|'[^']*'", "", node["compiled_code"])
        for divisor in re.findall(r"/\s*([A-Za-z_.(0-9]+)", code):
            assert re.match(r"nullif\(|[0-9]+|cast\(|power\(", divisor), (node["name"], divisor)


def test_the_contract_of_the_project_is_that_of_the_manifest(compiled_project: CompiledProject) -> None:
    """What `engagement verify` reads out of the folder is what publishing reads out of dbt's manifest."""
    assert project_contract(ROOT) == manifest_contract(compiled_project.target / "manifest.json")
