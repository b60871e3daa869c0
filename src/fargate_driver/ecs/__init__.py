"""Starting, watching and stopping the job's ECS task."""
