"""Working together with NumPy, PyTorch and files."""
