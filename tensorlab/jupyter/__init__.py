"""tensorlab inside Jupyter and IPython: the extension, its magics, completion and the kernel.

`%load_ext tensorlab` in any IPython shell or stock kernel is the product; the "Python (tensorlab)"
kernelspec only saves typing that line. This package and the widgets are the only importers of
IPython, so that the library itself stays importable anywhere.
"""
