"""Work that runs beside the service: training, and the comparison that follows it."""
