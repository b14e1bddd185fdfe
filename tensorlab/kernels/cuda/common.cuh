// What all kernels share: number types, wide loads, and sums over the threads of a row.
//
// Three habits run through these files.
//
// 1. Numbers are *stored* in the tensor's type (float, double, float16, bfloat16) and *computed* in
//    `Wide<T>::type`: float for the three short types, double for double. A sum of a thousand float16
//    numbers would lose most of its digits; the same sum in float loses none that float16 could show.
//
// 2. Kernels of this kind are limited by memory, not by arithmetic. So every number is read once and
//    written once if at all possible, and a thread asks for 16 bytes at a time (`Pack`): fewer
//    instructions, and more bytes on the way while it waits.
//
// 3. The threads of a row agree on a sum without leaving their registers where they can: the 32 threads
//    of a warp hand numbers to each other (`__shfl_xor_sync`), and only sums of whole warps meet in
//    shared memory.

#pragma once

// Types ------------------------------------------------------------------------------------

// The short floating-point types, as the 16 bits they are. float16 is IEEE's: 5 bits of exponent, 10 of
// fraction. bfloat16 is the upper half of a float: its range, with 7 bits of fraction.
struct float16 { unsigned short bits; };
struct bfloat16 { unsigned short bits; };

template <typename T> struct Wide { typedef float type; };
template <> struct Wide<double> { typedef double type; };

#ifndef CUDA_ON_HOST  // the processor has an instruction for each; the tests' host build, a function
__device__ inline float float16_to_float(unsigned short bits) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}
__device__ inline unsigned short float_to_float16(float x) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}
#endif

__device__ inline float widen(float x) { return x; }
__device__ inline double widen(double x) { return x; }
__device__ inline float widen(float16 x) { return float16_to_float(x.bits); }
__device__ inline float widen(bfloat16 x) { return __uint_as_float((unsigned)x.bits << 16); }

// Rounding to bfloat16 drops 16 bits, to the nearest and to the even one of two that are as near. Adding
// half of what the last kept bit is worth, less one bit where it is even, does both. A nan stays a nan.
__device__ inline unsigned short float_to_bfloat16(float x) {
    unsigned bits = __float_as_uint(x);
    if (x != x) return 0x7fc0;
    return (unsigned short)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

template <typename T> __device__ inline T narrow(typename Wide<T>::type x) { return x; }
template <> __device__ inline float16 narrow<float16>(float x) { return {float_to_float16(x)}; }
template <> __device__ inline bfloat16 narrow<bfloat16>(float x) { return {float_to_bfloat16(x)}; }

template <typename A> __device__ inline A infinity() { return (A)__uint_as_float(0x7f800000); }

// N numbers that lie side by side and travel together. The address must be a multiple of the size.
template <typename T, int N> struct alignas(sizeof(T) * N) Pack { T at[N]; };

template <int N, typename T> __device__ inline Pack<T, N> load(const T* x) {
    return *reinterpret_cast<const Pack<T, N>*>(x);
}
template <int N, typename T> __device__ inline void store(T* x, const Pack<T, N>& values) {
    *reinterpret_cast<Pack<T, N>*>(x) = values;
}

// Sums over threads ------------------------------------------------------------------------

struct Sum {
    template <typename A> __device__ static A of(A x, A y) { return x + y; }
    template <typename A> __device__ static A none() { return 0; }
};
struct Largest {
    template <typename A> __device__ static A of(A x, A y) { return x > y ? x : y; }
    template <typename A> __device__ static A none() { return -infinity<A>(); }
};

// Over the 32 threads of a warp, for all of them: in each of five rounds a thread combines its number
// with that of the thread whose index differs in one bit.
template <typename Op, typename A> __device__ inline A over_warp(A x) {
    for (int bit = 16; bit > 0; bit /= 2) x = Op::of(x, __shfl_xor_sync(0xffffffffu, x, bit));
    return x;
}

// Over the `blockDim.x` threads of a row, for all of them; a block has a row for each `threadIdx.y`.
// `scratch` holds 32 numbers, one for each warp of the block. Where rows are longer than a warp, all
// threads of the block have to come here.
template <typename Op, typename A, typename S> __device__ inline A over_row(A x, S& scratch) {
    x = over_warp<Op>(x);
    int warps = blockDim.x / 32, first = threadIdx.y * warps, lane = threadIdx.x % 32;
    if (warps == 1) return x;
    __syncthreads();  // whoever still reads the last result
    if (lane == 0) scratch[first + threadIdx.x / 32] = x;
    __syncthreads();
    return over_warp<Op>(lane < warps ? scratch[first + lane] : Op::template none<A>());
}

// For arguments that no kernel can do anything with: says so, and ends the program's use of the device,
// as PyTorch's kernels do. To ask beforehand, the processor would have to wait for the device; where there
// is little to do, the launchers leave it to the generic path, which does that and raises an error.
#define REFUSE(...)          \
    do {                     \
        printf(__VA_ARGS__); \
        __trap();            \
    } while (0)
