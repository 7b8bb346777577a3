"""Statistics of streams of images: integer sums and maxima, the same bytes for any order of the images."""

from scorefold.analyzer.statistics.bins import BinnedAnalyzer, Bins
from scorefold.analyzer.statistics.extremes import MinMax, RankedScores, ScoreRange, TopScores
from scorefold.analyzer.statistics.feature_gaussian import FeatureGaussian, FeatureSums
from scorefold.analyzer.statistics.histograms import (
    Histogram,
    LabelledCounts,
    LabelledHistogram,
    RegionCounts,
    RegionHistogram,
    ScoreHistogram,
)
from scorefold.analyzer.statistics.order_keys import (
    key_values,
    order_keys,
    rounded_threshold,
)
from scorefold.analyzer.statistics.pixels import (
    DefectCounts,
    DefectDensity,
    LevelCounts,
    MomentImages,
    PixelHistogram,
    PixelMoments,
)
from scorefold.analyzer.statistics.stream import IMAGE_KEYWORDS

__all__ = [
    "IMAGE_KEYWORDS",
    "BinnedAnalyzer",
    "Bins",
    "DefectCounts",
    "DefectDensity",
    "FeatureGaussian",
    "FeatureSums",
    "Histogram",
    "LabelledCounts",
    "LabelledHistogram",
    "LevelCounts",
    "MinMax",
    "MomentImages",
    "PixelHistogram",
    "PixelMoments",
    "RankedScores",
    "RegionCounts",
    "RegionHistogram",
    "ScoreHistogram",
    "ScoreRange",
    "TopScores",
    "key_values",
    "order_keys",
    "rounded_threshold",
]
