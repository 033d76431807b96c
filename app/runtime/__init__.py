"""Arrays -> probabilities: models, their verification, and the threads that run them."""
