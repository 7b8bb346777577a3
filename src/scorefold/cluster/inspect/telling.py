"""What the tasks of an inspection tell the dashboard."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from scorefold.cluster.live import tell, told_failures
from scorefold.cluster.run import Run
from scorefold.events import LeafEvent
from scorefold.planning.node import Node

TOLD_WORST = 20
TOLD_SCORES = 512


def tell_images(
    run: Run,
    node: Node,
    seconds: float,
    names: Sequence[str] = (),
    *,
    scores: NDArray[np.floating] | None = None,
    verdicts: Sequence[str] = (),
    failures: Mapping[str, str] | None = None,
) -> None:
    """Tell the dashboard of a batch of images.

    Parameters
    ----------
    run : Run
        The run.
    node : Node
        The piece of work.
    seconds : float
        How long it took.
    names : sequence of str
        Of the images.
    scores : ndarray, optional
        Their scores; NaN where there is none.
    verdicts : sequence of str
        Their verdicts.
    failures : mapping of str to str, optional
        Those that failed, with the reason.
    """
    known = np.array([]) if scores is None else scores.astype(np.float64)
    scored = np.flatnonzero(np.isfinite(known))
    told = known[scored]
    worst = scored[np.argsort(-told, kind="stable")[:TOLD_WORST]]
    event = LeafEvent(
        run.store.location,
        node.stage,
        seconds,
        scores=told[:: max(1, -(-len(told) // TOLD_SCORES))].tolist(),
        verdicts=dict(Counter(verdicts)),
        worst=[(names[row], float(known[row])) for row in worst],
        failures=told_failures(failures or {}),
    )
    tell(event)
