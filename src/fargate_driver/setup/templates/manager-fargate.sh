umask 077
mkdir -p /etc/gitlab-runner /var/lib/gitlab-runner
cat >/etc/gitlab-runner/config.toml <<END
concurrent = @{limit}
@{runner_config}
END
unset RUNNER_TOKEN
cat >/etc/gitlab-runner/fargate.toml <<'END'
@{fargate_toml}
END
while sleep 600; do
  /opt/gitlab-fargate-driver/bin/fargate --config /etc/gitlab-runner/fargate.toml reap || true
done &
exec gitlab-runner run --config /etc/gitlab-runner/config.toml
