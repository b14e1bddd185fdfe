"""Special functions under the names of `torch.special` and `scipy.special`.

>>> import tensorlab as tl
>>> tl.special.expit(tl.tensor([0.0]))
tensor([0.5000])
"""

from __future__ import annotations

from tensorlab.ops.activation import erf
from tensorlab.ops.arithmetic import xlogy
from tensorlab.ops.bessel import i0, i0e, i1, i1e
from tensorlab.ops.functions import exp2, expm1, log1p, logit, round, sinc
from tensorlab.ops.functions import sigmoid as expit
from tensorlab.ops.gamma import igamma as gammainc
from tensorlab.ops.gamma import igammac as gammaincc
from tensorlab.ops.gamma import zeta
from tensorlab.ops.gaussian import entr, erfcx, log_ndtr, multigammaln, ndtr, ndtri, xlog1py
from tensorlab.ops.reduce import logsumexp
from tensorlab.ops.softmax import log_softmax, softmax
from tensorlab.ops.special import digamma, erfc, erfinv, polygamma
from tensorlab.ops.special import digamma as psi
from tensorlab.ops.special import lgamma as gammaln

__all__ = [
    "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit", "expm1", "gammainc", "gammaincc",
    "gammaln", "i0", "i0e", "i1", "i1e", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp", "multigammaln",
    "ndtr", "ndtri", "polygamma", "psi", "round", "sinc", "softmax", "xlog1py", "xlogy", "zeta",
]  # fmt: skip
