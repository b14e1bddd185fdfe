// What LSTM and GRU do at each step to single numbers. The products with the weights are matrix products
// and not here; all the rest of a step, some fourteen operations, is one kernel each way.
//
//     LSTM    i, f, g, o = σ, σ, tanh, σ of a + b      c ← f · c + i · g      h ← o · tanh(c)
//     GRU     r, z = σ of a + b      n = tanh(a + r · b)      h ← (1 − z) · n + z · h
//
// with a what the input adds to a gate and b what the last hidden state adds, biases included. Rows hold the
// gates of a sample one after the other, `size` numbers each. A thread has one hidden number of one sample.

#include "common.cuh"

template <typename A> __device__ inline A sigmoid(A x) {
    A e = exp(-abs(x));  // never overflows
    return (x >= 0 ? 1 : e) / (1 + e);
}

// `gates` comes with what the input adds to them, without bias, and leaves as the gates.
template <typename T>
__global__ void lstm_step(
    const T* from_state, const T* b_ih, const T* b_hh, const T* c_before, T* hidden, T* cell, T* gates,
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
        z[k] = widen(gates[row + k * size]) + widen(from_state[row + k * size]);
        if (b_ih) z[k] += widen(b_ih[unit + k * size]);
        if (b_hh) z[k] += widen(b_hh[unit + k * size]);
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

// Here r multiplies what the state adds to n, so that is kept beside the gates: rows of r, z, n and it.
template <typename T>
__global__ void gru_step(
    const T* from_input, const T* from_state, const T* b_ih, const T* b_hh, const T* h_before, T* hidden, T* gates,
    long long count, int size
) {
    typedef typename Wide<T>::type A;
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= count) return;
    long long sample = at / size;
    int unit = at % size;
    A a[3], b[3];
#pragma unroll
    for (int k = 0; k < 3; k++) {
        a[k] = widen(from_input[sample * 3 * size + k * size + unit]);
        b[k] = widen(from_state[sample * 3 * size + k * size + unit]);
        if (b_ih) a[k] += widen(b_ih[unit + k * size]);
        if (b_hh) b[k] += widen(b_hh[unit + k * size]);
    }
    A r = sigmoid(a[0] + b[0]), z = sigmoid(a[1] + b[1]), n = tanh(a[2] + r * b[2]);
    long long row = sample * 4 * size + unit;
    gates[row] = narrow<T>(r);
    gates[row + size] = narrow<T>(z);
    gates[row + 2 * size] = narrow<T>(n);
    gates[row + 3 * size] = narrow<T>(b[2]);
    hidden[at] = narrow<T>((widen(h_before[at]) - n) * z + n);
}

// `by_h` is what the product of the step behind owes to this one's state, `passed` what that step's z let
// through; it becomes what this one's does.
template <typename T>
__global__ void gru_step_backward(
    const T* by_hidden, const T* by_gates, const T* by_h, T* passed, const T* h_before, const T* gates,
    T* of_input, T* of_state, long long count, int size
) {
    typedef typename Wide<T>::type A;
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= count) return;
    long long sample = at / size, row = sample * 4 * size + at % size, to = sample * 3 * size + at % size;
    A r = widen(gates[row]), z = widen(gates[row + size]), n = widen(gates[row + 2 * size]);
    A part = widen(gates[row + 3 * size]);
    A of_h = widen(by_h[at]) + widen(passed[at]) + widen(by_hidden[at]);
    A of_n = (of_h * (1 - z) + widen(by_gates[row + 2 * size])) * (1 - n * n);
    A of_r = (of_n * part + widen(by_gates[row])) * r * (1 - r);
    A of_z = (of_h * (widen(h_before[at]) - n) + widen(by_gates[row + size])) * z * (1 - z);
    of_input[to] = of_state[to] = narrow<T>(of_r);
    of_input[to + size] = of_state[to + size] = narrow<T>(of_z);
    of_input[to + 2 * size] = narrow<T>(of_n);
    of_state[to + 2 * size] = narrow<T>(of_n * r + widen(by_gates[row + 3 * size]));
    passed[at] = narrow<T>(of_h * z);
}
