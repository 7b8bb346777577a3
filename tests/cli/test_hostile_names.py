"""Whatever files are called, they are searched, tabulated and reported; nothing is executed, lost or mixed up."""

import csv
import html.parser
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import scorefold as package

HOSTILE = {
    "parent": "..\\..\\x.png",
    "escaped parent": "%2e%2e%2f%2e%2e%2fx.png",
    "attribute": '" onerror="alert(1)" x=".png',
    "single": "' onload='alert(1).png",
    "ampersand": "&lt;img src=x onerror=alert(1)&gt;&amp;.png",
    "template": "$title ${data} {{7*7}}.png",
    "json": "<:script><!--.png",
    "carriage": "a\r\nb,c\r\n.png",
    "at": "@SUM(1+1).png",
    "plus": "+1+1.png",
    "tab": "\t=1+1.png",
    "block": "data_loop_.png",
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


NOT_TEXT = b"caf\xe9 \xff<b>.png".decode(errors="surrogateescape")


class Tags(html.parser.HTMLParser):
    """Collects what elements, attributes and scripts a page holds."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[tuple[str, ...]] = set()
        self.scripts: list[str] = []
        self.handlers: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script"
        self.elements |= {(tag,), *((tag, name) for name, _ in attrs)}
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts.append(data)
            self._inside = False


def read_page(path: Path) -> Tags:
    tags = Tags()
    tags.feed(path.read_text())
    tags.close()
    return tags


def check_page(path: Path, harmless: Path) -> None:
    """Check that a report has the elements and scripts of one of files with harmless names."""
    found, expected = read_page(path), read_page(harmless)
    assert found.elements <= expected.elements
    assert not found.handlers
    assert len(found.scripts) == len(expected.scripts)
    assert found.scripts[-1] == expected.scripts[-1]  # the page's own; those before it are data
    for data in found.scripts[:-1]:
        json.loads(data)
        assert not set("<>&") & set(data)


def check_tables(folder: Path, name: str, rows: int) -> pd.DataFrame:
    """Check that a table has one record per row in every format, none of which a spreadsheet would compute."""
    table = pd.read_parquet(folder / f"{name}.parquet")
    assert len(table) == rows
    assert len(pd.read_csv(folder / f"{name}.csv", comment="#", keep_default_na=False)) == rows
    with (folder / f"{name}.csv").open(newline="") as file:
        text = file.read()
    records = list(csv.reader(text[text.index('"') :].splitlines(keepends=True)))
    assert len(records) == rows + 1
    assert {len(record) for record in records} == {len(table.columns)}
    for record in records:
        for cell in record:
            assert not cell.startswith(("=", "@", "+", "\t", "\r")), cell
            assert not cell.startswith("-") or float(cell) < 0, cell
    return table


def everything_below(folder: Path, *but: str) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.relative_to(folder).parts[0] not in but
    }


@pytest.mark.system
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


def write_hostile(folder: Path, image: bytes, but: str = "") -> list[str]:
    folder.mkdir()
    names = [name for name in (*HOSTILE.values(), NOT_TEXT) if not name.startswith(".") and name != but]
    for name in names:
        (folder / name).write_bytes(image)
    for name in ("=broken <b>\x1b[2J\n.png", "<script>alert(2)<:script>broken.png"):
        (folder / name).write_bytes(b"no image")
    return names


@pytest.mark.system
def test_matching_hostile_names_writes_nothing_outside_of_the_run(folder, scorefold, quick, made_run):
    names = write_hostile(Path("images"), Path("good.png").read_bytes())
    before = everything_below(folder.parent)
    ended = scorefold("match", "images", "-t", "part.png", "-o", "run", *quick)
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 2
    assert everything_below(folder.parent, "work") == {
        path: content for path, content in before.items() if not path.startswith("work")
    }
    inside = everything_below(folder, "run")
    assert {f"work/{path}": content for path, content in inside.items()} == {
        path: content for path, content in before.items() if path != "work"
    }
    check_tables(Path("run/tables"), "images", len(names) + 2)
    check_tables(Path("run/tables"), "picks", len(names))
    check_page(Path("run/report.html"), made_run / "report.html")


def test_hostile_names_of_volumes_stay_rows_of_a_star_file(folder, scorefold):
    rng = np.random.default_rng(3)
    volume = rng.normal(size=(14, 15, 16)).astype(np.float32)
    template = volume[4:9, 5:10, 6:11]
    np.save("part.npy", template)
    Path("volumes").mkdir()
    names = [name for name in (*HOSTILE.values(), NOT_TEXT) if not name.startswith(".")]
    for name in names:
        with (Path("volumes") / f"{name.removesuffix('.png')}.npy").open("wb") as file:
            np.save(file, volume)
    options = (
        "--step",
        "90",
        "--mask",
        "sphere",
        "--threshold",
        "0.9",
        "--no-render",
        "--scheduler",
        "serial",
    )
    ended = scorefold("match", "volumes", "-t", "part.npy", "-o", "run", *options)
    assert (ended.code, ended.err) == (0, "")
    table = check_tables(Path("run/tables"), "picks", len(names))
    lines = Path("run/tables/picks.star").read_text().splitlines()
    assert sum(line.startswith("data_") for line in lines) == 1
    first = max(number for number, line in enumerate(lines) if line.startswith("_")) + 1
    rows = [line.split() for line in lines[first:] if line.strip()]
    assert len(rows) == len(names)
    assert len({len(row) for row in rows}) == 1
    assert {row[6] for row in rows} == set(table["target"])


@pytest.mark.system
def test_hostile_names_go_through_training_and_inspection(lot, scorefold):
    good = Path("good/g0.png").read_bytes()
    names = write_hostile(Path("hostile-good"), good, but=NOT_TEXT)
    for number in range(1, 6):
        Path("hostile-good", f"g{number}.png").write_bytes(Path(f"good/g{number}.png").read_bytes())
    inspected = write_hostile(Path("hostile <i>"), Path("lot/t1.png").read_bytes(), but=NOT_TEXT)
    Path("hostile <i>", "&", "<b>").mkdir(parents=True)
    Path("hostile <i>", "&", "<b>", "in a folder.png").write_bytes(Path("lot/t0.png").read_bytes())
    before = everything_below(lot)
    serial = ("--scheduler", "serial")
    ended = scorefold("inspect", "train", "hostile-good", "-o", "model <i>", *serial)
    assert ended.code == 1, ended.err
    assert "\x1b" not in ended.out + ended.err
    assert len(ended.err.splitlines()) == 2
    check_tables(Path("model <i>/tables"), "images", len(names) + 5 + 2)
    arguments = ("--model", "model <i>", "--export", "maps,masks", "-o", "found <i>", *serial)
    ended = scorefold("inspect", "run", "hostile <i>/**/*.png", *arguments)
    assert ended.code == 1
    assert "\x1b" not in ended.out + ended.err
    assert len(ended.err.splitlines()) == 2
    assert everything_below(lot, "model <i>", "found <i>") == before
    images = check_tables(Path("found <i>/tables"), "images", len(inspected) + 1 + 2)
    assert images["name"].is_unique
    assert (images["verdict"] == "NG").sum() == len(inspected)
    check_tables(Path("found <i>/tables"), "defects", len(inspected))
    check_page(Path("found <i>/report.html"), made_page(lot, scorefold))
    exported = [path for path in Path("found <i>/export").rglob("*") if path.is_file()]
    assert len(exported) == 2 * (len(inspected) + 1)
    for command in ("status", "verify", "gc", "evaluate"):
        again = scorefold(command, "found <i>")
        assert "\x1b" not in again.out + again.err
        assert "internal error" not in again.err


def made_page(lot: Path, scorefold) -> Path:
    """Return the report of files with harmless names, of which one is broken, too."""
    Path("harmless").mkdir()
    for path in Path("lot").iterdir():
        Path("harmless", path.name).write_bytes(path.read_bytes())
    Path("harmless/broken.png").write_bytes(b"no image")
    scorefold("inspect", "run", "harmless", "--model", "model", "-o", "plain", "--scheduler", "serial")
    return Path("plain/report.html")


def test_an_inspection_refuses_a_name_that_is_no_text_in_one_line(lot, scorefold, check_refused):
    Path("lot", NOT_TEXT).write_bytes(Path("lot/t0.png").read_bytes())
    ended = scorefold("inspect", "run", "lot", "--model", "model", "-o", "found", "--scheduler", "serial")
    check_refused(ended, ("not valid UTF-8", "Rename the file"))
    assert not Path("found").exists()
