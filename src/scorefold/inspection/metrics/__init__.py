"""Metrics out of the small states of a stream: AUROC, average precision, F1, AUPRO, AUPIMO, with error bounds."""

from scorefold.inspection.metrics.pimo import PimoBand, aupimo, pimo_band
from scorefold.inspection.metrics.ranking import (
    Confusion,
    ErrorBounds,
    PrecisionRecallCurve,
    RocCurve,
    auroc,
    average_precision,
    confusion,
    error_bounds,
    f1_max,
    precision_recall_curve,
    roc_curve,
)
from scorefold.inspection.metrics.regions import ProCurve, aupro, aupro_error_bound, pro_curve

__all__ = [
    "Confusion",
    "ErrorBounds",
    "PimoBand",
    "PrecisionRecallCurve",
    "ProCurve",
    "RocCurve",
    "aupimo",
    "aupro",
    "aupro_error_bound",
    "auroc",
    "average_precision",
    "confusion",
    "error_bounds",
    "f1_max",
    "pimo_band",
    "precision_recall_curve",
    "pro_curve",
    "roc_curve",
]
