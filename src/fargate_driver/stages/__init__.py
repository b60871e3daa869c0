"""What gitlab-runner calls: one module per stage."""
