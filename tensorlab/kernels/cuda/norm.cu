// Normalisation: numbers shifted and scaled to mean 0 and variance 1, forward and backward.
//
//     y = (x − mean) / √(variance + ε) · weight + bias
//
// Layer norm takes mean and variance of rows, which fit into registers: everything happens in one pass.
// Batch and group norm take them of whole channels, many "planes" of (N, C, L) at different places. There
// every plane is summed by itself first, the sums of planes are added, and a second pass does the rest.
//
// With x̂ = (x − mean) / √(variance + ε), h = g · weight and averages over what is normalised together:
//
//     by x:       (h − mean(h) − x̂ · mean(h · x̂)) / √(variance + ε)
//     by weight:  Σ g · x̂        by bias:  Σ g
//
// Source: S. Ioffe, C. Szegedy, "Batch normalization", arXiv:1502.03167, section 3.

#include "add_rows.cuh"
#include "common.cuh"

const int ITEMS = 8;  // numbers of a row that a thread keeps

// Rows: layer norm, and with `centred` false RMS norm --------------------------------------
//
// A row of n ≤ ITEMS · blockDim.x numbers for each threadIdx.y; a block takes one group of rows after the
// other. Threads take N neighbours at a time, and always the same columns.

// Mean and 1 / √(variance + ε) of the row that the threads hold in `value`.
template <typename A, int N, typename S>
__device__ inline void moments_of_row(const A* value, int n, bool centred, double eps, A& mean, A& scale, S& scratch) {
    A sum = 0;
#pragma unroll
    for (int k = 0; k < ITEMS / N; k++)
        if ((threadIdx.x + k * blockDim.x) * N < n)
#pragma unroll
            for (int j = 0; j < N; j++) sum += value[k * N + j];
    mean = centred ? over_row<Sum>(sum, scratch) / n : 0;
    A squares = 0;
#pragma unroll
    for (int k = 0; k < ITEMS / N; k++)
        if ((threadIdx.x + k * blockDim.x) * N < n)
#pragma unroll
            for (int j = 0; j < N; j++) squares += (value[k * N + j] - mean) * (value[k * N + j] - mean);
    scale = 1 / sqrt(over_row<Sum>(squares, scratch) / n + (A)eps);
}

template <typename T, int N>
__global__ void norm_rows(
    const T* x, const T* weight, const T* bias, T* y, long long rows, int n, bool centred, double eps
) {
    typedef typename Wide<T>::type A;
    __shared__ A scratch[32];
    for (long long first = (long long)blockIdx.x * blockDim.y; first < rows; first += gridDim.x * blockDim.y) {
        long long row = first + threadIdx.y;
        bool there = row < rows;  // the last group may be short; its other threads still meet at barriers
        A value[ITEMS] = {}, mean, scale;
#pragma unroll
        for (int k = 0; k < ITEMS / N; k++) {
            int i = (threadIdx.x + k * blockDim.x) * N;
            if (there && i < n) {
                Pack<T, N> in = load<N>(x + row * n + i);
#pragma unroll
                for (int j = 0; j < N; j++) value[k * N + j] = widen(in.at[j]);
            }
        }
        moments_of_row<A, N>(value, n, centred, eps, mean, scale, scratch);
#pragma unroll
        for (int k = 0; k < ITEMS / N; k++) {
            int i = (threadIdx.x + k * blockDim.x) * N;
            if (there && i < n) {
                Pack<T, N> w, b, out;
                if (weight) w = load<N>(weight + i);
                if (bias) b = load<N>(bias + i);
#pragma unroll
                for (int j = 0; j < N; j++) {
                    A unit = (value[k * N + j] - mean) * scale;
                    if (weight) unit *= widen(w.at[j]);
                    if (bias) unit += widen(b.at[j]);
                    out.at[j] = narrow<T>(unit);
                }
                store<N>(y + row * n + i, out);
            }
        }
    }
}

// Since a thread meets the same columns in every row, it can add up for weight and bias on the way. The
// sums of each group of threads, `gridDim.x · blockDim.y` rows of n, are for `add_rows` to add.
template <typename T, int N>
__global__ void norm_rows_backward(
    const T* g, const T* x, const T* weight, T* by_x, typename Wide<T>::type* by_weight,
    typename Wide<T>::type* by_bias, long long rows, int n, bool centred, double eps
) {
    typedef typename Wide<T>::type A;
    __shared__ A scratch[32];
    A weight_sum[ITEMS] = {}, bias_sum[ITEMS] = {};
    for (long long first = (long long)blockIdx.x * blockDim.y; first < rows; first += gridDim.x * blockDim.y) {
        long long row = first + threadIdx.y;
        bool there = row < rows;
        A value[ITEMS] = {}, slope[ITEMS] = {}, mean, scale;
#pragma unroll
        for (int k = 0; k < ITEMS / N; k++) {
            int i = (threadIdx.x + k * blockDim.x) * N;
            if (there && i < n) {
                Pack<T, N> in = load<N>(x + row * n + i), gs = load<N>(g + row * n + i);
#pragma unroll
                for (int j = 0; j < N; j++) {
                    value[k * N + j] = widen(in.at[j]);
                    slope[k * N + j] = widen(gs.at[j]);
                }
            }
        }
        moments_of_row<A, N>(value, n, centred, eps, mean, scale, scratch);
        A along = 0, total = 0;
#pragma unroll
        for (int k = 0; k < ITEMS / N; k++) {
            int i = (threadIdx.x + k * blockDim.x) * N;
            if (there && i < n) {
                Pack<T, N> w;
                if (weight) w = load<N>(weight + i);
#pragma unroll
                for (int j = 0; j < N; j++) {
                    A unit = (value[k * N + j] - mean) * scale, gradient = slope[k * N + j];
                    A h = weight ? gradient * widen(w.at[j]) : gradient;
                    weight_sum[k * N + j] += gradient * unit;
                    bias_sum[k * N + j] += gradient;
                    along += h * unit;
                    total += h;
                    value[k * N + j] = unit;
                    slope[k * N + j] = h;
                }
            }
        }
        along = over_row<Sum>(along, scratch) / n;
        total = centred ? over_row<Sum>(total, scratch) / n : 0;
#pragma unroll
        for (int k = 0; k < ITEMS / N; k++) {
            int i = (threadIdx.x + k * blockDim.x) * N;
            if (there && i < n) {
                Pack<T, N> out;
#pragma unroll
                for (int j = 0; j < N; j++)
                    out.at[j] = narrow<T>((slope[k * N + j] - total - value[k * N + j] * along) * scale);
                store<N>(by_x + row * n + i, out);
            }
        }
    }
    long long part = (long long)blockIdx.x * blockDim.y + threadIdx.y;
#pragma unroll
    for (int k = 0; k < ITEMS / N; k++) {
        int i = (threadIdx.x + k * blockDim.x) * N;
        if (i < n) {
#pragma unroll
            for (int j = 0; j < N; j++) {
                if (by_weight) by_weight[part * n + i + j] = weight_sum[k * N + j];
                if (by_bias) by_bias[part * n + i + j] = bias_sum[k * N + j];
            }
        }
    }
}

// Planes: batch and group norm -------------------------------------------------------------
//
// (N, C, L) has N · C planes of L numbers. What is normalised together are either all planes of a channel
// (`together` is 0), or `together` planes in a row. A plane for each threadIdx.y.

__device__ inline long long group_of(long long plane, int channels, int together) {
    return together ? plane / together : plane % channels;
}

// Of each plane Σ (x − k) and Σ (x − k)², for a number k of what it belongs to: where numbers are far
// from 0 but near to each other, squares of x itself would lose the digits that matter.
template <typename T, int N>
__global__ void plane_moments(
    const T* x, typename Wide<T>::type* sums, long long planes, long long length, int channels, int together
) {
    typedef typename Wide<T>::type A;
    __shared__ A scratch[32];
    long long plane = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    bool there = plane < planes;
    A sum = 0, squares = 0;
    if (there) {
        A k = widen(x[group_of(plane, channels, together) * (together ? together : 1) * length]);
        const T* here = x + plane * length;
        for (long long i = threadIdx.x * N; i < length; i += blockDim.x * N) {
            Pack<T, N> in = load<N>(here + i);
#pragma unroll
            for (int j = 0; j < N; j++) {
                A away = widen(in.at[j]) - k;
                sum += away;
                squares += away * away;
            }
        }
    }
    sum = over_row<Sum>(sum, scratch);
    squares = over_row<Sum>(squares, scratch);
    if (there && threadIdx.x == 0) {
        sums[2 * plane] = sum;
        sums[2 * plane + 1] = squares;
    }
}

// Mean and variance of each group from the sums of its planes: a warp for each group.
template <typename T>
__global__ void group_moments(
    const T* x, const typename Wide<T>::type* sums, typename Wide<T>::type* mean, typename Wide<T>::type* variance,
    long long groups, long long planes, long long length, int channels, int together
) {
    typedef typename Wide<T>::type A;
    long long group = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    if (group >= groups) return;
    long long count = planes / groups;
    A sum = 0, squares = 0;
    for (long long i = threadIdx.x; i < count; i += 32) {
        long long plane = together ? group * together + i : i * channels + group;
        sum += sums[2 * plane];
        squares += sums[2 * plane + 1];
    }
    sum = over_warp<Sum>(sum);
    squares = over_warp<Sum>(squares);
    if (threadIdx.x == 0) {
        A n = (A)(count * length), away = sum / n;
        mean[group] = widen(x[group * (together ? together : 1) * length]) + away;
        A found = squares / n - away * away;
        variance[group] = found > 0 || found != found ? found : 0;
    }
}

template <typename T, int N>
__global__ void plane_norm(
    const T* x, const typename Wide<T>::type* mean, const typename Wide<T>::type* variance, const T* weight,
    const T* bias, T* y, long long planes, long long length, int channels, int together, double eps
) {
    typedef typename Wide<T>::type A;
    long long plane = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    if (plane >= planes) return;
    long long group = group_of(plane, channels, together);
    int channel = plane % channels;
    A scale = 1 / sqrt(variance[group] + (A)eps);
    if (weight) scale *= widen(weight[channel]);
    A middle = mean[group], shift = bias ? (A)widen(bias[channel]) : 0;
    for (long long i = threadIdx.x * N; i < length; i += blockDim.x * N) {
        Pack<T, N> in = load<N>(x + plane * length + i), out;
#pragma unroll
        for (int j = 0; j < N; j++) out.at[j] = narrow<T>((widen(in.at[j]) - middle) * scale + shift);
        store<N>(y + plane * length + i, out);
    }
}

// Of each plane Σ g and Σ g · x̂.
template <typename T, int N>
__global__ void plane_sums(
    const T* g, const T* x, const typename Wide<T>::type* mean, const typename Wide<T>::type* variance,
    typename Wide<T>::type* sums, long long planes, long long length, int channels, int together, double eps
) {
    typedef typename Wide<T>::type A;
    __shared__ A scratch[32];
    long long plane = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    bool there = plane < planes;
    A total = 0, along = 0;
    if (there) {
        long long group = group_of(plane, channels, together);
        A middle = mean[group], scale = 1 / sqrt(variance[group] + (A)eps);
        for (long long i = threadIdx.x * N; i < length; i += blockDim.x * N) {
            Pack<T, N> in = load<N>(x + plane * length + i), gs = load<N>(g + plane * length + i);
#pragma unroll
            for (int j = 0; j < N; j++) {
                A slope = widen(gs.at[j]);
                total += slope;
                along += slope * (widen(in.at[j]) - middle) * scale;
            }
        }
    }
    total = over_row<Sum>(total, scratch);
    along = over_row<Sum>(along, scratch);
    if (there && threadIdx.x == 0) {
        sums[2 * plane] = total;
        sums[2 * plane + 1] = along;
    }
}

// Both sums of each group, its planes multiplied by their channel's weight if there is one: a warp each.
template <typename T>
__global__ void group_sums(
    const typename Wide<T>::type* sums, const T* weight, typename Wide<T>::type* total,
    typename Wide<T>::type* along, long long groups, long long planes, int channels, int together
) {
    typedef typename Wide<T>::type A;
    long long group = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    if (group >= groups) return;
    A a = 0, b = 0;
    for (long long i = threadIdx.x; i < planes / groups; i += 32) {
        long long plane = together ? group * together + i : i * channels + group;
        A w = weight ? (A)widen(weight[plane % channels]) : 1;
        a += w * sums[2 * plane];
        b += w * sums[2 * plane + 1];
    }
    a = over_warp<Sum>(a);
    b = over_warp<Sum>(b);
    if (threadIdx.x == 0) {
        total[group] = a;
        along[group] = b;
    }
}

template <typename T, int N>
__global__ void plane_norm_backward(
    const T* g, const T* x, const typename Wide<T>::type* mean, const typename Wide<T>::type* variance,
    const typename Wide<T>::type* total, const typename Wide<T>::type* along, const T* weight, T* by_x,
    long long planes, long long length, int channels, int together, double eps
) {
    typedef typename Wide<T>::type A;
    long long plane = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    if (plane >= planes) return;
    long long group = group_of(plane, channels, together);
    A n = (A)length * (together ? together : (A)(planes / channels));
    A w = weight ? (A)widen(weight[plane % channels]) : 1;
    A middle = mean[group], scale = 1 / sqrt(variance[group] + (A)eps);
    A constant = total[group] / n, slant = along[group] / n;
    for (long long i = threadIdx.x * N; i < length; i += blockDim.x * N) {
        Pack<T, N> in = load<N>(x + plane * length + i), gs = load<N>(g + plane * length + i), out;
#pragma unroll
        for (int j = 0; j < N; j++) {
            A unit = (widen(in.at[j]) - middle) * scale;
            out.at[j] = narrow<T>((widen(gs.at[j]) * w - constant - unit * slant) * scale);
        }
        store<N>(by_x + plane * length + i, out);
    }
}
