"""The image, the compose file, manifests and workflows, each read by the field's own linter.

None of them can run here: there is no Docker daemon, no cluster, no runner.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import DEPLOY, ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MANIFESTS = sorted(
    path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.stem != "kustomization"
)


def lint(*command: object) -> None:
    """Runs a linter of this environment, which finds nothing."""
    tool = Path(sys.executable).with_name(str(command[0]))
    words = [str(tool), *map(str, command[1:])]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def resources() -> list[dict[str, Any]]:
    return [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text("utf-8"))]


def pods() -> dict[str, dict[str, Any]]:
    """The pods that the manifests start, by the name of what starts them."""
    found = {}
    for each in resources():
        spec = each.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found[each["metadata"]["name"]] = spec["template"]["spec"]
    return found


def test_the_dockerfile_is_sound() -> None:
    lint("hadolint", DEPLOY / "Dockerfile")


def test_the_image_is_not_run_by_root_and_has_every_extra() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    last = text.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["10001"]
    assert "HEALTHCHECK" in last
    assert "pip install" not in last, "what builds stays behind"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = re.search(r"EXTRA is one of .*?: base \(no server\), (.*?)\.", text.replace("\n#", ""))
    assert named
    assert set(named[1].split(", ")) <= set(project["optional-dependencies"])


def test_what_the_image_copies_is_let_through() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)
        for word in line.split()[:-1]
    }  # fmt: skip
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


def test_compose_reads_its_file() -> None:
    lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_compose_opens_nothing_to_others_and_holds_no_secret() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    for name, service in compose["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert "healthcheck" in service or name in {"app", "migrate"}, name  # the image's own
        mounted = [m.split(":")[0] for m in service.get("volumes", ()) if m.startswith("./")]
        assert all((DEPLOY / place).exists() for place in mounted), name
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    passwords = re.findall(r"://\w+:(.*?)@|PASSWORD: (.*)", text)
    assert passwords
    assert all("".join(found).startswith("${POSTGRES_PASSWORD:?") for found in passwords)
    ignored = (ROOT / ".gitignore").read_text("utf-8")
    for secret in compose["secrets"].values():
        assert "/deploy/secrets/" in ignored
        assert secret["file"].startswith("./secrets/")


def test_kubernetes_reads_each_manifest() -> None:
    lint("kubernetes-validate", "--strict", *MANIFESTS)


def test_the_kustomization_names_every_manifest() -> None:
    path = DEPLOY / "kubernetes" / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text("utf-8"))
    assert set(kustomization["resources"]) == {path.name for path in MANIFESTS}
    names = {each["name"] for each in kustomization["images"]}
    assert {c["image"] for pod in pods().values() for c in pod["containers"]} == names


@pytest.mark.parametrize("name", pods())
def test_each_pod_is_confined_and_bounded(name: str) -> None:
    pod = pods()[name]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) >= {"cpu", "memory"}
        assert set(container["resources"]["limits"]) >= {"cpu", "memory"}
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}


def test_how_many_pods_there_are_is_said_in_one_place() -> None:
    """A number in a manifest would undo what the autoscaler did, with each apply."""
    scaled = {
        each["spec"]["scaleTargetRef"]["name"]
        for each in resources() if each["kind"] == "HorizontalPodAutoscaler"
    }  # fmt: skip
    assert scaled
    for each in resources():
        if each["kind"] == "Deployment" and each["metadata"]["name"] in scaled:
            assert "replicas" not in each["spec"]


def test_a_pod_that_ends_still_answers_until_nobody_sends_to_it() -> None:
    pod = pods()["mlfolio"]
    command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert command[0] == "sleep"
    assert 0 < int(command[1]) < pod["terminationGracePeriodSeconds"] / 2


def test_rows_are_brought_to_where_the_watch_learns_from() -> None:
    """Whatever has the runs' volume may reach MLflow, which asks who it is by its label."""
    claims = {
        name: {
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["volumes"] if "persistentVolumeClaim" in volume
        }
        for name, pod in pods().items()
    }  # fmt: skip
    with_runs = {name for name, claimed in claims.items() if "mlfolio-runs" in claimed}
    assert with_runs == {"mlfolio-watch", "mlfolio-ingest"}
    (asking,) = [
        each["spec"]["ingress"][0]["from"][0]["podSelector"]["matchExpressions"][0]["values"]
        for each in resources()
        if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] == "mlflow"
    ]
    assert with_runs < set(asking)


def test_the_watchs_rules_can_be_read(tmp_path: Path) -> None:
    from mlfolio.monitor.policy import read_policies

    (rules,) = [each["data"]["policy.yaml"] for each in resources()
                if each["metadata"]["name"] == "mlfolio-policy"]  # fmt: skip
    (tmp_path / "policy.yaml").write_text(rules, "utf-8")
    for path in (tmp_path / "policy.yaml", DEPLOY / "policy.yaml"):
        assert set(read_policies(path)) == {"iris"}, "what docs/deploy.md trains first"


def test_compose_watches_where_its_alerts_are_told() -> None:
    """By rules that are mounted, among the server's runs, with what the image has."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
    command = services["app"]["command"]
    assert command[0] == "serve"
    rules = command[command.index("--watch") + 1]
    assert f"./policy.yaml:{rules}:ro" in services["app"]["volumes"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert any(each.startswith("apscheduler") for each in project["optional-dependencies"]["serve"])


def test_the_documents_name_the_alerts_that_are_mute_in_a_cluster() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text("utf-8"))
    of_loop = {
        rule["alert"] for group in rules["groups"] for rule in group["rules"]
        if re.search(r"mlfolio_(alarm|retrainings|looked)", rule["expr"])
    }  # fmt: skip
    assert len(of_loop) == 6
    deployment = (ROOT / "docs" / "deploy.md").read_text("utf-8").partition("**Mute alerts.**")[2]
    runbook = (ROOT / "docs" / "runbook.md").read_text("utf-8").partition("\n## ")[0]
    for page in (deployment, runbook):
        assert set(re.findall(r"Mlfolio\w+", page)) == of_loop


def test_selectors_find_their_pods() -> None:
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in resources() if each["kind"] == "Deployment"
    }  # fmt: skip
    for each in resources():
        if each["kind"] == "Service":
            assert each["spec"]["selector"] == labels[each["metadata"]["name"]]
        if each["kind"] == "HorizontalPodAutoscaler":
            assert each["spec"]["scaleTargetRef"]["name"] in labels


def test_verbs_that_containers_run_exist() -> None:
    from mlfolio.cli import app

    known = {command.name for command in app.registered_commands}
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
    run = [pod["containers"][0].get("args") for pod in pods().values()]
    run += [compose[name]["command"] for name in ("migrate", "app")]
    for arguments in filter(None, run):
        assert arguments[0] in known


def test_github_reads_the_workflows() -> None:
    lint("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)


def test_the_workflows_are_safe() -> None:
    lint("zizmor", "--offline", "--no-progress", ROOT / ".github")


def test_each_action_is_pinned_by_its_commit() -> None:
    for path in WORKFLOWS:
        for used in re.findall(r"uses: (.*)", path.read_text("utf-8")):
            assert re.fullmatch(r"\./[\w./]+(  #.*)?|[\w/-]+@[0-9a-f]{40}  # v[\d.]+", used), (
                path.name,
                used,
            )


def test_what_continuous_integration_runs_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_yaml_is_tidy() -> None:
    lint("yamllint", "--strict", "-c", ".yamllint.yaml", "deploy", ".github")
