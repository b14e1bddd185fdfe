"""Distances and angles between vectors; the functions themselves are in `tensorlab.ops`."""

from __future__ import annotations

from tensorlab.ops.distance import cosine_similarity, pairwise_distance
from tensorlab.ops.norms import pdist

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]
