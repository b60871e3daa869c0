"""The images the embedded Fargate knows of itself."""

HOST_IMAGE = "fargate-local/host:latest"
"""The host's own file system, with an SSH server: a job image."""
HELPER_IMAGE = "fargate-helper"
"""The host's own file system with the tools for any image at /opt/fargate: a tools image."""
