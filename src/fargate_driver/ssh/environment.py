"""What OpenSSH's own programs get to see of the environment: nothing of the job's secrets."""

import os

ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
