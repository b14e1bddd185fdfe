"""Every operation, each declared once: forward, gradient rules, samples, reference, docstring.

`elementwise` add, mul and what they need · `arithmetic` and `division` the rest of it ·
`functions` of each element · `compare` comparison, logic, choosing · `reduce` sums, means,
variances · `scan` running sums · `extrema` and `sorting` · `shape`, `views`, `cutting` and
`strided` without copying · `joining` and repeating · `index` and `gathering` reading and writing
elements · `linalg` matrix products · `activation`, `piecewise` and `softmax`, `loss`,
`classification` and `ctc`, `dropout` and `distance` of networks · `fft`, `stft` and `windows`
spectra · `complexes` complex numbers · `creation`, `from_data` and `random` new tensors ·
`convert` dtype and device.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings

# A tensor that overflows or divides by zero holds inf or nan and says nothing, as in PyTorch.
# Only warnings that arise in this library's own files are silenced: NumPy code keeps its own.
warnings.filterwarnings("ignore", r".* encountered in .*", RuntimeWarning, r"tensorlab\b")

# Importing a module registers its operations and attaches their methods to Tensor.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
