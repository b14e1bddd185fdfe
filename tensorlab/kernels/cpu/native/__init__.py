"""The CPU kernels, compiled by Numba. Importing a module of this folder compiles it, or loads it from disk."""
