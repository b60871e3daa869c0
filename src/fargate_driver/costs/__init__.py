"""What a task costs: AWS's prices, its billing rule, and the bill of a running job."""
