"""`scorefold evaluate`: how well an inspection tells what is known of its images."""

import hashlib

from scorefold.cli.console import say_json
from scorefold.cli.execution import Workplace, with_workplace
from scorefold.cli.inspect.options import Labels, Masks
from scorefold.cli.inspect.results import metrics_json, show_metrics
from scorefold.cli.job_file import with_job_file
from scorefold.cli.options import Json, Quiet, Render, Run
from scorefold.errors import InputError

EXAMPLES = "Example: scorefold evaluate found --masks ground-truth/"


@with_job_file("evaluate")
@with_workplace
def command(
    run: Run,
    place: Workplace,
    masks: Masks = None,
    labels: Labels = None,
    render: Render = True,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Compare an inspection with masks or labels, and print how well it does; score maps are not computed again.

    With neither, the metrics of what is known already are printed.
    """
    from scorefold.cluster import InspectRun, change_truth, open_kind
    from scorefold.planning.truth import check_threshold, known_truth, truth_to_bytes

    opened = open_kind(run, InspectRun)
    truths = known_truth(list(opened.images), masks, labels)
    if truths is None and not opened.job.truth:
        raise InputError(f'run "{run}": nothing is known of its images. Give --masks or --labels.')
    with place:
        if truths is not None:
            check_threshold(opened.job.measure, truths, maps=opened.job.source == "maps")
            data = truth_to_bytes(truths)
            digest = hashlib.sha256(data).hexdigest()
            if digest != opened.job.truth:
                opened = change_truth(opened, data, digest)
        code = place.work(opened, render=render, quiet=quiet or as_json, summary=show_metrics)
    if as_json:
        say_json(metrics_json(opened))
    return code
