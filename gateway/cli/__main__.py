"""`python -m gateway.cli` is `rivulet`."""

from gateway.cli import main

main()
