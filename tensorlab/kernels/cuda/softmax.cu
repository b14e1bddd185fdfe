// Softmax and its logarithm, forward and backward.
//
//     softmax(x)ᵢ     = exp(xᵢ − m) / Σⱼ exp(xⱼ − m)          m = max x
//     log softmax(x)ᵢ = xᵢ − m − log Σⱼ exp(xⱼ − m)
//
// Written plainly that is three passes over a row: its largest number, the sum, the result. Memory
// decides how long it takes, so there is one kernel for each way of reading a row once:
//
//     softmax_rows      the row fits into the registers of the threads that share it
//     softmax_long      it does not: one pass finds largest and sum together ("online"), and keeps the
//                       row in shared memory for the second if it fits there
//     softmax_columns   the numbers of a "row" are not neighbours in memory: a thread takes a column,
//                       and the threads of a warp take columns that are
//
// Source of the online form: M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax",
// arXiv:1805.02867.

#include "common.cuh"

// How many numbers of a row a thread keeps in registers.
const int ITEMS = 8;

// The largest of some numbers, and the sum of all exp(x − largest).
template <typename A> struct Online {
    A largest, sum;

    __device__ void add(A x) {
        if (x > largest) {
            // x − x is 0, unless x is infinite: then there is no softmax, and nan says so.
            sum = sum * exp(largest - x) + (x - x + 1);
            largest = x;
        } else if (x != -infinity<A>()) {
            sum += exp(x - largest);
        }
    }
    __device__ void merge(A other, A other_sum) {
        A both = other > largest ? other : largest;
        // Where nothing was added yet, −∞ − (−∞) must not be asked for.
        sum = (largest == both ? sum : sum * exp(largest - both)) +
              (other == both ? other_sum : other_sum * exp(other - both));
        largest = both;
    }
};

// All threads of the block get the same.
template <typename A, typename S> __device__ inline void merge_block(Online<A>& mine, S& scratch) {
    for (int bit = 16; bit > 0; bit /= 2) {
        A other = __shfl_xor_sync(0xffffffffu, mine.largest, bit);
        A other_sum = __shfl_xor_sync(0xffffffffu, mine.sum, bit);
        mine.merge(other, other_sum);
    }
    int warps = blockDim.x / 32, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    if (lane == 0) {
        scratch[warp] = mine.largest;
        scratch[32 + warp] = mine.sum;
    }
    __syncthreads();
    mine.largest = lane < warps ? scratch[lane] : -infinity<A>();
    mine.sum = lane < warps ? scratch[32 + lane] : 0;
    for (int bit = 16; bit > 0; bit /= 2) {
        A other = __shfl_xor_sync(0xffffffffu, mine.largest, bit);
        A other_sum = __shfl_xor_sync(0xffffffffu, mine.sum, bit);
        mine.merge(other, other_sum);
    }
}

// Forward ----------------------------------------------------------------------------------

// A row of n ≤ ITEMS · blockDim.x numbers for each threadIdx.y. Threads take N neighbours at a time; n
// is a multiple of N.
template <typename T, int N>
__global__ void softmax_rows(const T* x, T* y, long long rows, int n, bool is_log) {
    typedef typename Wide<T>::type A;
    __shared__ A scratch[32];
    long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;  // a whole warp at a time, and only where rows are warps
    x += row * n;
    y += row * n;

    A value[ITEMS];
    A largest = -infinity<A>();
#pragma unroll
    for (int k = 0; k < ITEMS / N; k++) {
        int i = (threadIdx.x + k * blockDim.x) * N;
        if (i < n) {
            Pack<T, N> in = load<N>(x + i);
#pragma unroll
            for (int j = 0; j < N; j++) {
                value[k * N + j] = widen(in.at[j]);
                largest = Largest::of(largest, value[k * N + j]);
            }
        }
    }
    largest = over_row<Largest>(largest, scratch);

    A sum = 0;
#pragma unroll
    for (int k = 0; k < ITEMS / N; k++) {
        if ((threadIdx.x + k * blockDim.x) * N < n) {
#pragma unroll
            for (int j = 0; j < N; j++) {
                A above = value[k * N + j] - largest;
                A power = exp(above);
                value[k * N + j] = is_log ? above : power;
                sum += power;
            }
        }
    }
    sum = over_row<Sum>(sum, scratch);

    A factor = 1 / sum, shift = log(sum);
#pragma unroll
    for (int k = 0; k < ITEMS / N; k++) {
        int i = (threadIdx.x + k * blockDim.x) * N;
        if (i < n) {
            Pack<T, N> out;
#pragma unroll
            for (int j = 0; j < N; j++) {
                A v = value[k * N + j];
                out.at[j] = narrow<T>(is_log ? v - shift : v * factor);
            }
            store<N>(y + i, out);
        }
    }
}

// One row of any length for each block. With `keeps` there is dynamic shared memory for a row.
template <typename T, int N>
__global__ void softmax_long(const T* x, T* y, int n, bool is_log, bool keeps) {
    typedef typename Wide<T>::type A;
    __shared__ A scratch[64];
    extern __shared__ __align__(16) unsigned char room[];
    T* kept = reinterpret_cast<T*>(room);
    x += (long long)blockIdx.x * n;
    y += (long long)blockIdx.x * n;

    Online<A> found = {-infinity<A>(), 0};
    for (int i = threadIdx.x * N; i < n; i += blockDim.x * N) {
        Pack<T, N> in = load<N>(x + i);
#pragma unroll
        for (int j = 0; j < N; j++) found.add(widen(in.at[j]));
        if (keeps) store<N>(kept + i, in);  // read again by the same thread: no barrier
    }
    merge_block(found, scratch);

    A factor = 1 / found.sum, shift = found.largest + log(found.sum);
    for (int i = threadIdx.x * N; i < n; i += blockDim.x * N) {
        Pack<T, N> in = keeps ? load<N>(kept + i) : load<N>(x + i);
        Pack<T, N> out;
#pragma unroll
        for (int j = 0; j < N; j++) {
            A v = widen(in.at[j]);
            out.at[j] = narrow<T>(is_log ? v - shift : exp(v - found.largest) * factor);
        }
        store<N>(y + i, out);
    }
}

// x is (outer, n, inner); a thread for each of the outer · inner columns.
template <typename T>
__global__ void softmax_columns(const T* x, T* y, long long outer, int n, long long inner, bool is_log) {
    typedef typename Wide<T>::type A;
    long long column = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= outer * inner) return;
    long long start = column / inner * n * inner + column % inner;
    x += start;
    y += start;

    Online<A> found = {-infinity<A>(), 0};
    for (int i = 0; i < n; i++) found.add(widen(x[i * inner]));
    A factor = 1 / found.sum, shift = found.largest + log(found.sum);
    for (int i = 0; i < n; i++) {
        A v = widen(x[i * inner]);
        y[i * inner] = narrow<T>(is_log ? v - shift : exp(v - found.largest) * factor);
    }
}

// Backward ---------------------------------------------------------------------------------
//
// With y the result and g its gradient:
//
//     by x of softmax:      (g − Σ g · y) · y
//     by x of log softmax:   g − exp(y) · Σ g

template <typename A> __device__ inline A term(A g, A y, bool is_log) { return is_log ? g : g * y; }

template <typename A> __device__ inline A slope(A g, A y, A sum, bool is_log) {
    return is_log ? g - exp(y) * sum : (g - sum) * y;
}

template <typename T, int N>
__global__ void softmax_rows_backward(const T* g, const T* y, T* by_x, long long rows, int n, bool is_log) {
    typedef typename Wide<T>::type A;
    __shared__ A scratch[32];
    long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    g += row * n;
    y += row * n;
    by_x += row * n;

    Pack<T, N> gs[ITEMS / N], ys[ITEMS / N];
    A sum = 0;
#pragma unroll
    for (int k = 0; k < ITEMS / N; k++) {
        int i = (threadIdx.x + k * blockDim.x) * N;
        if (i < n) {
            gs[k] = load<N>(g + i);
            ys[k] = load<N>(y + i);
#pragma unroll
            for (int j = 0; j < N; j++) sum += term(widen(gs[k].at[j]), widen(ys[k].at[j]), is_log);
        }
    }
    sum = over_row<Sum>(sum, scratch);
#pragma unroll
    for (int k = 0; k < ITEMS / N; k++) {
        int i = (threadIdx.x + k * blockDim.x) * N;
        if (i < n) {
            Pack<T, N> out;
#pragma unroll
            for (int j = 0; j < N; j++)
                out.at[j] = narrow<T>(slope(widen(gs[k].at[j]), widen(ys[k].at[j]), sum, is_log));
            store<N>(by_x + i, out);
        }
    }
}

template <typename T, int N>
__global__ void softmax_long_backward(const T* g, const T* y, T* by_x, int n, bool is_log) {
    typedef typename Wide<T>::type A;
    __shared__ A scratch[32];
    long long start = (long long)blockIdx.x * n;
    g += start;
    y += start;
    by_x += start;
    A sum = 0;
    for (int i = threadIdx.x * N; i < n; i += blockDim.x * N) {
        Pack<T, N> a = load<N>(g + i), b = load<N>(y + i);
#pragma unroll
        for (int j = 0; j < N; j++) sum += term(widen(a.at[j]), widen(b.at[j]), is_log);
    }
    sum = over_row<Sum>(sum, scratch);
    for (int i = threadIdx.x * N; i < n; i += blockDim.x * N) {
        Pack<T, N> a = load<N>(g + i), b = load<N>(y + i), out;
#pragma unroll
        for (int j = 0; j < N; j++)
            out.at[j] = narrow<T>(slope(widen(a.at[j]), widen(b.at[j]), sum, is_log));
        store<N>(by_x + i, out);
    }
}

template <typename T>
__global__ void softmax_columns_backward(
    const T* g, const T* y, T* by_x, long long outer, int n, long long inner, bool is_log
) {
    typedef typename Wide<T>::type A;
    long long column = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= outer * inner) return;
    long long start = column / inner * n * inner + column % inner;
    g += start;
    y += start;
    by_x += start;
    A sum = 0;
    for (int i = 0; i < n; i++) sum += term(widen(g[i * inner]), widen(y[i * inner]), is_log);
    for (int i = 0; i < n; i++)
        by_x[i * inner] = narrow<T>(slope(widen(g[i * inner]), widen(y[i * inner]), sum, is_log));
}
