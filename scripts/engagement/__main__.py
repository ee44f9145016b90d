"""`python -m engagement` is the command `engagement`."""

from __future__ import annotations

from engagement.cli import main

main()
