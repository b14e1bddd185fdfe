// The step of an optimizer for many parameters at once ("multi-tensor").
//
// A model has hundreds of parameters, most of them small, and starting a kernel for each of them would
// take longer than the arithmetic. So a launch takes a table of up to 64 parameters, which travels as an
// argument of the kernel: no copy to the device, no allocation. The blocks are shared out by size: block b
// works on a stretch of CHUNK numbers of the parameter whose first block is the last one not above b.
//
// Parameters and gradients lie where they are; what an algorithm remembers of them lies in flat arrays,
// one parameter after the other.

#include "common.cuh"

const int TABLE = 64, CHUNK = 4096, NUMBERS = 8;

struct Tensors {
    void* parameter[TABLE];
    const void* gradient[TABLE];
    long long start[TABLE];       // where its part of the flat arrays begins
    long long size[TABLE];
    int first_block[TABLE + 1];   // of those that work on it
    int count;
};

// The numbers of a step: as they are, or, in a captured graph, to be read where they are put before each
// replay.
struct Settings {
    double number[NUMBERS];
    const double* elsewhere;
};

// Of one number: parameter and buffers are changed, the gradient is not.
template <typename A> struct Numbers { A p, g, buffer[3]; };

template <typename A> __device__ inline A gradient(A p, A g, bool maximize, A decay) {
    return (maximize ? -g : g) + decay * p;
}

// From `mean` to `g` by `weight` of the way, from whichever end is nearer: it rounds least.
template <typename A> __device__ inline A towards(A mean, A g, A weight) {
    return weight < (A)0.5 ? mean + (g - mean) * weight : g - (g - mean) * (1 - weight);
}

// Settings: maximize, decay, lr.
struct SGD {
    static const int buffers = 0;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        x.p -= gradient(x.p, x.g, s[0] != 0, s[1]) * s[2];
    }
};

// Settings: maximize, decay, lr, momentum, 1 − dampening, nesterov, whether it is the first step.
struct Momentum {
    static const int buffers = 1;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        A slope = gradient(x.p, x.g, s[0] != 0, s[1]);
        A moved = s[6] != 0 ? slope : x.buffer[0] * s[3] + slope * s[4];
        x.buffer[0] = moved;
        x.p -= (s[5] != 0 ? slope + moved * s[3] : moved) * s[2];
    }
};

// Settings: maximize, decay of the gradient's kind, shrinking of AdamW's, 1 − β₁, β₂, 1 − β₂, step, ε.
// The corrections of the bias are in step and ε.
struct Adam {
    static const int buffers = 2;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        A start = x.p * s[2], slope = gradient(start, x.g, s[0] != 0, s[1]);
        x.buffer[0] = towards(x.buffer[0], slope, s[3]);
        x.buffer[1] = x.buffer[1] * s[4] + slope * slope * s[5];
        x.p = start - x.buffer[0] * s[6] / (sqrt(x.buffer[1]) + s[7]);
    }
};

struct AMSGrad {
    static const int buffers = 3;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        A start = x.p * s[2], slope = gradient(start, x.g, s[0] != 0, s[1]);
        x.buffer[0] = towards(x.buffer[0], slope, s[3]);
        x.buffer[1] = x.buffer[1] * s[4] + slope * slope * s[5];
        A v = x.buffer[1];
        x.buffer[2] = v > x.buffer[2] || v != v ? v : x.buffer[2];
        x.p = start - x.buffer[0] * s[6] / (sqrt(x.buffer[2]) + s[7]);
    }
};

// N numbers that stand side by side, N > 1 only where all addresses allow it.
template <typename Algorithm, typename T, int N, typename A>
__device__ inline void take_step(const A* settings, T* p, const T* g, T* const* buffer, long long i) {
    Pack<T, N> ps = load<N>(p + i), gs = load<N>(g + i), kept[3];
#pragma unroll
    for (int b = 0; b < Algorithm::buffers; b++) kept[b] = load<N>(buffer[b] + i);
#pragma unroll
    for (int j = 0; j < N; j++) {
        Numbers<A> x;
        x.p = widen(ps.at[j]);
        x.g = widen(gs.at[j]);
#pragma unroll
        for (int b = 0; b < Algorithm::buffers; b++) x.buffer[b] = widen(kept[b].at[j]);
        Algorithm::step(settings, x);
        ps.at[j] = narrow<T>(x.p);
#pragma unroll
        for (int b = 0; b < Algorithm::buffers; b++) kept[b].at[j] = narrow<T>(x.buffer[b]);
    }
    store<N>(p + i, ps);
#pragma unroll
    for (int b = 0; b < Algorithm::buffers; b++) store<N>(buffer[b] + i, kept[b]);
}

template <typename Algorithm, typename T, int N>
__global__ void optimizer_step(const Tensors table, const Settings given, T* buffer0, T* buffer1, T* buffer2) {
    typedef typename Wide<T>::type A;
    A settings[NUMBERS];
#pragma unroll
    for (int i = 0; i < NUMBERS; i++)
        settings[i] = (A)(given.elsewhere ? given.elsewhere[i] : given.number[i]);

    int low = 0, high = table.count - 1;  // the last tensor whose first block is not above this one
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (table.first_block[middle] <= (int)blockIdx.x) low = middle; else high = middle - 1;
    }
    T* p = static_cast<T*>(table.parameter[low]);
    const T* g = static_cast<const T*>(table.gradient[low]);
    long long start = table.start[low];
    T* buffer[3] = {buffer0 + start, buffer1 + start, buffer2 + start};

    long long first = (long long)(blockIdx.x - table.first_block[low]) * CHUNK;
    long long left = table.size[low] - first;
    int here = left < CHUNK ? (int)left : CHUNK;
    bool aligned = true;
    aligned = aligned && (unsigned long long)p % 16 == 0 && (unsigned long long)g % 16 == 0;
#pragma unroll
    for (int b = 0; b < Algorithm::buffers; b++) aligned = aligned && (unsigned long long)buffer[b] % 16 == 0;
    int whole = aligned ? here / N * N : 0;
    for (int i = threadIdx.x * N; i < whole; i += blockDim.x * N)
        take_step<Algorithm, T, N>(settings, p, g, buffer, first + i);
    for (int i = whole + threadIdx.x; i < here; i += blockDim.x)
        take_step<Algorithm, T, 1>(settings, p, g, buffer, first + i);
}
