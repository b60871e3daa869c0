# GitLab CI jobs on Fargate, by `fargate init` of gitlab-fargate-driver.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.26"
    }
  }
}

provider "aws" {
  region              = "@{region}"
  allowed_account_ids = ["@{account}"]
}

resource "aws_ecs_cluster" "ci" {
  name = "@{cluster}"
}

resource "aws_ecs_cluster_capacity_providers" "ci" {
  cluster_name       = aws_ecs_cluster.ci.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]

  default_capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = 1
  }
}

# Tasks let nobody in but the manager, and only to their SSH servers.
resource "aws_security_group" "tasks" {
  description = "Tasks of GitLab CI jobs"
  vpc_id      = "@{vpc}"
}

resource "aws_security_group" "manager" {
  description = "The host of gitlab-runner"
  vpc_id      = "@{vpc}"
}

resource "aws_vpc_security_group_ingress_rule" "tasks_from_manager" {
  security_group_id = aws_security_group.tasks.id
  description       = "SSH from the manager"
  ip_protocol       = "tcp"
  from_port         = @{first_port}
  to_port           = @{last_port}
@if ssh
  cidr_ipv4         = "@{manager_cidr}"
@end
@if !ssh

  referenced_security_group_id = aws_security_group.manager.id
@end
}

resource "aws_vpc_security_group_egress_rule" "tasks" {
  security_group_id = aws_security_group.tasks.id
  description       = "Jobs reach what they need"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "manager" {
  security_group_id = aws_security_group.manager.id
  description       = "GitLab, AWS and the tasks"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_cloudwatch_log_group" "ci" {
  name              = "/gitlab-fargate/@{cluster}"
  retention_in_days = 30
}
@if repository

resource "aws_ecr_repository" "helper" {
  name         = "@{repository}"
  force_delete = true
}
@end

# By this role ECS pulls images and writes logs. Add the ECR repositories of your own images.
resource "aws_iam_role" "execution" {
  name = "@{execution_role}"
  assume_role_policy = jsonencode(
    @{trust_tasks}
  )
}

resource "aws_iam_role_policy" "execution" {
  name = "pull-and-log"
  role = aws_iam_role.execution.id
  policy = jsonencode(
    @{execution_policy}
  )
}

@if images
# What jobs' images don't bring: roles, size and logs of every job come from here.
@end
@if !images
# What jobs run in.
@end
resource "aws_ecs_task_definition" "job" {
  family                   = "@{task_definition}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 1024
  memory                   = 2048
  execution_role_arn       = aws_iam_role.execution.arn
@if task_role
  task_role_arn            = "@{task_role}"
@end
  container_definitions = jsonencode([
    {
      name            = "ci-coordinator"
      image           = "@{job_image}"
      essential       = true
      linuxParameters = { initProcessEnabled = true }
@if !images
      portMappings    = [{ containerPort = @{first_port} }]
@end
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          "awslogs-group"         = aws_cloudwatch_log_group.ci.name
          "awslogs-region"        = "@{region}"
          "awslogs-stream-prefix" = "jobs"
        }
      }
    }
  ])
}

# What the driver may do; the same as policy.json.
resource "aws_iam_policy" "manager" {
  name_prefix = "@{cluster}-manager-"
  description = "Start, watch and stop tasks of GitLab CI jobs"
  policy = jsonencode(
    @{policy}
  )
}
@if hosted

resource "aws_iam_role" "manager" {
  name_prefix = "gitlab-fargate-manager-"
  assume_role_policy = jsonencode(
    @{trust_manager}
  )
}

resource "aws_iam_role_policy_attachment" "manager" {
  role       = aws_iam_role.manager.name
  policy_arn = aws_iam_policy.manager.arn
}
@end
@if ec2

resource "aws_iam_role_policy" "manager_token" {
  name = "read-token"
  role = aws_iam_role.manager.id
  policy = jsonencode(
    @{token_policy}
  )
}

# A terminal by Session Manager, in place of SSH keys and an open port.
resource "aws_iam_role_policy" "manager_session" {
  name = "session-manager"
  role = aws_iam_role.manager.id
  policy = jsonencode(
    @{session_policy}
  )
}

resource "aws_iam_instance_profile" "manager" {
  name_prefix = "gitlab-fargate-manager-"
  role        = aws_iam_role.manager.name
}

data "aws_ssm_parameter" "manager_image" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
}

# The manager; its memory holds @{limit} jobs that start at the same time. A change of it leaves the one
# that runs as it is: terminate it to get one anew.
resource "aws_launch_template" "manager" {
  image_id      = data.aws_ssm_parameter.manager_image.insecure_value
  instance_type = "@{instance_type}"

  iam_instance_profile {
    arn = aws_iam_instance_profile.manager.arn
  }

  network_interfaces {
    device_index    = 0
    security_groups = [aws_security_group.manager.id]
@if public

    associate_public_ip_address = true
@end
  }

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      encrypted   = true
      volume_type = "gp3"
      volume_size = 16
    }
  }

  user_data = base64encode(<<EOT
@{manager_script}
EOT
  )
}

resource "aws_autoscaling_group" "manager" {
  # Never two at once: they would be one runner. So one ends before the next one begins, also where
  # other subnets or zones make the group replace it.
  min_size            = 1
  max_size            = 1
  vpc_zone_identifier = @{subnets}

  instance_maintenance_policy {
    min_healthy_percentage = 0
    max_healthy_percentage = 100
  }

  launch_template {
    id      = aws_launch_template.manager.id
    version = aws_launch_template.manager.latest_version
  }

  tag {
    key                 = "Name"
    value               = "gitlab-runner for @{cluster}"
    propagate_at_launch = true
  }
}
@end
@if fargate

resource "aws_iam_role" "manager_execution" {
  name_prefix = "gitlab-fargate-manager-"
  assume_role_policy = jsonencode(
    @{trust_tasks}
  )
}

resource "aws_iam_role_policy" "manager_execution" {
  name = "pull-log-and-read-token"
  role = aws_iam_role.manager_execution.id
  policy = jsonencode(
    @{manager_execution_policy}
  )
}

# Its memory holds @{limit} jobs that start at the same time.
resource "aws_ecs_task_definition" "manager" {
  family                   = "@{cluster}-manager"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = @{manager_cpu}
  memory                   = @{manager_memory}
  execution_role_arn       = aws_iam_role.manager_execution.arn
  task_role_arn            = aws_iam_role.manager.arn
  container_definitions = jsonencode([
    {
      name            = "manager"
      image           = "@{manager_image}"
      essential       = true
      stopTimeout     = 120
      linuxParameters = { initProcessEnabled = true }
      secrets         = [{ name = "RUNNER_TOKEN", valueFrom = "@{token_secret}" }]
      entryPoint      = ["/bin/sh", "-ec"]
      command         = [local.manager_script]
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          "awslogs-group"         = aws_cloudwatch_log_group.ci.name
          "awslogs-region"        = "@{region}"
          "awslogs-stream-prefix" = "manager"
        }
      }
    }
  ])
}

locals {
  manager_script = <<EOT
@{manager_script}
EOT
}

resource "aws_ecs_service" "manager" {
  name            = "gitlab-runner"
  cluster         = aws_ecs_cluster.ci.id
  task_definition = aws_ecs_task_definition.manager.arn
  launch_type     = "FARGATE"
  desired_count   = 1

  # Never two at once: they would be one runner.
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100

  # A manager that doesn't start, for want of its image say, ends the deployment in minutes.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = @{subnets}
    security_groups  = [aws_security_group.manager.id]
    assign_public_ip = @{assign_public_ip_tf}
  }
}
@end

output "TasksSecurityGroup" {
  description = "SecurityGroup in fargate.toml"
  value       = aws_security_group.tasks.id
}

output "ManagerSecurityGroup" {
  description = "For the host of gitlab-runner, which it lets reach the tasks"
  value       = aws_security_group.manager.id
}

output "ManagerPolicy" {
  description = "For the role of the host of gitlab-runner"
  value       = aws_iam_policy.manager.arn
}
