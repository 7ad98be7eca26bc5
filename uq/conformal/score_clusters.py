"""Clusters of classes whose calibration scores are alike, for sets with many classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans

from calib._border.typing import Float64Array, IntArray, LabelArray

#: Share of the calibration samples that form the clusters and then calibrate nothing.
CLUSTERING_SHARE = 0.3
#: Quantiles of a class's scores by which classes are compared.
QUANTILES = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
#: A class with fewer clustering samples than this has no usable quantiles.
FEWEST = 10
#: Classes per cluster that are aimed at.
CLASSES_PER_CLUSTER = 4


@dataclass(frozen=True)
class LabelClusters:
    """Clusters of classes.

    Attributes
    ----------
    cluster : ndarray of shape (n_classes,)
        Cluster of each class; `n_clusters` means too rare to be placed.
    n_clusters : int
        Number of clusters.
    kept : ndarray of bool of shape (n_samples,)
        Samples that did not take part and may calibrate.
    """

    cluster: IntArray
    n_clusters: int
    kept: LabelArray


def cluster_labels(
    scores: Float64Array, codes: IntArray, n_classes: int, rng: np.random.Generator
) -> LabelClusters:
    """Group the classes by k-means on quantiles of their scores.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Nonconformity of the true classes.
    codes : ndarray of shape (n_samples,)
        True classes.
    n_classes : int
        Number of classes.
    rng : Generator
        Draws the samples that form the clusters.

    Returns
    -------
    clusters : LabelClusters

    Notes
    -----
    Because the clusters depend on other samples than those that calibrate, coverage holds inside
    each cluster; inside a class it holds as far as the scores of its cluster are alike.
    """
    kept = rng.random(len(scores)) >= CLUSTERING_SHARE
    used = ~kept
    counts = np.bincount(codes[used], minlength=n_classes)
    common = np.flatnonzero(counts >= FEWEST)
    n_clusters = max(1, len(common) // CLASSES_PER_CLUSTER)
    cluster = np.full(n_classes, n_clusters, dtype=np.intp)
    if len(common):
        profile = np.array([np.quantile(scores[used & (codes == k)], QUANTILES) for k in common])
        means = KMeans(n_clusters, n_init=10, random_state=int(rng.integers(2**31 - 1)))
        cluster[common] = means.fit_predict(profile, sample_weight=np.sqrt(counts[common]))
    return LabelClusters(cluster, n_clusters, kept)
