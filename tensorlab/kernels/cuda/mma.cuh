// Tensor cores: a warp multiplies a 16 × K by a K × 8 matrix and adds the product to a 16 × 8 one, in one
// instruction. The numbers are spread over the 32 threads ("fragments"). With
//
//     group = lane / 4   (0 to 7)        member = lane % 4   (0 to 3)
//
// a thread holds of the sum c: rows group and group + 8, columns 2·member and 2·member + 1;
//     of a: the same two rows; of b: the column group; of both, along K, pairs of neighbours at 2·member
//     and 8 behind (16-bit types, K = 16, two numbers in a register), or the single numbers at member and
//     4 behind (TF32, K = 8).
//
// Source: NVIDIA, "Parallel Thread Execution ISA", section on mma.m16n8k16 and mma.m16n8k8.

#pragma once
#include "common.cuh"

#ifndef CUDA_ON_HOST
__device__ inline void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], float16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], bfloat16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], float) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#else
inline void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], float16) {
    host::multiply_add(c, a, b, 2, [](unsigned word, int half) {
        return float16_to_float((unsigned short)(word >> 16 * half));
    });
}
inline void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], bfloat16) {
    host::multiply_add(c, a, b, 2, [](unsigned word, int half) {
        return __uint_as_float(word >> 16 * half << 16);
    });
}
inline void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], float) {
    host::multiply_add(c, a, b, 1, [](unsigned word, int) { return __uint_as_float(word & ~0x1fffu); });
}
#endif

// A number as tensor cores take it. TF32 is a float of which 10 bits of fraction count; the rest is rounded
// off here, where the tensor core would cut it off.
__device__ inline float16 operand(float16 x) { return x; }
__device__ inline bfloat16 operand(bfloat16 x) { return x; }
__device__ inline float operand(float x) {
    return __uint_as_float((__float_as_uint(x) + 0x1000u) & ~0x1fffu);
}
