"""What is shown while a run works: bars on a terminal, few and short lines elsewhere."""

import sys

import pytest

from scorefold.cli.console import PLAIN_SECONDS, ProgressDisplay, progress_line
from scorefold.cluster import Progress

TOTAL = {"score_leaf": 4000, "merge": 500, "write_result": 10, "call_picks": 10, "render": 0, "report": 1}


def progress(**done: int) -> Progress:
    return Progress({stage: done.get(stage, 0) for stage in TOTAL}, TOTAL)


def test_a_line_names_what_is_under_way():
    assert progress_line(progress(score_leaf=120, merge=3)) == "score 120 of 4,000, merge 3 of 500"


def test_a_line_between_stages_counts_everything():
    assert progress_line(progress(score_leaf=4000, merge=500)) == "4,500 tasks of 4,521 done"


def test_plain_progress_is_one_line_every_few_seconds(capsys):
    now = 0.0
    with ProgressDisplay(clock=lambda: now) as display:
        for step in range(101):
            now = step * PLAIN_SECONDS / 25
            display.update(progress(score_leaf=step + 1))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"score {n} of 4,000" for n in (26, 51, 76, 101)]


def test_a_short_run_prints_no_progress_and_quiet_none_at_all(capsys):
    now = 0.0
    with ProgressDisplay(clock=lambda: now) as display:
        display.update(progress(score_leaf=1))
    with ProgressDisplay(quiet=True, clock=lambda: now) as display:
        now = 10 * PLAIN_SECONDS
        display.update(progress(score_leaf=1))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("columns", [80, 120])
def test_bars_on_a_terminal_fit_its_width(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with ProgressDisplay() as display:
        display.update(progress(score_leaf=4000, merge=3))
    lines = capsys.readouterr().out.splitlines()
    assert any("score" in line and "4000/4000" in line for line in lines)
    assert not any("draw" in line for line in lines)  # nothing to draw, no bar
    assert max(map(len, lines)) <= columns + 40  # colour codes take no room
