"""Pictures and the page of an inspection: panels, sheets, defect density, curves and the report."""

from scorefold.rendering.inspection.curves import EvaluationCurve, evaluation_figure, image_score_figure
from scorefold.rendering.inspection.density import draw_density
from scorefold.rendering.inspection.image import (
    VERDICT_COLOURS,
    VERDICTS,
    DrawnDefect,
    InspectedImage,
    Polarity,
    Verdict,
)
from scorefold.rendering.inspection.panels import COLUMNS, draw_panels
from scorefold.rendering.inspection.report import inspection_report
from scorefold.rendering.inspection.report_data import (
    InspectionReport,
    Metric,
    ReportDefect,
    ReportImage,
    ReportSheet,
)
from scorefold.rendering.inspection.sheet import draw_sheet, sheet_pages

__all__ = [
    "COLUMNS",
    "VERDICTS",
    "VERDICT_COLOURS",
    "DrawnDefect",
    "EvaluationCurve",
    "InspectedImage",
    "InspectionReport",
    "Metric",
    "Polarity",
    "ReportDefect",
    "ReportImage",
    "ReportSheet",
    "Verdict",
    "draw_density",
    "draw_panels",
    "draw_sheet",
    "evaluation_figure",
    "image_score_figure",
    "inspection_report",
    "sheet_pages",
]
