"""The files in `deploy` name what exists: settings, commands, queues, figures, and the documented proxy."""

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands

from config.env import INTERNAL
from ingestion import metrics as jobs
from ingestion.models import Process
from realtime import metrics as live
from realtime.metrics import Family
from tests.behind import block
from tests.pages import rows
from tests.realtime.client import fresh_hub
from tests.test_docs import settings_read

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text().replace(":?set it in deploy/.env", ""))
RULES = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"][0]["rules"]
UNITS = {path.name: path.read_text() for path in sorted((DEPLOY / "systemd").iterdir())}
OURS = {name: one for name, one in COMPOSE["services"].items() if one["image"] == "headway"}


def processes() -> dict[str, list[list[str]]]:
    """Return the commands that each of the two ways starts, as often as it starts them."""
    composed = [
        one["command"] for one in OURS.values() for _ in range(one.get("deploy", {}).get("replicas", 1))
    ]
    started = []
    for name, instance in re.findall(r"(headway-\w+)@(\w+)\.service", UNITS["headway.target"]):
        (line,) = re.findall(
            r"^ExecStart=\S+/python manage.py (.+)$", UNITS[f"{name}@.service"], re.MULTILINE
        )
        started.append(line.replace("%i", instance).split())
    return {"compose": [one for one in composed if one[0] != "migrate"], "systemd": started}


@pytest.mark.parametrize("way", ["compose", "systemd"])
def test_both_ways_start_every_process_that_there_must_be(way: str) -> None:
    started = processes()[way]
    assert sum(one[0] == "serve" for one in started) == 2
    assert sum(one[0] == "keeper" for one in started) == 2
    queues = [one[one.index("--queue") + 1] for one in started if one[0] == "worker"]
    assert set(queues) == set(settings.QUEUES) and queues.count("default") == 3
    assert {one[0] for one in started} <= set(get_commands())


def test_only_settings_that_somebody_reads_are_set() -> None:
    texts = [path.read_text() for path in DEPLOY.rglob("*") if path.is_file()]
    texts += [(ROOT / "docs" / name).read_text() for name in ("install.md", "operate.md")]
    named = set(re.findall(r"\b(?:HEADWAY_[A-Z_]+[A-Z]|DATABASE_URL|REDIS_URL)\b", "\n".join(texts)))
    assert named <= settings_read() | set(INTERNAL)
    example = (DEPLOY / "headway.env.example").read_text()
    assert "HEADWAY_PROFILE=production" in example
    assert re.search(r"^HEADWAY_SECRET_KEY=$", example, re.MULTILINE), "nobody may share a key"


@pytest.mark.parametrize("way", ["compose", "systemd"])
def test_production_starts_with_what_is_written_there(way: str, tmp_path: Path) -> None:
    lines = (DEPLOY / "headway.env.example").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    env |= {"HEADWAY_SECRET_KEY": secrets.token_urlsafe(50), "HEADWAY_DATA": str(tmp_path)}
    if way == "compose":
        env |= COMPOSE["services"]["web-1"]["environment"]
    else:
        page = (ROOT / "docs" / "install.md").read_text()
        env |= dict(re.findall(r"`(DATABASE_URL|REDIS_URL)` \(`([^`]+)`\)", page))
        env |= dict(re.findall(r"`(HEADWAY_TRUSTED_PROXIES)=([^`]+)`", page))
    command = [sys.executable, "-c", "import config.settings as s; print(s.env.problems, s.PROFILE)"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("[] production\n", 0), done.stderr


def test_health_is_asked_for_under_a_name_that_is_allowed() -> None:
    example = (DEPLOY / "headway.env.example").read_text()
    (allowed,) = re.findall(r"^HEADWAY_ALLOWED_HOSTS=(.+)$", example, re.MULTILINE)
    asked = "\n".join(COMPOSE["services"]["web-1"]["healthcheck"]["test"])
    asked += (ROOT / "docs" / "install.md").read_text()
    assert {"127.0.0.1"} == set(re.findall(r"http://([\w.]+):", asked)) <= set(allowed.split(","))
    page = (ROOT / "docs" / "proxy.md").read_text()
    (allowed,) = re.findall(r"^    HEADWAY_ALLOWED_HOSTS=(.+)$", page, re.MULTILINE)
    (balanced,) = re.findall(r"^\treverse_proxy (.+) \{\n(?:.+\n)*\t\thealth_uri", page, re.MULTILINE)
    asked = "http://" + " http://".join(balanced.split()) + page
    assert {"127.0.0.1"} == set(re.findall(r"http://([\w.]+):", asked)) <= set(allowed.split(","))


def test_nothing_runs_as_root_and_every_image_is_one_version() -> None:
    docker = (DEPLOY / "Dockerfile").read_text()
    assert re.findall(r"^USER (.+)$", docker, re.MULTILINE) == ["headway"]
    assert "--require-hashes" in docker
    images = re.findall(r"^FROM (\S+)", docker, re.MULTILINE)
    images += [one["image"] for one in COMPOSE["services"].values() if one["image"] != "headway"]
    assert all(re.search(r":\d+(\.\d+)+(-\w+)+$", image) for image in images), images
    for name, one in OURS.items():
        assert one["read_only"] and one["cap_drop"] == ["ALL"], name
    for name, text in UNITS.items():
        if name.endswith(".service"):
            assert "\nUser=headway\n" in text and "\nNoNewPrivileges=yes\n" in text, name


def test_each_process_knows_its_role() -> None:
    roles = {"serve": "web", "worker": "worker", "keeper": "keeper"}
    for name, one in OURS.items():
        if one["command"][0] in roles:
            assert one["environment"]["HEADWAY_ROLE"] == roles[one["command"][0]], name
            assert one["environment"].keys() >= {"DATABASE_URL", "REDIS_URL"}, name
    for name, text in UNITS.items():
        for command in re.findall(r"manage.py (\w+)", text):
            assert f"HEADWAY_ROLE={roles[command]} " in text, name


def test_nginx_is_the_one_of_the_proxys_page() -> None:
    addresses = [
        COMPOSE["services"][name]["networks"]["default"]["ipv4_address"] for name in ("web-1", "web-2")
    ]
    text = block("nginx").replace("127.0.0.1:8000", f"{addresses[0]}:8000")
    text = text.replace("127.0.0.1:8001", f"{addresses[1]}:8000").replace(
        "server_name headway.example", "server_name _"
    )
    text = text.replace("/etc/ssl/headway.example", "/etc/ssl/headway/site")
    assert (DEPLOY / "nginx.conf").read_text().partition("\n")[2] == text
    subnet = COMPOSE["networks"]["default"]["ipam"]["config"][0]["subnet"]
    assert all(one["environment"]["HEADWAY_TRUSTED_PROXIES"] == subnet for one in OURS.values())


Labels = dict[str, set[str]]
FROM_PROMETHEUS = {"instance", "job"}


def exposed(families: list[Family]) -> dict[str, Labels]:
    """Return the names that `/metrics` shows, with their labels and what these say."""
    found: dict[str, Labels] = {}
    for family in families:
        if not family.samples:
            found[f"headway_{family.name}"] = {}
        for sample in family.samples:
            labels = found.setdefault(f"headway_{family.name}{sample.suffix}", {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def wrong(expr: str, known: dict[str, Labels]) -> list[str]:
    """Return what an expression asks for and nobody tells: names, labels, what labels say."""
    found, labels = [], set(FROM_PROMETHEUS)
    for name, matchers in re.findall(r"\b(headway_\w+)(?:\{([^}]*)\})?", expr):
        if name not in known:
            found.append(name)
            continue
        labels |= known[name].keys()
        for label, value in re.findall(r'(\w+)="([^"]*)"', matchers):
            if value not in known[name].get(label, ()):
                found.append(f'{name}{{{label}="{value}"}}')
    for grouped in re.findall(r"\bby \(([^)]*)\)", expr):
        found += [label for label in re.findall(r"\w+", grouped) if label not in labels]
    return found


def make_something_of_everything(alice: Any) -> None:
    """Make rows of which there are figures with labels."""
    rows.job(alice, "pending")
    probed = {"median_ms": 20, "most_ms": 30}
    rows.job(alice, "completed", object=jobs.PROBED, result=probed)
    for role, queue in (("keeper", ""), ("web", ""), ("worker", "default")):
        Process.objects.create(name=role, role=role, host="h", pid=1, queue=queue)


@pytest.mark.django_db(transaction=True)
async def test_rules_and_dashboard_ask_for_figures_that_exist(alice: Any) -> None:
    from tests.realtime.client import in_database

    await in_database(make_something_of_everything, alice)
    async with fresh_hub() as hub:
        families = [*live.figures(hub), *live.process()]
    families += await in_database(lambda: list(jobs.figures()))
    own = ("headway_database_up", "headway_redis_up", "headway_requests_failed_total")  # of config.metrics
    known = exposed(families) | {name: {} for name in own}
    board = json.loads((DEPLOY / "grafana.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked += [rule["expr"] for rule in RULES]
    assert {expr: faults for expr in asked if (faults := wrong(expr, known))} == {}
    assert len(asked) > 30
    for bad in ("headway_no", 'headway_processes{role="kept"}', "sum by (colour) (headway_jobs_open)"):
        assert len(wrong(bad, known)) == 1, bad


def test_what_a_rule_says_names_labels_that_are_left() -> None:
    for rule in RULES:
        said = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        kept = set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", rule["expr"]))))
        summed = re.match(r"(max|min|sum)\b", rule["expr"])
        assert said <= (kept if summed else FROM_PROMETHEUS), rule["alert"]


def test_every_rule_says_what_to_do() -> None:
    page = (ROOT / "docs" / "operate.md").read_text()
    told = re.findall(r"^### (\w+)$", page, re.MULTILINE)
    assert told == [rule["alert"] for rule in RULES]
    assert all(
        rule["annotations"]["summary"] and rule["labels"]["severity"] in ("page", "ticket") for rule in RULES
    )
    for command in re.findall(r"\./run ([a-z_]+)", page + (ROOT / "docs" / "install.md").read_text()):
        assert command in {*get_commands(), "help"}, command
