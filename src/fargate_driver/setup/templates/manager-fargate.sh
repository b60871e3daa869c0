umask 077
# With the records there, if none yet, `fargate reap` ends what a manager before this one left.
mkdir -p /etc/gitlab-runner @{records}
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
