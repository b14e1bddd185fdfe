"""`python -m tensorlab`: the same program as the command `tensorlab`."""

from tensorlab.cli import main

raise SystemExit(main())
