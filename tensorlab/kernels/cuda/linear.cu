// What follows a product of matrices in a linear layer: bias and activation, and what precedes its gradient.
//
//     forward     y = f(p + b)                        p the product, b a number for each column
//     backward    d = g · f′(…) + m                   g the gradient of y, m what p itself owes, if anything
//                 by b: Σ over rows of g · f′(…)
//
// The products are cuBLAS's. Here a thread takes N neighbouring columns and goes down the rows: the bias of
// its columns stays in registers, and so do their sums. A block is 32 threads wide and eight rows high.

#include "activation.cuh"
#include "add_rows.cuh"

// y may be x itself. Without an activation that adds the bias.
template <typename T, int N, typename F>
__global__ void bias_activation(const T* x, const T* bias, T* y, long long rows, int n) {
    typedef typename Wide<T>::type A;
    int column = (blockIdx.x * blockDim.x + threadIdx.x) * N;
    if (column >= n) return;
    A added[N] = {};
    if (bias) {
        Pack<T, N> in = load<N>(bias + column);
#pragma unroll
        for (int j = 0; j < N; j++) added[j] = widen(in.at[j]);
    }
    long long step = (long long)gridDim.y * blockDim.y;
    for (long long row = (long long)blockIdx.y * blockDim.y + threadIdx.y; row < rows; row += step) {
        Pack<T, N> values = load<N>(x + row * n + column);
#pragma unroll
        for (int j = 0; j < N; j++) values.at[j] = narrow<T>(F::of((A)widen(values.at[j]) + added[j]));
        store<N>(y + row * n + column, values);
    }
}

// `kept` is the product, or of ReLU the result. `more` is what the product owes besides: an array, or where
// `spread` one number for all of it. The sums of each blockIdx.y are a row of `sums`, for `add_rows` to add.
// What is not wanted, `by_product` or `sums`, is null; with no `kept` g is only summed.
template <typename T, int N, typename F>
__global__ void bias_activation_backward(
    const T* g, const T* kept, const T* bias, const T* more, T* by_product, typename Wide<T>::type* sums,
    long long rows, int n, bool spread
) {
    typedef typename Wide<T>::type A;
    const int ROWS = 8, COLUMNS = 32 * N;
    __shared__ A shared[ROWS][COLUMNS + 1];
    int column = (blockIdx.x * blockDim.x + threadIdx.x) * N;
    A added[N] = {}, sum[N] = {}, rest = more && spread ? (A)widen(more[0]) : 0;
    if (column < n) {
        if (bias) {
            Pack<T, N> in = load<N>(bias + column);
#pragma unroll
            for (int j = 0; j < N; j++) added[j] = widen(in.at[j]);
        }
        long long step = (long long)gridDim.y * blockDim.y;
        for (long long row = (long long)blockIdx.y * blockDim.y + threadIdx.y; row < rows; row += step) {
            Pack<T, N> gs = load<N>(g + row * n + column), ks = {}, ms = {};
            if (kept) ks = load<N>(kept + row * n + column);
            if (more && !spread) ms = load<N>(more + row * n + column);
#pragma unroll
            for (int j = 0; j < N; j++) {
                A d = widen(gs.at[j]);
                if (kept) d = F::back(d, (A)widen(ks.at[j]) + added[j]);
                sum[j] += d;
                gs.at[j] = narrow<T>(d + (more && !spread ? (A)widen(ms.at[j]) : rest));
            }
            if (by_product) store<N>(by_product + row * n + column, gs);
        }
    }
    if (!sums) return;
#pragma unroll
    for (int j = 0; j < N; j++) shared[threadIdx.y][threadIdx.x * N + j] = sum[j];
    __syncthreads();
    // Now a thread has columns that are 32 · ROWS apart: neighbours write side by side.
    for (int i = threadIdx.y * 32 + threadIdx.x; i < COLUMNS; i += 32 * ROWS) {
        int at = blockIdx.x * COLUMNS + i;
        A total = 0;
        for (int k = 0; k < ROWS; k++) total += shared[k][i];
        if (at < n) sums[(long long)blockIdx.y * n + at] = total;
    }
}
