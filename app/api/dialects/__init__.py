"""Other services' protocols, a file each: a client moves here by changing its URL."""
