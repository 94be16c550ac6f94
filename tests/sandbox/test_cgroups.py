"""Groups of slots whose owner is gone are cleared; those of owners that cannot be seen from here are left alone."""
from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.sandbox import cgroups
from assay.sandbox.cgroups import CgroupHome, find_home, remove_stale


@pytest.fixture
def home() -> CgroupHome:
    found = find_home()
    if found is None:
        pytest.skip("no writable cgroups here")
    return found


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def renamed(home: CgroupHome, namespace: int, owner: int, started: int) -> list[Path]:
    """Groups as an owner elsewhere would name them."""
    folders = [folder / f"assay-{namespace}-{owner}-{started}-0-{os.getpid()}" for folder in home.folders.values()]
    for folder in folders:
        folder.mkdir()
    return folders


def test_names_tell_the_owner(home: CgroupHome) -> None:
    group = home.create(0)
    try:
        name = next(iter(group.folders.values())).name
    finally:
        group.remove()
    found = re.fullmatch(r"assay-(\d+)-(\d+)-(\d+)-0-\d+", name)
    assert found and int(found[1]) == os.stat("/proc/self/ns/pid").st_ino
    assert (int(found[2]), int(found[3])) == (os.getpid(), cgroups.start_time(os.getpid()))


@pytest.mark.parametrize("foreign", [False, True], ids=["the same pid namespace", "another pid namespace"])
def test_only_what_is_surely_stale_is_killed(home: CgroupHome, foreign: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner with such a pid and start time is not here: of our namespace it is gone, of another one it may live."""
    monkeypatch.setattr(cgroups, "_REMOVE_S", 60.0)     # the machine of a test may be busy
    with sleeper() as process:
        folders = renamed(home, cgroups._pid_namespace() + foreign, 4_000_000, 1)
        try:
            for folder in folders:
                (folder / "cgroup.procs").write_text(str(process.pid))
            remove_stale(home)
            if not foreign:
                assert process.wait(60) == -signal.SIGKILL
            assert process.poll() == (None if foreign else -signal.SIGKILL)
            assert [folder.exists() for folder in folders] == [foreign] * len(folders)
        finally:
            process.kill()
            process.wait()
            for folder in folders:
                for _ in range(200):
                    if not folder.exists():
                        break
                    try:
                        folder.rmdir()
                    except OSError:
                        time.sleep(0.01)


def test_an_old_empty_group_of_another_namespace_goes(home: CgroupHome, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = renamed(home, cgroups._pid_namespace() + 1, 4_000_000, 2)
    remove_stale(home)
    assert all(folder.exists() for folder in folders)       # it may just be made
    monkeypatch.setattr(cgroups, "_EMPTY_S", -1.0)
    remove_stale(home)
    assert not any(folder.exists() for folder in folders)
