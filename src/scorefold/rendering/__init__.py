"""Pictures and pages of what a job found: overlays, contact sheets, curves and the HTML report."""

from scorefold.rendering.colour import contrast_limits, gray_picture, score_picture
from scorefold.rendering.contact_sheet import Cutout, contact_sheets
from scorefold.rendering.curves import (
    figure_to_png,
    figure_to_svg,
    score_histogram_figure,
    score_rank_figure,
)
from scorefold.rendering.cutout import cut_out
from scorefold.rendering.outline import mask_outline, section_outline
from scorefold.rendering.overlay import overlay_image
from scorefold.rendering.pick import DrawnPick
from scorefold.rendering.picture import encode_png
from scorefold.rendering.report import render_report
from scorefold.rendering.report_data import Failure, ReportData, ReportTarget, ScoreHistogram
from scorefold.rendering.volume import maximum_projections, overlay_volume

__all__ = [
    "Cutout",
    "DrawnPick",
    "Failure",
    "ReportData",
    "ReportTarget",
    "ScoreHistogram",
    "contact_sheets",
    "contrast_limits",
    "cut_out",
    "encode_png",
    "figure_to_png",
    "figure_to_svg",
    "gray_picture",
    "mask_outline",
    "maximum_projections",
    "overlay_image",
    "overlay_volume",
    "render_report",
    "score_histogram_figure",
    "score_picture",
    "score_rank_figure",
    "section_outline",
]
