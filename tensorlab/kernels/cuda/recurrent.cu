// What an LSTM does at each step to single numbers. The products with the weights are matrix products and
// not here; all the rest of a step, fourteen operations, is one kernel each way.
//
//     i, f, g, o = σ(z₁), σ(z₂), tanh(z₃), σ(z₄)      c ← f · c + i · g      h ← o · tanh(c)
//
// with z = what the input adds + what the last hidden state adds + bias. Rows of `gates` hold i, f, g, o of
// a sample one after the other, `size` numbers each. A thread has one hidden number of one sample.

#include "common.cuh"

template <typename A> __device__ inline A sigmoid(A x) {
    A e = exp(-abs(x));  // never overflows
    return (x >= 0 ? 1 : e) / (1 + e);
}

template <typename T>
__global__ void lstm_step(
    const T* from_input, const T* from_state, const T* bias, const T* c_before, T* hidden, T* cell, T* gates,
    long long count, int size
) {
    typedef typename Wide<T>::type A;
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= count) return;
    long long sample = at / size;
    int unit = at % size;
    long long row = sample * 4 * size + unit;
    A z[4];
#pragma unroll
    for (int k = 0; k < 4; k++) {
        z[k] = widen(from_input[row + k * size]) + widen(from_state[row + k * size]);
        if (bias) z[k] += widen(bias[unit + k * size]);
    }
    A i = sigmoid(z[0]), f = sigmoid(z[1]), g = tanh(z[2]), o = sigmoid(z[3]);
    A c = f * widen(c_before[at]) + i * g;
    gates[row] = narrow<T>(i);
    gates[row + size] = narrow<T>(f);
    gates[row + 2 * size] = narrow<T>(g);
    gates[row + 3 * size] = narrow<T>(o);
    cell[at] = narrow<T>(c);
    hidden[at] = narrow<T>(o * tanh(c));
}

// Back through one step. `by_h` and `by_c` hold what the steps after this one want of its states; `by_c`
// becomes what this step wants of the cell before it. `by_hidden`, `by_cell` and `by_gates` are what was
// asked of this step's own results. What the gates before their functions owe goes to `by_z`.
template <typename T>
__global__ void lstm_step_backward(
    const T* by_hidden, const T* by_cell, const T* by_gates, const T* by_h, T* by_c, const T* c_before,
    const T* cell, const T* gates, T* by_z, long long count, int size
) {
    typedef typename Wide<T>::type A;
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= count) return;
    long long row = at / size * 4 * size + at % size;
    A i = widen(gates[row]), f = widen(gates[row + size]), g = widen(gates[row + 2 * size]);
    A o = widen(gates[row + 3 * size]), squashed = tanh(widen(cell[at]));
    A of_h = widen(by_h[at]) + widen(by_hidden[at]);
    A of_c = widen(by_c[at]) + widen(by_cell[at]) + of_h * o * (1 - squashed * squashed);
    A of_i = of_c * g + widen(by_gates[row]);
    A of_f = of_c * widen(c_before[at]) + widen(by_gates[row + size]);
    A of_g = of_c * i + widen(by_gates[row + 2 * size]);
    A of_o = of_h * squashed + widen(by_gates[row + 3 * size]);
    by_z[row] = narrow<T>(of_i * i * (1 - i));
    by_z[row + size] = narrow<T>(of_f * f * (1 - f));
    by_z[row + 2 * size] = narrow<T>(of_g * (1 - g * g));
    by_z[row + 3 * size] = narrow<T>(of_o * o * (1 - o));
    by_c[at] = narrow<T>(of_c * f);
}
