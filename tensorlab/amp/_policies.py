"""Which operations autocast computes in lower precision, and which in float32.

Products of matrices gain most from lower precision and lose least: their sums are accumulated in
float32. Losses, decompositions and transforms need float32. All others take what comes, and
operands of two types are promoted as ever. The lists are PyTorch's, for the CPU and for CUDA.

Operations are named as in `tensorlab._op.OPS`. Functions that are made of several operations are
marked where they are defined, and listed here by name.
"""

from __future__ import annotations

__all__ = ["ARGUMENTS", "BANNED", "FULL", "FULL_WITHIN", "LOWER", "NEUTRAL_WITHIN", "VOLUMES"]

_LOWER = {
    "addmm", "baddbmm", "bmm", "convolution", "linear", "linear_gelu", "linear_relu", "matmul", "mm", "prelu_kernel",
    "scaled_dot_product_attention",
}  # fmt: skip
#: Computed in the dtype of autocast, by type of device.
LOWER = {"cpu": _LOWER, "cuda": _LOWER | {"mv"}}

_LOSSES = {
    "binary_cross_entropy_with_logits", "huber_loss", "l1_loss", "mse_loss", "multi_margin_loss",
    "multilabel_margin_loss", "nll_loss", "smooth_l1_loss", "soft_margin_loss",
}  # fmt: skip
#: Computed in float32, by type of device.
FULL = {
    "cpu": _LOSSES | {
        "binary_cross_entropy", "cholesky", "ctc_loss", "eig", "eigh", "fft", "fft2", "fftn",
        "fractional_max_pool_with_indices", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn",
        "ihfft", "ihfft2", "ihfftn", "inv", "irfft", "irfft2", "irfftn", "linalg_solve",
        "linalg_svd", "polar", "prod", "qr", "rfft", "rfft2", "rfftn", "view_as_complex",
    },
    "cuda": _LOSSES | {
        "acos", "asin", "cosh", "cumprod", "cumsum", "erfinv", "exp", "expm1", "fused_rms_norm",
        "log", "log10", "log1p", "log2", "log_softmax", "logsumexp", "native_group_norm",
        "native_layer_norm", "pow", "prod", "reciprocal", "resample", "rsqrt", "sinh", "softmax",
        "softplus", "sum", "tan", "vector_norm",
    },
}  # fmt: skip
#: Computed in float32 on the CPU when they run over three dimensions, and maximum unpooling.
VOLUMES = {
    "adaptive_max_pool_with_indices", "avg_pool", "max_pool", "max_pool_positions", "max_unpool",
}  # fmt: skip
#: Refused on CUDA: the gradient at 0 and 1 is beyond float16.
BANNED = {"binary_cross_entropy"}

#: Functions marked with `tensorlab._autocast.autocasts`: they look at dtypes themselves, so their
#: arguments are cast before. What to, by type of device.
ARGUMENTS = {
    "cpu": {
        "addbmm": "lower",
        "binary_cross_entropy": "full",
        "grid_sample": "full",
        "nanquantile": "full",
        "prelu": "lower",
        "quantile": "full",
        "scaled_dot_product_attention": "lower",
        "vecdot": "lower",
    },
    "cuda": {
        "addbmm": "lower",
        "prelu": "lower",
        "scaled_dot_product_attention": "lower",
        "vecdot": "lower",
    },
}

_FULL_LOSSES = {
    "cosine_embedding_loss", "cross_entropy", "hinge_embedding_loss", "kl_div",
    "margin_ranking_loss", "poisson_nll_loss", "triplet_margin_loss",
}  # fmt: skip
#: Functions marked with `tensorlab._autocast.autocasts_within`: all of their operations are computed in
#: float32, by type of device. `tl.lu_solve` is `lu_solve_in_parts`.
FULL_WITHIN = {
    "cpu": _FULL_LOSSES | {
        "cdist", "cholesky_inverse", "cholesky_solve", "cond", "inv_ex", "lstsq",
        "lu_solve_in_parts", "stft", "tensorinv", "tensorsolve", "trace", "triangular_solve",
    },
    "cuda": _FULL_LOSSES | {"cdist", "cosine_similarity", "pdist", "renorm"},
}  # fmt: skip
#: Likewise; made of products, but not computed in lower precision.
NEUTRAL_WITHIN = {"bilinear"}
