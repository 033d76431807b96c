"""Run `hubel train DATA --output DIR` as `python -m training DATA --output DIR`."""

from app.cli.train import train

train(prog_name="python -m training")
