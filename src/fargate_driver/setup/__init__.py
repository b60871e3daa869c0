"""What `fargate init` writes: the driver's configuration, and what it needs in AWS."""
