"""Fargate's prices from AWS's price list API.

The API (https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html)
answers with one JSON document per product, as a string. Products of Fargate are told by their
usagetype: a region's short name, then `Fargate-vCPU-Hours:perCPU`, `Fargate-GB-Hours`, the same
with `ARM-`, or `Fargate-EphemeralStorage-GB-Hours`. Spot is not in it.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import botocore.session

from fargate_driver.costs.prices import Price, PriceFileError
from fargate_driver.ecs import answers
from fargate_driver.ecs.credentials import hide
from fargate_driver.ecs.explain import Call, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_ENDPOINT_REGION = "us-east-1"
"""One of the few regions that serve the API, for all of a partition's regions
(https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html)."""
_USAGE = re.compile(
    r"(?:[A-Z0-9]+-)*Fargate-(?:(?P<arm>ARM-)?(?P<what>vCPU-Hours:perCPU|GB-Hours)"
    r"|(?P<storage>EphemeralStorage-GB-Hours))"
)


def fetch(today: str) -> list[Price]:
    """Ask for the prices of Linux tasks in all regions.

    Args:
        today: the date to note in them.

    Raises:
        PriceFileError: the API can't be asked, or its answer holds no price.
    """
    sent: list[bool] = []
    try:
        found = parse(_documents(lambda **_: sent.append(True)), today)
    except Exception as e:  # botocore's parsers raise anything at odd answers
        call = Call("pricing:GetProducts", 0.0, 0.0, bool(sent), ())
        raise PriceFileError(
            f"AWS's price list can't be read: {explain(e, call)[0]}; credentials with the right"
            " pricing:GetProducts are needed"
        ) from e
    if not found:
        raise PriceFileError("AWS's price list holds no price of Fargate: nothing was written")
    return found


def _documents(on_send: Callable[..., None]) -> Iterator[str]:
    session = hide(botocore.session.Session())
    client = session.create_client("pricing", region_name=_ENDPOINT_REGION)
    client.meta.events.register("before-send", on_send)
    pages = client.get_paginator("get_products").paginate(
        ServiceCode="AmazonECS",
        Filters=[{"Type": "TERM_MATCH", "Field": "productFamily", "Value": "Compute"}],
    )
    for page in pages:
        answers.check(client, "GetProducts", page)
        yield from page["PriceList"]


def parse(documents: Iterable[str], today: str) -> list[Price]:
    """Find Fargate's prices in the documents of GetProducts.

    Args:
        documents: one JSON text per product; those that mean something else are left out.
        today: the date to note in the prices.
    """
    amounts: dict[tuple[str, str], Decimal] = {}
    for region, name, amount in _amounts(documents):
        amounts[region, name] = amount
    found = []
    for region in sorted({region for region, _ in amounts}):
        for architecture in ("X86_64", "ARM64"):
            vcpu = amounts.get((region, f"{architecture} vCPU-Hours:perCPU"))
            memory = amounts.get((region, f"{architecture} GB-Hours"))
            if vcpu is not None and memory is not None:
                storage = amounts.get((region, "storage"))
                source = "AWS's price list API (GetProducts)"
                found.append(
                    Price(region, architecture, False, vcpu, memory, storage, source, today)
                )
    return found


def _amounts(documents: Iterable[str]) -> Iterator[tuple[str, str, Decimal]]:
    for text in documents:
        try:
            document = json.loads(text)
            attributes = document["product"]["attributes"]
            usage = _USAGE.fullmatch(attributes["usagetype"])
            if usage and (amount := _on_demand(document)) is not None:
                architecture = "ARM64" if usage["arm"] else "X86_64"
                name = "storage" if usage["storage"] else f"{architecture} {usage['what']}"
                yield attributes["regionCode"], name, amount
        except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation):
            continue


def _on_demand(document: dict[str, Any]) -> Decimal | None:
    """The one price on demand, in US dollars; None where there is none, or more than one."""
    prices = [
        dimension["pricePerUnit"]["USD"]
        for offer in document["terms"]["OnDemand"].values()
        for dimension in offer["priceDimensions"].values()
    ]
    return Decimal(prices[0]) if len(prices) == 1 else None
