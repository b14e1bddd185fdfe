// Embeddings: rows of a table by their numbers, and the gradient of the table.
//
// The gradient adds, for every row of the table, the gradients of all places that asked for it. With
// atomic additions the order would depend on which thread comes first, and with it the last digits. Here
// the places are sorted by row beforehand (`order`), so that those of a row stand side by side, and one
// group of threads adds them in that order: the same result every time.

#include "common.cuh"

// A warp for each index, its 32 threads side by side in the row.
template <typename T, int N>
__global__ void embedding(const T* table, const long long* indices, T* out, long long count, long long rows, int size) {
    long long place = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    if (place >= count) return;
    long long row = indices[place];
    if (row < 0 || row >= rows) {
        if (threadIdx.x == 0) REFUSE("embedding: index %lld is no row of a table of %lld\n", row, rows);
        return;
    }
    for (int i = threadIdx.x * N; i < size; i += 32 * N)
        store<N>(out + place * size + i, load<N>(table + row * size + i));
}

// `sorted` are the indices in ascending order, order[i] the place that the i-th of them came from. A warp
// looks at each i; the one at the first index of a row adds up that row. Rows that nobody asked for keep
// their zeros. `padding` is a row without gradient; with `by_frequency` a row's sum is divided.
template <typename T, int N>
__global__ void embedding_rows(
    const T* g, const long long* sorted, const long long* order, T* by_table, long long count, int size,
    long long padding, bool by_frequency
) {
    typedef typename Wide<T>::type A;
    long long first = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    if (first >= count) return;
    long long row = sorted[first];
    if (row == padding || (first > 0 && sorted[first - 1] == row)) return;
    long long end = first + 1;
    if (by_frequency)
        while (end < count && sorted[end] == row) end++;
    A share = (A)1 / (end - first);
    for (int i = threadIdx.x * N; i < size; i += 32 * N) {
        A sum[N] = {};
        for (long long k = first; k < count && sorted[k] == row; k++) {
            Pack<T, N> in = load<N>(g + order[k] * size + i);
#pragma unroll
            for (int j = 0; j < N; j++) sum[j] += widen(in.at[j]);
        }
        Pack<T, N> out;
#pragma unroll
        for (int j = 0; j < N; j++) out.at[j] = narrow<T>(sum[j] * share);
        store<N>(by_table + row * size + i, out);
    }
}
