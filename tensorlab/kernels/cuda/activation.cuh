// Activations that more than one file computes: `of` a number, and `back`, its gradient from that of the result
// and from what is kept for it: the number itself, or of ReLU its result.

#pragma once
#include "common.cuh"

struct Identity {
    template <typename A> __device__ static A of(A x) { return x; }
    template <typename A> __device__ static A back(A g, A) { return g; }
};

struct ReLU {
    template <typename A> __device__ static A of(A x) { return x <= 0 ? 0 : x; }  // nan stays
    template <typename A> __device__ static A back(A g, A result) { return result <= 0 ? 0 : g; }
};

// x · Φ(x), with the distribution function Φ of the normal distribution.
struct GELU {
    template <typename A> __device__ static A of(A x) { return x * (erf(x * (A)0.7071067811865476) + 1) * (A)0.5; }
    template <typename A> __device__ static A back(A g, A x) {
        A density = exp(x * x * (A)-0.5) * (A)0.3989422804014327;  // 1 / √(2π)
        return g * ((erf(x * (A)0.7071067811865476) + 1) * (A)0.5 + x * density);
    }
};

// x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))).
struct GELUTanh {
    template <typename A> __device__ static A curve(A x) {
        return tanh((x + x * x * x * (A)0.044715) * (A)0.7978845608028654);
    }
    template <typename A> __device__ static A of(A x) { return x * (curve(x) + 1) * (A)0.5; }
    template <typename A> __device__ static A back(A g, A x) {
        A t = curve(x), inner = (x * x * (A)(3 * 0.044715) + 1) * (A)0.7978845608028654;
        return g * ((t + 1) * (A)0.5 + x * (1 - t * t) * inner * (A)0.5);
    }
};
