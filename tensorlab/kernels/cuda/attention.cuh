// What both ways to compute attention share: where its numbers lie, and what a score becomes.

#pragma once
#include "common.cuh"

struct Sizes {
    int queries, keys, depth, width;      // L, S, E, D
    int heads;                            // blockIdx.y = batch · heads + head
    // Where the mask is for (batch, head, query, key): multiples of an index, 0 where it is repeated.
    long long mask_batch, mask_head, mask_query, mask_key;
};

// A score as softmax sees it; −∞ where the key is not to be seen.
template <typename T>
__device__ inline float masked(float score, const T* mask, const Sizes& s, int query, int key, bool causal, float scale) {
    if (query >= s.queries || key >= s.keys || (causal && key > query)) return -infinity<float>();
    score *= scale;
    if (mask) {
        long long batch = blockIdx.y / s.heads, head = blockIdx.y % s.heads;
        score += widen(mask[batch * s.mask_batch + head * s.mask_head + query * s.mask_query + key * s.mask_key]);
    }
    return score;
}

// P of a score, from its row's ℓ. −∞ marks a query that saw no key: all its weights are 0.
__device__ inline float weight_of(float score, float normaliser) {
    return normaliser == -infinity<float>() ? 0 : exp(score - normaliser);
}
