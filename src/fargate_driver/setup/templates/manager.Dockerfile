# gitlab-runner with the driver, for a manager that itself runs on Fargate; by `fargate init`.
FROM debian:bookworm-slim
# gitlab-runner's version, such as v19.4.0.
ARG RUNNER=v@{runner}
# What pip installs the driver from.
ARG DRIVER=@{driver_package}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      ca-certificates curl git openssh-client python3-venv \
 && rm -rf /var/lib/apt/lists/*
RUN curl --fail --silent --show-error --location --retry 5 --output /usr/local/bin/gitlab-runner \
      "https://s3.dualstack.us-east-1.amazonaws.com/gitlab-runner-downloads/$RUNNER/binaries/gitlab-runner-linux-amd64" \
 && chmod 755 /usr/local/bin/gitlab-runner
RUN python3 -m venv /opt/gitlab-fargate-driver \
 && /opt/gitlab-fargate-driver/bin/pip install --no-cache-dir "$DRIVER"
