"""The report: self-contained, escaped, well formed, and complete."""

import json
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.rendering import (
    DrawnPick,
    Failure,
    ReportData,
    ReportTarget,
    ScoreHistogram,
    encode_png,
    render_report,
    report,
)

HOSTILE = (
    '</script><script>alert("x")</script>\n<!-- \' & $title ${picks} \u2028 \udce9 '
    "<img src=http://x/y onerror=a>"
)
PNG = encode_png(np.zeros((2, 2, 3), np.uint8))
VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails on tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def picks(number: int, target: str = "a.tif", axes: int = 2) -> list[DrawnPick]:
    return [DrawnPick(np.full(axes, i / 3), np.eye(axes), 1 - i / 1000, i + 1, target) for i in range(number)]


def data(**changes) -> ReportData:
    counts, edges = np.histogram(np.random.default_rng(0).normal(size=1000), bins=20)
    whole = ReportData(
        title="Keys",
        dimensions=2,
        template="key.png",
        mask="disk",
        rotation_set="3°",
        score="FLC",
        threshold=0.5,
        threshold_source="one false positive",
        fingerprint="9f2c",
        versions={"scorefold": "0.1.0"},
        targets=[ReportTarget("a.tif", (40, 50), 3, 0.9, PNG), ReportTarget("b.tif", (40, 50), 0)],
        picks=picks(3),
        failures=[Failure("c.tif", "empty file. Copy it again.")],
        histogram=ScoreHistogram(counts, edges),
        template_picture=PNG,
        contact_sheets=[PNG, PNG],
    )
    return replace(whole, **changes)


def test_the_page_is_well_formed_and_shows_every_section():
    page = Page(render_report(data()))
    assert page.texts["h2"] == ["Failures", "Summary", "Scores", "Targets", "Picks", "Contact sheets"]
    assert page.tags.count("svg") == 2
    assert page.tags.count("img") == 1 + 1 + 2 + 1  # template, target, sheets, viewer
    everything = " ".join(text for texts in page.texts.values() for text in texts)
    for part in (
        "key.png",
        "disk",
        "3°",
        "FLC",
        "one false positive",
        "9f2c",
        "0.1.0",
        "c.tif",
        "empty file",
        "b.tif",
    ):
        assert part in everything


def test_nothing_on_the_page_asks_the_network():
    page = Page(render_report(data(title=HOSTILE)))
    for tag, name, value in page.attributes:
        if name in {"src", "href", "action", "data", "srcset", "poster"}:
            assert value.startswith(("data:image/png;base64,", "#")), (tag, name)
    assert not {"link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert ("meta", "http-equiv", "Content-Security-Policy") in page.attributes


def test_pictures_are_embedded_byte_for_byte():
    sources = [
        value for tag, name, value in Page(render_report(data())).attributes if (tag, name) == ("img", "src")
    ]
    assert {b64decode(source.removeprefix("data:image/png;base64,")) for source in sources} == {PNG}


def test_names_of_users_are_text_and_nothing_else():
    hostile = data(
        title=HOSTILE,
        template=HOSTILE,
        mask=HOSTILE,
        rotation_set=HOSTILE,
        score=HOSTILE,
        threshold_source=HOSTILE,
        fingerprint=HOSTILE,
        versions={HOSTILE: HOSTILE},
        targets=[ReportTarget(HOSTILE, (4, 5), 1, 0.9, PNG), ReportTarget(HOSTILE, (4, 5), 0)],
        picks=picks(3, HOSTILE),
        failures=[Failure(HOSTILE, HOSTILE)],
    )
    text = render_report(hostile)
    text.encode("utf-8")
    page, plain = Page(text), Page(render_report(data()))
    assert page.tags == plain.tags
    assert [(tag, name) for tag, name, _ in page.attributes] == [
        (tag, name) for tag, name, _ in plain.attributes
    ]
    shown = HOSTILE.replace("\udce9", "\\udce9")
    assert "".join(page.texts["h1"]) == shown
    rows = json.loads(page.texts["script"][0])
    assert [row[1] for row in rows] == [HOSTILE] * 3
    assert not set("<>&") & set(page.texts["script"][0])


def test_the_table_without_scripts_shows_the_first_hundred_rows_and_the_script_has_all():
    page = Page(render_report(data(picks=picks(250), failures=())))
    rows = json.loads(page.texts["script"][0])
    assert len(rows) == 250
    assert rows[249] == ["250", "a.tif", "0.7510", "83.00", "83.00", "0.0"]
    cells = page.texts["td"]
    targets_table = 1 * 4
    assert len(cells) - targets_table == 100 * 6


def test_a_very_long_table_is_cut_and_says_so(monkeypatch):
    monkeypatch.setattr(report, "MAXIMUM_ROWS", 120)
    text = render_report(data(picks=picks(121)))
    assert len(json.loads(Page(text).texts["script"][0])) == 120
    assert "first 120 of 121 picks" in text
    assert "The table holds" not in render_report(data(picks=picks(120)))


def test_volumes_have_three_coordinates_and_three_angles():
    page = Page(render_report(data(dimensions=3, picks=picks(2, axes=3), failures=())))
    columns = ["rank", "target", "score", "z", "y", "x", "rot", "tilt", "psi"]
    assert [text for text in page.texts["button"] if text in columns] == columns
    assert len(json.loads(page.texts["script"][0])[0]) == len(columns)
    assert "RELION" in "".join(page.texts["dd"])


def test_a_job_that_found_nothing_says_what_to_look_at():
    page = Page(render_report(data(picks=[], contact_sheets=(), failures=(), histogram=None, targets=[])))
    assert "No position scored above 0.5000" in "".join(page.texts["p"])
    assert page.texts["h2"] == ["Summary", "Picks"]
    assert page.texts["script"][0] == "[]"


def test_a_job_whose_targets_all_failed_says_so():
    page = Page(
        render_report(data(picks=[], contact_sheets=(), histogram=None, targets=[], threshold=float("nan")))
    )
    assert page.texts["h2"] == ["Failures", "Summary", "Picks"]
    assert "No target could be searched." in page.texts["p"]
    assert "nan" not in "".join(page.texts["b"] + page.texts["dd"])


def test_the_same_data_gives_the_same_page():
    assert render_report(data()) == render_report(data())


@pytest.mark.parametrize(
    "changes",
    [
        {"dimensions": 4},
        {"dimensions": 3},
        {"template_picture": b"GIF89a"},
        {"contact_sheets": [b""]},
        {"targets": [ReportTarget("a", (1, 1), 0, picture=b"no")]},
    ],
)
def test_data_that_does_not_fit_a_report_is_refused(changes):
    with pytest.raises(InputError):
        data(**changes)
