// Attention as in attention.cu, with its products on tensor cores: for float16 and bfloat16.
//
// A block has four warps, each with 16 rows of Q (by_key: of K and V), and goes over tiles of R rows of the
// rest. A warp's scores stay in its registers. As they come out of one product, rows group and group + 8,
// columns 2·member and 2·member + 1 of eight, two such pieces are what the next product takes as its left
// operand: the weights need only be rounded, never moved to other threads (see mma.cuh).
//
// The right operand is read in pairs along what is summed over. For Q Kᵀ and G Vᵀ these are neighbours in
// memory. For P V and the other products with scores they are a row apart: those tiles are turned on their
// way into shared memory.
//
// dS is multiplied by the scale at the very end: rounded to float16, small numbers would be lost.
//
// Sizes E and D are multiples of 8, at most W, and rows start at multiples of 16 bytes.

#include "attention.cuh"
#include "mma.cuh"

const int WARPS = 4, ROWS = 16 * WARPS, THREADS = 32 * WARPS;

// Rows of shared memory are 16 bytes longer than they need be: then a warp's fragments come from different banks.
__host__ __device__ constexpr int stride(int n) { return n + 8; }

template <typename T> __device__ inline unsigned two(const T* at) { return *reinterpret_cast<const unsigned*>(at); }
template <typename T> __device__ inline unsigned pair(T x, T y) { return x.bits | (unsigned)y.bits << 16; }

// Rows `first` to `first` + N of an (n, size) matrix, with zeros where there is nothing, as they are.
template <int N, int W, typename T>
__device__ inline void fetch(T* to, const T* from, int first, int n, int size) {
    for (int i = threadIdx.x; i < N * (W / 8); i += THREADS) {
        int row = i / (W / 8), column = i % (W / 8) * 8;
        Pack<T, 8> in = {};
        if (first + row < n && column < size) in = load<8>(from + (long long)(first + row) * size + column);
        store<8>(to + row * stride(W) + column, in);
    }
}

// The same, turned: rows become columns.
template <int N, int W, typename T>
__device__ inline void fetch_turned(T* to, const T* from, int first, int n, int size) {
    for (int i = threadIdx.x; i < N / 2 * (W / 8); i += THREADS) {
        int row = i % (N / 2) * 2, column = i / (N / 2) * 8;  // a warp writes side by side
        Pack<T, 8> in[2] = {};
#pragma unroll
        for (int k = 0; k < 2; k++)
            if (first + row + k < n && column < size)
                in[k] = load<8>(from + (long long)(first + row + k) * size + column);
#pragma unroll
        for (int j = 0; j < 8; j++)
            *reinterpret_cast<unsigned*>(to + (column + j) * stride(N) + row) = pair(in[0].at[j], in[1].at[j]);
    }
}

// sum += a · bᵀ: 16 rows of a and N rows of b, both of W numbers in shared memory.
template <int N, int W, typename T>
__device__ inline void rows_by_rows(float (&sum)[N / 8][4], const T* a, const T* b) {
    int group = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
#pragma unroll
    for (int k = 0; k < W; k += 16) {
        const T* at = a + group * stride(W) + k + member * 2;
        unsigned left[4] = {two(at), two(at + 8 * stride(W)), two(at + 8), two(at + 8 * stride(W) + 8)};
#pragma unroll
        for (int j = 0; j < N / 8; j++) {
            const T* from = b + (j * 8 + group) * stride(W) + k + member * 2;
            unsigned right[2] = {two(from), two(from + 8)};
            multiply_add(sum[j], left, right, T{});
        }
    }
}

// out += scores · b, whose N rows of W numbers have been turned. The scores are rounded to T.
template <int N, int W, typename T>
__device__ inline void scores_by_rows(float (&out)[W / 8][4], const float (&score)[N / 8][4], const T* turned) {
    int group = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
#pragma unroll
    for (int k = 0; k < N / 16; k++) {
        unsigned left[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float* from = score[2 * k + i / 2] + i % 2 * 2;
            left[i] = pair(narrow<T>(from[0]), narrow<T>(from[1]));
        }
#pragma unroll
        for (int j = 0; j < W / 8; j++) {
            const T* at = turned + (j * 8 + group) * stride(N) + k * 16 + member * 2;
            unsigned right[2] = {two(at), two(at + 8)};
            multiply_add(out[j], left, right, T{});
        }
    }
}

// `factor` times a warp's 16 rows from `first` on, those of an (n, size) matrix that are there.
template <int W, typename T>
__device__ inline void put(T* to, const float (&out)[W / 8][4], float factor, int first, int n, int size) {
    int group = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
#pragma unroll
    for (int j = 0; j < W / 8; j++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = first + group + half * 8, column = j * 8 + member * 2;
            Pack<T, 2> both = {narrow<T>(out[j][half * 2] * factor), narrow<T>(out[j][half * 2 + 1] * factor)};
            if (row < n && column < size) store<2>(to + (long long)row * size + column, both);
        }
}

// The four threads that share rows hold their columns between them.
template <typename Op> __device__ inline float over_columns(float x) {
    x = Op::of(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return Op::of(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

template <typename T, int W, int R>
__global__ void __launch_bounds__(THREADS) attention_cores(
    const T* query, const T* key, const T* value, const T* mask, T* output, double* normaliser, const Sizes s,
    bool causal, double scale
) {
    extern __shared__ __align__(16) unsigned char room[];
    T* q = reinterpret_cast<T*>(room);
    T* k = q + ROWS * stride(W);
    T* v = k + R * stride(W);  // turned
    int own = threadIdx.x / 32 * 16, group = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
    int block = blockIdx.x * ROWS, first = block + own;
    query += (long long)blockIdx.y * s.queries * s.depth;
    key += (long long)blockIdx.y * s.keys * s.depth;
    value += (long long)blockIdx.y * s.keys * s.width;

    fetch<ROWS, W>(q, query, block, s.queries, s.depth);
    float out[W / 8][4] = {}, largest[2] = {-infinity<float>(), -infinity<float>()}, total[2] = {};
    int end = causal ? min(s.keys, block + ROWS) : s.keys;  // keys behind all queries are seen by none
    for (int k0 = 0; k0 < end; k0 += R) {
        __syncthreads();  // the tile before has been used
        fetch<R, W>(k, key, k0, s.keys, s.depth);
        fetch_turned<R, W>(v, value, k0, s.keys, s.width);
        __syncthreads();
        float score[R / 8][4] = {};
        rows_by_rows<R, W>(score, q + own * stride(W), k);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float above = largest[half];
#pragma unroll
            for (int j = 0; j < R / 8; j++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    int at = first + group + half * 8, column = k0 + j * 8 + member * 2 + e;
                    float& x = score[j][half * 2 + e];
                    x = masked(x, mask, s, at, column, causal, (float)scale);
                    above = Largest::of(above, x);
                }
            above = over_columns<Largest>(above);
            // Of a row that has seen no key yet, all exponentials are 0.
            float base = above == -infinity<float>() ? 0 : above, sum = 0, shrink = exp(largest[half] - base);
#pragma unroll
            for (int j = 0; j < R / 8; j++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    float& x = score[j][half * 2 + e];
                    x = exp(x - base);
                    sum += x;
                }
            total[half] = total[half] * shrink + over_columns<Sum>(sum);
            largest[half] = above;
#pragma unroll
            for (int j = 0; j < W / 8; j++) {
                out[j][half * 2] *= shrink;
                out[j][half * 2 + 1] *= shrink;
            }
        }
        scores_by_rows<R, W>(out, score, v);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float share = total[half] == 0 ? 1 : 1 / total[half];
#pragma unroll
        for (int j = 0; j < W / 8; j++) {
            out[j][half * 2] *= share;
            out[j][half * 2 + 1] *= share;
        }
        int row = first + group + half * 8;
        if (member == 0 && row < s.queries)
            normaliser[(long long)blockIdx.y * s.queries + row] = log((double)total[half]) + largest[half];
    }
    put<W>(output + (long long)blockIdx.y * s.queries * s.width, out, 1, first, s.queries, s.width);
}

template <typename T, int W, int R>
__global__ void __launch_bounds__(THREADS) attention_cores_by_query(
    const T* query, const T* key, const T* value, const T* mask, const T* g, const double* normaliser,
    const float* delta, T* by_query, const Sizes s, bool causal, double scale
) {
    extern __shared__ __align__(16) unsigned char room[];
    T* q = reinterpret_cast<T*>(room);
    T* gs = q + ROWS * stride(W);
    T* k = gs + ROWS * stride(W);
    T* v = k + R * stride(W);
    T* turned_k = v + R * stride(W);
    int own = threadIdx.x / 32 * 16, group = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
    int block = blockIdx.x * ROWS, first = block + own;
    long long row0 = (long long)blockIdx.y * s.queries;
    key += (long long)blockIdx.y * s.keys * s.depth;
    value += (long long)blockIdx.y * s.keys * s.width;

    fetch<ROWS, W>(q, query + row0 * s.depth, block, s.queries, s.depth);
    fetch<ROWS, W>(gs, g + row0 * s.width, block, s.queries, s.width);
    float out[W / 8][4] = {}, above[2], owed[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int row = first + group + half * 8;
        above[half] = row < s.queries ? (float)normaliser[row0 + row] : -infinity<float>();
        owed[half] = row < s.queries ? delta[row0 + row] : 0;
    }
    int end = causal ? min(s.keys, block + ROWS) : s.keys;
    for (int k0 = 0; k0 < end; k0 += R) {
        __syncthreads();
        fetch<R, W>(k, key, k0, s.keys, s.depth);
        fetch<R, W>(v, value, k0, s.keys, s.width);
        fetch_turned<R, W>(turned_k, key, k0, s.keys, s.depth);
        __syncthreads();
        float score[R / 8][4] = {}, by_weight[R / 8][4] = {};
        rows_by_rows<R, W>(score, q + own * stride(W), k);
        rows_by_rows<R, W>(by_weight, gs + own * stride(W), v);
#pragma unroll
        for (int j = 0; j < R / 8; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                int at = first + group + e / 2 * 8, column = k0 + j * 8 + member * 2 + e % 2;
                float x = masked(score[j][e], mask, s, at, column, causal, (float)scale);
                score[j][e] = weight_of(x, above[e / 2]) * (by_weight[j][e] - owed[e / 2]);
            }
        scores_by_rows<R, W>(out, score, turned_k);
    }
    put<W>(by_query + row0 * s.depth, out, (float)scale, first, s.queries, s.depth);
}

// The same with rows of keys: all matrices of scores are transposed.
template <typename T, int W, int R>
__global__ void __launch_bounds__(THREADS) attention_cores_by_key(
    const T* query, const T* key, const T* value, const T* mask, const T* g, const double* normaliser,
    const float* delta, T* by_key, T* by_value, const Sizes s, bool causal, double scale
) {
    extern __shared__ __align__(16) unsigned char room[];
    __shared__ float above[R];
    __shared__ float owed[R];
    T* k = reinterpret_cast<T*>(room);
    T* v = k + ROWS * stride(W);
    T* q = v + ROWS * stride(W);
    T* gs = q + R * stride(W);
    T* turned_q = gs + R * stride(W);
    T* turned_g = turned_q + W * stride(R);
    int own = threadIdx.x / 32 * 16, group = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
    int block = blockIdx.x * ROWS, first = block + own;
    long long row0 = (long long)blockIdx.y * s.queries, key0 = (long long)blockIdx.y * s.keys;
    query += row0 * s.depth;
    g += row0 * s.width;

    fetch<ROWS, W>(k, key + key0 * s.depth, block, s.keys, s.depth);
    fetch<ROWS, W>(v, value + key0 * s.width, block, s.keys, s.width);
    float out_k[W / 8][4] = {}, out_v[W / 8][4] = {};
    int begin = causal ? block / R * R : 0;  // queries before all keys see none of them
    for (int q0 = begin; q0 < s.queries; q0 += R) {
        __syncthreads();
        fetch<R, W>(q, query, q0, s.queries, s.depth);
        fetch<R, W>(gs, g, q0, s.queries, s.width);
        fetch_turned<R, W>(turned_q, query, q0, s.queries, s.depth);
        fetch_turned<R, W>(turned_g, g, q0, s.queries, s.width);
        for (int i = threadIdx.x; i < R; i += THREADS) {
            bool there = q0 + i < s.queries;
            above[i] = there ? (float)normaliser[row0 + q0 + i] : -infinity<float>();
            owed[i] = there ? delta[row0 + q0 + i] : 0;
        }
        __syncthreads();
        float score[R / 8][4] = {}, by_weight[R / 8][4] = {};
        rows_by_rows<R, W>(score, k + own * stride(W), q);
        rows_by_rows<R, W>(by_weight, v + own * stride(W), gs);
#pragma unroll
        for (int j = 0; j < R / 8; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                int column = j * 8 + member * 2 + e % 2, at = first + group + e / 2 * 8;
                float x = masked(score[j][e], mask, s, q0 + column, at, causal, (float)scale);
                score[j][e] = weight_of(x, above[column]);
                by_weight[j][e] = score[j][e] * (by_weight[j][e] - owed[column]);
            }
        scores_by_rows<R, W>(out_v, score, turned_g);
        scores_by_rows<R, W>(out_k, by_weight, turned_q);
    }
    put<W>(by_key + key0 * s.depth, out_k, (float)scale, first, s.keys, s.depth);
    put<W>(by_value + key0 * s.width, out_v, 1, first, s.keys, s.width);
}
