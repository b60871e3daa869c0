"""The expressions of the dashboard and the alert rules in docs/monitoring."""

from __future__ import annotations

import json
import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "monitoring"


def expressions() -> list[str]:
    """All of them, of panels first."""
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    panels = [t["expr"] for panel in dashboard["panels"] for t in panel.get("targets", [])]
    text = (FOLDER / "alerts.yml").read_text()
    alerts = re.findall(r"^ +expr: (.*)$", text, re.MULTILINE)
    assert len(alerts) == text.count("- alert: ") >= 4
    return [*panels, *alerts]
