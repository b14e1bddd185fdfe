// Adding up what blocks have found, in an order that does not depend on which of them was first.

#pragma once
#include "common.cuh"

// The sum of `parts` rows of n numbers. A block has 32 columns, and eight threads for each of them.
template <typename T>
__global__ void add_rows(const typename Wide<T>::type* x, T* y, int parts, int n) {
    typedef typename Wide<T>::type A;
    __shared__ A sums[8][33];  // one more than 32: threads of a column then use different banks
    int column = blockIdx.x * 32 + threadIdx.x;
    A sum = 0;
    if (column < n)
        for (int i = threadIdx.y; i < parts; i += 8) sum += x[(long long)i * n + column];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && column < n) {
        for (int i = 1; i < 8; i++) sum += sums[i][threadIdx.x];
        y[column] = narrow<T>(sum);
    }
}
