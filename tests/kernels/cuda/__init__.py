"""The CUDA kernels, proved without a GPU.

Their text is compiled by the host's C++ compiler against `host/cuda_on_host.h` and run through the same
launchers as on a GPU (`on_host.py`), and compared with the generic path; and it is compiled to machine code
for the GPUs (`test_compile.py`). What is left for a GPU to show is marked `gpu`.
"""
