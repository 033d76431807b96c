"""Measurements of the service under attack: memory, time and faults."""
