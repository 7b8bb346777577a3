"""Pure folds of score maps: maxima, peaks and statistics that merge in any order to the same bytes."""

from scorefold.analyzer.abstract import AbstractAnalyzer
from scorefold.analyzer.approximate_moments import ApproximateMoments, ApproximateScoreMoments
from scorefold.analyzer.constrained import MaxScoreOverRotationsConstrained
from scorefold.analyzer.coverage import Coverage
from scorefold.analyzer.exact_sum import ExactSum
from scorefold.analyzer.functional import FunctionalState
from scorefold.analyzer.max_over_rotations import MaxScoreOverRotations
from scorefold.analyzer.max_over_translations import (
    MaxScoreOverTranslations,
    MaxTranslationResult,
    MaxTranslationState,
)
from scorefold.analyzer.max_score_state import MaxScoreResult, MaxScoreState, fold_maximum
from scorefold.analyzer.moments import Moments, ScoreMoments, score_sums
from scorefold.analyzer.peaks import (
    PeakCaller,
    PeakCallerFast,
    PeakCallerMaximumFilter,
    PeakCallerRecursiveMasking,
    PeakCallerScipy,
    PeakCallerSort,
    PeakCandidates,
    PeakClustering,
    Peaks,
    PeakState,
)
from scorefold.analyzer.product import AnalyzerProduct
from scorefold.analyzer.rotation_table import RotationTable
from scorefold.analyzer.statistics import (
    DefectCounts,
    DefectDensity,
    FeatureGaussian,
    FeatureSums,
    Histogram,
    LabelledCounts,
    LabelledHistogram,
    LevelCounts,
    MinMax,
    MomentImages,
    PixelHistogram,
    PixelMoments,
    RankedScores,
    RegionCounts,
    RegionHistogram,
    ScoreHistogram,
    ScoreRange,
    TopScores,
    key_values,
    order_keys,
)

__all__ = [
    "AbstractAnalyzer",
    "AnalyzerProduct",
    "ApproximateMoments",
    "ApproximateScoreMoments",
    "Coverage",
    "DefectCounts",
    "DefectDensity",
    "ExactSum",
    "FeatureGaussian",
    "FeatureSums",
    "FunctionalState",
    "Histogram",
    "LabelledCounts",
    "LabelledHistogram",
    "LevelCounts",
    "MaxScoreOverRotations",
    "MaxScoreOverRotationsConstrained",
    "MaxScoreOverTranslations",
    "MaxScoreResult",
    "MaxScoreState",
    "MaxTranslationResult",
    "MaxTranslationState",
    "MinMax",
    "MomentImages",
    "Moments",
    "PeakCaller",
    "PeakCallerFast",
    "PeakCallerMaximumFilter",
    "PeakCallerRecursiveMasking",
    "PeakCallerScipy",
    "PeakCallerSort",
    "PeakCandidates",
    "PeakClustering",
    "PeakState",
    "Peaks",
    "PixelHistogram",
    "PixelMoments",
    "RankedScores",
    "RegionCounts",
    "RegionHistogram",
    "RotationTable",
    "ScoreHistogram",
    "ScoreMoments",
    "ScoreRange",
    "TopScores",
    "fold_maximum",
    "key_values",
    "order_keys",
    "score_sums",
]
