"""The server process: start, HTTP/1.1 protocol limits, and shutdown without lost requests."""
