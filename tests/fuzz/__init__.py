"""A differential fuzzer of tensor semantics: random programs, run here and in PyTorch, must agree.

A program is a list of lines of Python. The name `lib` in it is the library:

    a = lib.tensor([0.5, -1.25], dtype=lib.float64, requires_grad=True)
    b = a * 2
    c = b[0:1]
    c.mul_(b[1])
    observe()
    (b * b).sum().backward()

`generate` writes such programs, with PyTorch at hand to know shapes; `choose` is what it picks from.
`program` runs one in either library: a line may raise, and the next one runs all the same.
`observe()` writes down all that a user can see of every live tensor (`observe.py`: values, dtype,
strides, who shares memory with whom, version, history, gradient); the end of a program observes
once more. `compare` gives the first difference. Some are meant, each with its reason, in
`allowed.py`. For any other, `shrink` looks for the shortest program that still shows it, and
`report` prints that as a script.

    pytest tests/fuzz                          a few hundred programs, always the same, and all old findings
    python -m tests.fuzz --programs 20000      many new ones; --seed N begins at program N

Programs are numbered: number N is always the same program for one version of PyTorch and of
`generate.py`. A mistake, once found, goes into `found.py` as its shrunk program and stays there.
"""
