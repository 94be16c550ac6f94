"""What this machine has for sandboxing, found out by trying it: `diagnose()`, which `assay doctor` prints.

Each finding is a `Check`: what was tried, what came of it, and where it is not `ok`, what that means and how to get it. `missing` means
that the backend cannot run without it; `warn` that it runs with less. Nothing is changed on the machine, and nothing raises.
"""
from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core.errors import FaultError, SandboxUnavailable
from .daemon import address, connect
from .execution import Compiled, CompileFailed, Ended, Job, Outcome, RunLimits, TestRun
from .image import find_image
from .languages import languages
from .slots import PoolConfig, SandboxPool

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["Check", "Diagnosis", "diagnose"]

State = Literal["ok", "warn", "missing"]
DAEMON_TIMEOUT_S = 30
PROBE_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `area` is `docker` or `local`; `advice` is empty where `state` is `ok`."""

    area: str
    name: str
    state: State
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, and for each backend the isolation in force, one line; None where it cannot run."""

    checks: tuple[Check, ...]
    levels: Mapping[str, str | None]

    @property
    def chosen(self) -> str | None:
        """The backend that `auto` takes here."""
        return next((name for name in ("docker", "local") if self.levels.get(name)), None)

    @property
    def summary(self) -> str:
        """One line: what `--sandbox auto` gives on this machine."""
        if self.chosen is None:
            return "no sandbox can run here: see what is missing above"
        return f"--sandbox auto uses {self.chosen}: {self.levels[self.chosen]}"

    def to_dict(self) -> dict[str, Any]:
        return {"checks": [asdict(check) for check in self.checks], "levels": dict(self.levels), "chosen": self.chosen,
                "summary": self.summary}


def diagnose(*, image: str | None = None, runtime: str | None = None) -> Diagnosis:
    """Try what each backend needs, then start a slot of each and run a program in it. Takes a few seconds.

    `image` and `runtime` as in `PoolConfig`: other than the default ones to look at.
    """
    checks: list[Check] = []
    levels: dict[str, str | None] = {}
    areas: tuple[tuple[Literal["docker", "local"], Iterator[Check]], ...] = (("docker", _docker(image, runtime)), ("local", _local()))
    for area, parts in areas:
        mine = list(parts)
        levels[area] = None
        if not any(check.state == "missing" for check in mine):
            trial, levels[area] = _trial(area, image, runtime)
            mine += trial
        checks += mine
    return Diagnosis(checks=tuple(checks), levels=levels)


# ---- docker

def _docker(image: str | None, runtime: str | None) -> Iterator[Check]:
    try:
        client = connect(DAEMON_TIMEOUT_S)
    except SandboxUnavailable as error:
        yield Check("docker", "daemon", "missing", str(error), "Debian: apt install docker.io, then start dockerd")
        return
    with closing(client):
        yield from _daemon(client, runtime)
        try:
            yield Check("docker", "image", "ok", _image(client, find_image(client, image)))
        except SandboxUnavailable as error:
            yield Check("docker", "image", "missing", str(error), "assay sandbox build")


def _daemon(client: DockerClient, runtime: str | None) -> Iterator[Check]:
    info = client.info()
    yield Check("docker", "daemon", "ok", f"version {info.get('ServerVersion', '?')} at {address()}")
    found = f"v{info.get('CgroupVersion', '1')}, driver {info.get('CgroupDriver', '?')}"
    lacks = [name for key, name in (("MemoryLimit", "memory"), ("SwapLimit", "swap"), ("PidsLimit", "pids")) if not info.get(key, True)]
    if lacks:
        yield Check("docker", "cgroup", "missing", f"{found}; no limit for {', '.join(lacks)}",
                    "without it a program can take the machine's memory or process table; boot with cgroup_enable=memory swapaccount=1")
    else:
        yield Check("docker", "cgroup", "ok", found)
    yield Check("docker", "storage", "ok", str(info.get("Driver", "?")))
    if any("seccomp" in option for option in info.get("SecurityOptions") or ()):
        yield Check("docker", "seccomp", "ok", "the daemon applies profiles")
    else:
        yield Check("docker", "seccomp", "warn", "the daemon has none", "the slots fall back to the agent's own filter; "
                    "a daemon built with libseccomp has both")
    runtimes = sorted(name for name in info.get("Runtimes") or () if not name.startswith("io.containerd."))
    default = info.get("DefaultRuntime", "?")
    if runtime is not None and runtime not in runtimes:
        yield Check("docker", "runtime", "missing", f"{runtime} is not among {', '.join(runtimes)}",
                    f"register {runtime} in the daemon's configuration (runtimes), or choose another")
    else:
        yield Check("docker", "runtime", "ok", f"{runtime or default} of {', '.join(runtimes)}")


def _image(client: DockerClient, name: str) -> str:
    labels = client.images.get(name).labels
    return f"{name}, languages {labels.get('assay.languages', 'unknown').replace(',', ', ')}"


# ---- local

def _local() -> Iterator[Check]:
    if sys.platform != "linux":
        yield Check("local", "kernel", "missing", platform.system(), "the local backend needs Linux; use docker here")
        return
    yield Check("local", "kernel", "ok", f"Linux {platform.release()} on {platform.machine()}")
    root = os.geteuid() == 0
    if root:
        yield Check("local", "user", "ok", "root: every slot has users of its own")
    else:
        yield Check("local", "user", "warn", f"uid {os.geteuid()}",
                    "programs run in a user namespace without users of their own and without cgroups; run as root for the full level")
    found = _probe()
    names = ("mount", "pid", "net", "ipc", "uts") if root else ("user", "mount", "pid", "net", "ipc", "uts")
    refused = [f"{name} ({found.get(name, 'not tried')})" for name in names if found.get(name) != "ok"]
    if refused:
        yield Check("local", "namespaces", "missing", f"refused: {', '.join(refused)}",
                    "in a container: run it privileged, or use docker outside; on a host: sysctl kernel.unprivileged_userns_clone=1, "
                    "user.max_user_namespaces above 0, kernel.apparmor_restrict_unprivileged_userns=0")
    else:
        yield Check("local", "namespaces", "ok", ", ".join(names))
    for name, meaning in (("pivot_root", "programs would see this machine's files"), ("proc", "programs would see other processes"),
                          ("seccomp", "programs could use every system call")):
        result = found.get(name, "failed")
        yield Check("local", name, "ok", "works") if result == "ok" else Check("local", name, "missing", result, f"without it {meaning}")
    abi = found.get("landlock", "failed")
    yield Check("local", "landlock", "ok", f"ABI {abi}") if abi.isdigit() else Check(
        "local", "landlock", "warn", abi, "a second wall around files is missing; kernels from 5.13 with lsm=landlock have it")
    yield _cgroups()


def _probe() -> dict[str, str]:
    """What probe.py found, in a child of its own; empty if it could not run."""
    command = [sys.executable, "-I", str(Path(__file__).with_name("probe.py"))]
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL)
        found = json.loads(done.stdout)
        return {str(key): str(value) for key, value in found.items()}
    return {}


def _cgroups() -> Check:
    """Whether a cgroup can be made below this process's own, or at the top, with the controllers that limits need."""
    made: list[str] = []
    refused: list[str] = []
    for name, folders in _cgroup_folders().items():
        (made if any(_makes_cgroup(folder) for folder in folders) else refused).append(name)
    if made and not refused:
        return Check("local", "cgroup", "ok", f"writable: {', '.join(made)}")
    found = f"not writable: {', '.join(refused)}" if refused else "no cgroup file system"
    return Check("local", "cgroup", "warn", found, "memory and processes are then bounded by rlimits and by watching; run as root, or have "
                 "a cgroup delegated (systemd-run --user --scope -p Delegate=yes)")


def _cgroup_folders() -> dict[str, tuple[Path, ...]]:
    """Controller -> folders where a slot's cgroup could be made, best first."""
    mounts: dict[str, Path] = {}
    for line in _lines(Path("/proc/self/mountinfo")):
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.partition(" ")
        where = Path(fields.split()[4])
        if kind == "cgroup2":
            mounts["v2"] = where
        elif kind == "cgroup":
            mounts |= {name: where for name in options.split()[-1].split(",") if name in ("memory", "pids")}
    out: dict[str, tuple[Path, ...]] = {}
    for line in _lines(Path("/proc/self/cgroup")):
        _, names, own = line.split(":", 2)
        for name in names.split(",") if names else ["v2"]:
            if name in mounts and (name != "v2" or "memory" not in mounts):
                out[name] = (mounts[name] / own.lstrip("/"), mounts[name])
    return out


def _makes_cgroup(parent: Path) -> bool:
    folder = parent / f"assay-doctor-{os.getpid()}"
    try:
        folder.mkdir()
        folder.rmdir()
    except OSError:
        return False
    return True


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


# ---- both: a slot that runs a program

_TRIAL = b"""import json, shutil
print(json.dumps([name for name in json.loads(input()) if shutil.which(name) is None]))
"""
"""Says which of the binaries it is given are absent where it runs."""
_LIMITS = RunLimits(cpu_s=10, wall_s=20, memory_bytes=256 << 20, output_bytes=1 << 16, processes=16, file_bytes=1 << 20)
_TRIAL_TIMEOUT_S = 300
_GET = {"docker": "assay sandbox build --languages all", "local": "apt install what the file in sandbox/languages/ names under `needs`"}


def _trial(backend: Literal["docker", "local"], image: str | None, runtime: str | None) -> tuple[list[Check], str | None]:
    """A slot is started and runs a program, which looks for the languages. Returns the findings and, if it worked, the isolation."""
    started = time.perf_counter()
    try:
        level, absent = asyncio.run(_run_trial(backend, image, runtime))
    except (FaultError, OSError, TimeoutError) as error:
        return [Check(backend, "slot", "missing", " ".join(str(error).split()) or type(error).__name__,
                      "the parts above are there and a slot still does not run a program")], None
    took = time.perf_counter() - started
    unique = {language.name: language for language in languages().values()}.values()
    there = [language.name for language in unique if not absent & set(language.needs)]
    lacks = [f"{language.name} ({', '.join(sorted(absent & set(language.needs)))})" for language in unique if language.name not in there]
    found = ", ".join(there) + (f"; absent: {', '.join(lacks)}" if lacks else "")
    return [Check(backend, "slot", "ok", f"started and ran a program in {took:.2f} s"),
            Check(backend, "languages", "warn" if lacks else "ok", found, _GET[backend] if lacks else "")], level


async def _run_trial(backend: Literal["docker", "local"], image: str | None, runtime: str | None) -> tuple[str, set[str]]:
    needs = sorted({name for language in languages().values() for name in language.needs})
    job = Job(source=_TRIAL, language="python", mode="stdin", tests=(TestRun(data=json.dumps(needs).encode()),), limits=_LIMITS)
    pool = SandboxPool(PoolConfig(backend=backend, slots=1, image=image, runtime=runtime))
    try:
        async with asyncio.timeout(_TRIAL_TIMEOUT_S):
            await pool.start()
            said = [item async for item in pool.execute(job)]
            return pool.level, _absent(said)
    finally:
        await pool.close()


def _absent(said: Sequence[Compiled | CompileFailed | Outcome]) -> set[str]:
    match said:
        case [Compiled(), Outcome(ended=Ended.EXITED, exit_code=0, stdout=text)]:
            with suppress(ValueError):
                return set(json.loads(text))
    raise SandboxUnavailable(f"a slot did not run a simple program: {said!r}"[:300])
