"""The ways to run a task on this machine, from a plain process to a container of its own."""
