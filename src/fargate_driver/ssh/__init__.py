"""One OpenSSH connection per job, and the sessions on it."""
