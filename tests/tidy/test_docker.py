"""Containers, as far as they can be checked without an engine for them: nothing named is missing, nothing is open."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Command, Group
from counterfoil_agent import config as agent_config
from counterfoil_engine import config as engine_config
from counterfoil_engine.cli.commands import counterfoil
from counterfoil_engine.work.rules_file import parse_rules

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILES = sorted(path for path in DOCKER.glob("Dockerfile.*") if path.suffix != ".dockerignore")


def test_there_is_an_engine_in_five_roles_a_database_and_an_agent() -> None:
    assert set(SERVICES) == {"postgres", "api", "worker", "poster", "scheduler", "feed", "agent"}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_is_built_in_two_stages_runs_without_root_and_has_a_health_check(path: Path) -> None:
    stages = re.split(r"^FROM ", path.read_text(), flags=re.MULTILINE)[1:]
    assert [stage.split()[0] for stage in stages] == ["python:3.11-slim", "python:3.11-slim"]
    assert re.search(r"^USER 10001$", stages[1], re.MULTILINE)
    assert "HEALTHCHECK" in stages[1]
    assert not re.search(r"^ADD |curl|wget|sudo", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_an_image_copies_is_there_and_not_ignored(path: Path) -> None:
    allowed = path.with_name(path.name + ".dockerignore").read_text().split("\n")
    for line in re.findall(r"^COPY (?!--)(.+)$", path.read_text(), re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists()
            assert f"!{source}" in allowed


@pytest.mark.parametrize("name", SERVICES)
def test_every_secret_comes_from_the_environment_and_none_has_a_default(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if re.search("SECRET|PASSWORD|TOKEN|KEY|DATABASE", variable):
            assert re.search(r"\$\{[A-Z0-9_]+:\?\}", value), variable
    assert "${" not in re.sub(r"\$\{[A-Z0-9_]+:\?\}", "", yaml.dump(SERVICES[name]))


def test_the_example_names_every_variable_and_fills_in_none() -> None:
    wanted = set(re.findall(r"\$\{([A-Z0-9_]+)", (DOCKER / "compose.yaml").read_text()))
    lines = [line for line in (DOCKER / "example.env").read_text().splitlines() if line and not line.startswith("#")]
    assert set(lines) == {f"{variable}=" for variable in wanted}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"postgres"}))
def test_our_own_containers_can_do_no_more_than_they_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "privileged" not in service
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_mounts_depends_on_and_is_built_from_is_there(name: str) -> None:
    service = SERVICES[name]
    for volume in service["volumes"]:
        source = volume.split(":")[0]
        assert (DOCKER / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"]
    for other, how in service.get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert "disable" not in SERVICES[other].get("healthcheck", {})
    if "build" in service:
        assert (ROOT / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", ["api", "worker", "poster", "scheduler"])
def test_a_role_is_one_that_serve_knows(name: str) -> None:
    command, *arguments = SERVICES[name]["command"]
    serve = _command(counterfoil, command)
    context = serve.make_context("serve", arguments)
    assert context.params["role"] == name


def _command(group: Command, name: str) -> Command:
    assert isinstance(group, Group)
    found = group.commands.get(name)
    assert found is not None
    return found


def test_the_settings_and_the_rules_are_read_by_their_real_readers() -> None:
    environment = {"COUNTERFOIL_ERP_TOKEN_DE01": "x" * 32, "COUNTERFOIL_STORE_SECRET_EU1": "y" * 32}
    settings = engine_config.load(DOCKER / "engine.toml", environment)
    rules = parse_rules((DOCKER / "rules.yaml").read_text())
    assert set(settings.erps) == set(rules.entities)
    assert set(settings.store_secrets) == set(rules.stores)
    assert rules.stores["eu1"].switches == {"erp": "preview"}
    agent = agent_config.read(tomllib.loads((DOCKER / "agent.toml").read_text()))
    assert agent.store == "eu1"
    named = {agent.shop.key_env, agent.shop.secret_env, agent.engine.secret_env}
    assert named <= set(SERVICES["agent"]["environment"])
