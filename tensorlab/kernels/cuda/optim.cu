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

const int TABLE = 64, CHUNK = 4096, NUMBERS = 9;

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
    A slope = maximize ? -g : g;
    return decay != 0 ? slope + decay * p : slope;
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

// The running means of Adam and its relatives, in the first two buffers; the gradient they were moved to.
// Settings, before each one's own: maximize, decay of the gradient's kind, shrinking of AdamW's, 1 − β₁, β₂,
// 1 − β₂. `start` is the parameter after the shrinking.
template <typename A> __device__ inline A means(const A* s, A start, Numbers<A>& x) {
    A slope = gradient(start, x.g, s[0] != 0, s[1]);
    x.buffer[0] = towards(x.buffer[0], slope, s[3]);
    x.buffer[1] = x.buffer[1] * s[4] + slope * slope * s[5];
    return slope;
}

// The larger of two numbers; nan if one is.
template <typename A> __device__ inline A larger(A a, A b) { return a >= b || a != a ? a : b; }

// Settings: those of `means`, step, ε; the corrections of the bias are in both.
struct Adam {
    static const int buffers = 2;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        A start = x.p * s[2];
        means(s, start, x);
        x.p = start - x.buffer[0] * s[6] / (sqrt(x.buffer[1]) + s[7]);
    }
};

struct AMSGrad {
    static const int buffers = 3;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        A start = x.p * s[2];
        means(s, start, x);
        x.buffer[2] = larger(x.buffer[2], x.buffer[1]);
        x.p = start - x.buffer[0] * s[6] / (sqrt(x.buffer[2]) + s[7]);
    }
};

// Settings: those of `means`, step along the gradient, step along its mean, ε.
struct NAdam {
    static const int buffers = 2;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        A start = x.p * s[2], slope = means(s, start, x);
        x.p = start - (slope * s[6] + x.buffer[0] * s[7]) / (sqrt(x.buffer[1]) + s[8]);
    }
};

// Settings: those of `means`, step, ε, whether the mean of squares is known well enough to divide by.
struct RAdam {
    static const int buffers = 2;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        A start = x.p * s[2];
        means(s, start, x);
        A move = x.buffer[0] * s[6];
        x.p = start - (s[8] != 0 ? move / (sqrt(x.buffer[1]) + s[7]) : move);
    }
};

// Settings: maximize, decay, 1 − β₁, β₂, step, ε.
struct Adamax {
    static const int buffers = 2;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        A slope = gradient(x.p, x.g, s[0] != 0, s[1]);
        x.buffer[0] = towards(x.buffer[0], slope, s[2]);
        x.buffer[1] = larger(x.buffer[1] * s[3], abs(slope) + s[5]);
        x.p -= x.buffer[0] * s[4] / x.buffer[1];
    }
};

// Settings: maximize, decay, step, ε.
struct Adagrad {
    static const int buffers = 1;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        A slope = gradient(x.p, x.g, s[0] != 0, s[1]);
        x.buffer[0] += slope * slope;
        x.p -= slope / (sqrt(x.buffer[0]) + s[3]) * s[2];
    }
};

// Settings: maximize, decay, lr, ρ, 1 − ρ, ε.
struct Adadelta {
    static const int buffers = 2;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        A slope = gradient(x.p, x.g, s[0] != 0, s[1]);
        x.buffer[0] = x.buffer[0] * s[3] + slope * slope * s[4];
        A delta = sqrt(x.buffer[1] + s[5]) * slope / sqrt(x.buffer[0] + s[5]);
        x.buffer[1] = x.buffer[1] * s[3] + delta * delta * s[4];
        x.p -= delta * s[2];
    }
};

// Buffers: the mean of squares, with momentum what it moves by, and where it is centred the mean.
// Settings: maximize, decay, lr, α, 1 − α, ε, momentum.
template <bool CENTRED, bool MOMENTUM> struct RMSpropOf {
    static const int buffers = 1 + CENTRED + MOMENTUM;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        A slope = gradient(x.p, x.g, s[0] != 0, s[1]);
        A square = x.buffer[0] = x.buffer[0] * s[3] + slope * slope * s[4];
        if (CENTRED) {
            A mean = x.buffer[buffers - 1] = towards(x.buffer[buffers - 1], slope, s[4]);
            square -= mean * mean;
        }
        A move = slope / (sqrt(square) + s[5]);
        if (MOMENTUM) move = x.buffer[1] = x.buffer[1] * s[6] + move;
        x.p -= move * s[2];
    }
};
typedef RMSpropOf<false, false> RMSprop;
typedef RMSpropOf<false, true> RMSpropMomentum;
typedef RMSpropOf<true, false> RMSpropCentred;
typedef RMSpropOf<true, true> RMSpropCentredMomentum;

// Settings: maximize, decay, shrinking of the parameter, step, weight of the new parameter in the mean.
struct ASGD {
    static const int buffers = 1;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        x.p = x.p * s[2] - gradient(x.p, x.g, s[0] != 0, s[1]) * s[3];
        x.buffer[0] = s[4] == 1 ? x.p : x.buffer[0] + (x.p - x.buffer[0]) * s[4];
    }
};

// Buffers: the gradient before, and the step of each number. Settings: maximize, lr, whether it is the first
// step, by what a step shrinks and grows, the smallest and the largest.
struct Rprop {
    static const int buffers = 2;
    template <typename A> __device__ static void step(const A* s, Numbers<A>& x) {
        A slope = s[0] != 0 ? -x.g : x.g, agree = slope * x.buffer[0];
        A size = s[2] != 0 ? s[1] : x.buffer[1];
        size *= agree < 0 ? s[3] : agree > 0 ? s[4] : 1;
        size = size < s[5] ? s[5] : size > s[6] ? s[6] : size;
        if (agree < 0) slope = 0;  // the sign has changed: it went too far, and stays once
        x.buffer[0] = slope;
        x.buffer[1] = size;
        A sign = slope > 0 ? (A)1 : slope < 0 ? (A)-1 : slope;  // nan stays
        x.p -= sign * size;
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
