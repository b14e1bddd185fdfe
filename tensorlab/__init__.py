"""tensorlab: a deep-learning library to learn from, with PyTorch's names and semantics.

>>> import tensorlab as tl
>>> x = tl.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4.])

Importing it loads NumPy and nothing heavier. Neural networks (`tensorlab.nn`), optimizers
(`optim`), data (`utils.data`), images (`vision`), sound (`audio`), devices (`cuda`) and the
instruments (`inspect`, `testing`) are imported when they are first used.
"""

from __future__ import annotations

__version__ = "0.1.0"

import importlib as _importlib
from math import e, inf, nan, pi
from typing import TYPE_CHECKING
from typing import Any as _Any

# One line per module, as far as it goes: a name on a line of its own would fill a thousand.
# fmt: off
# ruff: noqa: I001
from tensorlab import autograd, kernels, linalg, ops, return_types
from tensorlab._backend import Device as device
from tensorlab._gpu import OutOfMemoryError
from tensorlab._dtypes import (
    load_bfloat16 as _load_bfloat16, bool_ as bool, can_cast, cdouble, cfloat, complex128,
    complex64, double, dtype, finfo, float_ as float, float16, float32, float64,
    get_default_dtype, half, iinfo, int_ as int, int16, int32, int64, int8, long, promote_types,
    set_default_dtype, short, uint8,
)
from tensorlab._printing import set_printoptions
from tensorlab._random import (
    default_generator, Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state,
)
from tensorlab._settings import (
    are_deterministic_algorithms_enabled, get_default_device, get_float32_matmul_precision,
    is_deterministic_algorithms_warn_only_enabled, set_default_device,
    set_float32_matmul_precision, use_deterministic_algorithms,
)
from tensorlab._tensor import Size, Tensor
from tensorlab.autograd.mode import (
    enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled,
)
from tensorlab.kernels import get_num_threads, set_num_threads
from tensorlab.ops.activation import erf
from tensorlab.ops.arithmetic import (
    addcdiv, addcmul, arctan2, atan2, copysign, float_power, heaviside, hypot, lerp, logaddexp,
    logaddexp2, pow, rsub, sub, subtract, xlogy,
)
from tensorlab.ops.bessel import i0
from tensorlab.ops.calculus import cumulative_trapezoid, gradient, histogram
from tensorlab.ops.compare import (
    allclose, bitwise_and, bitwise_left_shift, bitwise_not, bitwise_or, bitwise_right_shift,
    bitwise_xor, clamp, clamp_max, clamp_min, clip, eq, equal, fmax, fmin, ge, greater,
    greater_equal, gt, isclose, isfinite, isinf, isnan, isneginf, isposinf, isreal, le, less,
    less_equal, logical_and, logical_not, logical_or, logical_xor, lt, maximum, minimum,
    nan_to_num, ne, not_equal, signbit, where,
)
from tensorlab.ops.complexes import (
    angle, complex, conj_physical, polar, resolve_conj, resolve_neg, view_as_complex,
    view_as_real,
)
from tensorlab.ops.conv import (
    conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d,
)
from tensorlab.ops.convert import (
    channels_last, clone, contiguous_format, layout, memory_format, preserve_format, strided,
)
from tensorlab.ops.convolution import convolution
from tensorlab.ops.creation import (
    arange, BFloat16Tensor, BoolTensor, ByteTensor, CharTensor, DoubleTensor, empty, empty_like,
    eye, fill, FloatTensor, full, full_like, HalfTensor, IntTensor, linspace, logspace, LongTensor,
    ones, ones_like, scalar_tensor, ShortTensor, zeros, zeros_like,
)
from tensorlab.ops.cutting import (
    chunk, dsplit, hsplit, narrow, select, split, tensor_split, unbind, vsplit,
)
from tensorlab.ops.decompose import det, inverse, logdet, pinverse, slogdet
from tensorlab.ops.distance import cosine_similarity, pairwise_distance
from tensorlab.ops.division import div, divide, floor_divide, fmod, remainder, true_divide
from tensorlab.ops.dropout import (
    alpha_dropout, alpha_dropout_, dropout, dropout_, feature_alpha_dropout,
    feature_alpha_dropout_, feature_dropout, feature_dropout_,
)
from tensorlab.ops.einsum import (
    addbmm, addmv, addr, chain_matmul, cross, einsum, inner, kron, matrix_power, tensordot,
    trace, vdot,
)
from tensorlab.ops.elementwise import (
    add, conj, imag, mul, mul as multiply, neg, neg as negative, real,
)
from tensorlab.ops.embedding import embedding
from tensorlab.ops.extrema import (
    amax, amin, aminmax, argmax, argmin, kthvalue, max, median, min, mode, nanmedian,
    nanquantile, quantile,
)
from tensorlab.ops.from_data import as_tensor, asarray, from_numpy, tensor
from tensorlab.ops.functions import (
    abs, absolute, acos, acosh, arccos, arccosh, arcsin, arcsinh, arctan, arctanh, asin, asinh,
    atan, atanh, ceil, cos, cosh, deg2rad, exp, exp2, expm1, fix, floor, frac, log, log10,
    log1p, log2, logit, rad2deg, reciprocal, relu, round, rsqrt, sgn, sigmoid, sign, sin, sinc,
    sinh, sqrt, square, tan, tanh, trunc,
)
from tensorlab.ops.gathering import (
    gather, index_reduce, scatter, scatter_add, scatter_reduce, take_along_dim,
)
from tensorlab.ops.interop import from_dlpack, frombuffer, to_dlpack, UntypedStorage
from tensorlab.ops.joining import (
    block_diag, broadcast_shapes, broadcast_tensors, broadcast_to, cartesian_prod, cat,
    column_stack, concat, concatenate, diag, diag_embed, diagflat, dstack, flip, fliplr, flipud,
    hstack, meshgrid, repeat_interleave, roll, rot90, row_stack, stack, tile, tril, triu,
    vstack,
)
from tensorlab.ops.gamma import igamma, igammac
from tensorlab.ops.linalg import addmm, baddbmm, bmm, dot, matmul, mm, mv, outer
from tensorlab.ops.loss import binary_cross_entropy_with_logits
from tensorlab.ops.lu import (
    cholesky_inverse, cholesky_solve, lu_in_parts as lu, lu_solve_in_parts as lu_solve, lu_unpack,
)
from tensorlab.ops.matrix_functions import cholesky, matrix_exp, qr, svd, triangular_solve, vander
from tensorlab.ops.norms import cdist, dist, norm, pdist
from tensorlab.ops.others import (
    adjoint, detach, empty_strided, frobenius_norm, ger, get_device, is_conj, is_neg,
    is_same_size, is_signed, narrow_copy, nonzero_static, nuclear_norm, positive, range,
    split_with_sizes,
)
from tensorlab.ops.shuffle import channel_shuffle, pixel_shuffle, pixel_unshuffle
from tensorlab.ops.piecewise import celu, hardshrink, prelu, rrelu, rrelu_, selu, selu_, threshold
from tensorlab.ops.pooling import (
    adaptive_avg_pool1d, adaptive_max_pool1d, avg_pool1d, max_pool1d, max_pool2d, max_pool3d,
)
from tensorlab.ops.questions import (
    is_complex, is_floating_point, is_nonzero, is_tensor, numel, result_type, typename,
)
from tensorlab.ops.random import (
    bernoulli, multinomial, normal, poisson, rand, rand_like, randint, randint_like,
    randn, randn_like, randperm,
)
from tensorlab.ops.reduce import (
    all, any, count_nonzero, logsumexp, mean, nanmean, nansum, prod, std, std_mean, sum, var,
    var_mean,
)
from tensorlab.ops.scaling import frexp, ldexp, renorm
from tensorlab.ops.scan import (
    cummax, cummin, cumprod, cumsum, diff, logcumsumexp, trapezoid, trapezoid as trapz,
)
from tensorlab.ops.selecting import (
    argwhere, index_add, index_copy, index_fill, index_put, index_select, masked_fill,
    masked_scatter, masked_select, nonzero, put, take,
)
from tensorlab.ops.shape import permute, reshape, transpose
from tensorlab.ops.softmax import log_softmax, softmax
from tensorlab.ops.sorting import (
    argsort, bincount, bucketize, histc, isin, msort, searchsorted, sort, topk, unique,
    unique_consecutive,
)
from tensorlab.ops.special import (
    digamma, erfc, erfinv, gcd, lcm, lgamma, mvlgamma, nextafter, polygamma,
)
from tensorlab.ops.statistics import (
    atleast_1d, atleast_2d, atleast_3d, combinations, corrcoef, cov, tril_indices,
    triu_indices, unravel_index,
)
from tensorlab.ops.stft import istft, stft
from tensorlab.ops.strided import as_strided, diagonal
from tensorlab.ops.views import (
    flatten, moveaxis, movedim, ravel, squeeze, swapaxes, swapdims, t, unflatten, unsqueeze,
)
from tensorlab.ops.windows import (
    bartlett_window, blackman_window, hamming_window, hann_window, kaiser_window,
)
from tensorlab.ops.written import (
    as_strided_scatter, diagonal_scatter, select_scatter, slice_scatter,
)
from tensorlab.serialization import load, save
# fmt: on

if TYPE_CHECKING:
    bfloat16: dtype
    from tensorlab import (
        accelerator,
        audio,
        cuda,
        fft,
        inspect,
        learn,
        nn,
        optim,
        safetensors,
        signal,
        special,
        testing,
        utils,
        vision,
    )

newaxis = None

# fmt: off
__all__ = [
    "abs", "absolute", "accelerator", "acos", "acosh", "adaptive_avg_pool1d",
    "adaptive_max_pool1d", "add", "addbmm", "addcdiv", "addcmul", "addmm", "addmv", "addr",
    "adjoint", "all", "allclose", "alpha_dropout", "alpha_dropout_", "amax", "amin", "aminmax",
    "amp", "angle", "any", "arange", "arccos", "arccosh", "arcsin", "arcsinh", "arctan",
    "arctan2", "arctanh", "are_deterministic_algorithms_enabled", "argmax", "argmin",
    "argsort", "argwhere", "as_strided", "as_strided_scatter", "as_tensor", "asarray", "asin",
    "asinh", "atan", "atan2", "atanh", "atleast_1d", "atleast_2d", "atleast_3d", "audio",
    "autocast", "autocast_decrement_nesting", "autocast_increment_nesting", "autograd",
    "avg_pool1d", "backends", "baddbmm", "bartlett_window", "bernoulli", "BFloat16Tensor",
    "binary_cross_entropy_with_logits", "bincount", "bitwise_and", "bitwise_left_shift",
    "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "blackman_window",
    "block_diag", "bmm", "bool", "BoolTensor", "broadcast_shapes", "broadcast_tensors",
    "broadcast_to", "bucketize", "ByteTensor", "can_cast", "cartesian_prod", "cat", "cdist",
    "cdouble", "ceil", "celu", "cfloat", "chain_matmul", "channel_shuffle", "channels_last",
    "CharTensor", "cholesky", "cholesky_inverse", "cholesky_solve", "chunk", "clamp",
    "clamp_max", "clamp_min", "clear_autocast_cache", "clip", "clone", "column_stack",
    "combinations", "complex", "complex128", "complex64", "concat", "concatenate", "conj",
    "conj_physical", "contiguous_format", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "convolution", "copysign", "corrcoef", "cos",
    "cosh", "cosine_similarity", "count_nonzero", "cov", "cross", "cuda", "cummax", "cummin",
    "cumprod", "cumsum", "cumulative_trapezoid", "default_generator", "deg2rad", "det",
    "detach", "device", "diag", "diag_embed", "diagflat", "diagonal", "diagonal_scatter",
    "diff", "digamma", "dist", "div", "divide", "dot", "double", "DoubleTensor", "dropout",
    "dropout_", "dsplit", "dstack", "dtype", "e", "einsum", "embedding", "empty", "empty_like",
    "empty_strided", "enable_grad", "eq", "equal", "erf", "erfc", "erfinv", "exp", "exp2",
    "expm1", "eye", "feature_alpha_dropout", "feature_alpha_dropout_", "feature_dropout",
    "feature_dropout_", "fft", "fill", "finfo", "fix", "flatten", "flip", "fliplr", "flipud",
    "float", "float16", "float32", "float64", "float_power", "FloatTensor", "floor",
    "floor_divide", "fmax", "fmin", "fmod", "frac", "frexp", "frobenius_norm", "from_dlpack",
    "from_numpy", "frombuffer", "full", "full_like", "gather", "gcd", "ge", "Generator", "ger",
    "get_autocast_dtype", "get_default_device", "get_default_dtype", "get_device",
    "get_float32_matmul_precision", "get_num_threads", "get_rng_state", "gradient", "greater",
    "greater_equal", "gt", "half", "HalfTensor", "hamming_window", "hann_window", "hardshrink",
    "heaviside", "histc", "histogram", "hsplit", "hstack", "hypot", "i0", "igamma", "igammac",
    "iinfo", "imag", "index_add", "index_copy", "index_fill", "index_put", "index_reduce",
    "index_select", "inf", "inference_mode", "initial_seed", "inner", "inspect", "int",
    "int16", "int32", "int64", "int8", "IntTensor", "inverse", "is_autocast_cache_enabled",
    "is_autocast_enabled", "is_complex", "is_conj",
    "is_deterministic_algorithms_warn_only_enabled", "is_floating_point", "is_grad_enabled",
    "is_neg", "is_nonzero", "is_same_size", "is_signed", "is_tensor", "isclose", "isfinite",
    "isin", "isinf", "isnan", "isneginf", "isposinf", "isreal", "istft", "kaiser_window",
    "kernels", "kron", "kthvalue", "layout", "lcm", "ldexp", "le", "learn", "lerp", "less",
    "less_equal", "lgamma", "linalg", "linspace", "load", "log", "log10", "log1p", "log2",
    "log_softmax", "logaddexp", "logaddexp2", "logcumsumexp", "logdet", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logit", "logspace", "logsumexp", "long",
    "LongTensor", "lt", "lu", "lu_solve", "lu_unpack", "manual_seed", "masked_fill",
    "masked_scatter", "masked_select", "matmul", "matrix_exp", "matrix_power", "max",
    "max_pool1d", "max_pool2d", "max_pool3d", "maximum", "mean", "median", "memory_format",
    "meshgrid", "min", "minimum", "mm", "mode", "moveaxis", "movedim", "msort", "mul",
    "multinomial", "multiply", "mv", "mvlgamma", "nan", "nan_to_num", "nanmean", "nanmedian",
    "nanquantile", "nansum", "narrow", "narrow_copy", "ne", "neg", "negative", "newaxis",
    "nextafter", "nn", "no_grad", "nonzero", "nonzero_static", "norm", "normal", "not_equal",
    "nuclear_norm", "numel", "ones", "ones_like", "ops", "optim", "outer", "OutOfMemoryError",
    "pairwise_distance",
    "pdist", "permute", "pi", "pinverse", "pixel_shuffle", "pixel_unshuffle", "poisson",
    "polar", "polygamma", "positive", "pow", "prelu", "preserve_format", "prod",
    "promote_types", "put", "qr", "quantile", "rad2deg", "rand", "rand_like", "randint",
    "randint_like", "randn", "randn_like", "randperm", "range", "ravel", "real", "reciprocal",
    "relu", "remainder", "renorm", "repeat_interleave", "reshape", "resolve_conj",
    "resolve_neg", "result_type", "return_types", "roll", "rot90", "round", "row_stack",
    "rrelu", "rrelu_", "rsqrt", "rsub", "safetensors", "save", "scalar_tensor", "scatter",
    "scatter_add", "scatter_reduce", "searchsorted", "seed", "select", "select_scatter",
    "selu", "selu_", "set_autocast_cache_enabled", "set_autocast_dtype",
    "set_autocast_enabled", "set_default_device", "set_default_dtype",
    "set_float32_matmul_precision", "set_grad_enabled", "set_num_threads", "set_printoptions",
    "set_rng_state", "sgn", "short", "ShortTensor", "sigmoid", "sign", "signal", "signbit",
    "sin", "sinc", "sinh", "Size", "slice_scatter", "slogdet", "softmax", "sort", "special",
    "split", "split_with_sizes", "sqrt", "square", "squeeze", "stack", "std", "std_mean",
    "stft", "strided", "sub", "subtract", "sum", "svd", "swapaxes", "swapdims", "t", "take",
    "take_along_dim", "tan", "tanh", "Tensor", "tensor", "tensor_split", "tensordot",
    "testing", "threshold", "tile", "to_dlpack", "topk", "trace", "transpose", "trapezoid",
    "trapz", "triangular_solve", "tril", "tril_indices", "triu", "triu_indices", "true_divide",
    "trunc", "typename", "uint8", "unbind", "unflatten", "unique", "unique_consecutive",
    "unravel_index", "unsqueeze", "UntypedStorage", "use_deterministic_algorithms", "utils",
    "vander", "var", "var_mean", "vdot", "view_as_complex", "view_as_real", "vision", "vsplit",
    "vstack", "where", "xlogy", "zeros", "zeros_like",
]
# fmt: on

_AUTOCAST = (
    "autocast_decrement_nesting",
    "autocast_increment_nesting",
    "clear_autocast_cache",
    "get_autocast_dtype",
    "is_autocast_cache_enabled",
    "is_autocast_enabled",
    "set_autocast_cache_enabled",
    "set_autocast_dtype",
    "set_autocast_enabled",
)
_PACKAGES = (
    "accelerator",
    "audio",
    "amp",
    "backends",
    "cuda",
    "fft",
    "func",
    "inspect",
    "learn",
    "nn",
    "optim",
    "safetensors",
    "signal",
    "special",
    "testing",
    "utils",
    "vision",
)


# Methods that PyTorch has as functions too: `tensorlab.relu_(x)` is `x.relu_()`.
# fmt: off
_IN_PLACE = (
    "abs_", "acos_", "acosh_", "addmv_", "arccos_", "arccosh_", "arcsin_", "arcsinh_",
    "arctan_", "arctanh_", "as_strided_", "asin_", "asinh_", "atan_", "atanh_", "ceil_",
    "clamp_", "clamp_max_", "clamp_min_", "clip_", "conj_physical_", "cos_", "cosh_",
    "deg2rad_", "detach_", "erf_", "erfc_", "exp2_", "exp_", "expm1_", "fill_", "fix_",
    "floor_", "frac_", "gcd_", "i0_", "index_put_", "lcm_", "ldexp_", "log10_", "log1p_",
    "log2_", "log_", "logit_", "nan_to_num_", "neg_", "negative_", "rad2deg_", "reciprocal_",
    "relu_", "resize_as_", "round_", "rsqrt_", "sigmoid_", "sin_", "sinc_", "sinh_", "sqrt_",
    "square_", "tan_", "tanh_", "trunc_", "xlogy_", "zero_",
)
# Functions of networks that PyTorch has in its top namespace too.
_FUNCTIONAL = (
    "batch_norm", "bilinear", "celu_", "cosine_embedding_loss", "ctc_loss", "embedding_bag",
    "group_norm", "hinge_embedding_loss", "instance_norm", "kl_div", "layer_norm",
    "margin_ranking_loss", "poisson_nll_loss", "rms_norm", "threshold_", "triplet_margin_loss",
)
# fmt: on


def __getattr__(name: str) -> _Any:
    """Import a package of tensorlab, or what bfloat16 needs, when it is first used."""
    if name in _PACKAGES:
        return _importlib.import_module(f"tensorlab.{name}")
    if name == "bfloat16":
        return _load_bfloat16().bfloat16
    if name == "autocast":
        return _importlib.import_module("tensorlab.amp").autocast
    if name in _AUTOCAST:
        return getattr(_importlib.import_module("tensorlab.amp._state"), name)
    if name in _IN_PLACE:
        return getattr(Tensor, name)
    if name in _FUNCTIONAL:
        return getattr(_importlib.import_module("tensorlab.nn.functional"), name)
    # Without the object Python does not add a suggestion of its own.
    raise AttributeError(_unknown(name), name=name)


def _unknown(name: str) -> str:
    """What to say of a name that is not there: with the closest one that is."""
    import difflib

    message = f"module 'tensorlab' has no attribute {name!r}"
    close = difflib.get_close_matches(name, [n for n in __dir__() if not n.startswith("_")], 1)
    return f"{message}. Did you mean: {close[0]!r}?" if close else message


def __dir__() -> list[str]:
    return sorted(
        {*globals(), *_PACKAGES, *_IN_PLACE, *_FUNCTIONAL, *_AUTOCAST, "autocast", "bfloat16"}
    )


def load_ipython_extension(ip: _Any) -> None:
    """What `%load_ext tensorlab` calls."""
    from tensorlab.jupyter import extension

    extension.load_ipython_extension(ip)


def unload_ipython_extension(ip: _Any) -> None:
    """What `%unload_ext tensorlab` calls."""
    from tensorlab.jupyter import extension

    extension.unload_ipython_extension(ip)
