"""The embedded Fargate: an ECS-compatible endpoint whose tasks really run on this machine."""
