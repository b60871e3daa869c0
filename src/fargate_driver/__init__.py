"""Run GitLab CI jobs on AWS Fargate: a driver for GitLab Runner's custom executor."""

__version__ = "0.1.0"
