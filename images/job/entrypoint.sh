#!/bin/sh
# Lets in the one key that the driver made for this job, and serves SSH until the task is stopped.
set -eu

if [ -z "${SSH_PUBLIC_KEY:-}" ]; then
  echo "SSH_PUBLIC_KEY is not set: this image is started by gitlab-fargate-driver" >&2
  exit 64
fi

umask 077
mkdir -p "$HOME/.ssh"
printf '%s\n' "$SSH_PUBLIC_KEY" >"$HOME/.ssh/authorized_keys"

# Host keys are made anew in every task: one that came with the image would be known to its readers.
ssh-keygen -A >/dev/null
mkdir -p -m 755 /run/sshd

# The container's variables reach the job's scripts by the driver's doing, from PID 1; sshd itself
# needs none of them.
exec env -i PATH="$PATH" /usr/sbin/sshd -D -e \
  -o PasswordAuthentication=no -o PermitRootLogin=prohibit-password -o MaxSessions=20
