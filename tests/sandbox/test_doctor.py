"""The doctor tells what is there and what is missing, and how to get it; it never raises."""
from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from assay.core.errors import SandboxUnavailable
from assay.sandbox import doctor
from assay.sandbox.doctor import Diagnosis, diagnose
from assay.sandbox.execution import Compiled, Ended, Outcome


@pytest.fixture
def no_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


def by_name(found: Diagnosis, area: str) -> dict[str, doctor.Check]:
    return {check.name: check for check in found.checks if check.area == area}


def sound(found: Diagnosis) -> None:
    """What holds of every diagnosis."""
    assert json.loads(json.dumps(found.to_dict()))["chosen"] == found.chosen
    for check in found.checks:
        assert check.found, check
        assert (check.advice == "") == (check.state == "ok"), check
        assert "\n" not in check.found + check.advice, check
    for area in ("docker", "local"):
        runs = found.levels[area] is not None
        assert runs == all(check.state != "missing" for check in found.checks if check.area == area)


@pytest.mark.usefixtures("no_daemon")
@pytest.mark.skipif(sys.platform != "linux", reason="the local backend needs Linux")
def test_without_a_daemon_local_serves() -> None:
    found = diagnose()
    sound(found)
    docker, local = by_name(found, "docker"), by_name(found, "local")
    assert docker["daemon"].state == "missing" and "no Docker daemon answers" in docker["daemon"].found
    assert {"kernel", "user", "namespaces", "pivot_root", "proc", "seccomp", "landlock", "cgroup"} <= set(local)
    if found.levels["local"] is not None:
        assert "python" in local["languages"].found.split(";")[0].split(", ")
        assert found.chosen == "local" and found.summary == f"--sandbox auto uses local: {found.levels['local']}"


@pytest.mark.usefixtures("no_daemon")
def test_without_anything_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_probe", lambda: {})    # as where no child can be started
    found = diagnose()
    sound(found)
    assert found.levels == {"docker": None, "local": None}
    assert found.chosen is None and "no sandbox can run here" in found.summary


@pytest.mark.usefixtures("no_daemon")
@pytest.mark.skipif(sys.platform != "linux", reason="the local backend needs Linux")
@pytest.mark.parametrize(("name", "check"), [("mount", "namespaces"), ("net", "namespaces"), ("pivot_root", "pivot_root"),
                                             ("proc", "proc"), ("seccomp", "seccomp")])
def test_what_the_kernel_refuses_is_missing(monkeypatch: pytest.MonkeyPatch, name: str, check: str) -> None:
    granted = dict.fromkeys(("user", "mount", "pid", "net", "ipc", "uts", "pivot_root", "proc", "seccomp"), "ok") | {"landlock": "1"}
    monkeypatch.setattr(doctor, "_probe", lambda: granted | {name: "EPERM"})
    found = diagnose()
    sound(found)
    assert by_name(found, "local")[check].state == "missing" and "EPERM" in by_name(found, "local")[check].found
    assert found.levels["local"] is None


def test_a_slot_that_answers_otherwise_is_no_slot() -> None:
    assert doctor._absent([Compiled(), Outcome(ended=Ended.EXITED, exit_code=0, stdout=b'["g++"]\n')]) == {"g++"}
    for stdout, code in ((b"", 0), (b"42\n", 1), (b"<html>", 0)):
        with pytest.raises(SandboxUnavailable):
            doctor._absent([Compiled(), Outcome(ended=Ended.EXITED, exit_code=code, stdout=stdout)])


@pytest.mark.docker
def test_with_a_daemon_docker_is_chosen() -> None:
    found = diagnose()
    sound(found)
    docker = by_name(found, "docker")
    assert {"daemon", "cgroup", "storage", "seccomp", "runtime", "image", "slot", "languages"} == set(docker)
    assert found.chosen == "docker"


@pytest.mark.docker
def test_a_runtime_or_image_that_is_absent() -> None:
    found = diagnose(runtime="nonesuch", image="assay-nonesuch:1")
    sound(found)
    docker = by_name(found, "docker")
    assert docker["runtime"].state == docker["image"].state == "missing"
    assert "assay sandbox build" in docker["image"].advice
    assert found.levels["docker"] is None
