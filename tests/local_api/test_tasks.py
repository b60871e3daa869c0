from __future__ import annotations

from local_api.fargate_under_test import (
    NAME,
    Fargate,
    fails,
)


def test_describe_tasks(here: Fargate) -> None:
    ecs = here.client()
    task = here.run()
    unknown = "0" * 32
    answer = ecs.describe_tasks(tasks=[task["taskArn"].rpartition("/")[2], unknown])
    assert [shown["taskArn"] for shown in answer["tasks"]] == [task["taskArn"]]
    arn = f"arn:aws:ecs:eu-west-1:123456789012:task/default/{unknown}"
    assert answer["failures"] == [{"arn": arn, "reason": "MISSING"}]
    invalid = "InvalidParameterException"
    fails(invalid, "Tasks cannot be empty.", ecs.describe_tasks, tasks=[])
    fails(invalid, "100", ecs.describe_tasks, tasks=[unknown] * 101)
    fails(invalid, "[32,36]", ecs.describe_tasks, tasks=["x"])


def test_list_tasks(here: Fargate) -> None:
    ecs = here.client()
    mine = [here.run(startedBy="lister")["taskArn"] for _ in range(3)]
    here.run(startedBy="lister-2")
    assert ecs.list_tasks(startedBy="lister")["taskArns"] == mine
    first = ecs.list_tasks(startedBy="lister", maxResults=2)
    rest = ecs.list_tasks(startedBy="lister", maxResults=2, nextToken=first["nextToken"])
    assert first["taskArns"] + rest["taskArns"] == mine
    assert ecs.list_tasks(family="no")["taskArns"] == []
    assert mine[0] in ecs.list_tasks(family=NAME, launchType="FARGATE")["taskArns"]
    for wrong in ({"maxResults": 101}, {"maxResults": 0}, {"nextToken": "x"}):
        fails("InvalidParameterException", "", ecs.list_tasks, **wrong)


def test_stop_an_unknown_task(here: Fargate) -> None:
    says = "The referenced task was not found."
    fails("InvalidParameterException", says, here.client().stop_task, task="0" * 32)
