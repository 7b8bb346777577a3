"""The task that draws sheets of images: the worst, the borderline, and good ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.cluster.inspect.evaluate_tasks import true_mask
from scorefold.cluster.inspect.inspect_run import InspectRun
from scorefold.cluster.inspect.measure_tasks import VERDICTS, anomaly_mask, read_threshold
from scorefold.cluster.inspect.scored_leaf import ScoredLeaf, one_map, pose_of, read_leaf
from scorefold.errors import InputError
from scorefold.planning.node import Node
from scorefold.planning.truth import BAD, GOOD
from scorefold.rendering import encode_png
from scorefold.rendering.inspection import DrawnDefect, InspectedImage, sheet_pages

Array = NDArray[Any]

SHEET_IMAGES = 12
"""Images of a sheet."""

HEADINGS = {
    "worst": ("Highest scores", "The images with the highest scores."),
    "borderline": ("Borderline", "The images with scores next to the threshold, on either side."),
    "good": ("Good images", "Images without a defect, drawn at random."),
}


def render_sheet(run: InspectRun, node: Node) -> str:
    """Draw a sheet of images and commit the digests of its pages."""
    sheet = node.key.rsplit("-", 1)[1]
    threshold = read_threshold(run)
    scores, verdicts = all_scores(run)
    chosen = choose_images(sheet, scores, verdicts, threshold.value, seed=int(run.job.fingerprint[:8], 16))
    drawn = [inspected_image(run, image_id) for image_id in chosen]
    items = [item for item in drawn if item is not None]
    files: dict[str, bytes] = {}
    if items:
        limits = gray_range(items)
        pages = sheet_pages(
            items,
            HEADINGS[sheet][0],
            gray_range=limits,
            score_range=threshold.colours,
        )
        files = {f"figures/{sheet}-{number:03d}.png": encode_png(page) for number, page in enumerate(pages)}
    run.store.commit(node.key, summary={"files": run.put(files)})
    return node.key


def all_scores(run: InspectRun) -> tuple[Array, Array]:
    """Return score and verdict (an index of `VERDICTS`) of every image."""
    scores, verdicts = [], []
    for leaf in range(run.plan.leaf_count):
        scores.append(read_leaf(run, leaf).scores)
        verdicts.append(run.store.read_partial(run.measure_key(leaf))[0]["verdicts"])
    return np.concatenate(scores), np.concatenate(verdicts)


def choose_images(sheet: str, scores: Array, verdicts: Array, threshold: float, seed: int) -> list[int]:
    """Return the ids of the images of a sheet, in the order in which they are shown."""
    known = np.flatnonzero(np.isfinite(scores))
    if sheet == "worst":
        order = np.argsort(-scores[known].astype(np.float64), kind="stable")
    elif sheet == "borderline":
        order = np.argsort(np.abs(scores[known].astype(np.float64) - threshold), kind="stable")
    else:
        known = np.flatnonzero((verdicts == VERDICTS.index("OK")) & np.isfinite(scores))
        order = np.random.default_rng(seed).permutation(len(known))[:SHEET_IMAGES]
        order.sort()
    ids: list[int] = known[order[:SHEET_IMAGES]].tolist()
    return ids


def inspected_image(run: InspectRun, image_id: int) -> InspectedImage | None:
    """Return an image with what was found in it; None if it has no score map."""
    scored, row, scores = one_map(run, image_id)
    if scores is None:
        return None
    threshold = read_threshold(run).value
    arrays, _ = run.store.read_partial(run.measure_key(run.plan.leaf_of(image_id)))
    own = np.flatnonzero(arrays["defect_rows"] == row)
    truth, label = None, None
    if run.truths is not None:
        known = run.truths[image_id]
        label = {GOOD: "good", BAD: "bad"}.get(known.label)
        try:
            truth = true_mask(known, pose_of(scored, row), scores.shape)
        except Exception:  # noqa: BLE001 - its evaluation said why
            truth = None
    try:
        image = _picture(run, image_id, scored, row, scores)
    except Exception:  # noqa: BLE001 - files that went away or were damaged since leave the panel empty
        image = np.full(scores.shape, np.nan, np.float32)
    return InspectedImage(
        name=run.images[image_id].name,
        image=image,
        scores=scores,
        mask=anomaly_mask(run, scores, threshold) > 0,
        score=float(scored.scores[row]),
        threshold=threshold,
        verdict=VERDICTS[arrays["verdicts"][row]],  # type: ignore[arg-type]
        truth=truth,
        label=label,
        defects=[
            DrawnDefect(
                tuple(arrays["defect_boxes"][i].tolist()),
                float(arrays["defect_peaks"][i]),
                run.polarity_of(arrays["defect_bright"][i]),
            )
            for i in own
        ],
        polarity=run.job.polarity if run.job.signed else "unsigned",  # type: ignore[arg-type]
    )


def _picture(run: InspectRun, image_id: int, scored: ScoredLeaf, row: int, scores: Array) -> Array:
    """Return what is drawn of an image, in the coordinates of its map."""
    if run.job.source == "model":
        image = run.read_image(run.images[image_id])
        pose = pose_of(scored, row)
        return image if pose is None else run.inspector.align_at(image, pose).pixels
    if run.pictures is None:
        return np.asarray(scores, np.float32)
    image = run.read_image(run.pictures[image_id])
    if image.shape != scores.shape:
        raise InputError(f"its shape is {image.shape}, that of its map {scores.shape}")
    return image


def gray_range(items: list[InspectedImage]) -> tuple[float, float]:
    """Return the grey levels drawn black and white, the same for all images of a sheet."""
    samples = [
        item.image[:: max(1, item.image.shape[0] // 64), :: max(1, item.image.shape[1] // 64)]
        for item in items
    ]
    values = np.concatenate([np.asarray(sample, np.float64).ravel() for sample in samples])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, [0.5, 99.5]).tolist()
    return (low, high) if high > low else (low, low + 1.0)
