"""`fargate doctor`: looks at all that a job depends on, without side effects.

One module per group of checks; plan.py plays them in order, and side by side where they don't
depend on each other. A check never guesses: what can't be seen with the rights that are there is
said to be unchecked, with the reason.
"""
