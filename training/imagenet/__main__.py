"""`python -m training.imagenet` builds the default bundle."""

from training.imagenet.build import main

main(prog_name="python -m training.imagenet")
