// Attention without the matrix of scores: "flash attention", forward and backward.
//
//     P = softmax(Q Kᵀ · scale + M)      O = P V
//
// Q is (L, E), K (S, E), V (S, D), and S = Q Kᵀ has L · S numbers, which for long sequences is far more than
// all the rest. It is never written to memory. A block of threads has some rows of Q, and goes over K and V a
// tile at a time: scores of the tile, their exponentials, and what these add to O. The largest score of a
// row is not known before the last tile, so what has been added is scaled down whenever a larger one comes
// ("online softmax", see softmax.cu).
//
// Backward gets one number per row, ℓ = log Σ exp(scores), and with it P = exp(scores − ℓ) is computed again:
//
//     by V: Pᵀ G        by scores: dS = P ∘ (G Vᵀ − δ) · scale    with δ = rows of Σ G ∘ O, less what ℓ owes
//     by Q: dS K        by K: dSᵀ Q
//
// One kernel has rows of K and V and goes over Q, another has rows of Q and goes over K: computing the
// scores twice costs less than letting blocks add to each other's results, and is the same every time.
//
// Sources: T. Dao et al., "FlashAttention", arXiv:2205.14135; T. Dao, "FlashAttention-2", arXiv:2307.08691.

#include "attention.cuh"

// A tile is R × R scores, of which each of 16 × 16 threads has R/16 × R/16: rows next to each other,
// columns 16 apart. Rows of Q, K and V in shared memory have room for W numbers (a multiple of 64), and
// four more, so that threads that read down a column meet different banks.
template <int R, int W> struct Tile {
    static const int EACH = R / 16, STRIDE = W + 4, SCORES = R + 4, WIDTH = W / 64;
};

// Rows `first` to `first` + R of an (n, size) matrix, with zeros where there is nothing.
template <int R, int W, typename T>
__device__ inline void fetch(float* to, const T* from, int first, int n, int size) {
    for (int i = threadIdx.x; i < R * W; i += 256) {
        int row = i / W, column = i % W;
        bool there = first + row < n && column < size;
        to[row * Tile<R, W>::STRIDE + column] = there ? widen(from[(long long)(first + row) * size + column]) : 0.0f;
    }
}

struct alignas(16) Four { float x, y, z, w; };
__device__ inline Four four(const float* at) { return *reinterpret_cast<const Four*>(at); }

// sum[i][j] += Σ over e of a[row i][e] · b[column j][e], for this thread's rows of a and rows of b.
template <int R, int W>
__device__ inline void rows_by_rows(float (&sum)[R / 16][R / 16], const float* a, const float* b, int size) {
    const int EACH = R / 16, STRIDE = Tile<R, W>::STRIDE;
    int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
#pragma unroll 1
    for (int e = 0; e < size; e += 4) {
        Four left[EACH], right[EACH];
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            left[i] = four(a + (ty * EACH + i) * STRIDE + e);
            right[i] = four(b + (tx + 16 * i) * STRIDE + e);
        }
#pragma unroll
        for (int i = 0; i < EACH; i++)
#pragma unroll
            for (int j = 0; j < EACH; j++)
                sum[i][j] += left[i].x * right[j].x + left[i].y * right[j].y + left[i].z * right[j].z +
                             left[i].w * right[j].w;
    }
}

// out[i][·] += Σ over c of p[row i][c] · v[c][·]. A thread's columns are four at 4·tx, and four more 64 behind.
template <int R, int W>
__device__ inline void scores_by_rows(float (&out)[R / 16][W / 16], const float* p, const float* v) {
    const int EACH = R / 16, STRIDE = Tile<R, W>::STRIDE, SCORES = Tile<R, W>::SCORES;
    int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
#pragma unroll 2
    for (int c = 0; c < R; c++) {
        float weight[EACH];
#pragma unroll
        for (int i = 0; i < EACH; i++) weight[i] = p[(ty * EACH + i) * SCORES + c];
#pragma unroll
        for (int w = 0; w < W / 64; w++) {
            Four value = four(v + c * STRIDE + w * 64 + tx * 4);
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                out[i][w * 4] += weight[i] * value.x;
                out[i][w * 4 + 1] += weight[i] * value.y;
                out[i][w * 4 + 2] += weight[i] * value.z;
                out[i][w * 4 + 3] += weight[i] * value.w;
            }
        }
    }
}

template <int R, int W, typename T>
__device__ inline void put(T* to, const float (&out)[R / 16][W / 16], int first, int n, int size) {
    int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
#pragma unroll
    for (int i = 0; i < R / 16; i++) {
        int row = first + ty * (R / 16) + i;
#pragma unroll
        for (int w = 0; w < W / 16; w++) {
            int column = w / 4 * 64 + tx * 4 + w % 4;
            if (row < n && column < size) to[(long long)row * size + column] = narrow<T>(out[i][w]);
        }
    }
}

// The 16 threads that share rows hold their columns between them.
template <typename Op> __device__ inline float over_columns(float x) {
#pragma unroll
    for (int bit = 8; bit > 0; bit /= 2) x = Op::of(x, __shfl_xor_sync(0xffffffffu, x, bit));
    return x;
}

// Forward ----------------------------------------------------------------------------------

template <typename T, int R, int W>
__global__ void __launch_bounds__(256) attention(
    const T* query, const T* key, const T* value, const T* mask, T* output, double* normaliser, const Sizes s,
    bool causal, double scale
) {
    const int EACH = R / 16, STRIDE = Tile<R, W>::STRIDE, SCORES = Tile<R, W>::SCORES;
    extern __shared__ __align__(16) unsigned char room[];
    float* q = reinterpret_cast<float*>(room);
    float* kv = q + R * STRIDE;  // a tile of K, then the same rows of V
    float* p = kv + R * STRIDE;
    int ty = threadIdx.x / 16, tx = threadIdx.x % 16, first = blockIdx.x * R;
    query += (long long)blockIdx.y * s.queries * s.depth;
    key += (long long)blockIdx.y * s.keys * s.depth;
    value += (long long)blockIdx.y * s.keys * s.width;

    fetch<R, W>(q, query, first, s.queries, s.depth);
    float out[EACH][W / 16] = {}, largest[EACH], total[EACH] = {};
#pragma unroll
    for (int i = 0; i < EACH; i++) largest[i] = -infinity<float>();
    int end = causal ? min(s.keys, first + R) : s.keys;  // keys behind all queries are seen by none
    for (int k0 = 0; k0 < end; k0 += R) {
        __syncthreads();  // the tile before has been used
        fetch<R, W>(kv, key, k0, s.keys, s.depth);
        __syncthreads();
        float score[EACH][EACH] = {};
        rows_by_rows<R, W>(score, q, kv, s.depth);
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            float above = largest[i];
#pragma unroll
            for (int j = 0; j < EACH; j++) {
                int at = first + ty * EACH + i;
                score[i][j] = masked(score[i][j], mask, s, at, k0 + tx + 16 * j, causal, (float)scale);
                above = Largest::of(above, score[i][j]);
            }
            above = over_columns<Largest>(above);
            // Of a row that has seen no key yet, all exponentials are 0.
            float base = above == -infinity<float>() ? 0 : above, sum = 0;
#pragma unroll
            for (int j = 0; j < EACH; j++) {
                float power = exp(score[i][j] - base);
                p[(ty * EACH + i) * SCORES + tx + 16 * j] = power;
                sum += power;
            }
            float shrink = exp(largest[i] - base);
            total[i] = total[i] * shrink + over_columns<Sum>(sum);
            largest[i] = above;
#pragma unroll
            for (int w = 0; w < W / 16; w++) out[i][w] *= shrink;
        }
        __syncthreads();  // scores are written, and K has been used
        fetch<R, W>(kv, value, k0, s.keys, s.width);
        __syncthreads();
        scores_by_rows<R, W>(out, p, kv);
    }
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        float share = total[i] == 0 ? 1 : 1 / total[i];
#pragma unroll
        for (int w = 0; w < W / 16; w++) out[i][w] *= share;
        int row = first + ty * EACH + i;
        if (tx == 0 && row < s.queries)
            normaliser[(long long)blockIdx.y * s.queries + row] = log((double)total[i]) + largest[i];
    }
    put<R, W>(output + (long long)blockIdx.y * s.queries * s.width, out, first, s.queries, s.width);
}

// Backward ---------------------------------------------------------------------------------

// δ of each row: Σ G ∘ O, less what is asked of the normaliser. A warp for each row.
template <typename T>
__global__ void attention_delta(
    const T* g, const T* output, const double* by_normaliser, float* delta, long long rows, int width
) {
    long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    float sum = 0;
    for (int i = threadIdx.x; i < width; i += 32) sum += widen(g[row * width + i]) * widen(output[row * width + i]);
    sum = over_warp<Sum>(sum);
    if (threadIdx.x == 0) delta[row] = sum - (float)by_normaliser[row];
}

template <typename T, int R, int W>
__global__ void __launch_bounds__(256) attention_by_query(
    const T* query, const T* key, const T* value, const T* mask, const T* g, const double* normaliser,
    const float* delta, T* by_query, const Sizes s, bool causal, double scale
) {
    const int EACH = R / 16, STRIDE = Tile<R, W>::STRIDE, SCORES = Tile<R, W>::SCORES;
    extern __shared__ __align__(16) unsigned char room[];
    float* q = reinterpret_cast<float*>(room);
    float* gs = q + R * STRIDE;
    float* k = gs + R * STRIDE;
    float* v = k + R * STRIDE;
    float* ds = v + R * STRIDE;
    int ty = threadIdx.x / 16, tx = threadIdx.x % 16, first = blockIdx.x * R;
    long long row0 = (long long)blockIdx.y * s.queries;
    key += (long long)blockIdx.y * s.keys * s.depth;
    value += (long long)blockIdx.y * s.keys * s.width;

    fetch<R, W>(q, query + row0 * s.depth, first, s.queries, s.depth);
    fetch<R, W>(gs, g + row0 * s.width, first, s.queries, s.width);
    float out[EACH][W / 16] = {}, above[EACH], owed[EACH];
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        int row = first + ty * EACH + i;
        above[i] = row < s.queries ? (float)normaliser[row0 + row] : -infinity<float>();
        owed[i] = row < s.queries ? delta[row0 + row] : 0;
    }
    int end = causal ? min(s.keys, first + R) : s.keys;
    for (int k0 = 0; k0 < end; k0 += R) {
        __syncthreads();
        fetch<R, W>(k, key, k0, s.keys, s.depth);
        fetch<R, W>(v, value, k0, s.keys, s.width);
        __syncthreads();
        float score[EACH][EACH] = {}, by_weight[EACH][EACH] = {};
        rows_by_rows<R, W>(score, q, k, s.depth);
        rows_by_rows<R, W>(by_weight, gs, v, s.width);
#pragma unroll
        for (int i = 0; i < EACH; i++)
#pragma unroll
            for (int j = 0; j < EACH; j++) {
                int at = first + ty * EACH + i;
                float x = masked(score[i][j], mask, s, at, k0 + tx + 16 * j, causal, (float)scale);
                float weight = weight_of(x, above[i]);
                ds[(ty * EACH + i) * SCORES + tx + 16 * j] = weight * (by_weight[i][j] - owed[i]) * (float)scale;
            }
        __syncthreads();
        scores_by_rows<R, W>(out, ds, k);
    }
    put<R, W>(by_query + row0 * s.depth, out, first, s.queries, s.depth);
}

// The same with rows of keys: all matrices of scores are transposed.
template <typename T, int R, int W>
__global__ void __launch_bounds__(256, 1) attention_by_key(
    const T* query, const T* key, const T* value, const T* mask, const T* g, const double* normaliser,
    const float* delta, T* by_key, T* by_value, const Sizes s, bool causal, double scale
) {
    const int EACH = R / 16, STRIDE = Tile<R, W>::STRIDE, SCORES = Tile<R, W>::SCORES;
    extern __shared__ __align__(16) unsigned char room[];
    __shared__ float above[R];
    __shared__ float owed[R];
    float* k = reinterpret_cast<float*>(room);
    float* v = k + R * STRIDE;
    float* q = v + R * STRIDE;
    float* gs = q + R * STRIDE;
    float* p = gs + R * STRIDE;
    int ty = threadIdx.x / 16, tx = threadIdx.x % 16, first = blockIdx.x * R;
    long long row0 = (long long)blockIdx.y * s.queries, key0 = (long long)blockIdx.y * s.keys;

    fetch<R, W>(k, key + key0 * s.depth, first, s.keys, s.depth);
    fetch<R, W>(v, value + key0 * s.width, first, s.keys, s.width);
    float out_k[EACH][W / 16] = {}, out_v[EACH][W / 16] = {};
    int begin = causal ? first / R * R : 0;  // queries before all keys see none of them
    for (int q0 = begin; q0 < s.queries; q0 += R) {
        __syncthreads();
        fetch<R, W>(q, query + row0 * s.depth, q0, s.queries, s.depth);
        fetch<R, W>(gs, g + row0 * s.width, q0, s.queries, s.width);
        for (int i = threadIdx.x; i < R; i += 256) {
            bool there = q0 + i < s.queries;
            above[i] = there ? (float)normaliser[row0 + q0 + i] : -infinity<float>();
            owed[i] = there ? delta[row0 + q0 + i] : 0;
        }
        __syncthreads();
        float score[EACH][EACH] = {}, by_weight[EACH][EACH] = {};
        rows_by_rows<R, W>(score, k, q, s.depth);
        rows_by_rows<R, W>(by_weight, v, gs, s.width);
#pragma unroll
        for (int i = 0; i < EACH; i++)
#pragma unroll
            for (int j = 0; j < EACH; j++) {
                int column = tx + 16 * j;
                float x = masked(score[i][j], mask, s, q0 + column, first + ty * EACH + i, causal, (float)scale);
                float weight = weight_of(x, above[column]);
                p[(ty * EACH + i) * SCORES + column] = weight;
                by_weight[i][j] = weight * (by_weight[i][j] - owed[column]) * (float)scale;
            }
        __syncthreads();
        scores_by_rows<R, W>(out_v, p, gs);
        __syncthreads();  // P has been used: dS takes its place
#pragma unroll
        for (int i = 0; i < EACH; i++)
#pragma unroll
            for (int j = 0; j < EACH; j++) p[(ty * EACH + i) * SCORES + tx + 16 * j] = by_weight[i][j];
        __syncthreads();
        scores_by_rows<R, W>(out_k, p, q);
    }
    put<R, W>(by_key + key0 * s.depth, out_k, first, s.keys, s.depth);
    put<R, W>(by_value + key0 * s.width, out_v, first, s.keys, s.width);
}
