"""What dbt leaves out in tests is only what nobody reads, and what it looks up faster is what it would find."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from dbt import compilation
from dbt.adapters.base.impl import BaseAdapter
from dbt.artifacts.resources.v1.components import InjectedCTE
from dbt.clients.jinja import MacroStack
from dbt.context.macros import MacroNamespaceBuilder
from dbt_common.clients import jinja
from dbt_common.events.base_types import EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.types import Note
from dbt_common.exceptions import CompilationError

from quick_dbt import logged_whole


@pytest.mark.parametrize(("level", "is_heard"), [(EventLevel.DEBUG, False), (EventLevel.INFO, True)])
def test_debugging_is_heard_only_where_the_log_is_read(level: EventLevel, is_heard: bool) -> None:
    manager, heard = EventManager(), []
    manager.add_callback(lambda event: heard.append(event.data.msg))
    # As dbt calls it, with every argument.
    options: dict[str, Any] = {"level": level, "node": None, "force_warn_or_error_handling": False}
    manager.fire_event(Note(msg="a word"), **options)
    assert heard == ["a word"] * is_heard
    with logged_whole():
        manager.fire_event(Note(msg="another"), **options)
    assert heard == [*["a word"] * is_heard, "another"]


@pytest.mark.parametrize(
    ("looks", "of_both"), [("project", "project"), ("package", "package"), ("dbt", "project")]
)
def test_a_macro_is_that_which_dbt_would_take(looks: str, of_both: str) -> None:
    """The package that looks before the project, the project before dbt's own, and the adapter's before dbt's."""
    names = {
        "dbt": ("only_dbts", "of_all", "of_adapter"),
        "dbt_duckdb": ("of_all", "of_adapter"),
        "project": ("of_all", "of_both"),
        "package": ("of_both", "only_packages"),
    }
    macros: Any = {
        package: {name: SimpleNamespace(name=name, package_name=package) for name in found}
        for package, found in names.items()
    }
    context: dict[str, Any] = {}
    builder = MacroNamespaceBuilder("project", looks, MacroStack(), ["dbt_duckdb", "dbt"])
    namespace = builder.build_namespace(macros, context)
    packages = {
        name: made.macro.package_name for name, made in namespace.items() if not isinstance(made, dict)
    }
    assert packages == {
        "only_dbts": "dbt",
        "of_adapter": "dbt_duckdb",
        "of_all": "project",
        "of_both": of_both,
        **({"only_packages": "package"} if looks == "package" else {}),
    }
    assert {name for name, made in namespace.items() if isinstance(made, dict)} == {
        "dbt",
        "project",
        "package",
    }
    assert namespace["of_all"].context is context
    found = namespace.get_from_package("package", "of_both")
    assert found is not None and found.macro.package_name == "package"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1 as a", "with a as (select 2), b as (select 3) select 1 as a"),
        (
            "-- why\nwith c as (select 1) from c",
            "-- why\nwith a as (select 2), b as (select 3), c as (select 1) from c",
        ),
        (
            "with recursive c as (select 1) from c",
            "with recursive a as (select 2), b as (select 3), c as (select 1) from c",
        ),
    ],
)
def test_what_is_injected_stands_where_dbt_puts_it(sql: str, expected: str) -> None:
    ctes = [InjectedCTE("a", " a as (select 2)"), InjectedCTE("b", "b as (select 3)")]
    assert " ".join(compilation.inject_ctes_into_sql(sql, ctes).split()) == " ".join(expected.split())
    others = [InjectedCTE("a", " a as (select 4)")]
    assert "(select 4)" in compilation.inject_ctes_into_sql(sql, others)
    assert "(select 2)" not in compilation.inject_ctes_into_sql(sql, others)
    assert compilation.inject_ctes_into_sql(sql, []) == sql


def test_what_an_adapters_macro_sees_is_made_once_for_each_project_that_is_read() -> None:
    adapter, made = SimpleNamespace(), []
    BaseAdapter.set_macro_context_generator(adapter, lambda *given: made.append(given) or {"given": given})  # type: ignore[arg-type, func-returns-value]
    see = adapter._macro_context_generator
    one, other = SimpleNamespace(unique_id="macro.one"), SimpleNamespace(unique_id="macro.other")
    config, manifest, another = object(), object(), object()
    first = see(one, config, manifest, None)
    assert see(one, config, manifest, None) is first
    assert see(other, config, manifest, None) is not first and see(one, config, manifest, "dbt") is not first
    assert see(one, config, another, None) is not first and see(one, another, manifest, None) is not first
    assert len(made) == 5


def test_a_template_is_compiled_once_for_each_kind_and_rendered_anew() -> None:
    one = jinja.get_template("{{ a }}{% set b = 1 %}", {}, capture_macros=False)
    again = jinja.get_template("{{ a }}{% set b = 1 %}", {}, capture_macros=False)
    assert one.root_render_func.__code__ is again.root_render_func.__code__
    assert (one.render({"a": "x"}), again.render({"a": "y"})) == ("x", "y")
    native = jinja.get_template("{{ (1 + 1) | as_native }}", {}, native=True)
    assert (native.render({}), jinja.get_template("{{ (1 + 1) | as_native }}", {}).render({})) == (2, "2")


def test_a_wrong_template_is_wrong_every_time() -> None:
    for _ in range(2):
        with pytest.raises(CompilationError):
            jinja.get_template("{{ a", {})
