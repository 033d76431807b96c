"""The routes of Hubel's own API, one module per path."""
