"""Half price by files: the requests of a job over a router as lines of its providers' batches."""
