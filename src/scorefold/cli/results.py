"""What a finished run is summed up as in the terminal."""

import io
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scorefold.cli.console import plain_table, say, show
from scorefold.cli.wording import count
from scorefold.object_stores import is_url

if TYPE_CHECKING:
    import pandas as pd

    from scorefold.cluster import MatchRun, Run


def show_results(run: "Run", most: int, *, render: bool) -> None:
    """Print what a run has found or learned, and where the files are.

    Parameters
    ----------
    run : Run
        A finished run of any kind.
    most : int
        Rows to print.
    render : bool
        Whether pictures and a report were made.
    """
    from scorefold.cli.inspect.results import show_inspection, show_training
    from scorefold.cluster import InspectRun, MatchRun, TrainRun

    files = ["tables/picks.csv", *(("figures", "report.html") if render else ())]
    if isinstance(run, TrainRun):
        show_training(run)
        files = ["tables/images.csv", "figures"]
    elif isinstance(run, InspectRun):
        show_inspection(run, most)
        export = ["export"] if run.job.export else []
        files = ["tables/images.csv", "tables/defects.csv", *files[1:], *export]
    elif isinstance(run, MatchRun):
        _show_match(run, most)
    location = run.store.location
    if is_url(location):
        say(f"wrote  {location}")
        return
    for path in (Path(location) / name for name in files):
        if path.exists():
            say(f"wrote  {path}")


def _show_match(run: "MatchRun", most: int) -> None:
    picks = read_table(run, "picks")
    if len(picks):
        _show_picks(picks, most, len(run.job.targets))
    else:
        _explain_no_picks(run, most)


def read_table(run: "Run", name: str, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """Return a table of a run, or some of its columns: one read, however many rows there are."""
    import pandas as pd

    from scorefold.cluster import committed_file

    data = committed_file(run, f"tables/{name}.parquet")
    return pd.read_parquet(io.BytesIO(data or b""), columns=columns)


def _show_picks(picks: "pd.DataFrame", most: int, targets: int) -> None:
    best = picks.sort_values("score", ascending=False, kind="stable").head(most)
    title = f"{count(len(picks), 'pick')} in {count(targets, 'target')}"
    say(f"{title}, the best {len(best)}:" if len(picks) > len(best) else f"{title}:")
    table = plain_table()
    table.add_column("target", overflow="fold")
    axes = [axis for axis in "zyx" if axis in picks.columns]
    angles = [angle for angle in ("angle", "rot", "tilt", "psi") if angle in picks.columns]
    for column in ("rank", "score", *axes, *angles):
        table.add_column(column, justify="right", no_wrap=True)
    for row in best.to_dict("records"):
        numbers = [f"{row['score']:.3f}", *(f"{row[column]:.1f}" for column in axes + angles)]
        table.add_row(row["target"], str(row["rank"]), *numbers)
    show(table)


def _explain_no_picks(run: "MatchRun", most: int) -> None:
    say("no picks: no score reached the threshold")
    images = read_table(run, "images")
    searched = images[images["failure"] == ""].head(most)
    for row in searched.to_dict("records"):
        say(f"{row['target']}: best score {row['best_score']:.4g}, threshold {row['threshold']:.4g}")
    if len(searched):
        command = f"scorefold render {shlex.quote(run.store.location)} --threshold VALUE"
        say(f"other picks cost no new search: {command}")
