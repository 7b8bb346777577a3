"""Whatever files are called, they are searched, tabulated and reported; nothing is executed, lost or mixed up."""

import csv
import html.parser
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import scorefold as package

HOSTILE = {
    "spaces": "a  file with spaces.png",
    "quotes": 'it\'s "quoted".png',
    "newline": "line\nbreak.png",
    "tag": "<script>alert(1)<:script>.png",
    "dash": "-rf.png",
    "markup": "[red]x[bold].png",
    "glob": "star[*]?.png",
    "unicode": "Zürich 東京 🔬 \u202egnp.png",
    "escape": "\x1b[31mred\x07.png",
    "formula": "=cmd|' !A1.png",
    "comment": "# comment,with,commas.png",
    "percent": "100%20%s{0}.png",
    "long": "n" * 200 + ".png",
    "dots": "..hidden...png",
}


class Tags(html.parser.HTMLParser):
    """Collects what scripts a page holds and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.handlers: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script"
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts.append(data)
            self._inside = False


def test_hostile_names_go_through_match_tables_and_report(folder, scorefold, quick):
    image = cv2.imencode(".png", cv2.imread("good.png", cv2.IMREAD_GRAYSCALE))[1].tobytes()
    Path("images").mkdir()
    for name in HOSTILE.values():
        Path("images", name).write_bytes(image)
    Path("images", "broken <b>\x1b[2J\n.png").write_bytes(b"no image")
    Path("[").mkdir()
    template = '[/t]<script>"\n.png'  # a closing tag of Rich's markup
    Path(template).write_bytes(Path("part.png").read_bytes())
    ended = scorefold("match", "images", "-t", template, "-o", "run <i>", *quick)
    assert ended.code == 1
    assert "\x1b" not in ended.out + ended.err
    assert len(ended.err.splitlines()) == 1

    tables = Path("run <i>", "tables")
    shown = [
        name for name in HOSTILE.values() if not name.startswith(".")
    ]  # hidden files are left out of folders
    images = pd.read_parquet(tables / "images.parquet")
    searched = images[images["failure"] == ""]
    assert sorted(Path(path).name for path in searched["path"]) == sorted(shown)
    assert searched["target"].is_unique
    assert (searched["picks"] == 1).all()
    picks = pd.read_parquet(tables / "picks.parquet")
    assert sorted(picks["target"]) == sorted(searched["target"])
    np.testing.assert_allclose(picks[["y", "x"]], [[17, 25]] * len(picks), atol=0.1)
    with (tables / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("# ")))
    assert len(rows) >= len(searched)

    tags = Tags()
    tags.feed(Path("run <i>", "report.html").read_text())
    assert not tags.handlers
    assert not any("alert(" in script for script in tags.scripts)
    for target in searched["target"]:
        assert Path("run <i>", "figures", f"{target}.png").is_file()
    for command in ("status", "verify", "gc"):
        again = scorefold(command, "run <i>")
        assert again.code == 0
        assert "\x1b" not in again.out
    assert "\n" not in scorefold("status", "run <i>").out.splitlines()[0]


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_can_be_given_itself(folder, scorefold, quick, name):
    Path(name).write_bytes(Path("good.png").read_bytes())
    ended = scorefold("match", "-t", "part.png", "-o", "run", "--no-render", *quick, "--", name)
    assert (ended.code, ended.err) == (0, "")
    assert package.open_run("run").picks["score"].item() > 0.999


def test_a_name_that_is_no_text(folder, scorefold, quick):
    name = b"latin-\xe9.png"
    Path(name.decode(errors="surrogateescape")).write_bytes(Path("good.png").read_bytes())
    ended = scorefold("match", ".", "-t", "part.png", "-o", "run", *quick)
    assert ended.code == 0, ended.err
    assert len(package.open_run("run").picks) == 3


def test_a_missing_file_with_a_hostile_name_is_one_line(folder, scorefold):
    ended = scorefold("match", "no\n\x1b[31mwhere.png", "-t", "part.png", "-o", "run")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "\x1b" not in ended.err
