// Cross-entropy of raw scores and class numbers, in one pass over the scores each way.
//
//     loss = −weight[t] · log softmax(x)[t]        by x: weight[t] · (softmax(x) − [i = t]) · slope
//
// Neither softmax nor its logarithm is ever written to memory: forward needs of a row the sum of its
// exponentials and one number, backward computes that sum again from the row that it has to read anyway.
// For a large vocabulary that is a third of the memory traffic of doing it in steps.

#include "common.cuh"

// A block for each row of n scores. What one thread keeps of its part is (largest, sum of exp(x − largest)).
template <typename T, int N, typename S>
__device__ inline void log_sum_exp(
    const T* row, int n, typename Wide<T>::type& largest, typename Wide<T>::type& sum, S& scratch
) {
    typedef typename Wide<T>::type A;
    A mine = -infinity<A>(), powers = 0;
    for (int i = threadIdx.x * N; i < n; i += blockDim.x * N) {
        Pack<T, N> in = load<N>(row + i);
#pragma unroll
        for (int j = 0; j < N; j++) {
            A x = widen(in.at[j]);
            if (x > mine) {
                powers = powers * exp(mine - x) + (x - x + 1);  // nan if x is infinite
                mine = x;
            } else if (x != -infinity<A>()) {
                powers += exp(x - mine);
            }
        }
    }
    largest = over_row<Largest>(mine, scratch);
    sum = over_row<Sum>(mine == largest ? powers : powers * exp(mine - largest), scratch);
}

// The loss of each row and what it counts, both 0 where the target is `ignored`.
template <typename T, int N>
__global__ void cross_entropy(
    const T* x, const long long* target, const T* weight, typename Wide<T>::type* losses,
    typename Wide<T>::type* counts, int n, long long ignored
) {
    typedef typename Wide<T>::type A;
    __shared__ A scratch[32];
    const T* row = x + (long long)blockIdx.x * n;
    long long t = target[blockIdx.x];
    if (t == ignored) {  // all threads of the block agree
        if (threadIdx.x == 0) losses[blockIdx.x] = counts[blockIdx.x] = 0;
        return;
    }
    if (t < 0 || t >= n) {
        if (threadIdx.x == 0)
            REFUSE("cross_entropy: target %lld is out of bounds: there are %d classes, 0 to %d\n", t, n, n - 1);
        return;
    }
    A largest, sum;
    log_sum_exp<T, N>(row, n, largest, sum, scratch);
    if (threadIdx.x == 0) {
        A count = weight ? (A)widen(weight[t]) : 1;
        losses[blockIdx.x] = (largest + log(sum) - widen(row[t])) * count;
        counts[blockIdx.x] = count;
    }
}

// One block adds all rows: for "mean" (divided by what counts) and "sum". `total` is what was divided by.
template <typename T>
__global__ void add_losses(
    const typename Wide<T>::type* losses, const typename Wide<T>::type* counts, T* loss,
    typename Wide<T>::type* total, long long rows, bool mean
) {
    typedef typename Wide<T>::type A;
    __shared__ A scratch[32];
    A sum = 0, count = 0;
    for (long long i = threadIdx.x; i < rows; i += blockDim.x) {
        sum += losses[i];
        count += counts[i];
    }
    sum = over_row<Sum>(sum, scratch);
    count = over_row<Sum>(count, scratch);
    if (threadIdx.x == 0) {
        *loss = narrow<T>(mean ? sum / count : sum);
        *total = mean ? count : 1;
    }
}

// What "mean" divides by, for backward: the weights of all targets that are not ignored.
template <typename T>
__global__ void count_targets(
    const long long* target, const T* weight, typename Wide<T>::type* total, long long rows, long long ignored, int n
) {
    typedef typename Wide<T>::type A;
    __shared__ A scratch[32];
    A count = 0;
    for (long long i = threadIdx.x; i < rows; i += blockDim.x) {
        long long t = target[i];
        if (t != ignored && t >= 0 && t < n) count += weight ? (A)widen(weight[t]) : 1;
    }
    count = over_row<Sum>(count, scratch);
    if (threadIdx.x == 0) *total = count;
}

// `slopes` has one number for each row if `each`, else one for all; `total` may be absent.
template <typename T, int N>
__global__ void cross_entropy_backward(
    const T* x, const long long* target, const T* weight, const T* slopes, bool each,
    const typename Wide<T>::type* total, T* by_x, int n, long long ignored
) {
    typedef typename Wide<T>::type A;
    __shared__ A scratch[32];
    const T* row = x + (long long)blockIdx.x * n;
    T* out = by_x + (long long)blockIdx.x * n;
    long long t = target[blockIdx.x];
    A largest = 0, sum = 1, slope = 0;
    bool counts = t != ignored;
    if (counts) {
        if (t < 0 || t >= n) return;  // forward has refused it
        log_sum_exp<T, N>(row, n, largest, sum, scratch);
        slope = widen(slopes[each ? blockIdx.x : 0]) * (weight ? (A)widen(weight[t]) : 1);
        if (total) slope /= *total == 0 ? 1 : *total;
    }
    A factor = slope / sum;
    for (int i = threadIdx.x * N; i < n; i += blockDim.x * N) {
        Pack<T, N> in = load<N>(row + i), found;
#pragma unroll
        for (int j = 0; j < N; j++) {
            A p = counts ? exp(widen(in.at[j]) - largest) * factor : 0;
            found.at[j] = narrow<T>(i + j == t && counts ? p - slope : p);
        }
        store<N>(out + i, found);
    }
}
