"""A stand-in for gitlab-runner that calls the driver exactly as its custom executor does."""
