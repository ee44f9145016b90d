"""`python -m emulators.graph`."""

from emulators.graph.serving import main

main()
