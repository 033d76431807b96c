"""`python -m training DATA --output DIR` is `hubel train DATA --output DIR`."""

from app.cli.train import train

train(prog_name="python -m training")
