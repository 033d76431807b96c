"""`python -m hubel` is the same as `hubel`."""

from hubel import main

main()
