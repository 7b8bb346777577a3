"""The report: self-contained, escaped, well formed, complete; long tables are cut and say so."""

import json
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.rendering import Failure, encode_png
from scorefold.rendering.inspection import (
    EvaluationCurve,
    InspectionReport,
    Metric,
    ReportDefect,
    ReportImage,
    ReportSheet,
    inspection_report,
    report,
)

HOSTILE = (
    '</script><script>alert("x")</script>\n<!-- \' & $title ${data} \u2028 \udce9 '
    "<img src=http://x/y onerror=a>"
)
PNG = encode_png(np.zeros((2, 2, 3), np.uint8))
VOID = {"meta", "img", "input", "br"}
ENDS = np.array([0.0, 1.0])
DRAWN = {
    "scores": {"normal": np.linspace(0, 0.9, 90), "anomalous": np.array([1.5, 2, 3])},
    "curves": [EvaluationCurve(kind, "images", ENDS, ENDS, 0.5) for kind in ("roc", "pr", "pro")],
}
"""What takes a second to draw: for tests that look at it."""


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

    @property
    def everything(self) -> str:
        return " ".join(text for texts in self.texts.values() for text in texts)

    def rows(self, name: str) -> list[list[str]]:
        ids = [value for tag, key, value in self.attributes if (tag, key) == ("script", "id")]
        return json.loads(self.texts["script"][ids.index(f"{name}-data")])


def images(number: int, name: str = "a.png") -> list[ReportImage]:
    return [ReportImage(f"{name}{i}", "NG", 1 + i, 2, 30, "scratch", "note") for i in range(number)]


def data(**changes) -> InspectionReport:
    whole = InspectionReport(
        title="Discs",
        model="variation of 40 images",
        threshold=1.0,
        threshold_rule="three sigma",
        score_range=(0.0, 6.5),
        verdicts={"OK": 90, "NG": 3, "NOT_FOUND": 1, "ERROR": 1},
        fingerprint="9f2c",
        versions={"scorefold": "0.1.0"},
        facts={"Speed": "129 images/s"},
        metrics=[Metric("AUROC", 0.98765, None)],
        sheets=[ReportSheet("Highest scores", "worst first", [PNG, PNG])],
        density_picture=PNG,
        images=[*images(3), ReportImage("lost.png", "NOT_FOUND", float("nan"))],
        defects=[ReportDefect("a.png0", (3, 4, 10, 24), 44, 2.5, "dark")],
        failures=[Failure("bad.tif", "truncated. Copy it again.")],
        not_found=[Failure("lost.png", "correlation 0.3")],
    )
    return replace(whole, **changes)


def test_the_page_is_well_formed_and_shows_every_section():
    page = Page(inspection_report(data(**DRAWN)))
    assert page.texts["h2"] == [
        "Failures",
        "Summary",
        "Scores",
        "Evaluation",
        "Images",
        "Where defects lie",
        "All images",
        "Defects",
        "Part not found",
    ]
    assert page.tags.count("svg") == 4
    assert page.tags.count("img") == 2 + 1 + 1  # sheets, density, viewer
    for part in (
        "variation of 40 images",
        "three sigma",
        "9f2c",
        "0.1.0",
        "129 images/s",
        "bad.tif",
        "truncated",
        "correlation 0.3",
        "0.9877",
        "worst first",
        "3.23 % of 93",
        "6.500",
    ):
        assert part in page.everything


def test_the_numbers_at_the_top_are_the_counts_of_the_verdicts():
    assert Page(inspection_report(data())).texts["b"] == ["95", "90", "3", "1", "1", "1", "1.000"]
    good = data(verdicts={"OK": 5}, failures=(), not_found=(), number_of_defects=0)
    assert Page(inspection_report(good)).texts["b"] == ["5", "5", "0", "0", "1.000"]


def test_nothing_on_the_page_asks_the_network():
    page = Page(inspection_report(data(title=HOSTILE)))
    for tag, name, value in page.attributes:
        if name in {"src", "href", "action", "data", "srcset", "poster"}:
            assert value.startswith(("data:image/png;base64,", "#")), (tag, name)
    assert not {"link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert ("meta", "http-equiv", "Content-Security-Policy") in page.attributes


def test_pictures_are_embedded_byte_for_byte():
    sources = [v for t, n, v in Page(inspection_report(data())).attributes if (t, n) == ("img", "src")]
    assert {b64decode(source.removeprefix("data:image/png;base64,")) for source in sources} == {PNG}


def test_names_of_users_are_text_and_nothing_else():
    row = ReportImage(HOSTILE, "NG", 2.0, 1, 1, HOSTILE, HOSTILE)
    hostile = data(
        title=HOSTILE,
        model=HOSTILE,
        threshold_rule=HOSTILE,
        fingerprint=HOSTILE,
        versions={HOSTILE: HOSTILE},
        facts={HOSTILE: HOSTILE},
        scores={HOSTILE: np.array([0.5]), "normal": np.array([0.2])},
        metrics=[Metric(HOSTILE, 0.5)],
        sheets=[ReportSheet(HOSTILE, HOSTILE, [PNG, PNG])],
        images=[row] * 4,
        defects=[ReportDefect(HOSTILE, (3, 4, 10, 24), 44, 2.5, "dark")],
        failures=[Failure(HOSTILE, HOSTILE)],
        not_found=[Failure(HOSTILE, HOSTILE)],
        tables=HOSTILE,
        number_of_defects=7,
    )
    text = inspection_report(hostile)
    text.encode("utf-8")
    page = Page(text)
    plain = Page(inspection_report(data(number_of_defects=7, scores=DRAWN["scores"])))
    outside_curves = (
        "script",
        "img",
        "h1",
        "h2",
        "h3",
        "p",
        "td",
        "th",
        "dt",
        "dd",
        "section",
        "button",
        "a",
    )
    for tag in outside_curves:
        assert page.tags.count(tag) == plain.tags.count(tag), tag
    assert not [attribute for attribute in page.attributes if attribute[1].startswith("on")]
    shown = HOSTILE.replace("\udce9", "\\udce9")
    assert "".join(page.texts["h1"]) == shown
    assert [row[0] for row in page.rows("image-rows")] == [HOSTILE] * 4
    assert page.rows("defect-rows")[0][0] == HOSTILE
    for rows in page.texts["script"][:2]:
        assert not set("<>&") & set(rows)


def test_tables_are_worst_first_and_images_without_a_score_come_last():
    rows = Page(inspection_report(data())).rows("image-rows")
    assert [row[0] for row in rows] == ["a.png2", "a.png1", "a.png0", "lost.png"]
    assert rows[0] == ["a.png2", "NG", "3.000", "2", "30", "scratch", "note"]
    assert rows[3][1:3] == ["NOT_FOUND", "–"]


def test_a_defect_is_told_by_its_corner_and_size():
    rows = Page(inspection_report(data())).rows("defect-rows")
    assert rows == [["a.png0", "dark", "2.500", "44", "3", "4", "7", "20"]]


def test_without_scripts_a_table_shows_its_first_hundred_rows_with_verdicts_marked():
    page = Page(inspection_report(data(images=images(250), defects=())))
    assert len(page.rows("image-rows")) == 250
    verdicts = [value for tag, name, value in page.attributes if (tag, name) == ("td", "data-verdict")]
    assert verdicts == ["NG"] * 100


def test_very_long_tables_are_cut_to_the_worst_and_say_where_the_rest_is(monkeypatch):
    monkeypatch.setattr(report, "MAXIMUM_ROWS", 120)
    page = Page(
        inspection_report(data(images=images(300), verdicts={"NG": 10_000}, tables="tables/images.parquet"))
    )
    rows = page.rows("image-rows")
    assert len(rows) == 120
    assert rows[0][2] == "300.0"
    assert "the 120 of 10 000 images with the highest scores" in page.everything
    assert "tables/images.parquet" in page.everything
    whole = Page(inspection_report(data(images=images(120), verdicts={"NG": 120})))
    assert "The table holds" not in whole.everything


def test_very_many_failures_are_counted_and_the_first_listed(monkeypatch):
    monkeypatch.setattr(report, "MAXIMUM_FAILURES", 2)
    failures = [Failure(f"{i}.tif", "empty") for i in range(5)]
    page = Page(inspection_report(data(failures=failures, verdicts={"ERROR": 70, "OK": 1})))
    assert "The first 2 of 70" in page.everything
    assert "1.tif" in page.texts["td"]
    assert "2.tif" not in page.texts["td"]


def test_a_run_whose_images_all_failed_says_so():
    page = Page(
        inspection_report(
            data(
                threshold=float("nan"),
                score_range=None,
                verdicts={"ERROR": 3},
                scores={},
                curves=(),
                metrics=(),
                sheets=(),
                density_picture=None,
                images=(),
                defects=(),
                not_found=(),
            )
        )
    )
    assert page.texts["h2"] == ["Failures", "Summary"]
    assert "no image could be inspected" in "".join(page.texts["dd"])
    assert "nan" not in "".join(page.texts["b"] + page.texts["dd"])


def test_the_same_data_gives_the_same_page():
    assert inspection_report(data(**DRAWN)) == inspection_report(data(**DRAWN))


@pytest.mark.parametrize(
    "changes",
    [
        {"verdicts": {"GOOD": 3}},
        {"images": [ReportImage("a", "BAD", 1.0)]},
        {"density_picture": b"GIF89a"},
        {"sheets": [ReportSheet("a", "b", [b"no"])]},
    ],
)
def test_data_that_does_not_fit_a_report_is_refused(changes):
    with pytest.raises(InputError):
        data(**changes)
