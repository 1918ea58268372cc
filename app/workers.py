"""Many slides at once: a pool of processes on this machine, or a Ray cluster where one is not enough.

Work comes as independent items; what an item did is in the study when it is done, so an item whose
worker died is simply run again. Knows nothing of slides.
"""

import importlib
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from datasets.errors import DatasetError

T = TypeVar("T")
R = TypeVar("R")

_ROUNDS = 3
"""How often an item is started whose worker dies, before that is told."""


class WorkerError(DatasetError):
    """Workers that cannot be started, or that die again and again."""


class Workers(Protocol):
    """Where items are worked on."""

    def run(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Call a function for each item.

        Args:
            function: Of a module, so that another process finds it; may be called twice for one item.
            items: Plain values.

        Yields:
            The results as they come, in any order.

        Raises:
            WorkerError: Workers died three times in a row.
        """


class LocalPool:
    """Processes of this machine.

    Args:
        count: How many; each needs a core, and memory for one slide's tile.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def run(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Call a function for each item; see `Workers`.

        Raises:
            WorkerError: Workers died several times in a row.
        """
        left, rounds = dict(enumerate(items)), 0
        while left:
            size = len(left)
            try:
                for number, result in self._round(function, left):
                    del left[number]
                    yield result
            except BrokenProcessPool as error:
                rounds = 1 if len(left) < size else rounds + 1
                if rounds == _ROUNDS:
                    raise WorkerError(
                        f"a worker died {_ROUNDS} times in a row, {len(left)} of {len(items)} parts are left. "
                        "Is memory short? Start again with fewer --workers: what is done stays done."
                    ) from error

    def _round(self, function: Callable[[T], R], left: dict[int, T]) -> Iterator[tuple[int, R]]:
        # Spawned: a forked child would inherit open databases and the locks of threads that it does not have.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(self._count, len(left)), mp_context=context, initializer=_prepare_worker)
        try:
            numbers: dict[Future[R], int] = {pool.submit(function, item): number for number, item in left.items()}
            for future in as_completed(numbers):
                yield numbers[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class RayCluster:
    """A Ray cluster, whose machines all see the study's folder and its database (optional extra `cluster`).

    Args:
        address: "auto" for the cluster of this machine, else HOST:PORT or ray://HOST:PORT.

    Raises:
        WorkerError: Ray is not installed, or nobody answers at the address.
    """

    def __init__(self, address: str) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            self._ray: Any = importlib.import_module("ray")
        except ModuleNotFoundError as error:
            raise WorkerError(
                "--cluster needs Ray, which is not installed: pip install 'cytojepa[cluster]'."
            ) from error
        _knock(address)
        try:
            self._ray.init(address=address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise WorkerError(f"no Ray cluster answers at {address}. Start one with: ray start --head.") from error

    def run(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Call a function for each item; see `Workers`. Ray itself starts the items of a dead worker again.

        Raises:
            WorkerError: The cluster lost parts for good.
        """
        remote = self._ray.remote(max_retries=_ROUNDS)(function)
        waiting = [remote.remote(item) for item in items]
        try:
            while waiting:
                ready, waiting = self._ray.wait(waiting)
                yield from self._ray.get(ready)
        except self._ray.exceptions.RayError as error:
            raise WorkerError(f"the Ray cluster lost {len(waiting) + 1} of {len(items)} parts for good.") from error
        finally:
            for task in waiting:
                self._ray.cancel(task)


def workers_for(count: int, cluster: str | None) -> Workers | None:
    """Choose who works: a cluster where one is named, else so many processes, None for this one alone.

    Raises:
        WorkerError: The cluster cannot be reached.
    """
    if cluster is not None:
        return RayCluster(cluster)
    return LocalPool(count) if count > 1 else None


def _knock(address: str) -> None:
    """Ask whether anybody is there: Ray itself tries for minutes.

    Raises:
        WorkerError: Nobody answers at the address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise WorkerError(f"no Ray cluster answers at {address}. Start one with: ray start --head.") from error


def _prepare_worker() -> None:
    # Ctrl-C reaches the whole group: a worker ends at once and without a word, the one who asked for it speaks.
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(130))
    import cv2

    cv2.setNumThreads(1)
