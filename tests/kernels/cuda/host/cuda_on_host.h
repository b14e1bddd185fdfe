// CUDA's words, given a meaning on an ordinary processor, so that the text of a kernel can be run and
// checked where there is no GPU. Not for speed.
//
// The threads of a block are fibers: stacks of their own, of which one runs until it has to wait, for
// a barrier or for the other threads of its warp. Blocks run one after the other. Everything is in one
// thread of the system, so a run is repeatable, and whoever waits for ever is found at once.
//
// What is caught besides wrong results:
//   - a barrier that some threads of a block do not reach, or reach at another line
//   - a shuffle or vote that not all lanes of its mask take part in
//   - an index outside of a shared array, and writing behind dynamic shared memory
//   - reading shared memory that nobody wrote: it is filled with nan before each block
//   - a missing barrier: warps run in ascending or in descending order, each as far as it can, and for one
//     of the two the numbers of another warp are then not there yet, or not there any more

#pragma once
#define CUDA_ON_HOST

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __constant__ static const
#define __align__(n) alignas(n)

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;

namespace host {

struct Failure { std::string text; };

// Fibers -----------------------------------------------------------------------------------

enum State { RUNS, AT_BARRIER, IN_WARP, DONE };

struct Fiber {
    ucontext_t first;     // only to enter its stack for the first time: it is slow, jumps are not
    jmp_buf place;
    std::vector<char> stack;
    bool entered = false;
    State state = RUNS;
    int line = 0;         // where it waits
    unsigned long long turn = 0;  // of the exchange that it waits for
    unsigned mask = 0;
    uint3 index{};
};

// One exchange among the lanes of a mask: what each has put down, and who has.
struct Exchange {
    unsigned arrived = 0;
    int line = 0;
    alignas(16) unsigned char given[2][32][16];
    unsigned long long turn = 0;
};

inline std::vector<Fiber> fibers;
inline std::map<std::pair<int, unsigned>, Exchange> exchanges;
inline jmp_buf scheduler;
inline int running = 0, thread_count = 0;
inline const std::function<void()>* body = nullptr;
inline std::string failure;
inline bool failed = false, descending = false;
inline std::vector<unsigned char> dynamic_memory;
inline size_t dynamic_size = 0;
inline std::map<std::string, std::vector<unsigned char>> static_memory;
const int STACK = 64 * 1024, GUARD = 256;
const unsigned char NOBODY_WROTE = 0xff;  // nan in every floating-point type

[[noreturn]] inline void leave() { _longjmp(scheduler, 1); }

inline std::string where(const uint3& t) {
    char text[160];
    snprintf(text, sizeof text, "thread (%u, %u, %u) of block (%u, %u, %u)", t.x, t.y, t.z, blockIdx.x,
             blockIdx.y, blockIdx.z);
    return text;
}

[[noreturn]] inline void fail(const std::string& text) {
    if (!failed) failure = where(threadIdx) + ": " + text;
    failed = true;
    fibers[running].state = DONE;
    leave();
}

inline void wait(State state, int line) {
    Fiber& me = fibers[running];
    me.state = state;
    me.line = line;
    if (!_setjmp(me.place)) leave();
}

inline void enter() {
    (*body)();
    fibers[running].state = DONE;
    leave();
}

inline void resume(int i) {
    Fiber& f = fibers[i];
    running = i;
    threadIdx = f.index;
    f.state = RUNS;
    if (_setjmp(scheduler)) return;
    if (f.entered) _longjmp(f.place, 1);
    f.entered = true;
    setcontext(&f.first);
}

inline void run_block() {
    int count = thread_count;
    for (int i = 0; i < count; i++) {
        Fiber& f = fibers[i];
        f.entered = false;
        f.state = RUNS;
        f.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
        getcontext(&f.first);
        f.first.uc_stack.ss_sp = f.stack.data();
        f.first.uc_stack.ss_size = f.stack.size();
        f.first.uc_link = nullptr;
        makecontext(&f.first, enter, 0);
    }
    exchanges.clear();
    int warps = (count + 31) / 32;
    while (!failed) {
        // Each warp goes as far as it can before the next one starts: whoever relies on a barrier that is
        // not there meets a warp that is far ahead, or far behind.
        for (int w = 0; w < warps && !failed; w++) {
            int warp = descending ? warps - 1 - w : w, size = std::min(32, count - warp * 32);
            for (bool moved = true; moved && !failed;) {
                moved = false;
                for (int k = 0; k < size && !failed; k++) {
                    int i = warp * 32 + (descending ? size - 1 - k : k);
                    Fiber& f = fibers[i];
                    bool ready = f.state == RUNS;
                    if (f.state == IN_WARP) ready = exchanges[{warp, f.mask}].turn > f.turn;
                    if (ready) {
                        resume(i);
                        moved = true;
                    }
                }
            }
        }
        if (failed) return;
        // Nobody can go on: all are done, or all that are left are at one barrier, or there is an error.
        int done = 0, waiting = -1;
        for (int i = 0; i < count; i++) {
            done += fibers[i].state == DONE;
            if (fibers[i].state == IN_WARP) {
                threadIdx = fibers[i].index;
                failure = where(threadIdx) + ": waits for ever at line " + std::to_string(fibers[i].line) +
                          " for other lanes of its warp, which do not take part";
                failed = true;
                return;
            }
            if (fibers[i].state == AT_BARRIER && waiting < 0) waiting = i;
        }
        if (waiting < 0) return;
        for (int i = 0; i < count; i++) {
            bool gone = fibers[i].state == DONE;
            if (!gone && fibers[i].line == fibers[waiting].line) continue;
            failure = where(fibers[waiting].index) + ": waits at the barrier of line " +
                      std::to_string(fibers[waiting].line) + ", but " + where(fibers[i].index) +
                      (gone ? " has ended" : " waits at line " + std::to_string(fibers[i].line));
            failed = true;
            return;
        }
        for (int i = 0; i < count; i++) fibers[i].state = RUNS;
    }
}

// Shared memory ----------------------------------------------------------------------------

// A shared array that knows its size. It becomes a pointer where one is asked for.
template <typename A> struct Shared;
template <typename T> inline T& checked(T* at, long long i, long long n) {
    if (i < 0 || i >= n)
        fail("index " + std::to_string(i) + " of a shared array of " + std::to_string(n));
    return at[i];
}
template <typename T, size_t N> struct Shared<T[N]> {
    T* at;
    template <typename I> T& operator[](I i) const { return checked(at, (long long)i, N); }
    operator T*() const { return at; }
};
template <typename T, size_t N, size_t M> struct Shared<T[N][M]> {
    typedef T Row[M];
    Row* at;
    template <typename I> Shared<T[M]> operator[](I i) const { return {checked(at, (long long)i, N)}; }
    operator Row*() const { return at; }
};
template <typename T, size_t N, size_t M, size_t L> struct Shared<T[N][M][L]> {
    typedef T Table[M][L];
    Table* at;
    template <typename I> Shared<T[M][L]> operator[](I i) const { return {checked(at, (long long)i, N)}; }
};

// All threads of a block get the same memory for the same declaration.
template <typename A> inline Shared<A> shared(const char* declaration) {
    std::vector<unsigned char>& memory = static_memory[std::string(declaration) + typeid(A).name()];
    if (memory.empty()) memory.assign(sizeof(A), NOBODY_WROTE);
    return {reinterpret_cast<decltype(Shared<A>::at)>(memory.data())};
}
inline unsigned char* dynamic() { return dynamic_memory.data(); }

// Launching --------------------------------------------------------------------------------

inline void launch(const std::function<void()>& kernel, const unsigned* grid, const unsigned* block,
                   size_t shared_size, bool from_last) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    thread_count = block[0] * block[1] * block[2];
    body = &kernel;
    descending = from_last;
    failed = false;
    if ((int)fibers.size() < thread_count) fibers.resize(thread_count);
    for (int i = 0; i < thread_count; i++) fibers[i].stack.resize(STACK);
    dynamic_size = shared_size;
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                blockIdx = {x, y, z};
                dynamic_memory.assign(shared_size + GUARD, NOBODY_WROTE);
                for (auto& entry : static_memory)
                    std::fill(entry.second.begin(), entry.second.end(), NOBODY_WROTE);
                run_block();
                for (size_t i = shared_size; !failed && i < dynamic_memory.size(); i++) {
                    if (dynamic_memory[i] == NOBODY_WROTE) continue;
                    failure = where({0, 0, 0}) + ": something was written " + std::to_string(i - shared_size) +
                              " bytes behind dynamic shared memory of " + std::to_string(shared_size);
                    failed = true;
                }
                if (failed) return;
            }
}

template <typename... A, size_t... I>
inline void call(void (*kernel)(A...), void** given, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A>*>(given[I])...);
}
template <typename... A> inline constexpr size_t count_of(void (*)(A...)) { return sizeof...(A); }
template <typename... A> inline std::vector<size_t> sizes_of(void (*)(A...)) { return {sizeof(A)...}; }

struct Kernel {
    const char* name;
    std::function<void(void**)> run;
    std::vector<size_t> sizes;
};
template <typename F> Kernel kernel(const char* name, F* f) {
    return {name, [f](void** given) { call(f, given, std::make_index_sequence<count_of((F*)nullptr)>()); },
            sizes_of(f)};
}

// Exchange among the lanes of a mask -------------------------------------------------------

// Put `mine` down, wait until every lane of the mask has, and see what all of them have put down.
inline const unsigned char (*exchange(unsigned mask, const void* mine, size_t size, int line))[16] {
    int warp = running / 32, lane = running % 32;
    unsigned present = thread_count - warp * 32 >= 32 ? ~0u : (1u << (thread_count - warp * 32)) - 1;
    if (!(mask >> lane & 1)) fail("a lane that is not in its own mask, at line " + std::to_string(line));
    unsigned wanted = mask & present;
    Exchange& x = exchanges[{warp, mask}];
    unsigned long long turn = x.turn;
    if (x.arrived && x.line != line)
        fail("takes part in the exchange of line " + std::to_string(line) + " while lanes of its warp are at line " +
             std::to_string(x.line));
    x.line = line;
    memcpy(x.given[turn % 2][lane], mine, size);
    x.arrived |= 1u << lane;
    if (x.arrived == wanted) {
        x.arrived = 0;
        x.turn++;
    } else {
        fibers[running].turn = turn;
        fibers[running].mask = mask;
        wait(IN_WARP, line);
    }
    return exchanges[{warp, mask}].given[turn % 2];
}

template <typename T> inline T from_lane(unsigned mask, T mine, int source, int line) {
    static_assert(sizeof(T) <= 16, "at most 16 bytes travel");
    const unsigned char(*all)[16] = exchange(mask, &mine, sizeof(T), line);
    T found;
    memcpy(&found, all[source & 31], sizeof(T));
    return found;
}
inline unsigned vote(unsigned mask, bool mine, int line) {
    unsigned char flag = mine;
    const unsigned char(*all)[16] = exchange(mask, &flag, 1, line);
    unsigned found = 0;
    for (int lane = 0; lane < 32; lane++)
        if (mask >> lane & 1) found |= (unsigned)(all[lane][0] != 0) << lane;
    return found;
}
inline int lane() { return running % 32; }

// What a tensor core does with the fragments of a warp (see mma.cuh): `value(word, i)` is number i of the
// `per_word` numbers in a register. Every lane sees all fragments and computes its own four sums.
template <typename V>
inline void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], int per_word, V value) {
    unsigned left[32][4], right[32][2];
    const unsigned char(*given)[16] = exchange(~0u, a, sizeof a, __LINE__);
    for (int i = 0; i < 32; i++) memcpy(left[i], given[i], sizeof a);
    given = exchange(~0u, b, sizeof b, __LINE__);
    for (int i = 0; i < 32; i++) memcpy(right[i], given[i], sizeof b);
    int group = lane() / 4, member = lane() % 4;
    for (int e = 0; e < 4; e++) {
        int column = member * 2 + e % 2;
        float sum = 0;
        // A row is held by the four lanes of its group, a column by those of its own.
        for (int owner = 0; owner < 4; owner++)
            for (int half = 0; half < 2; half++)
                for (int i = 0; i < per_word; i++)
                    sum += value(left[group * 4 + owner][half * 2 + e / 2], i) *
                           value(right[column * 4 + owner][half], i);
        c[e] += sum;
    }
}

}  // namespace host

#define __syncthreads() host::wait(host::AT_BARRIER, __LINE__)
#define __syncwarp(...) ((void)host::vote(0xffffffffu, true, __LINE__))
#define __shfl_sync(mask, value, source) host::from_lane(mask, value, source, __LINE__)
#define __shfl_xor_sync(mask, value, bits) host::from_lane(mask, value, host::lane() ^ (bits), __LINE__)
#define __shfl_down_sync(mask, value, by) \
    host::from_lane(mask, value, host::lane() + (by) < 32 ? host::lane() + (by) : host::lane(), __LINE__)
#define __shfl_up_sync(mask, value, by) \
    host::from_lane(mask, value, host::lane() >= (by) ? host::lane() - (by) : host::lane(), __LINE__)
#define __ballot_sync(mask, flag) host::vote(mask, flag, __LINE__)
#define __any_sync(mask, flag) (host::vote(mask, flag, __LINE__) != 0)
#define __all_sync(mask, flag) (host::vote(mask, flag, __LINE__) == (mask))
#define __trap() host::fail("trap at line " + std::to_string(__LINE__))

// Functions of numbers ---------------------------------------------------------------------

using std::max;
using std::min;
using std::exp;
using std::log;
using std::sqrt;
using std::tanh;
using std::erf;
using std::fma;
using std::log1p;
using std::expm1;
using std::abs;
using std::pow;
using std::sin;
using std::cos;
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float rsqrt(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
inline unsigned __float_as_uint(float x) { unsigned u; memcpy(&u, &x, 4); return u; }
inline float __uint_as_float(unsigned u) { float x; memcpy(&x, &u, 4); return x; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
template <typename T> inline T __ldg(const T* x) { return *x; }
template <typename T> inline T atomicAdd(T* at, T x) { T old = *at; *at += x; return old; }
template <typename T> inline T atomicMax(T* at, T x) { T old = *at; *at = std::max(old, x); return old; }

inline float float16_to_float(unsigned short bits) {
    unsigned sign = bits >> 15, exponent = bits >> 10 & 31, fraction = bits & 1023;
    float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                 : exponent   ? std::ldexp(1 + fraction / 1024.0f, (int)exponent - 15)
                              : std::ldexp((float)fraction, -24);
    return sign ? -size : size;
}
inline unsigned short float_to_float16(float x) {
    unsigned short sign = std::signbit(x) ? 0x8000 : 0;
    if (x != x) return 0x7fff;
    float size = std::fabs(x);
    if (size >= 65520.0f) return sign | 0x7c00;
    if (size == 0) return sign;
    // The distance between float16 numbers of that size; nearbyint rounds to even.
    int exponent = std::max(std::ilogb(size), -14);
    float steps = std::nearbyint(std::ldexp(size, 10 - exponent));
    int whole = (int)steps;  // 1024 to 2048, or less below 2^-14
    return sign | (unsigned short)(whole + ((exponent + 14) << 10));
}
