"""The only readers of what gitlab-runner hands to a call, and the exit codes it expects back."""
