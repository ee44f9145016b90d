"""dbt does less beside its work in a build of a test process: two fifths of its time.

- Where dbt is told to give the file back whenever nothing is under way (`ENGAGEMENT_KEEP_OPEN` of profiles.yml), which
  with so many nodes on so few rows is much of what a build does, and where it would keep it for good, it is given back
  when dbt is done.
- What dbt says for its debugging is not made out, but where a test reads its log (`logged_whole`).
- Its artifacts are encoded in one go, and so by C.
- The settings that hold for the whole file are set when it is opened, not by each model and test anew.
- For each model and test it binds the six hundred macros anew; here which of them are seen is found once, and they are
  bound in one go. What reads the types of an answer is made once for answers with the same columns, and what the
  adapter's own macros see is made once for each thread.
- Of a template the code is made once for all builds of the process, and of an answer without rows the table.
- Where a unit test's rows go in a model's SQL is found once for all tests of the model.
- Python looks for garbage less often, since what it would look through is the whole project each time.

Builds in a process of their own do as dbt and the profile say.
"""

from __future__ import annotations

import functools
import gc
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from dbt import compilation
from dbt.adapters.base.impl import BaseAdapter
from dbt.adapters.duckdb.environments.local import DuckDBConnectionWrapper, LocalEnvironment
from dbt.artifacts.resources.v1.components import InjectedCTE
from dbt.cli.main import dbtRunner
from dbt.clients.jinja import MacroGenerator
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt_common.clients import agate_helper
from dbt_common.clients.jinja import MacroFuzzEnvironment
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager

# Those of profiles.yml which are not a cursor's own.
SETTINGS_OF_THE_FILE = ("memory_limit", "preserve_insertion_order")

# Stands in a model's SQL for what is injected, and nowhere else.
PLACE = "/* place of what is injected */"

# So many classes of macros are kept: those of a manifest in use and of one before.
KINDS_KEPT = 1500

# How many blocks want dbt's log with what it says for its debugging.
_readers_of_the_log = 0


@contextmanager
def logged_whole() -> Iterator[None]:
    """Within it, dbt writes all that it would into its log: for tests of what must not stand there."""
    global _readers_of_the_log
    _readers_of_the_log += 1
    try:
        yield
    finally:
        _readers_of_the_log -= 1


@contextmanager
def quick_dbt() -> Iterator[None]:
    """Within it, a call of dbt does as is said above."""
    thresholds = gc.get_threshold()
    gc.set_threshold(20_000, 20, 20)
    try:
        with pytest.MonkeyPatch.context() as patched:
            _patch(patched)
            yield
    finally:
        gc.set_threshold(*thresholds)


def _patch(patched: pytest.MonkeyPatch) -> None:
    _keep_the_file(patched)
    _say_what_is_read(patched)
    _bind_macros_at_once(patched)
    _look_around_once(patched)
    patched.setattr(
        compilation, "inject_ctes_into_sql", _injected_at_the_same_place(compilation.inject_ctes_into_sql)
    )
    patched.setattr(json, "dump", lambda value, file, **options: file.write(json.dumps(value, **options)))
    _compile_templates_once(patched)
    patched.setattr(agate_helper, "empty_table", functools.cache(agate_helper.empty_table))
    patched.setattr(agate_helper, "build_type_tester", _made_once(agate_helper.build_type_tester))


def _keep_the_file(patched: pytest.MonkeyPatch) -> None:
    handle, notify_closed, invoke = LocalEnvironment.handle, LocalEnvironment.notify_closed, dbtRunner.invoke
    held: list[LocalEnvironment] = []
    depth = 0

    def handle_and_hold(environment: LocalEnvironment) -> Any:
        if environment not in held:
            if depth:
                held.append(environment)
            return handle(environment)
        with environment.lock:
            if environment.conn is None:
                return handle(environment)
            environment.handle_count += 1
        settings = environment.creds.settings or {}
        of_the_cursor = {name: value for name, value in settings.items() if name not in SETTINGS_OF_THE_FILE}
        cursor = environment.initialize_cursor(
            replace(environment.creds, settings=of_the_cursor),
            environment.conn.cursor(),
            environment._plugins,
            environment._REGISTERED_DF,
        )
        return DuckDBConnectionWrapper(cursor, environment)

    def close_later(environment: LocalEnvironment) -> None:
        if environment not in held:
            notify_closed(environment)
            return
        with environment.lock:
            environment.handle_count -= 1

    def invoke_and_give_back(runner: dbtRunner, *arguments: Any, **options: Any) -> Any:
        nonlocal depth
        depth += 1
        try:
            return invoke(runner, *arguments, **options)
        finally:
            depth -= 1
            while not depth and held:
                held.pop().close()

    patched.setattr(LocalEnvironment, "handle", handle_and_hold)
    patched.setattr(LocalEnvironment, "notify_closed", close_later)
    patched.setattr(dbtRunner, "invoke", invoke_and_give_back)


def _say_what_is_read(patched: pytest.MonkeyPatch) -> None:
    fire_event, begin = EventManager.fire_event, BaseEvent.__init__

    def fire_what_is_read(
        manager: EventManager, event: Any, level: EventLevel | None = None, **options: Any
    ) -> None:
        if _readers_of_the_log or (level or event.level_tag()) != EventLevel.DEBUG:
            fire_event(manager, event, level, **options)

    def begin_later(event: Any, *arguments: Any, **values: Any) -> None:
        event.__dict__["given"] = (arguments, values)

    def message(event: Any) -> Any:
        if "pb_msg" not in event.__dict__:
            arguments, values = event.__dict__.pop("given")
            begin(event, *arguments, **values)
        return event.__dict__["pb_msg"]

    def keep_message(event: Any, made: Any) -> None:
        event.__dict__["pb_msg"] = made

    patched.setattr(EventManager, "fire_event", fire_what_is_read)
    patched.setattr(BaseEvent, "__init__", begin_later)
    patched.setattr(BaseEvent, "pb_msg", property(message, keep_message), raising=False)


def _bind_macros_at_once(patched: pytest.MonkeyPatch) -> None:
    # Of the manifest in use: dbt's own macros, of which the first package's win, and those of each other package.
    seen: dict[Any, tuple[Any, list[Any], dict[str, list[Any]]]] = {}
    # By the number of the macro; each unit test has a manifest of its own, with the macros of all.
    kind_of: dict[int, type[MacroGenerator]] = {}

    def kind(macro: Any) -> type[MacroGenerator]:
        """A class for each macro, so that all that its generators differ in by themselves is what they share."""
        if id(macro) not in kind_of:
            # With the macro itself, so that no other can have its number.
            kind_of[id(macro)] = type("Bound", (MacroGenerator,), {"macro": macro})
        return kind_of[id(macro)]

    def kinds(macros: Mapping[str, Any]) -> list[tuple[str, type[MacroGenerator]]]:
        return [(name, kind(macro)) for name, macro in macros.items()]

    def build_namespace(
        builder: MacroNamespaceBuilder, macros: Any, context: dict[str, Any]
    ) -> MacroNamespace:
        key = (id(macros), sum(map(len, macros.values())), *builder.internal_package_names_order)
        if key not in seen:
            seen.clear()
            if len(kind_of) > KINDS_KEPT:
                kind_of.clear()
            dbts: dict[str, Any] = {}
            for package in reversed(builder.internal_package_names_order):
                dbts |= macros.get(package, {})
            others = {
                name: found for name, found in macros.items() if name not in builder.internal_package_names
            }
            # With the macros themselves, so that no others can have their number.
            seen[key] = (macros, kinds(dbts), {name: kinds(found) for name, found in others.items()})
        _, dbts_kinds, others_kinds = seen[key]
        new = MacroGenerator.__new__
        shared = {"context": context, "node": builder.node, "stack": builder.thread_ctx}

        def bound(found: list[tuple[str, type[MacroGenerator]]]) -> dict[str, Any]:
            made = {}
            for name, kind in found:
                one = made[name] = new(kind)
                one.__dict__ = shared
            return made

        packages = {name: bound(found) for name, found in others_kinds.items()}
        return MacroNamespace(
            global_namespace=(
                packages.get(builder.root_package, {})
                if builder.root_package != builder.search_package
                else {}
            ),
            local_namespace=packages.get(builder.search_package, {}),
            global_project_namespace=bound(dbts_kinds),
            packages=packages,
        )

    def flat(namespace: MacroNamespace) -> dict[str, Any]:
        """All that is seen; what is looked at first wins."""
        if "_flat" not in namespace.__dict__:
            namespace.__dict__["_flat"] = {}
            for names in reversed(list(namespace._search_order())):
                namespace.__dict__["_flat"] |= names
        return namespace.__dict__["_flat"]  # type: ignore[no-any-return]

    patched.setattr(MacroNamespaceBuilder, "build_namespace", build_namespace)
    patched.setattr(MacroNamespace, "keys", lambda namespace: flat(namespace).keys())
    patched.setattr(MacroNamespace, "__iter__", lambda namespace: iter(flat(namespace)))
    patched.setattr(MacroNamespace, "__getitem__", lambda namespace, name: flat(namespace)[name])


def _compile_templates_once(patched: pytest.MonkeyPatch) -> None:
    compile_one = MacroFuzzEnvironment.compile
    kept: dict[tuple[Any, ...], Any] = {}

    def compile_once(environment: MacroFuzzEnvironment, source: Any, *arguments: Any, **options: Any) -> Any:
        # Of all that the code depends on, dbt's environments differ by their class alone.
        if not isinstance(source, str) or arguments or options:
            return compile_one(environment, source, *arguments, **options)
        key = (type(environment), source)
        if key not in kept:
            kept[key] = compile_one(environment, source)
        return kept[key]

    patched.setattr(MacroFuzzEnvironment, "compile", compile_once)


def _look_around_once(patched: pytest.MonkeyPatch) -> None:
    generate: Any = BaseAdapter.set_macro_context_generator
    kept = threading.local()

    def set_generator(adapter: BaseAdapter, make: Any) -> None:
        def made(macro: Any, config: Any, manifest: Any, package: str | None) -> Any:
            if getattr(kept, "of", None) is None or kept.of[0] is not config or kept.of[1] is not manifest:
                kept.of, kept.contexts = (config, manifest), {}
            key = (macro.unique_id, package)
            if key not in kept.contexts:
                kept.contexts[key] = make(macro, config, manifest, package)
            return kept.contexts[key]

        generate(adapter, made)

    patched.setattr(BaseAdapter, "set_macro_context_generator", set_generator)


def _injected_at_the_same_place(inject: Callable[[str, list[Any]], str]) -> Callable[[str, list[Any]], str]:
    @functools.lru_cache(maxsize=50)
    def around(sql: str) -> list[str]:
        return inject(sql, [InjectedCTE("here", PLACE)]).split(PLACE)

    def injected(sql: str, ctes: list[Any]) -> str:
        return ", ".join(cte.sql for cte in ctes).join(around(sql)) if ctes else inject(sql, ctes)

    return injected


def _made_once(make: Callable[..., Any]) -> Callable[..., Any]:
    kept = functools.cache(make)

    def made(text_columns: Iterable[str], string_null_values: Iterable[str] | None = ("null", "")) -> Any:
        return kept(tuple(text_columns), None if string_null_values is None else tuple(string_null_values))

    return made
