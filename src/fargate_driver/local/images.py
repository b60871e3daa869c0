"""Names of the images that the embedded Fargate knows without importing any."""

HOST_IMAGE = "fargate-local/host:latest"
"""The built-in image: the root file system of the machine itself."""
