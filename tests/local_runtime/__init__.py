"""Tests of the embedded Fargate's runtimes, with real processes and SSH clients."""
