"""Anomaly maps after they are computed: normalised, thresholded, coloured, labelled and shown side by side."""

from scorefold.post_processing.post_process import (
    add_anomalous_label,
    add_normal_label,
    anomaly_map_to_color_map,
    compute_mask,
    draw_boxes,
    superimpose_anomaly_map,
)
from scorefold.post_processing.visualizer import Visualizer

__all__ = [
    "Visualizer",
    "add_anomalous_label",
    "add_normal_label",
    "anomaly_map_to_color_map",
    "compute_mask",
    "draw_boxes",
    "superimpose_anomaly_map",
]
