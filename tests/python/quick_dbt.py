"""dbt opens the private file once in a build of a test process, not for every model and test: a fifth of its time.

The profile gives the file back whenever nothing is under way (`keep_open: false`), which with so many nodes on so few
rows is much of what a build does. Here it is given back when dbt is done; what dbt says for its debugging, which no
test reads, is not made out; and its artifacts are encoded in one go, and so by C. Builds in a process of their own do
as the profile says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dbt.adapters.duckdb.environments.local import LocalEnvironment
from dbt.cli.main import dbtRunner
from dbt_common.events.base_types import EventLevel
from dbt_common.events.event_manager import EventManager


@contextmanager
def quick_dbt() -> Iterator[None]:
    """Within it, a call of dbt gives its file back only at its end."""
    handle, notify_closed, invoke = LocalEnvironment.handle, LocalEnvironment.notify_closed, dbtRunner.invoke
    fire_event = EventManager.fire_event
    held: list[LocalEnvironment] = []
    depth = 0

    def handle_and_hold(environment: LocalEnvironment) -> Any:
        if depth and environment not in held:
            held.append(environment)
        return handle(environment)

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

    def fire_what_is_read(manager: EventManager, event: Any, *arguments: Any, **options: Any) -> None:
        if arguments or options or event.level_tag() != EventLevel.DEBUG:
            fire_event(manager, event, *arguments, **options)

    def dump_at_once(value: Any, file: Any, **options: Any) -> None:
        file.write(json.dumps(value, **options))

    dump, json.dump = json.dump, dump_at_once
    LocalEnvironment.handle = handle_and_hold
    EventManager.fire_event = fire_what_is_read
    LocalEnvironment.notify_closed = close_later
    dbtRunner.invoke = invoke_and_give_back
    try:
        yield
    finally:
        json.dump = dump
        LocalEnvironment.handle = handle
        LocalEnvironment.notify_closed = notify_closed
        dbtRunner.invoke = invoke
        EventManager.fire_event = fire_event
