"""Running a wave of work: the interface of executors, and the serial one, which needs no Dask."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from scorefold.cluster.run import RunReference
from scorefold.cluster.tasks import run_node
from scorefold.planning.node import Node


@dataclass(frozen=True)
class Outcome:
    """How one piece of work ended.

    Attributes
    ----------
    node : Node
        The work.
    error : BaseException or None
        None if it is committed.
    collateral : bool
        Whether it was not even tried, because work it needs failed.
    killed : bool
        Whether the processes that tried it died.
    """

    node: Node
    error: BaseException | None = None
    collateral: bool = False
    killed: bool = False


class Executor(Protocol):
    """Runs waves of work. An executor holds no results; the store does."""

    @property
    def workers(self) -> int:
        """Number of tasks that are worked on at a time."""
        ...

    @property
    def has_workers(self) -> bool:
        """Whether anybody is there to work."""
        ...

    def tell(self, message: dict[str, Any], *, last: bool = False) -> None:
        """Pass a message on to whoever watches, without waiting unless it is the last; see `scorefold.events`."""
        ...

    def run(self, run: RunReference, wave: Sequence[Node]) -> Generator[Outcome | None]:
        """Run nodes, each after its inputs in the wave, and yield how each ended, in any order.

        None is yielded now and then while nothing ends, so that a driver can look up. A generator that is closed early
        gives up what has not begun.
        """
        ...


class SerialExecutor:
    """Runs a wave in this process, one node after the other."""

    workers = 1
    has_workers = True

    def tell(self, message: dict[str, Any], *, last: bool = False) -> None:
        """Tell nobody: there is no dashboard."""

    def run(self, run: RunReference, wave: Sequence[Node]) -> Generator[Outcome]:
        """Run the nodes in the order given; see `Executor.run`."""
        failed: set[str] = set()
        for node in wave:
            if failed.intersection(node.inputs):
                failed.add(node.key)
                yield Outcome(node, RuntimeError("not tried"), collateral=True)
                continue
            try:
                run_node(run, node)
            except Exception as error:  # noqa: BLE001 - as on a cluster, the driver decides what it means
                failed.add(node.key)
                yield Outcome(node, error)
            else:
                yield Outcome(node)
