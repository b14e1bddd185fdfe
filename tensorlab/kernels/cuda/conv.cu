// Convolutions of images, and their gradients, as products of matrices that are never laid out in memory.
//
// With y[n, o, p] = Σ over i, k of w[o, i, k] · x[n, i, stride·p + dilation·k − padding], each of the three
// is a product of an M × K by a K × N matrix:
//
//                 rows (M)    columns (N)          summed over (K)
//     forward     o           n and p              i and k           w · windows of x
//     by input    i           n and place in x     o and k           wᵀ · what y owes to x
//     by weight   o           i and k              n and p           y · windows of x
//
// The one by input is the transposed convolution, too.
//
// The windows as a matrix ("im2col") would be as many times larger than x as a window has places. Here a
// block of threads takes one tile of the result, and fetches what it needs from x, w or y straight into
// shared memory, a slice of K at a time: `Forward`, `ByInput` and `ByWeight` say where an element of either
// matrix lies, `Simple` and `TensorCores` multiply the tiles.
//
// Signals are images of height 1. Groups are products of their own (blockIdx.z).
//
// Source: S. Chetlur et al., "cuDNN: efficient primitives for deep learning", arXiv:1410.0759, section 3.

#include "add_rows.cuh"
#include "mma.cuh"

struct Geometry {
    int batch, channels, height, width;   // of x
    int filters, out_height, out_width;   // of y
    int kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
    int groups, parts;                    // parts: into how many stretches K is cut, for `ByWeight`

    __device__ int taps() const { return kernel_height * kernel_width; }
    __device__ int out_size() const { return out_height * out_width; }
    __device__ int size() const { return height * width; }
};

// Where the elements of the two matrices are ------------------------------------------------
//
// a(m, k) and b(k, n) fetch an element; `put` takes one of the result. `Place` is what the index of a column
// (of a slice, in ByWeight) means, worked out once for many elements. b is read along n, or along k where
// that is how its elements lie in memory (`along_k`).

template <typename T> struct Forward {
    static const bool along_k = false;
    typedef T Result;
    Geometry s;
    const T *w, *x, *bias;
    T* y;
    int group;

    struct Place { const T* image; int top, left; };

    __device__ int rows() const { return s.filters / s.groups; }
    __device__ int columns() const { return s.batch * s.out_size(); }
    __device__ int depth() const { return s.channels / s.groups * s.taps(); }
    __device__ T a(int m, int k) const { return w[((long long)group * rows() + m) * depth() + k]; }
    __device__ Place place(int n) const {
        int image = n / s.out_size(), p = n % s.out_size();
        long long channel = (long long)image * s.channels + group * (s.channels / s.groups);
        return {x + channel * s.size(), p / s.out_width * s.stride_y - s.padding_y,
                p % s.out_width * s.stride_x - s.padding_x};
    }
    __device__ T b(int k, const Place& at) const {
        int channel = k / s.taps(), tap = k % s.taps();
        int row = at.top + tap / s.kernel_width * s.dilation_y;
        int column = at.left + tap % s.kernel_width * s.dilation_x;
        if (row < 0 || row >= s.height || column < 0 || column >= s.width) return T{};
        return at.image[(long long)channel * s.size() + row * s.width + column];
    }
    template <typename A> __device__ void put(int m, int n, A sum) const {
        int image = n / s.out_size(), p = n % s.out_size(), o = group * rows() + m;
        if (bias) sum += widen(bias[o]);
        y[((long long)image * s.filters + o) * s.out_size() + p] = narrow<T>(sum);
    }
};

template <typename T> struct ByInput {
    static const bool along_k = false;
    typedef T Result;
    Geometry s;
    const T *w, *y, *bias;
    T* x;
    int group;

    struct Place { const T* image; int row, column; };

    __device__ int rows() const { return s.channels / s.groups; }
    __device__ int columns() const { return s.batch * s.size(); }
    __device__ int depth() const { return s.filters / s.groups * s.taps(); }
    __device__ T a(int m, int k) const {
        int o = k / s.taps(), tap = k % s.taps();
        return w[(((long long)group * (s.filters / s.groups) + o) * rows() + m) * s.taps() + tap];
    }
    __device__ Place place(int n) const {
        int image = n / s.size(), p = n % s.size();
        long long filter = (long long)image * s.filters + group * (s.filters / s.groups);
        return {y + filter * s.out_size(), p / s.width + s.padding_y, p % s.width + s.padding_x};
    }
    // The place in x was met by this tap where stride · p + dilation · k − padding is the place.
    __device__ T b(int k, const Place& at) const {
        int o = k / s.taps(), tap = k % s.taps();
        int row = at.row - tap / s.kernel_width * s.dilation_y;
        int column = at.column - tap % s.kernel_width * s.dilation_x;
        if (row < 0 || column < 0 || row % s.stride_y || column % s.stride_x) return T{};
        row /= s.stride_y;
        column /= s.stride_x;
        if (row >= s.out_height || column >= s.out_width) return T{};
        return at.image[(long long)o * s.out_size() + row * s.out_width + column];
    }
    template <typename A> __device__ void put(int m, int n, A sum) const {
        int image = n / s.size(), p = n % s.size(), i = group * rows() + m;
        if (bias) sum += widen(bias[i]);  // of a transposed convolution, which this is
        x[((long long)image * s.channels + i) * s.size() + p] = narrow<T>(sum);
    }
};

// K is long here, and there are few tiles: it is cut into parts, whose sums are added by `add_rows`.
template <typename T> struct ByWeight {
    static const bool along_k = true;
    typedef typename Wide<T>::type Result;
    Geometry s;
    const T *y, *x, *bias;
    Result* w;
    int group;

    struct Place { long long image; int top, left; bool there; };

    __device__ int rows() const { return s.filters / s.groups; }
    __device__ int columns() const { return s.channels / s.groups * s.taps(); }
    __device__ int depth() const { return s.batch * s.out_size(); }
    __device__ T a(int m, int k) const {
        int image = k / s.out_size(), p = k % s.out_size();
        return y[((long long)image * s.filters + group * rows() + m) * s.out_size() + p];
    }
    __device__ Place place(int k) const {
        int image = k / s.out_size(), p = k % s.out_size();
        return {((long long)image * s.channels + group * (s.channels / s.groups)) * s.size(),
                p / s.out_width * s.stride_y - s.padding_y, p % s.out_width * s.stride_x - s.padding_x, true};
    }
    __device__ T b(int n, const Place& at) const {
        int channel = n / s.taps(), tap = n % s.taps();
        int row = at.top + tap / s.kernel_width * s.dilation_y;
        int column = at.left + tap % s.kernel_width * s.dilation_x;
        if (row < 0 || row >= s.height || column < 0 || column >= s.width) return T{};
        return x[at.image + (long long)channel * s.size() + row * s.width + column];
    }
    template <typename A> __device__ void put(int m, int n, A sum) const {
        long long part = blockIdx.z % s.parts;
        w[(part * s.filters + group * rows() + m) * columns() + n] = sum;
    }
};

// Tiles ------------------------------------------------------------------------------------

// Both tiles of a slice, from memory to shared memory by the 256 threads of a block. `to_a(m, k, x)` and
// `to_b(n, k, x)` put an element; outside of the matrices it is 0.
template <int ROWS, int COLUMNS, int DEPTH, typename P, typename ToA, typename ToB>
__device__ inline void fetch(const P& matrices, int row, int column, int k0, int end, ToA to_a, ToB to_b) {
    decltype(matrices.a(0, 0)) zero = {};
    // Neighbours in k lie side by side in `a` of all three: so do the threads.
#pragma unroll 4
    for (int i = threadIdx.x; i < ROWS * DEPTH; i += 256) {
        int m = i / DEPTH, k = i % DEPTH;
        bool there = row + m < matrices.rows() && k0 + k < end;
        to_a(m, k, there ? matrices.a(row + m, k0 + k) : zero);
    }
    if (P::along_k) {
        int k = threadIdx.x % DEPTH;
        bool inside = k0 + k < end;
        auto place = matrices.place(inside ? k0 + k : 0);
#pragma unroll 4
        for (int n = threadIdx.x / DEPTH; n < COLUMNS; n += 256 / DEPTH)
            to_b(n, k, inside && column + n < matrices.columns() ? matrices.b(column + n, place) : zero);
    } else {
        int n = threadIdx.x % COLUMNS;
        bool inside = column + n < matrices.columns();
        auto place = matrices.place(inside ? column + n : 0);
#pragma unroll 4
        for (int k = threadIdx.x / COLUMNS; k < DEPTH; k += 256 / COLUMNS)
            to_b(n, k, inside && k0 + k < end ? matrices.b(k0 + k, place) : zero);
    }
}

// The stretch of K that this block adds up.
__device__ inline void stretch(int depth, int parts, int step, int& begin, int& end) {
    int steps = (depth + step - 1) / step, each = (steps + parts - 1) / parts;
    begin = (int)(blockIdx.z % parts) * each * step;
    end = min(depth, begin + each * step);
}

// A tile of 64 × 64: a thread has 4 × 4 of its elements in registers, and so takes 8 numbers out of shared
// memory for 16 multiplications. Its rows and columns are 16 apart, for no two threads of a warp to ask the
// same bank for different numbers.
template <typename T, typename P> struct Simple {
    typedef typename Wide<T>::type A;
    static __device__ void run(const P& matrices) {
        const int TILE = 64, DEPTH = 16;
        __shared__ A a[DEPTH][TILE + 1];
        __shared__ A b[DEPTH][TILE + 1];
        int row = blockIdx.y * TILE, column = blockIdx.x * TILE;
        int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
        int begin, end;
        stretch(matrices.depth(), matrices.s.parts, DEPTH, begin, end);
        A sum[4][4] = {};
        for (int k0 = begin; k0 < end; k0 += DEPTH) {
            fetch<TILE, TILE, DEPTH>(
                matrices, row, column, k0, end, [&](int m, int k, T x) { a[k][m] = widen(x); },
                [&](int n, int k, T x) { b[k][n] = widen(x); });
            __syncthreads();
#pragma unroll
            for (int k = 0; k < DEPTH; k++) {
                A left[4], right[4];
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    left[i] = a[k][ty + 16 * i];
                    right[i] = b[k][tx + 16 * i];
                }
#pragma unroll
                for (int i = 0; i < 4; i++)
#pragma unroll
                    for (int j = 0; j < 4; j++) sum[i][j] += left[i] * right[j];
            }
            __syncthreads();
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                int m = row + ty + 16 * i, n = column + tx + 16 * j;
                if (m < matrices.rows() && n < matrices.columns()) matrices.put(m, n, sum[i][j]);
            }
    }
};

// A tile of 64 × 128: eight warps, two of them over the rows and four over the columns, with 32 × 32 each,
// which are 2 × 4 products of tensor cores. Rows of shared memory are 16 bytes longer than they need be:
// then the fragments of a warp come from different banks.
template <typename T, typename P> struct TensorCores {
    static __device__ void run(const P& matrices) {
        const int ROWS = 64, COLUMNS = 128, DEPTH = 64 / sizeof(T);  // 16 floats or 32 short numbers
        const int WORD = 4 / sizeof(T);                              // numbers in a register
        __shared__ __align__(16) T a[ROWS][DEPTH + 16 / sizeof(T)];
        __shared__ __align__(16) T b[COLUMNS][DEPTH + 16 / sizeof(T)];
        int row = blockIdx.y * ROWS, column = blockIdx.x * COLUMNS;
        int warp = threadIdx.x / 32, group = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
        int first_row = warp / 4 * 32, first_column = warp % 4 * 32;
        int begin, end;
        stretch(matrices.depth(), matrices.s.parts, DEPTH, begin, end);
        float sum[2][4][4] = {};
        for (int k0 = begin; k0 < end; k0 += DEPTH) {
            fetch<ROWS, COLUMNS, DEPTH>(
                matrices, row, column, k0, end, [&](int m, int k, T x) { a[m][k] = operand(x); },
                [&](int n, int k, T x) { b[n][k] = operand(x); });
            __syncthreads();
#pragma unroll
            for (int k = 0; k < DEPTH; k += 8 * WORD) {
                unsigned left[2][4], right[4][2];
                int at = k + member * WORD;
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    int m = first_row + i * 16 + group;
                    left[i][0] = *reinterpret_cast<const unsigned*>(&a[m][at]);
                    left[i][1] = *reinterpret_cast<const unsigned*>(&a[m + 8][at]);
                    left[i][2] = *reinterpret_cast<const unsigned*>(&a[m][at + 4 * WORD]);
                    left[i][3] = *reinterpret_cast<const unsigned*>(&a[m + 8][at + 4 * WORD]);
                }
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    int n = first_column + j * 8 + group;
                    right[j][0] = *reinterpret_cast<const unsigned*>(&b[n][at]);
                    right[j][1] = *reinterpret_cast<const unsigned*>(&b[n][at + 4 * WORD]);
                }
#pragma unroll
                for (int i = 0; i < 2; i++)
#pragma unroll
                    for (int j = 0; j < 4; j++) multiply_add(sum[i][j], left[i], right[j], T{});
            }
            __syncthreads();
        }
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    int m = row + first_row + i * 16 + group + e / 2 * 8;
                    int n = column + first_column + j * 8 + member * 2 + e % 2;
                    if (m < matrices.rows() && n < matrices.columns()) matrices.put(m, n, sum[i][j][e]);
                }
    }
};

// Kernels: blockIdx.x and .y are the tile, blockIdx.z the group and, within it, the part of K.
template <typename T, template <typename> class Matrices, template <typename, typename> class Tiles>
__global__ void __launch_bounds__(256) convolution(
    const Geometry geometry, const T* first, const T* second, const T* bias, typename Matrices<T>::Result* result
) {
    Matrices<T> matrices = {geometry, first, second, bias, result, (int)blockIdx.z / geometry.parts};
    Tiles<T, Matrices<T>>::run(matrices);
}
