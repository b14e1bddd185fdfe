// Dropout with random numbers that are computed where they are used.
//
// A generator with a state would have to be asked in order, one number after the other. A *counter-based*
// one is a function: it scrambles (key, number of the element) so thoroughly that the results pass for
// random. Every thread computes its own, no state is kept, and backward computes the same ones again
// instead of reading a mask from memory.
//
// Philox4x32-10 makes four words of 32 bits from four words of counter and two of key, in ten rounds of
// two multiplications each. Element i takes word i mod 4 of counter i / 4, so what is dropped does not
// depend on how the work is shared out. (PyTorch has the same generator but counts by thread.)
//
// Source: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.2.

#include "common.cuh"

__device__ inline uint4 philox(uint4 counter, unsigned key0, unsigned key1) {
#pragma unroll
    for (int round = 0; round < 10; round++) {
        unsigned high0 = __umulhi(0xD2511F53u, counter.x), low0 = 0xD2511F53u * counter.x;
        unsigned high1 = __umulhi(0xCD9E8D57u, counter.z), low1 = 0xCD9E8D57u * counter.z;
        counter = {high1 ^ counter.y ^ key0, low1, high0 ^ counter.w ^ key1, low0};
        key0 += 0x9E3779B9u;  // the golden ratio and the root of 3, as fractions of 2^32
        key1 += 0xBB67AE85u;
    }
    return counter;
}

// y = x · scale where the element's word is below `threshold` (of 2^32), else 0. The key is `key`, or in a
// captured graph what `key_at` holds when it is replayed.
template <typename T, int N>
__global__ void dropout(
    const T* x, T* y, long long count, unsigned long long threshold, double scale, unsigned long long key,
    const unsigned long long* key_at
) {
    typedef typename Wide<T>::type A;
    if (key_at) key = *key_at;
    long long step = (long long)gridDim.x * blockDim.x * N;
    for (long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * N; i < count; i += step) {
        Pack<T, N> in = {}, out;
        int here = count - i < N ? (int)(count - i) : N;  // the last pack may be short
        if (here == N) {
            in = load<N>(x + i);
        } else {
#pragma unroll
            for (int j = 0; j < N; j++)
                if (j < here) in.at[j] = x[i + j];
        }
        uint4 words = {};
#pragma unroll
        for (int j = 0; j < N; j++) {
            if (j % 4 == 0) {
                unsigned long long block = (i + j) / 4;
                words = philox({(unsigned)block, (unsigned)(block >> 32), 0, 0}, (unsigned)key, (unsigned)(key >> 32));
            }
            int which = N < 4 ? (int)(i + j) % 4 : j % 4;
            unsigned word = which == 0 ? words.x : which == 1 ? words.y : which == 2 ? words.z : words.w;
            out.at[j] = narrow<T>(word < threshold ? widen(in.at[j]) * (A)scale : 0);
        }
        if (here == N) {
            store<N>(y + i, out);
        } else {
#pragma unroll
            for (int j = 0; j < N; j++)
                if (j < here) y[i + j] = out.at[j];
        }
    }
}
