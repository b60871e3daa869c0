#!/bin/bash
set -euo pipefail
umask 077
dnf install --assumeyes git python3.11
# Beside a link to it, so that an upgrade can switch: docs/upgrading.md.
python3.11 -m venv /opt/gitlab-fargate-driver-first
/opt/gitlab-fargate-driver-first/bin/pip install @{driver_package}
chmod -R go+rX /opt/gitlab-fargate-driver-first
ln -s gitlab-fargate-driver-first /opt/gitlab-fargate-driver
curl --fail --silent --show-error --location --retry 5 --output /usr/local/bin/gitlab-runner \
  https://s3.dualstack.us-east-1.amazonaws.com/gitlab-runner-downloads/v@{runner}/binaries/gitlab-runner-linux-amd64
chmod 755 /usr/local/bin/gitlab-runner
useradd --system --create-home --home-dir /var/lib/gitlab-runner gitlab-runner
# With the records there, if none yet, `fargate reap` ends what a manager before this one left.
mkdir --parents /etc/gitlab-runner @{records}
chown gitlab-runner: @{records}
# The token is in no argument, and not in this script, which DescribeInstanceAttribute shows.
token=$(aws secretsmanager get-secret-value --region @{region} --output text \
  --query SecretString --secret-id @{token_secret})
cat >/etc/gitlab-runner/config.toml <<END
concurrent = @{limit}
@{runner_config}
END
cat >/etc/gitlab-runner/fargate.toml <<'END'
@{fargate_toml}
END
chown -R gitlab-runner: /etc/gitlab-runner
cat >/etc/systemd/system/gitlab-runner.service <<'END'
[Unit]
Description=GitLab Runner
After=network-online.target
Wants=network-online.target
[Service]
User=gitlab-runner
ExecStart=/usr/local/bin/gitlab-runner run --config /etc/gitlab-runner/config.toml
Restart=always
RestartSec=10
# It finishes its jobs first; the driver's processes go on meanwhile.
KillSignal=SIGQUIT
KillMode=mixed
TimeoutStopSec=2h
[Install]
WantedBy=multi-user.target
END
cat >/etc/systemd/system/fargate-reap.service <<'END'
[Unit]
Description=End Fargate tasks of GitLab CI jobs that are over
[Service]
Type=oneshot
User=gitlab-runner
ExecStart=/opt/gitlab-fargate-driver/bin/fargate --config /etc/gitlab-runner/fargate.toml reap
END
cat >/etc/systemd/system/fargate-reap.timer <<'END'
[Unit]
Description=End Fargate tasks of GitLab CI jobs that are over
[Timer]
OnBootSec=2min
OnUnitActiveSec=10min
[Install]
WantedBy=timers.target
END
chmod 644 /etc/systemd/system/gitlab-runner.service /etc/systemd/system/fargate-reap.*
systemctl daemon-reload
systemctl enable --now gitlab-runner.service fargate-reap.timer
