"""Two resizes as one matrix product."""
