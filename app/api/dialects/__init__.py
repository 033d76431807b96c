"""The protocols of other model servers: their clients work here after a change of the URL."""
