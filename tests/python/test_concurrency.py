"""How many requests go out at once: rises while it is quiet, falls when told to, and nobody is passed by."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from engagement.concurrency import FIRST_LIMIT, ROUNDS_BEFORE_RAISED, Concurrency, CpuShare
from engagement.http import Interrupted, Patience
from test_http import Waits

ANNA, BEN = "anna", "ben"


def concurrency(patience: Patience | None = None, *, most: int = 8, most_per_mailbox: int = 4) -> Concurrency:
    return Concurrency(most=most, most_per_mailbox=most_per_mailbox, patience=patience or Waits())


def quiet(one: Concurrency, mailbox: str | None, answers: int) -> None:
    for _ in range(answers):
        with one.slot(mailbox):
            one.quiet(mailbox)


def test_a_mailbox_begins_with_one_request_and_rises_to_its_most() -> None:
    one = concurrency(most_per_mailbox=3)
    assert one.limit_of(ANNA) == 1
    quiet(one, ANNA, ROUNDS_BEFORE_RAISED - 1)
    assert one.limit_of(ANNA) == 1
    quiet(one, ANNA, 1)
    assert one.limit_of(ANNA) == 2
    # A round of two takes twice as many answers.
    quiet(one, ANNA, 2 * ROUNDS_BEFORE_RAISED - 1)
    assert one.limit_of(ANNA) == 2
    quiet(one, ANNA, 1)
    assert one.limit_of(ANNA) == 3
    quiet(one, ANNA, 100)
    assert (one.limit_of(ANNA), one.limit_of(BEN)) == (3, 1)


def test_the_app_begins_small_and_rises_to_its_most() -> None:
    one = concurrency(most=6)
    assert one.limit == FIRST_LIMIT
    quiet(one, None, FIRST_LIMIT * ROUNDS_BEFORE_RAISED - 1)
    assert one.limit == FIRST_LIMIT
    quiet(one, None, 1)
    assert one.limit == FIRST_LIMIT + 1
    quiet(one, None, 1_000)
    assert one.limit == 6
    assert concurrency(most=2).limit == 2


def test_being_throttled_halves_the_mailbox_and_leaves_the_app() -> None:
    one = concurrency()
    quiet(one, ANNA, 1_000)
    assert (one.limit_of(ANNA), one.limit) == (4, 8)
    one.throttled(ANNA, 1.0)
    assert (one.limit_of(ANNA), one.limit) == (2, 8)
    one.throttled(ANNA, 1.0)
    assert (one.limit_of(ANNA), one.limit) == (1, 8)


def test_a_mailbox_of_one_request_that_is_throttled_speaks_of_the_app_once_in_a_wait() -> None:
    waits = Waits()
    one = concurrency(waits)
    quiet(one, None, 1_000)
    one.throttled(ANNA, 5.0)
    assert one.limit == 4
    # Sent before the first answer came.
    one.throttled(BEN, 5.0)
    assert one.limit == 4
    waits.waited.append(5.0)
    one.throttled(BEN, 5.0)
    assert one.limit == 2
    waits.waited.append(5.0)
    one.throttled(None, 5.0)
    assert one.limit == 1


def test_a_throttled_mailbox_is_left_alone_and_the_others_are_not() -> None:
    waits = Waits()
    one = concurrency(waits)
    one.throttled(ANNA, 7.5)
    with one.slot(BEN):
        assert waits.waited == []
    with one.slot(ANNA):
        assert waits.waited == [7.5]


def test_an_app_of_one_request_that_is_throttled_is_left_alone_as_a_whole() -> None:
    waits = Waits()
    one = concurrency(waits, most=1)
    one.throttled(ANNA, 3.0)
    with one.slot(BEN):
        assert waits.waited == [3.0]


@contextmanager
def waiting(one: Concurrency, mailbox: str, served: list[str], name: str) -> Iterator[None]:
    """A thread that waits for a slot and notes when it has it."""

    def wait() -> None:
        with one.slot(mailbox):
            served.append(name)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    yield
    thread.join(timeout=5)
    assert not thread.is_alive()


def test_first_come_first_served() -> None:
    one = concurrency(Patience(), most=1)
    served: list[str] = []
    with ExitStack() as stack, one.slot(ANNA):
        for name in ("first", "second", "third"):
            stack.enter_context(waiting(one, f"mailbox of {name}", served, name))
        assert served == []
    assert served == ["first", "second", "third"]


def test_who_waits_for_a_full_mailbox_keeps_nobody_else_waiting() -> None:
    one = concurrency(Patience(), most=2)
    served: list[str] = []
    with ExitStack() as second, one.slot(ANNA):
        second.enter_context(waiting(one, ANNA, served, "second of anna"))
        with waiting(one, BEN, served, "ben"):
            pass
        assert served == ["ben"]
    assert served == ["ben", "second of anna"]


def test_stopping_ends_every_wait() -> None:
    patience = Patience()
    one = concurrency(patience, most=1)
    ended: list[type[BaseException]] = []

    def wait() -> None:
        try:
            with one.slot(ANNA):
                pass
        except Interrupted as stopped:
            ended.append(type(stopped))

    def sleep() -> None:
        try:
            patience.sleep(60)
        except Interrupted as stopped:
            ended.append(type(stopped))

    with one.slot(BEN):
        threads = [threading.Thread(target=wait), threading.Thread(target=sleep)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        one.stop()
        for thread in threads:
            thread.join(timeout=5)
        assert time.monotonic() - began < 5
    assert ended == [Interrupted, Interrupted]
    with pytest.raises(Interrupted), one.slot(ANNA):
        pass


def test_no_more_than_the_limit_are_ever_out() -> None:
    one = concurrency(Patience(), most=3, most_per_mailbox=2)
    lock = threading.Lock()
    out = {"all": 0, ANNA: 0, BEN: 0}
    most = dict(out)

    def work(mailbox: str) -> None:
        for _ in range(50):
            with one.slot(mailbox):
                with lock:
                    for key in ("all", mailbox):
                        out[key] += 1
                        most[key] = max(most[key], out[key])
                time.sleep(0.0005)
                with lock:
                    for key in ("all", mailbox):
                        out[key] -= 1
                one.quiet(mailbox)

    threads = [threading.Thread(target=work, args=(mailbox,)) for mailbox in (ANNA, BEN) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert most == {"all": 3, ANNA: 2, BEN: 2}


@pytest.mark.parametrize(("share", "limit"), [(0.79, 8), (0.8, 4), (0.89, 4), (0.9, 1), (None, 8)])
def test_a_processor_with_its_hands_full_is_given_no_more(share: float | None, limit: int) -> None:
    one = Concurrency(most=8, most_per_mailbox=4, patience=Waits(), cpu_share=lambda: share)
    quiet(one, ANNA, 1_000)
    assert (one.limit, one.limit_of(ANNA)) == (limit, 4)


def test_the_share_of_a_processor_is_that_of_the_last_fifth_of_a_second() -> None:
    wall, cpu = [0.0], [0.0]
    share = CpuShare(clock=lambda: wall[0], cpu=lambda: cpu[0])
    assert share() is None
    wall[0], cpu[0] = 0.1, 0.1
    assert share() is None
    wall[0], cpu[0] = 0.4, 0.2
    assert share() == pytest.approx(0.5)
    wall[0], cpu[0] = 0.5, 0.3
    assert share() == pytest.approx(0.5)
    wall[0], cpu[0] = 0.8, 0.6
    assert share() == pytest.approx(1.0)
