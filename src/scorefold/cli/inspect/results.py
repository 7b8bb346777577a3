"""What a training and an inspection are summed up as in the terminal."""

import io
import math
from typing import TYPE_CHECKING, Any

from scorefold.cli.console import plain_table, say, show
from scorefold.cli.results import read_table
from scorefold.cli.wording import count

if TYPE_CHECKING:
    import pandas as pd

    from scorefold.cluster import InspectRun, Run, TrainRun

VERDICTS = ("NG", "OK", "NOT_FOUND", "ERROR")
"""In the order in which they are counted up."""


def show_training(run: "TrainRun") -> None:
    """Print how many images a model was learned from, and how far the good ones deviate."""
    from scorefold.cluster.inspect.train_run import LEARN

    record = run.store.read_commit(LEARN)
    used = int(record.summary["images"]) if record is not None else 0
    unused = run.job.image_count and len(run.failures())
    say(f"model  {run.store.location}")
    say(f"learned from {count(used, 'image')}" + (f"; {count(unused, 'image')} not used" if unused else ""))
    if not run.job.image_count:
        return
    images = read_table(run, "images", ["name", "score"]).dropna(subset=["score"])
    if len(images) and run.recipe.method != "single":
        largest = images.loc[images["score"].idxmax()]
        say(
            f"largest score of a good image, by the model of the others: {largest['score']:.3g} ({largest['name']}); "
            "1 is where the tolerance ends"
        )


def show_inspection(run: "InspectRun", most: int) -> None:
    """Print verdicts, threshold, the images with the highest scores, and metrics if anything is known."""
    images = read_table(run, "images", ["name", "score", "threshold", "verdict", "defects", "area"])
    counts = images["verdict"].value_counts()
    said = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in VERDICTS if verdict in counts)
    noun = "map" if run.job.source == "maps" else "image"
    say(f"{count(len(images), noun)}: {said}")
    threshold, rule = float(images["threshold"].iloc[0]), run.job.measure.threshold
    say(f"threshold {threshold:.4g}" + (f" ({rule})" if not _is_number(rule) else ""))
    worst = images.dropna(subset=["score"]).sort_values("score", ascending=False, kind="stable").head(most)
    if len(worst):
        _show_worst(worst, noun, len(images))
    if run.job.truth:
        show_metrics(run)


def _show_worst(worst: "pd.DataFrame", noun: str, images: int) -> None:
    say(f"the {count(len(worst), noun)} with the highest scores:" if len(worst) < images else "scores:")
    table = plain_table()
    table.add_column(noun, overflow="fold")
    for column in ("score", "verdict", "defects", "area"):
        table.add_column(column, justify="left" if column == "verdict" else "right", no_wrap=True)
    for row in worst.to_dict("records"):
        table.add_row(
            row["name"], f"{row['score']:.3f}", row["verdict"], f"{row['defects']:,}", f"{row['area']:,}"
        )
    show(table)


def show_metrics(run: "Run") -> None:
    """Print how well an inspection tells what is known of its images."""
    metrics = read_metrics(run)
    if not len(metrics):
        say("no metrics: they need scored images of both kinds, good and bad")
        return
    table = plain_table()
    table.add_column("metric")
    for level in ("images", "pixels"):
        table.add_column(level, justify="right")
    for row in metrics.to_dict("records"):
        table.add_row(str(row["metric"]), *(_number(row[level]) for level in ("images", "pixels")))
    show(table)


def metrics_json(run: "Run") -> dict[str, dict[str, float]]:
    """Return metrics by level, ``images`` and ``pixels``, and name; those that are not known are left out."""
    rows = read_metrics(run).to_dict("records")
    return {
        level: {str(row["metric"]): row[level] for row in rows if not math.isnan(row[level])}
        for level in ("images", "pixels")
    }


def read_metrics(run: "Run") -> "pd.DataFrame":
    """Return the table of metrics, empty if there are none."""
    import pandas as pd

    from scorefold.cluster import committed_file

    data = committed_file(run, "tables/metrics.csv")
    if data is None:
        return pd.DataFrame({"metric": [], "images": [], "pixels": []})
    return pd.read_csv(io.BytesIO(data))


def _number(value: Any) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
