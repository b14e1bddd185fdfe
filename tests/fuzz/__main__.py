"""`python -m tests.fuzz`: check many programs, and print each kind of mistake once, shrunk."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections import Counter

from .fuzz import fuzz_one, report


def main() -> int:
    """0 if all programs agree, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "--programs", type=int, default=2000, help="how many (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=secrets.randbits(32), help="number of the first one"
    )
    parser.add_argument(
        "--reports", type=int, default=3, help="how many mistakes to shrink and print"
    )
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        parser.exit(2, "PyTorch is what programs are compared with: pip install torch\n")
    torch.set_num_threads(1)  # tensors of six numbers gain nothing from more
    print(f"programs {options.seed} to {options.seed + options.programs - 1}")
    failures: Counter[str] = Counter()
    started = time.perf_counter()
    for number in range(options.seed, options.seed + options.programs):
        mismatch = fuzz_one(number, torch)
        if mismatch is None:
            continue
        failures[mismatch.kind] += 1
        if failures[mismatch.kind] == 1 and len(failures) <= options.reports:
            print(f"\n{report(number, torch)}", flush=True)
    seconds = time.perf_counter() - started
    print(f"{options.programs} programs, {failures.total()} disagree, {seconds:.0f} s")
    for kind, count in failures.most_common():
        print(f"{count:6}  {kind}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
