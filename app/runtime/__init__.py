"""Models, their verification, and the threads that run them: photos -> probabilities."""
