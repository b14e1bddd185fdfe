"""Each operation's gradient rule in words, for people who look at a graph.

The rules themselves stand beside the operations, in `tensorlab.ops`; here is what they say, as a
formula that a learner can check by hand. `g` is the gradient that arrives (of the output, `out`),
the other names are the operation's inputs and parameters; `·` is elementwise, `@` the matrix
product, `ᵀ` a transpose, `Σ` a sum. Broadcast inputs get the sum over their copies, always, so
no formula repeats it. A test holds that every operation with a rule has its words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorlab._graph import Node
    from tensorlab._op import Op

__all__ = ["WORDS", "explain", "rule_words"]

_RESHAPED = "input: g in the shape of input"
_PUT_BACK = "input: g at the places that were read, 0 elsewhere; what was read twice adds up"
_STEPS = "input: 0, because it is constant between its jumps"
_MOVED = "input: each g goes back to the place its value came from, 0 elsewhere"
_WINNER = (
    "input: g where input wins, half of it where they are equal, else 0; "
    "other: g where other wins, half of it where they are equal, else 0"
)
_WINNER_NAN = "input: g where input is taken; other: g where other is taken"
_TIED = "input: g at the extreme value, shared equally among equal ones, 0 elsewhere"
_RECURRENT = "w_ih: Σ over steps of dzᵀ @ input; w_hh: Σ over steps of dzᵀ @ (the h before); b_ih, b_hh: Σ dz"
_NORM = (
    "input: weight · g, less its mean and its part along the normalised input, divided by the standard "
    "deviation; weight: Σ g · normalised input; bias: Σ g"
)
_ACTIVATED = "weight: dzᵀ @ input; bias: Σ dz over the rows"
_FORWARD_TRANSFORM = "input: the inverse transform of g, scaled to be the adjoint"
_INVERSE_TRANSFORM = "input: the forward transform of g, scaled to be the adjoint"

#: Operation → "input: formula; other input: formula".
WORDS: dict[str, str] = {
    # Arithmetic.
    "add": "input: g; other: alpha · g",
    "sub": "input: g; other: −alpha · g",
    "rsub": "input: −alpha · g; other: g",
    "mul": "input: g · other; other: g · input",
    "div": "input: g / other; other: −g · input / other²",
    "floor_divide": "input: 0, because it is constant between its jumps; other: 0",
    "trunc_divide": "input: 0, because it is constant between its jumps; other: 0",
    "remainder": "input: g; other: −g · ⌊input / other⌋",
    "fmod": "input: g; other: −g · trunc(input / other)",
    "pow": "input: g · exponent · input^(exponent − 1); exponent: g · out · log(input)",
    "neg": "input: −g",
    "atan2": "input: g · other / (input² + other²); other: −g · input / (input² + other²)",
    "hypot": "input: g · input / out; other: g · other / out",
    "logaddexp": "input: g · exp(input − out); other: g · exp(other − out)",
    "logaddexp2": "input: g · 2^(input − out); other: g · 2^(other − out)",
    "xlogy": "input: g · log(other); other: g · input / other",
    "copysign": "input: g, with its sign turned where input's sign was turned; other: 0",
    "lerp": "input: (1 − weight) · g; end: weight · g; weight: g · (end − input)",
    "addcmul": "input: g; tensor1: value · g · tensor2; tensor2: value · g · tensor1",
    "addcdiv": "input: g; tensor1: value · g / tensor2; tensor2: −value · g · tensor1 / tensor2²",
    # Types, copies and complex numbers.
    "cast": "input: g, converted back to the dtype of input",
    "clone": "input: g",
    "transfer": "input: g, brought back to the device of input",
    "conj": "input: the conjugate of g",
    "real": "input: g, as the real part",
    "imag": "input: i · g",
    "complex": "real: the real part of g; imag: the imaginary part of g",
    "polar": "abs: the part of g along out's direction; angle: the part of g across it, times abs",
    "view_as_real": "input: g, read as complex numbers",
    "view_as_complex": "input: g, read as pairs of real and imaginary parts",
    "angle": "input: g across input's direction, divided by |input|; 0 for real numbers",
    # Comparisons and choices.
    "where": "input: g where condition holds, else 0; other: g where it does not, else 0",
    "maximum": _WINNER,
    "minimum": _WINNER,
    "fmax": _WINNER_NAN,
    "fmin": _WINNER_NAN,
    "clamp": (
        "input: g where input lies within the limits, else 0; min: g where input was raised to it; "
        "max: g where input was cut to it"
    ),
    "nan_to_num": "input: g where input is finite, else 0",
    "masked_fill": "input: g where mask is false, else 0; value: Σ g where mask is true",
    # Functions of one number.
    "sqrt": "input: g / (2 · out)",
    "rsqrt": "input: −g · out³ / 2",
    "square": "input: 2 · g · input",
    "reciprocal": "input: −g · out²",
    "abs": "input: g · sign(input)",
    "no_slope": "input: 0, as the result is whatever the input",
    "sign": _STEPS,
    "sgn": "input: the part of g across input's direction, divided by |input|; 0 for real numbers",
    "exp": "input: g · out",
    "exp2": "input: g · out · log 2",
    "expm1": "input: g · (out + 1)",
    "log": "input: g / input",
    "log2": "input: g / (input · log 2)",
    "log10": "input: g / (input · log 10)",
    "log1p": "input: g / (1 + input)",
    "sin": "input: g · cos(input)",
    "cos": "input: −g · sin(input)",
    "tan": "input: g · (1 + out²)",
    "asin": "input: g / √(1 − input²)",
    "acos": "input: −g / √(1 − input²)",
    "atan": "input: g / (1 + input²)",
    "sinh": "input: g · cosh(input)",
    "cosh": "input: g · sinh(input)",
    "tanh": "input: g · (1 − out²)",
    "asinh": "input: g / √(input² + 1)",
    "acosh": "input: g / √(input² − 1)",
    "atanh": "input: g / (1 − input²)",
    "deg2rad": "input: g · π / 180",
    "rad2deg": "input: g · 180 / π",
    "sinc": "input: g · (cos(π input) − out) / input; 0 at 0",
    "floor": _STEPS,
    "ceil": _STEPS,
    "trunc": _STEPS,
    "round": _STEPS,
    "frac": "input: g",
    "frexp": "input: g / 2^exponent",
    # Activations.
    "relu": "input: 0 where out ≤ 0, else g",
    "sigmoid": "input: g · out · (1 − out)",
    "logit": "input: g / (input · (1 − input))",
    "leaky_relu": "input: g where input > 0, else negative_slope · g",
    "prelu_kernel": "input: g where input > 0, else weight · g; weight: Σ g · input where input ≤ 0",
    "rrelu_with_noise": "input: g · noise, the slope that was drawn",
    "elu": "input: scale · g where input > 0, else g · input_scale · (out + alpha · scale)",
    "celu": "input: g where input > 0, else g · exp(input / alpha)",
    "hardtanh": "input: g where min_val < input < max_val, else 0",
    "threshold": "input: g where input > threshold, else 0",
    "hardshrink": "input: g where |input| > lambd, else 0",
    "softshrink": "input: g where |input| > lambd, else 0",
    "hardsigmoid": "input: g / 6 where −3 < input < 3, else 0",
    "hardswish": "input: g · (input / 3 + ½) where −3 < input < 3; g above, 0 below",
    "silu": "input: g · σ · (1 + input · (1 − σ)), with σ = sigmoid(input)",
    "gelu": "input: g · (Φ(input) + input · φ(input)), Φ and φ of the normal distribution",
    "softplus": "input: g · sigmoid(beta · input)",
    "log_sigmoid": "input: g · sigmoid(−input)",
    "mish": "input: g · (t + input · (1 − t²) · sigmoid(input)), with t = tanh(softplus(input))",
    "glu": "input: for the halves a and b: g · sigmoid(b), and g · a · sigmoid(b) · (1 − sigmoid(b))",
    "softmax": "input: out · (g − Σ g · out), the sum along dim",
    "log_softmax": "input: g − exp(out) · Σ g, the sum along dim",
    # Special functions.
    "erf": "input: g · 2/√π · exp(−input²)",
    "erfc": "input: −g · 2/√π · exp(−input²)",
    "erfinv": "input: g · √π/2 · exp(out²)",
    "lgamma": "input: g · digamma(input)",
    "digamma": "input: g · polygamma(1, input)",
    "polygamma": "input: g · polygamma(n + 1, input)",
    "igamma": "other: g · other^(input − 1) · exp(−other) / Γ(input)",
    "igammac": "other: −g · other^(input − 1) · exp(−other) / Γ(input)",
    "special_zeta": "other: −g · input · zeta(input + 1, other)",
    "special_erfcx": "input: g · (2 · input · out − 2/√π)",
    "special_ndtr": "input: g · φ(input), φ the density of the normal distribution",
    "special_log_ndtr": "input: g · φ(input) / Φ(input), of the normal distribution",
    "special_ndtri": "input: g / φ(out), φ the density of the normal distribution",
    "special_entr": "input: −g · (1 + log(input))",
    "special_xlog1py": "input: g · log(1 + other); other: g · input / (1 + other)",
    "i0": "input: g · i1(input)",
    "special_i0e": "input: g · (i1e(input) − sign(input) · out)",
    "special_i1": "input: g · (i0(input) − out / input)",
    "special_i1e": "input: g · (i0e(input) − out · (sign(input) + 1 / input))",
    # Shapes and views.
    "sum_to": "input: g, repeated to the shape of input",
    "expand": "input: g, summed over the copies",
    "reshape": _RESHAPED,
    "view": _RESHAPED,
    "squeeze": _RESHAPED,
    "unsqueeze": _RESHAPED,
    "flatten": _RESHAPED,
    "unflatten": _RESHAPED,
    "transpose": "input: g with the same dimensions exchanged back",
    "t": "input: gᵀ",
    "permute": "input: g with its dimensions put back in order",
    "flip": "input: g, flipped back",
    "roll": "input: g, rolled back",
    "tril": "input: g in the lower triangle, 0 above",
    "triu": "input: g in the upper triangle, 0 below",
    "repeat": "input: g, summed over the copies",
    "cat": "tensors: each gets its own piece of g",
    "stack": "tensors: each gets its own slice of g",
    "split": "tensor: the pieces' gradients, joined again",
    "unbind": "input: the slices' gradients, stacked again",
    "constant_pad_nd": "input: g without the padding",
    "im2col": "input: g's windows added back at their places (col2im)",
    "col2im": "input: the windows of g (im2col)",
    "unfold": "input: g's windows added back at their places",
    "fold_windows": "input: the windows of g",
    "as_strided": _PUT_BACK,
    # Reading and writing at places.
    "getitem": _PUT_BACK,
    "index": _PUT_BACK,
    "select": "input: g in the slice that was read, 0 elsewhere",
    "narrow": "input: g in the range that was read, 0 elsewhere",
    "diagonal": "input: g on the diagonal, 0 elsewhere",
    "diagonal_scatter_to": "input: the diagonal of g",
    "scatter_to": "input: g at the places that were written",
    "gather": _PUT_BACK,
    "gather_backward": "input: g at index",
    "scatter": "input: g, but 0 where src was written; src: g at index",
    "scatter_add": "input: g; src: g at index",
    "scatter_reduce": "input: its share of g in the reduction; src: likewise, of g at index",
    "index_set": "input: g, but 0 where values were written; values: g at indices",
    "index_accumulate": "input: g; values: alpha · g at indices",
    "fill": "input: 0, because it is overwritten; value: Σ g",
    "copy": "input: 0, because it is overwritten; src: g",
    "select_scatter": "input: g, but 0 in the slice that was written; src: that slice of g",
    "slice_scatter": "input: g, but 0 in the range that was written; src: that range of g",
    "diagonal_scatter": "input: g, but 0 on the diagonal; src: the diagonal of g",
    "as_strided_scatter": "input: g, but 0 where src was written; src: g at those places",
    "copy_slices": "input: g, but 0 where the view was written; values: g in the part that was written",
    "embedding": "weight: each g is added to the row that was looked up",
    "embedding_rows": "input: the rows of g that were looked up",
    "embedding_shares": "input: each g is added to the row that was looked up, divided by how often it was",
    # Reductions and scans.
    "sum": "input: g, repeated over what was summed",
    "mean": "input: g / n, repeated over the n averaged elements",
    "prod": "input: g · the product of the other elements",
    "var": "input: 2 · g · (input − mean) / (n − correction)",
    "std": "input: g · (input − mean) / ((n − correction) · out)",
    "logsumexp": "input: g · exp(input − out), the softmax",
    "nansum": "input: g where input is not nan, else 0",
    "nanmean": "input: g / n where input is not nan, else 0; n counts those",
    "vector_norm": "input: g · input / out for ord 2; in general g · sign(input) · (|input| / out)^(ord − 1)",
    "cumsum": "input: the sum of g from each position to the end",
    "cumprod": "input: Σ g · out / input, from each position to the end",
    "cummax": _MOVED,
    "cummin": _MOVED,
    "logcumsumexp": "input: Σ g · exp(input − out), from each position to the end",
    "max_dim": _MOVED,
    "min_dim": _MOVED,
    "max_all": _TIED,
    "min_all": _TIED,
    "amax": _TIED,
    "amin": _TIED,
    "median_all": _TIED,
    "nanmedian_all": _TIED,
    "kthvalue": _MOVED,
    "median_dim": _MOVED,
    "nanmedian_dim": _MOVED,
    "mode": _MOVED,
    "sort": _MOVED,
    "topk": _MOVED,
    # Products of matrices.
    "matmul": "input: g @ otherᵀ; other: inputᵀ @ g",
    "mm": "input: g @ mat2ᵀ; mat2: inputᵀ @ g",
    "bmm": "input: g @ mat2ᵀ, matrix by matrix; mat2: inputᵀ @ g",
    "mv": "input: the outer product of g and vec; vec: inputᵀ @ g",
    "dot": "input: g · tensor; tensor: g · input",
    "outer": "input: g @ vec2; vec2: gᵀ @ input",
    "addmm": "input: beta · g; mat1: alpha · g @ mat2ᵀ; mat2: alpha · mat1ᵀ @ g",
    "baddbmm": "input: beta · g; batch1: alpha · g @ batch2ᵀ; batch2: alpha · batch1ᵀ @ g",
    "linear": "input: g @ weight; weight: gᵀ @ input; bias: Σ g over the rows",
    "linear_relu": f"input: dz @ weight, with dz = 0 where out ≤ 0, else g; {_ACTIVATED}",
    "linear_gelu": f"input: dz @ weight, with dz = g · (Φ(x) + x · φ(x)) and x = product + bias; {_ACTIVATED}",
    "scaled_dot_product_attention": (
        "value: Pᵀ @ g, with the attention weights P; query: scale · dS @ key; key: scale · dSᵀ @ query, "
        "with dS = P · (gP − Σ gP · P) and gP = g @ valueᵀ; mask: dS"
    ),
    # Convolution and pooling.
    "convolution": (
        "input: the transposed convolution of g with weight; weight: the correlation of input with g; "
        "bias: Σ g over batch and space"
    ),
    "convolution_input": "input: the convolution of g with weight; weight: the correlation of g with input",
    "convolution_weight": "input: the transposed convolution of output with g; output: the convolution of input with g",
    "max_pool": "input: g at the place of each window's maximum, 0 elsewhere",
    "adaptive_max_pool_with_indices": "input: g at the place of each window's maximum, 0 elsewhere",
    "fractional_max_pool_with_indices": "input: g at the place of each window's maximum, 0 elsewhere",
    "pool_scatter": "input: g at indices",
    "pool_gather": "input: g put at indices, 0 elsewhere",
    "max_unpool": "input: g at indices",
    "avg_pool": "input: each g, divided by the window's size, spread over its window",
    "avg_pool_spread": "input: the averages of g's windows",
    "resample": "input: each g, spread over the points it was interpolated from by the same weights",
    # Recurrent networks.
    "lstm_sequence": (
        "input: dz @ w_ih, with dz that of the gates, from the last step back: what arrives at h gives o and c "
        "theirs, c gives it to i, f and g, each times the slope of its function; h0: dz of the first step @ w_hh; "
        f"c0: f · the gradient of the first c; {_RECURRENT}"
    ),
    "gru_sequence": (
        "input: dz @ w_ih, with dz that of the gates, from the last step back: what arrives at h gives n and z "
        "theirs, n gives it to r, each times the slope of its function; "
        f"h0: z · the gradient of the first h + dz of the first step @ w_hh; {_RECURRENT}"
    ),
    "rnn_sequence": (
        "input: dz @ w_ih, with dz, from the last step back, what arrives at h times the slope of its function; "
        f"h0: dz of the first step @ w_hh; {_RECURRENT}"
    ),
    # Dropout.
    "philox_dropout": "input: g · scale where an element was kept, 0 elsewhere",
    # Normalisation.
    "native_batch_norm": _NORM,
    "native_layer_norm": _NORM,
    "native_group_norm": _NORM,
    "fused_rms_norm": (
        "input: weight · g, less its part along the normalised input, divided by the root mean square; "
        "weight: Σ g · normalised input"
    ),
    # Losses.
    "nll_loss": "input: −weight · g at each row's target, 0 elsewhere; divided by the total weight under mean",
    "nll_loss_backward": "input: −weight · g read at each row's target",
    "cross_entropy": (
        "input: weight · g · (softmax(input) − 1 at each row's target, softmax(input) elsewhere); divided by the "
        "total weight under mean"
    ),
    "mse_loss": "input: 2 · g · (input − target) / n; target: the opposite; n is 1 without mean",
    "l1_loss": "input: g · sign(input − target) / n; target: the opposite; n is 1 without mean",
    "smooth_l1_loss": (
        "input: g · (input − target) / beta within beta, g · sign(input − target) beyond, over n; target: the opposite"
    ),
    "huber_loss": "input: g · (input − target) cut at ±delta, over n; target: the opposite",
    "soft_margin_loss": "input: −g · target · sigmoid(−target · input) / n",
    "binary_cross_entropy": (
        "input: g · (input − target) / (input · (1 − input)) / n; "
        "target: g · (log(1 − input) − log(input)) / n"
    ),
    "binary_cross_entropy_with_logits": "input: g · (sigmoid(input) − target) / n; target: −g · input / n",
    "multi_margin_loss": (
        "input: p · g · weight · (margin violated)^(p − 1) / n at each violating class, "
        "minus their sum at the target"
    ),
    "multilabel_margin_loss": "input: g · (violations at a wrong class, minus those at a target) / n",
    "ctc_loss": "log_probs: g · (exp(input) − the share of the alignments that pass there)",
    # Decompositions.
    "inv": "A: −outᵀ @ g @ outᵀ",
    "det": "A: g · out · inv(A)ᵀ",
    "slogdet": "A: g of logabsdet · inv(A)ᵀ; the sign is constant",
    "linalg_solve": "A: −dB @ outᵀ; B: dB = inv(A)ᵀ @ g",
    "cholesky": "input: L⁻ᵀ Φ(Lᵀ g) L⁻¹, symmetrised; Φ keeps the lower triangle and halves its diagonal",
    "qr": "input: (gQ + Q · sym(R gRᵀ − gQᵀ Q)) R⁻ᵀ, with sym copying the lower triangle",
    "linalg_svd": "input: U (gS on the diagonal, and gU, gV turned within and divided by sⱼ² − sᵢ²) Vᴴ",
    "eigh": "input: V (gΛ on the diagonal, Vᴴ gV divided by λⱼ − λᵢ off it) Vᴴ",
    "eig": "input: V⁻ᴴ (gΛ on the diagonal, Vᴴ gV divided by λⱼ − λᵢ off it) Vᴴ",
    "lu_factor_ex": "input: P L⁻ᵀ (the lower part of Lᵀ gL and the upper part of gU Uᵀ) U⁻ᵀ",
    "matrix_exp": "A: the same series on the block matrix [Aᵀ g; 0 Aᵀ], its upper right block",
    # Fourier transforms.
    **dict.fromkeys(("fft", "fft2", "fftn", "rfft", "rfft2", "rfftn"), _FORWARD_TRANSFORM),
    **dict.fromkeys(("ihfft", "ihfft2", "ihfftn"), _FORWARD_TRANSFORM),
    **dict.fromkeys(("ifft", "ifft2", "ifftn", "irfft", "irfft2", "irfftn"), _INVERSE_TRANSFORM),
    **dict.fromkeys(("hfft", "hfft2", "hfftn"), _INVERSE_TRANSFORM),
}  # fmt: skip

_LEAF = "adds what arrives to its .grad"
_NEXT_INPUT = re.compile(r";\s+(?=[A-Za-z_]\w*: )")


def rule_words(op: Op) -> dict[str, str]:
    """The rule of `op` for each of its inputs, as a formula in words; empty if nobody wrote it down.

    >>> from tensorlab._op import OPS
    >>> rule_words(OPS["mul"])
    {'input': 'g · other', 'other': 'g · input'}
    """
    text = WORDS.get(op.name, "")
    return dict(part.split(": ", 1) for part in _NEXT_INPUT.split(text)) if text else {}


def explain(node: Node) -> str:
    """What `node` does in the backward pass: the words of its rules, for the inputs that need them.

    >>> import tensorlab as tl
    >>> w = tl.ones(2, requires_grad=True)
    >>> explain((w * 3).grad_fn)
    'input: g · other'
    """
    op = node.op
    if op is None:
        return _LEAF
    words = rule_words(op)
    if not words:
        if op.name not in WORDS and not op.rules and op.joint is None:
            return f"what the backward of {op.name} returns"  # a user's Function
        return f"see the rule of {op.name} in {op.forward.__module__}"
    if op.variadic or len(words) == 1:
        return "; ".join(f"{name}: {text}" for name, text in words.items())
    needs = dict(zip(op.inputs, node.plan.needs, strict=False)) if node.plan is not None else {}
    wanted = [f"{name}: {text}" for name, text in words.items() if needs.get(name, True)]
    return "; ".join(wanted or [f"{name}: {text}" for name, text in words.items()])
