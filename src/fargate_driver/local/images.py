"""The images the embedded Fargate knows of itself."""

HOST_IMAGE = "fargate-local/host:latest"
