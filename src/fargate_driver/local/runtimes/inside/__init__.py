"""What runs around and inside a task: a supervisor, its init, and the SSH server.

Started as a program of its own with `python -I -S`, so it uses the standard library alone.
"""
