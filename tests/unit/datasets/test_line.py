"""Writers wait in line: in order, the urgent first, and nobody for ever."""

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Sequence

from datasets import line
from datasets.line import Line


def _line_up(queue: Line, tasks: Sequence[Callable[[], None]]) -> None:
    """Let tasks queue up behind a running writer, one after the other; return when all have ended."""
    threads = [threading.Thread(target=task) for task in tasks]
    with queue.turn(is_urgent=False):
        for number, thread in enumerate(threads, start=1):
            thread.start()
            while len(queue._urgent) + len(queue._others) < number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()


def _order(urgent: list[bool]) -> list[int]:
    """Let writers queue up behind a running one; return in which order they get their turns."""
    queue, order = Line(), []

    def write(number: int) -> None:
        with queue.turn(is_urgent=urgent[number]):
            order.append(number)

    _line_up(queue, [functools.partial(write, number) for number in range(len(urgent))])
    return order


def test_turn__urgent_first_each_kind_in_its_order() -> None:
    assert _order([False, True, False, True]) == [1, 3, 0, 2]


def test_turn__others_get_one_after_many_urgent_ones(monkeypatch) -> None:
    monkeypatch.setattr(line, "MOST_URGENT", 2)

    assert _order([False, *[True] * 5, False]) == [1, 2, 0, 3, 4, 6, 5]


def test_let_urgent_pass__waits_for_them_and_for_nobody_else() -> None:
    queue, order = Line(), []

    def urgent() -> None:
        with queue.turn(is_urgent=True):
            order.append("urgent")

    def passing() -> None:
        queue.let_urgent_pass()
        order.append("passed")

    with queue.turn(is_urgent=True):
        queue.let_urgent_pass()  # nobody waits
    _line_up(queue, [urgent, passing])

    assert order == ["urgent", "passed"]


def test_turn__one_at_a_time_and_free_after_an_error() -> None:
    queue, inside, most = Line(), [], []

    def write(number: int) -> None:
        for _ in range(50):
            with contextlib.suppress(ValueError), queue.turn(is_urgent=number % 2 == 0):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0)
                inside.remove(number)
                raise ValueError

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (max(most), len(most)) == (1, 300)
    with queue.turn(is_urgent=False):
        pass
