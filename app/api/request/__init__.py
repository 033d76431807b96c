"""Reading a request: its body, its multipart parts, its photos."""
