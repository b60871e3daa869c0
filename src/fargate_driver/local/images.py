"""The images the embedded Fargate knows of itself."""

HOST_IMAGE = "fargate-local/host:latest"
HELPER_IMAGE = "fargate-helper"
"""The driver's tools, beside what is on the PATH of `fargate local up`."""
