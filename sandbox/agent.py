"""The agent: pid 1 of every slot. One file, standard library only, Python >= 3.9; the host sends its source (sandbox/protocol.py, BOOT).

    host <== frames ==> agent (trusted: holds inputs in sealed memfds, never in its heap)
                          |  one packet a run: limits, descriptors
                        fork server (warm interpreter, holds nothing)  --clone(CLONE_PARENT)-->  program, the agent's own child
                          |  from a job's third run on
                        the job's fork server (has its code)           --clone(CLONE_PARENT)-->  program

A run: the fork server clones itself; the clone takes the run's descriptors as 0, 1 and 2, closes all others, lowers its limits, becomes
the run's user and plays the program. The agent waits on a pidfd (and listens to the host), judges the limits, kills every process of
the run's user, reaps all, empties the folders and answers. Sources are compiled in such a clone too, never in the agent.

What a run costs is pages: some 2 microseconds for each that the clone is the first to write to. So what can be done before is done by the
fork servers (`warm_up`, `share_code`, `serve_job`), and what need not be Python is C (`SPAWNER`).

Who is whose child: the fork server has exit signal 0, so `wait4(-1)` without __WALL sees only orphans of the program, and its ECHILD
means that none is left. Programs get the signal 0 too (CLONE_PARENT copies it) until they exec; both are waited for by pid with __WALL.
"""
from __future__ import annotations

import _socket
import _thread
import ast
import atexit
import binascii
import builtins
import collections
import ctypes
import errno
import fcntl
import gc
import io
import json
import marshal
import mmap
import operator
import os
import re
import resource
import select
import signal
import stat
import struct
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import is_
from typing import Any, NoReturn, Optional

Head = dict[str, Any]
Part = tuple[int, int, int]             # a descriptor, the first byte, the number of bytes
Built = tuple[bool, str, str, "Run", Optional["Blob"]]      # ok, reason, message, accounts, artifact

globals().update((name, value) for name, value in vars(builtins).items() if name[0] != "_")     # a program's patches change nothing here
PROTOCOL = 1
HEAD = struct.Struct("<QBI")
PUT, DROP, JOB, RUN, CANCEL, PING, QUIT, FEED, FLOW, END = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
HELLO, COMPILED, OUTCOME, IDLE, PONG, FAULT, SAID, TOOK = 64, 65, 66, 67, 68, 69, 70, 71

BUFFER = 1 << 20                        # of the channel, each way
WINDOW = 1 << 18                        # of a talk, each way: bytes that are sent and not yet taken
PIPE = 1 << 20                          # the most that a pipe holds (fs.pipe-max-size)
HEAD_ROOM = 256                         # of a frame whose body is read first
CLOSING_S = 0.1                         # a process that ends closes its pipes a moment before it has ended
STDERR_EXCERPT = 64 << 10
MESSAGE = 16 << 10                      # of a compiler
NOTE = 2 << 10                          # of a file that a run leaves for the host
ERROR_LINE = 500                        # of an exception, characters
DEPTH = 400                             # of a call's result: deeper is no JSON data (interpreters stop at about 1,000 frames)
ARTIFACT = 256 << 20
FILE_DESCRIPTORS = 1024                 # that a program may hold
POLL_S = 0.02                           # between two looks at the CPU time and memory of a run that nears a limit
MEMORY_POLL_S = 0.03                    # without a cgroup: between two looks at its memory
STARVED = 4                             # a run may take this many times its wall limit while it waits for a core (busy machines)
EMPTY_FOLDER = 40                       # size of a tmpfs folder with nothing in it, 20 for each name it has; others' have a block or more
OPTIONAL = ("-static", "-fuse-ld=gold")  # options of compilers that are left out where the machine has no such libraries or linker
STUCK_S = 5.0                           # killed processes are gone long before
FUSED = 8 << 10                         # a source of no more bytes is compiled by its first run: one clone less (`compile_fused`)
FUSED_S = 0.1                           # a compilation that took longer is no part of a run: that run is done again
JOB_RUNS = 2                            # of a job: those after them are started by a fork server that has its code
JOB_CODE = 1 << 20                      # the most bytes of code that it takes
NOTICE_S = 0.02                         # a first run that takes longer: the host hears of the compilation before it ends
IDLE_SHARE = 0.1                        # of its CPU limit: a run that met the wall limit with less is tried once more

WALL, WCLONE = 0x40000000, -0x80000000   # __WALL, __WCLONE as a C int
CLONE_PARENT = 0x8000
LANDLOCK_WRITE_FILE, LANDLOCK_READ_FILE = 2, 4
LANDLOCK_WRITES = 0x7FF2                # write, remove and make anything, move between folders, truncate
LANDLOCK_NODES = 0xA40                  # making character and block devices and sockets
LANDLOCK_TCP, LANDLOCK_SCOPES, LANDLOCK_SIGNALS = 3, 3, 2    # bind and connect; signals to, and abstract sockets of, processes outside
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_EXEC = 1, 2, 0x10
F_ADD_SEALS, F_GET_SEALS, SEALS = 1033, 1034, 1 | 2 | 4 | 8
MS_NOSUID, MS_NODEV, MNT_DETACH = 2, 4, 2
SYS_CLONE = {"x86_64": 56, "aarch64": 220}
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
_exit, _write, _ftruncate, _pread, _pwrite = os._exit, os.write, os.ftruncate, os.pread, os.pwrite
settrace, gettrace, setprofile = sys.settrace, sys.gettrace, sys.setprofile

libc = ctypes.PyDLL(None, use_errno=True)       # keeps the GIL: a clone of a thread without it could never run Python
sys_clone, sys_capset = SYS_CLONE[os.uname().machine], SYS_CAPSET[os.uname().machine]
WARM = ("abc", "array", "bisect", "cmath", "collections", "collections.abc", "contextlib", "copy", "datetime", "decimal",
        "enum", "fractions", "functools", "heapq", "io", "itertools", "json", "keyword", "math", "numbers", "operator",
        "queue", "random", "re", "signal", "statistics", "string", "struct", "threading", "time", "types", "typing",
        "weakref")


ENVIRONMENT = ("PATH", "LANG", "HOME", "TMPDIR")


def site_packages() -> None:
    """What `site` does that programs rely on (exit(), the path), without the code that .pth files hold."""
    import site

    for function in (site.setquit, site.setcopyright, site.sethelper):
        function()
    if sys.prefix == sys.base_prefix and not os.path.exists(os.path.join(os.path.dirname(sys.executable), "..", "pyvenv.cfg")):
        sys.path += [path for path in site.getsitepackages() if os.path.isdir(path)]
    else:
        site.venv(set(sys.path))


def raw_clone(flags: int) -> int:
    """Returns 0 in the clone; a pid, or minus an errno."""
    pid: int = libc.syscall(ctypes.c_long(sys_clone), ctypes.c_ulong(flags), None, None, None, None)
    return pid if pid >= 0 else -ctypes.get_errno()


def memfd(name: str, flags: int = 0) -> int:
    flags |= MFD_CLOEXEC
    try:
        return os.memfd_create(name, flags | MFD_EXEC)
    except OSError:                      # older than Linux 6.3
        return os.memfd_create(name, flags)


def trace() -> bytes:
    import traceback

    return traceback.format_exc().encode("utf-8", "replace")


def quiet(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except OSError:
        return None


# ---------------------------------------------------------------- in the clone: what a program sees

def become(want: Head, fds: list[int]) -> None:
    """Take the run's place: descriptors, session, limits, user. `fds` are stdin, stdout, stderr and what the mode needs, from 10 up."""
    for n in (0, 1, 2):
        os.dup2(fds[n], n)
        os.close(fds[n])
    if want["shield"]:
        quiet(write_text, want["shield"] + "/self/oom_score_adj", b"1000")
    os.setsid()
    os.chdir(want["work"])
    cpu = want["cpu"]
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    resource.setrlimit(resource.RLIMIT_FSIZE, (want["fsize"], want["fsize"]))
    if want["nproc"]:
        resource.setrlimit(resource.RLIMIT_NPROC, (want["nproc"], want["nproc"]))
    if want["uid"] is not None:
        os.setresuid(want["uid"], want["uid"], want["uid"])
    else:                                # the agent's user, without what it may do in its namespace
        libc.syscall(ctypes.c_long(sys_capset), struct.pack("<Ii", 0x20080522, 0), bytes(24))
        landlock(struct.pack("<QQQ", 0, 0, LANDLOCK_SIGNALS), {})       # none to the fork servers, which are of this user as well
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)          # so that /dev/stdin can be opened: what belongs to it is its own


def write_text(path: str, text: bytes) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


def read_all(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    parts, at = [], 0
    while at < size:
        part = os.pread(fd, min(size - at, 1 << 30), at)
        if not part:
            break
        parts.append(part)
        at += len(part)
    os.close(fd)
    return b"".join(parts)


def play(want: Head, fds: list[int], ready: Any) -> int:
    """The clone's life. Returns its exit code; an exec does not return. `ready`, of a job's fork server: the code, and so no descriptor of it."""
    what = want["what"]
    if ready is not None:
        code, lead = ready
        if what == "main":
            return play_main(code, lead)
        return play_judged(want, code, lead, fds[3], fds[4])
    if what == "exec":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        if len(fds) > 3:
            os.set_inheritable(fds[3], False)
        if want.get("confined"):
            quiet(confine_reads)
        os.execve(fds[3] if len(fds) > 3 else want["path"], want["argv"], want["env"])
    if what == "compile":
        return play_compile(fds[3], fds[4], fds[5] if len(fds) > 5 else None)
    sys.argv = list(want["argv"])
    code, lead = compile_fused(fds[3], fds.pop()) if want.get("fused") else marshal.loads(read_all(fds[3]))
    if code is None:
        return 1
    if what == "main":
        new_module("__main__")
        gc.freeze()
        return play_main(code, lead)
    return play_judged(want, code, lead, fds[4], fds[5])


def play_judged(want: Head, code: types.CodeType, lead: types.CodeType | None, out: int, data_fd: int) -> int:
    data = read_all(data_fd)
    if want["what"] == "call":
        return play_call(code, lead, data, out, want["output"], want["entry"], want["typed"])
    return play_assert(code, lead, data, out, want["entry"], iter((want.pop("nonce"),)))


def confine_reads() -> None:
    """Landlock, where the kernel has it: nothing below /dev can be read but its null. `#include "/dev/zero"` has no end."""
    names = ["/" + name for name in os.listdir("/") if name != "dev"] + ["/dev/null", "/dev/shm"]
    landlock(struct.pack("<Q", LANDLOCK_READ_FILE), dict.fromkeys(names, LANDLOCK_READ_FILE))


def landlock(attributes: bytes, rules: dict[str, int]) -> None:
    """Of what `attributes` (struct landlock_ruleset_attr) has, `rules` says what is allowed below which path; the rest is refused."""
    ruleset = libc.syscall(ctypes.c_long(444), attributes, ctypes.c_size_t(len(attributes)), ctypes.c_ulong(0))
    if ruleset < 0:
        return
    for name, allowed in rules.items():
        fd = quiet(os.open, name, os.O_PATH | os.O_CLOEXEC)
        if fd is not None:
            libc.syscall(ctypes.c_long(445), ctypes.c_int(ruleset), ctypes.c_int(1), struct.pack("<Qi", allowed, fd), ctypes.c_ulong(0))
            os.close(fd)
    libc.syscall(ctypes.c_long(446), ctypes.c_int(ruleset), ctypes.c_ulong(0))
    os.close(ruleset)


def confine_writes(config: Head) -> None:
    """Landlock for all programs of a slot, where the kernel has it (its ABI 3 at least: before, no file could be moved or truncated).

    Written is only to the folders that are emptied, whatever mounts and modes say, and no device is made; processes outside of the
    fork server's domain, so the agent, get no signals and cannot be traced. A rule hangs on an inode, and what hides below a mount
    point is not asked for one: where a folder is renewed by a new mount, the rule is its parent's.
    """
    abi = libc.syscall(ctypes.c_long(444), None, ctypes.c_size_t(0), ctypes.c_ulong(1))
    if abi < 3:
        return
    rules = {"/dev/" + name: LANDLOCK_WRITE_FILE for name in ("null", "zero", "full", "random", "urandom")}
    rules[config["proc"] or "/proc"] = LANDLOCK_WRITE_FILE      # a clone tells the kernel that it may be ended first
    for folder in config["clean"]:
        path = os.path.realpath(folder)
        path = os.path.dirname(path) if folder in config["remount"] else path
        if path == "/":
            raise RuntimeError("a rule for %s would be one for everything" % folder)
        rules[path] = LANDLOCK_WRITES & ~LANDLOCK_NODES
    landlock(struct.pack("<QQQ", LANDLOCK_WRITES, LANDLOCK_TCP, LANDLOCK_SCOPES)[:24 if abi >= 6 else 16 if abi >= 4 else 8], rules)


def play_compile(source_fd: int, out: int, lead_fd: int | None) -> int:
    """The artifact is the code of the program and of its preamble. The preamble is tried here, before anything of the program: the
    first byte of `out` says that it ran, so that a program cannot make its own fault look like the preamble's."""
    lead = None
    if lead_fd is not None:
        try:
            lead = compile(read_all(lead_fd), "preamble.py", "exec", 0, True)
            run_lead(lead)
        except BaseException as error:
            _write(1, error_line(error))
            return 1
        _write(out, b"+")
        _ftruncate(out, 1)
        os.lseek(out, 0, os.SEEK_SET)
    good, text = compile_source(source_fd, lead)
    at = 0
    while at < len(text):
        at += _write(out, text[at:at + (1 << 30)])
    return 0 if good else 1


def compile_source(source_fd: int, lead: Any) -> tuple[bool, bytes]:
    """Whether it compiles; the artifact, or what the compiler says."""
    try:
        return True, marshal.dumps((compile(read_all(source_fd), "main.py", "exec", 0, True), lead))
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        import traceback

        return False, "".join(traceback.format_exception_only(type(error), error)).encode("utf-8", "replace")[:MESSAGE]


def compile_fused(source_fd: int, out: int) -> Any:
    """In the clone of the first run: its code and no preamble, or (None, None). The agent gets the artifact before the program's first line
    runs: sealed, so complete and final, and closed here. Where it is not (a limit, a crash), the agent compiles in a clone of its own."""
    start = time.process_time()
    stderr, sys.stderr = sys.stderr, None            # warnings of the compiler are no output of this run
    good, text = compile_source(source_fd, None)
    sys.stderr = stderr
    put_record(out, text + TRAILER.pack(time.process_time() - start, good))
    fcntl.fcntl(out, F_ADD_SEALS, SEALS)
    os.close(out)
    return marshal.loads(text) if good else (None, None)


def new_module(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__file__ = "main.py"
    module.__dict__["__builtins__"] = builtins
    sys.modules[name] = module
    return module


def run_lead(lead: types.CodeType) -> Head:
    """The globals of a preamble, which has run."""
    module = new_module("preamble")
    module.__file__ = "preamble.py"
    exec(lead, module.__dict__)
    return module.__dict__


def names_behind(base: Mapping[str, Any], lead_space: Head) -> Head:
    """What a program's names fall back on, as they do on the builtins: its own definitions are apart, and come first."""
    return {**base, **{name: value for name, value in lead_space.items() if not (name.startswith("__") and name.endswith("__"))}}


def play_main(code: types.CodeType, lead: types.CodeType | None) -> int:
    module = sys.modules["__main__"]
    status = 0
    try:
        if lead is not None:
            module.__dict__["__builtins__"] = names_behind(vars(builtins), run_lead(lead))
        exec(code, module.__dict__)
    except BaseException:
        status = report()
    return finish(status, module)


def resolve(space: Head, entry: str | None) -> Any:
    """`f`, `Class.method` or, as some data sets write it, `Class().method`."""
    first, _, rest = (entry or "").replace("().", ".").partition(".")
    if first not in space:
        raise NameError("the program defines no %s" % (first or "entry point"))
    target = space[first]
    if rest:
        target = target()
        for name in rest.split("."):
            target = getattr(target, name)
    return target


def resolve_call(space: Head, entry: str | None) -> Any:
    """A bare `f` is `Solution().f` where the program has that, as data sets name the method of a class Solution."""
    solution = space.get("Solution")
    if entry and "." not in entry and isinstance(solution, type) and hasattr(solution, entry):
        return getattr(solution(), entry)
    return resolve(space, entry)


def play_call(code: types.CodeType, lead: types.CodeType | None, data: bytes, out: int, limit: int, entry: str | None, typed: bool) -> int:
    given = json.loads(data)
    module = new_module("solution")
    space = module.__dict__
    gc.freeze()
    status, answer = 0, b""
    try:
        space["__builtins__"] = NAMES if lead is None else names_behind(NAMES, run_lead(lead))
        exec(code, space)
        target = resolve_call(space, entry)
        nodes = Nodes(space)
        args, kwargs = nodes.arguments(target, given.get("args", ()), given.get("kwargs", {}))
        answer = encode_result(target(*args, **kwargs), limit, typed, nodes.returned)
    except SystemExit:
        status = report()
    except BaseException as error:
        answer = b"E" + error_line(error)
        status = report()
    quiet(put_record, out, answer)
    return finish(status, module)


def play_assert(code: types.CodeType, lead: types.CodeType | None, data: bytes, out: int, entry: str | None, hidden: Iterator[bytes]) -> int:
    """`hidden` yields the nonce once: neither a frame's locals nor gc.get_objects() show it. A program that knows this file can still take
    it: one process has no walls inside. docs/security.md says so."""
    module = new_module("solution")
    space = module.__dict__
    gc.freeze()
    status, answer = 0, b""
    try:
        contest = entry is not None and entry.startswith(("Solution.", "Solution()."))
        lead_space = {} if lead is None else run_lead(lead)
        if contest or lead_space:
            space["__builtins__"] = names_behind(NAMES if contest else vars(builtins), lead_space)
        kept = Kept(names_behind(PREAMBLE if contest else {}, lead_space), lead_space)
        judged = judged_code(data)
        library = Library(judged)
        exec(code, space)
        target = resolve(space, entry) if entry else None
        settrace(None)                   # a trace function may have any frame jump over any line, the tests' too
        setprofile(None)
        guard = Guard(judged.known, module, kept, entry, library)
        guard.restore(MODULES)
        library.restore()
        tests = guard.tests = TestSpace(space, entry, guard)
        tests.update({" " + name: guard.operation(name) for name in OPERATIONS})
        tests.update({GIVEN: guard.given, SHOWN: guard.shown})
        exec(judged.code, tests, tests)
        check = tests.get("check")       # of the tests alone: one of the program's decides nothing
        if check is not None:
            check(guard.wrap(target))
        answer = b"D" + next(hidden)
    except SystemExit:
        status = report()
    except BaseException as error:
        answer = b"E" + error_line(error)
        status = report()
    quiet(put_record, out, answer)
    return finish(status, module)


class Guard:
    """What stands between a program and tests that run in its own process: comparisons are the tests', not the program's.

    After each call that a test makes, the builtins and what the tests use of modules are again what they were, and a result must not be an
    object of a class of the program's that compares, orders or subtracts by itself, unless the tests name that class (`assert f() ==
    Point(1, 2)`). Comparisons and differences of the tests come through here (judged_code): such an object is compared with one of its own
    class, never with anything else.
    """

    def __init__(self, known: set[str], module: types.ModuleType, kept: Kept, entry: str | None, library: Library) -> None:
        self.known, self.module, self.kept, self.entry = known, module, kept, (entry or "").partition(".")[0].replace("()", "")
        self.library = library
        self.tests: Head = {}
        self.kinds: dict[int, tuple[type, bool]] = {}          # by id: a metaclass may say what its classes equal
        self.ways: dict[int, tuple[type, list[Any], list[Any], bool]] = {id(kind): (kind, [kind], [], False) for kind in CONTAINERS}

    def restore(self, modules: Sequence[tuple[Head, tuple[str, ...], tuple[Any, ...]]]) -> None:
        for space, names, values in modules:
            if not all(map(is_, map(space.get, names), values)):
                space.update(zip(names, values))

    def wrap(self, target: Any) -> Any:
        if isinstance(target, type) or not callable(target):
            return target
        if type(target) is types.FunctionType:
            def guarded(*args: Any, **kwargs: Any) -> Any:
                return self.call(target, args, kwargs)
            guarded.__dict__.update(target.__dict__, __wrapped__=target)
            for name in SHOWN_OF_FUNCTIONS:
                setattr(guarded, name, getattr(target, name))
            return guarded
        return Guarded(target, self)

    def call(self, target: Callable[..., Any], args: Sequence[Any], kwargs: Head) -> Any:
        held = self.library.held() if self.library.patched else None
        try:
            result = target(*args, **kwargs)
        finally:
            self.put_back(held)
        if gettrace() is not None:
            raise RuntimeError("the function set a trace function, which sees the tests")
        self.kept.restore()
        return self.checked(result)

    def put_back(self, held: Held | None) -> None:
        """What tests use is what it was at their start; where they patch things themselves, what it was before the call."""
        if held is None:
            self.restore(BUILTINS)
            put_back(self.library.late)
        else:
            self.restore(held[0])
            put_back(held[1])

    def given(self, value: Any) -> Any:
        if not self.library.patched:
            self.put_back(None)
        return self.checked(value)

    def checked(self, value: Any) -> Any:
        if is_plain(value):
            return value
        for kind in self.kinds_in(value):
            if not self.plain(kind):
                raise TypeError("the result is a %s, which compares itself; the tests do not know that class" % type_name(kind))
        return value

    def kinds_in(self, value: Any) -> Iterator[type]:
        todo, seen = [value], set()
        while todo:
            value = todo.pop()
            kind = type(value)
            if is_plain(value) or id(value) in seen:
                continue
            seen.add(id(value))
            if id(kind) in KINDS:
                put_back(KINDS[id(kind)])
            yield kind
            todo.extend(self.inner(value, kind))

    def shown(self, value: Any) -> Any:
        if not is_plain(value) and not self.plain(type(value)):
            self.refuse(value)
        return value

    def operation(self, name: str) -> Callable[[Any, Any], Any]:
        perform, plain = OPERATIONS[name], PLAIN
        check = {"Sub": self.before_subtraction, "In": self.before_search, "NotIn": self.before_search}.get(name, self.pair)

        def operation(left: Any, right: Any) -> Any:
            if not ((type(left) is int or id(type(left)) in plain) and (type(right) is int or id(type(right)) in plain)):
                check(left, right)
            return perform(left, right)
        return operation

    def before_search(self, left: Any, right: Any) -> None:
        """Sets and dicts search by hash: they are walked through only for an object that compares itself."""
        odd = self.own_part(left, COMPARING)
        if type(right) is list or type(right) is tuple or (odd and any(type(right) is each for each in CONTAINERS)):
            if len(right) <= SEARCHED:
                for item in right:
                    if odd or not is_plain(item):
                        self.pair(left, item)
            elif odd:
                self.refuse(left)
        elif odd or (self.own_part(right, COMPARING) and not self.knows(type(right)) and type_name(type(right)) != self.entry):
            self.refuse(left if odd else right)

    def before_subtraction(self, left: Any, right: Any) -> None:
        for value in (left, right):
            if type(left) is not type(right) and self.own_part(value, SUBTRACTING):
                self.refuse(value)

    def pair(self, left: Any, right: Any) -> None:
        """Objects that compare themselves must meet their like. Raises TypeError."""
        todo = [(left, right)]
        for _ in range(PAIRS):
            if not todo:
                return
            left, right = todo.pop()
            kind = type(left)
            odd = [value for value in (left, right)
                   if not holds_plain(value) and any(self.own_kind(each, COMPARING) for each in self.kinds_in(value))]
            if not odd or (kind is type(right) and self.own_kind(kind, COMPARING)):
                continue
            if kind is type(right) and (kind is list or kind is tuple) and len(left) == len(right):
                todo.extend(zip(left, right))
            elif kind is dict and type(right) is dict and all(is_plain(key) for each in (left, right) for key in each):
                todo.extend((left[key], right[key]) for key in left if key in right)
            else:
                self.refuse(odd[0])
        self.refuse(left)

    def refuse(self, value: Any) -> NoReturn:
        raise TypeError("the result is or holds an object that compares itself, of type %s; the tests compare it with another type"
                        % type_name(type(value)))

    def own_part(self, value: Any, names: set[str]) -> bool:
        return not is_plain(value) and self.own_kind(type(value), names)

    def own_kind(self, kind: type, names: set[str]) -> bool:
        return any(names & type.__getattribute__(base, "__dict__").keys() and self.own(base) for base in type.mro(kind))

    def knows(self, kind: type) -> bool:
        """Whether the tests name this class, as something else than what they test, or define it."""
        name = type_name(kind)
        if self.tests.get(name) is kind:
            return True
        return name in self.known and vars(self.module).get(name) is kind and name not in (self.entry, "Solution")

    def inner(self, value: Any, kind: type) -> Iterator[Any]:
        """What `value` holds: items, and attributes of an object of a class that the program or its preamble made."""
        if id(kind) not in self.ways:
            bases = type.mro(kind)
            made = self.kept.made(kind) or self.own(kind)
            parts = [part for each in bases for part in type.__getattribute__(each, "__dict__").values()] if made else []
            self.ways[id(kind)] = (kind, [each for each in CONTAINERS if any(each is base for base in bases)],
                               [part for part in parts if type(part) is types.MemberDescriptorType], made)
        _kind, containers, slots, attributes = self.ways[id(kind)]
        for base in containers:
            yield from base.__iter__(value)
            if base is dict:
                yield from dict.values(value)
        for slot in slots:
            try:
                yield slot.__get__(value, kind)
            except AttributeError:       # a slot that holds nothing
                pass
        if attributes:
            try:
                yield from dict.values(object.__getattribute__(value, "__dict__"))
            except AttributeError:
                pass

    def plain(self, kind: type) -> bool:
        if id(kind) not in self.kinds:
            self.kinds[id(kind)] = kind, not any(self.compares(base) for base in type.mro(kind))
        return self.kinds[id(kind)][1]

    def compares(self, kind: type) -> bool:
        held = type.__getattribute__(kind, "__dict__")
        if not COMPARING & held.keys() or not self.own(kind) or self.knows(kind):
            return False
        made = getattr(getattr(held.get("__eq__"), "__code__", None), "co_filename", "") == "<string>"      # by @dataclass: field by field
        return not (made and "__dataclass_fields__" in held and COMPARING & held.keys() == {"__eq__"})

    def own(self, kind: type) -> bool:
        """Whether the program made this class: an importable module holds it under its name otherwise."""
        if not flags_of(kind) & HEAP_TYPE or self.kept.made(kind):
            return False
        home = sys.modules.get(str(kind.__module__))
        if home is None or home is self.module or getattr(home, "__spec__", None) is None or kind.__module__ == "unittest.mock":
            return True                  # mock.ANY equals everything
        found: Any = home
        for name in kind.__qualname__.split("."):
            found = getattr(found, name, None)
        return found is not kind


GIVEN, SHOWN = " given", " shown"       # names that no test can write, as those of the operations
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq, "NotEq": operator.ne, "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt, "GtE": operator.ge, "Sub": operator.sub,
    "In": lambda left, right: left in right, "NotIn": lambda left, right: left not in right}
ASKED = re.compile(r"assert|close|equal|approx", re.IGNORECASE)       # functions that compare what they are given
PATCHING = {"patch", "setattr", "monkeypatch", "MonkeyPatch"}
SHOWN_OF_FUNCTIONS = ("__name__", "__qualname__", "__doc__", "__module__", "__defaults__", "__kwdefaults__",
                      "__annotate__" if sys.version_info >= (3, 14) else "__annotations__")
ASKED_SHALLOWLY = {"abs", "fabs", "max", "min", "round", "float", "int", "complex"}


class Judged:
    """Tests, compiled, and what is to be known of them."""

    def __init__(self, code: types.CodeType, known: set[str], imports: set[str], used: set[str], patched: bool) -> None:
        self.code = code
        self.known = known               # names that they take from outside
        self.imports = imports           # modules
        self.used = used                 # names and attributes
        self.patched = patched           # they put things in the place of others themselves, as unittest.mock does


class Library:
    """The modules that tests import, loaded before the program runs. What it then changes there (a function, a method, a default, a module put
    in one's place) is put back before the tests begin; what they use of it by name after each call, too."""

    def __init__(self, judged: Judged) -> None:
        self.patched = judged.patched
        self.modules: Head = {}          # None, of one that is absent here: a program may not bring its own
        for name in sorted(judged.imports):
            if name.partition(".")[0] in NOT_HELD:
                continue
            try:
                __import__(name)
            except ModuleNotFoundError as error:         # where it matters, the tests will say so; `from a import b` may mean no module
                if error.name == name.partition(".")[0]:
                    self.modules[name.partition(".")[0]] = None
                    continue
            except Exception:            # whatever it raises, the tests' own import raises again, and that is reported
                continue
            while name:
                if name in sys.modules:
                    self.modules[name] = sys.modules[name]
                name = name.rpartition(".")[0]
        self.parts: Parts = []
        self.late: Parts = []
        seen: set[int] = set()
        for module in self.modules.values():
            if isinstance(module, types.ModuleType):
                self.hold_module(module, judged.used, seen)

    def hold_module(self, module: types.ModuleType, used: set[str], seen: set[int]) -> None:
        home = module.__name__.partition(".")[0]
        space = vars(module)
        for name, value in list(space.items()):
            kind = type(value)
            parts: Parts = [(space, name, value)]
            if id(value) in seen:
                pass
            elif kind is types.FunctionType:
                seen.add(id(value))
                parts += parts_of_function(value)
            elif isinstance(value, type) and flags_of(value) & HEAP_TYPE and str(value.__module__).partition(".")[0] == home:
                seen.add(id(value))
                parts += parts_of_kind(value)
                if name in used:
                    self.late += [part for part in parts[1:] if part[1] in used or part[1] in COMPARING]
            self.parts += parts
            if name in used:
                self.late += parts[:1] if isinstance(value, type) else parts

    def restore(self) -> None:
        sys.modules.update(self.modules)
        put_back(self.parts)

    def held(self) -> Held:
        now = [(owner, name, value_of(owner, name)) for owner, name, _value in self.late]
        return tuple((space, names, tuple(map(space.get, names))) for space, names, _values in BUILTINS), now


Parts = list[tuple[Any, str, Any]]      # a module's globals, a class or a function; a name in it; what is there, or ABSENT
Held = tuple[Sequence[tuple[Head, tuple[str, ...], tuple[Any, ...]]], Parts]
ABSENT = object()
NOT_HELD = {"sys", "builtins", "solution", "preamble", "__main__", "main", "__future__"}     # a program may well change sys.stdout


def value_of(owner: Any, name: str) -> Any:
    if type(owner) is dict:
        return owner.get(name, ABSENT)
    if isinstance(owner, type):
        return type.__getattribute__(owner, "__dict__").get(name, ABSENT)
    return getattr(owner, name)


def put_back(parts: Parts) -> None:
    for owner, name, value in parts:
        if value_of(owner, name) is value:
            continue
        if type(owner) is dict:
            owner[name] = value
        elif value is ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, value)


def parts_of_function(function: types.FunctionType) -> Parts:
    return [(function, "__code__", function.__code__), (function, "__defaults__", function.__defaults__)]


def parts_of_kind(kind: type) -> Parts:
    space = type.__getattribute__(kind, "__dict__")
    parts: Parts = [(kind, name, value) for name, value in space.items() if name not in ("__dict__", "__weakref__", "__doc__")]
    parts += [(kind, name, ABSENT) for name in COMPARING if name not in space]
    for value in space.values():
        if type(value) is types.FunctionType:
            parts += parts_of_function(value)
    return parts


def comparing_kinds(module: types.ModuleType) -> Iterator[tuple[type, Parts]]:
    """Classes of a module that a program could change, and that compare by themselves."""
    for kind in vars(module).values():
        if isinstance(kind, type) and flags_of(kind) & HEAP_TYPE and kind.__module__ == module.__name__:
            if COMPARING & type.__getattribute__(kind, "__dict__").keys():
                yield kind, [part for part in parts_of_kind(kind) if part[1] in COMPARING or type(part[0]) is types.FunctionType]


def judged_code(data: bytes) -> Judged:
    """The tests' code, in which comparisons and differences pass through the Guard.

    Compiled before anything of the program runs. Of very long or deep tests, which are mostly data, only calls of the program are guarded."""
    if len(data) <= REWRITTEN:
        try:
            return rewritten_code(data)
        except RecursionError:           # a syntax tree may be less deep than what compile() takes
            pass
    return Judged(compile(data, "test.py", "exec", 0, True), set(), set(), set(), False)


def rewritten_code(data: bytes) -> Judged:
    tree = ast.parse(data, "test.py")
    loaded: set[str] = set()
    bound: set[str] = set()
    imports: set[str] = set()
    used: set[str] = set()
    patched = False
    todo: list[Any] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name):
            (loaded if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
            used.add(node.name)
        elif isinstance(node, ast.Attribute):
            used.add(node.attr)
            patched = patched or not isinstance(node.ctx, ast.Load)
        elif isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports.update((node.module, *("%s.%s" % (node.module, alias.name) for alias in node.names)))
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            through = GIVEN if ASKED.search(called) else SHOWN if called in ASKED_SHALLOWLY else ""
            if through:
                node.args = [rewritten(value, through, [value]) if type(value) not in (ast.Constant, ast.Starred) else value for value in node.args]
                for keyword in node.keywords:
                    keyword.value = rewritten(keyword.value, through, [keyword.value])
        for field in node._fields:
            value = getattr(node, field, None)
            if type(value) is list:
                value[:] = [judged_node(item) for item in value]
                todo.extend(item for item in value if isinstance(item, ast.AST) and type(item) is not ast.Constant)
            elif isinstance(value, ast.AST) and field != "pattern":
                value = judged_node(value)
                setattr(node, field, value)
                todo.append(value)
    known = loaded - bound
    imports.update(known.intersection(TRUSTED))          # that the program imports
    return Judged(compile(tree, "test.py", "exec", 0, True), known, imports, used | loaded, patched or bool(PATCHING & (used | loaded)))


def judged_node(node: Any) -> Any:
    if type(node) is ast.Compare:
        if len(node.ops) == 1 and type(node.ops[0]).__name__ in OPERATIONS:
            return rewritten(node, " " + type(node.ops[0]).__name__, [node.left, node.comparators[0]])
        node.left = rewritten(node.left, GIVEN, [node.left])
        node.comparators = [rewritten(value, GIVEN, [value]) for value in node.comparators]
    elif type(node) is ast.BinOp and type(node.op) is ast.Sub:
        return rewritten(node, " Sub", [node.left, node.right])
    return node


def rewritten(node: Any, name: str, values: list[Any]) -> Any:
    function = ast.copy_location(ast.Name(name, ast.Load()), node)
    return ast.copy_location(ast.Call(function, values, []), node)


class Kept:
    """Names that tests take from a preamble (or from `PREAMBLE`), as they were before the program: what is behind them is put back, too."""

    def __init__(self, names: Head, lead_space: Head) -> None:
        self.names, self.lead_space, self.lead_names = names, lead_space, dict(lead_space)
        made = [value for value in names.values() if getattr(value, "__module__", None) in ("preamble", "solution")]
        self.classes = [value for value in made if isinstance(value, type)]
        functions = [value for value in made if type(value) is types.FunctionType]
        functions += [part for kind in self.classes for part in vars(kind).values() if type(part) is types.FunctionType]
        self.parts: list[tuple[Any, str, Any]] = [(value, "__code__", value.__code__) for value in functions]
        self.parts += [(value, "__defaults__", value.__defaults__) for value in functions]
        self.parts += [(kind, name, part) for kind in self.classes for name, part in vars(kind).items() if name not in ("__dict__", "__weakref__")]

    def restore(self) -> None:
        if self.lead_space:
            self.lead_space.update(self.lead_names)
        for owner, name, value in self.parts:
            held = type.__getattribute__(owner, "__dict__").get(name) if isinstance(owner, type) else getattr(owner, name)
            if held is not value:
                setattr(owner, name, value)
        for kind in self.classes:
            for name in ADDED.intersection(vars(kind)).difference(name for owner, name, _value in self.parts if owner is kind):
                delattr(kind, name)

    def made(self, kind: type) -> bool:
        return any(kind is each for each in self.classes)

    def helps(self, name: str) -> bool:
        value = self.names.get(name)
        return name in self.names and (isinstance(value, type) or not callable(value) or getattr(value, "__module__", None) == "preamble")


def is_plain(value: Any) -> bool:
    return id(type(value)) in PLAIN


def holds_plain(value: Any) -> bool:
    """Whether `value` is plain, or holds nothing else; False where that takes a closer look."""
    kind = type(value)
    if kind is list or kind is tuple or kind is set:
        return PLAIN.issuperset(map(id, map(type, value)))
    return id(kind) in PLAIN


class Guarded:
    """A callable that is no function (a cached one, say), guarded."""

    def __init__(self, target: Any, guard: Guard) -> None:
        self.__wrapped__, self._guard = target, guard

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._guard.call(self.__wrapped__, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)


class TestSpace(Head):
    """Globals of the tests: the program's, seen as they are now, its functions guarded. With an entry point, the tests mean Python's own
    builtins and the preamble's names, not what the program calls by the same name; without one, a function of the program may be called
    `sum`, and what the preamble took from elsewhere stands for nothing that the program was to write."""

    def __init__(self, space: Head, entry: str | None, guard: Guard) -> None:
        super().__init__({"__name__": space.get("__name__"), "__builtins__": builtins})
        self.kept = guard.kept
        self.space, self.entry, self.guard = space, (entry or "").partition(".")[0], guard
        self.wrapped: Head = {}

    def __missing__(self, name: str) -> Any:
        if self.entry and name != self.entry:
            if name in self.kept.names:
                return self.kept.names[name]
            if name in BUILTIN_NAMES:
                raise KeyError(name)
        if name not in self.space and not self.entry and self.kept.helps(name):
            return self.kept.names[name]
        value = self.space[name]
        held = self.wrapped.get(name)
        if held is None or held[0] is not value:
            held = self.wrapped[name] = value, self.guard.wrap(value)
        return held[1]


def held_values(module: types.ModuleType) -> tuple[Head, tuple[str, ...], tuple[Any, ...]]:
    space = vars(module)
    return space, tuple(space), tuple(space.values())


COMPARING = {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__sub__", "__rsub__", "__abs__", "__float__", "__bool__",
             "__contains__", "__getattribute__", "__class__", "__instancecheck__"}
ADDED = COMPARING - {"__lt__", "__le__", "__gt__", "__ge__"} | {"val", "next", "left", "right", "__getattr__", "__setattr__"}
SUBTRACTING = {"__sub__", "__rsub__"}
REWRITTEN = 256 << 10                   # bytes of tests: their syntax tree is a thousand times that
PAIRS = 1_000_000                       # that one comparison looks at
SEARCHED = 4096                         # items of a list that `in` looks at
CONTAINERS: Sequence[Any] = (list, tuple, dict, set, frozenset, collections.deque)
PLAIN = frozenset(map(id, (int, float, complex, str, bytes, bool, type(None), bytearray, range)))
HEAP_TYPE = 1 << 9                      # Py_TPFLAGS_HEAPTYPE
flags_of = vars(type)["__flags__"].__get__                      # a metaclass is not asked
BUILTIN_NAMES = frozenset(vars(builtins)) - {"__name__", "__doc__", "__spec__", "__loader__", "__package__"}
BUILTINS: Sequence[tuple[Head, tuple[str, ...], tuple[Any, ...]]] = ()
MODULES: Sequence[tuple[Head, tuple[str, ...], tuple[Any, ...]]] = ()
"""What tests compare with, as it was before any program: filled by Agent.start, so by the fork server."""
KINDS: dict[int, Parts] = {}            # by id: of TRUSTED's classes, those that a program could make equal everything
TRUSTED = ("cmath", "collections", "copy", "decimal", "fractions", "functools", "itertools", "json", "math", "numbers", "operator", "random",
           "re", "statistics", "string")


def put_record(out: int, answer: bytes) -> None:
    _ftruncate(out, 0)
    at = 0
    while at < len(answer):
        at += _pwrite(out, answer[at:at + (1 << 30)], at)


def error_line(error: BaseException) -> bytes:
    try:
        kind = type(error).__name__
        text = str(error)
    except BaseException:
        return b"Exception: that cannot be printed"
    line = " ".join(str.split(str.__str__(kind + ": " + str.__str__(text))))[:ERROR_LINE]
    return str.encode(line.rstrip(": ") if line.endswith(": ") else line, "utf-8", "replace")


def report() -> int:
    """What CPython does with an exception that nobody caught. Returns the exit code."""
    kind, value, trace = sys.exc_info()
    assert kind is not None and value is not None
    try:
        if isinstance(value, SystemExit):
            code = value.code
            if code is None:
                return 0
            if isinstance(code, int):
                return code & 0xFF
            sys.stderr.write(str(code) + "\n")
            return 1
        if trace is not None and trace.tb_next is not None:
            trace = trace.tb_next                    # without our own frame
            value.__traceback__ = trace
        sys.excepthook(kind, value, trace)
    except BaseException:
        quiet(_write, 2, b"an exception in the handling of an exception\n")
    return 130 if kind is KeyboardInterrupt else 1


def finish(status: int, module: types.ModuleType) -> int:
    """The end of an interpreter, as far as a program can see it: threads, atexit, buffers. Each page written to costs more than a look
    at whether there is anything to do."""
    if living_threads() or threading_exits or exit_functions():
        try:
            threading._shutdown()  # type: ignore[attr-defined]
        except BaseException:
            report()
        try:
            atexit._run_exitfuncs()
        except BaseException:
            report()
    stdout = sys.stdout
    status = flush(stdout, status)
    try:
        ended = end_objects(module.__dict__)
    except BaseException:
        ended = True
        report()
    if ended:                            # they may have printed
        flush(sys.stdout, 0)
    for stream in OWN_STREAMS:
        if ended or stream is not stdout:
            flush(stream, 0)
    return status


def end_objects(space: Head) -> bool:
    """What the end of an interpreter does to a program's objects, where it can be seen: files are flushed, generators closed, `__del__` called.
    Returns whether there were any.
    Functions and classes stay, since these may need them. Data stays too, unless it can hold such objects: to free it takes time."""
    name = space.get("__name__")
    last, own, holders, held = [], [], [], False
    for key, value in list(space.items()):
        kind = type(value)
        if kind is type:
            held = held or "__del__" in vars(value)
        elif kind in HOLDERS:
            holders.append(key)
        elif ends(value):
            last.append(key)
        elif flags_of(kind) & HEAP_TYPE and type.__getattribute__(kind, "__module__") == name:
            own.append(key)
            attributes = getattr(value, "__dict__", None)
            if type(attributes) is dict and [True for part in attributes.values() if ends(part)]:      # all of them
                last.append(key)
            attributes = None
    value = None                         # nothing here holds one of them any more
    for key in own + last + holders if held else last:
        space.pop(key, None)             # the last reference, mostly
    if held:
        collect_garbage()
    return held or bool(last)


def ends(value: Any) -> bool:
    """Whether its end can be seen. A file is flushed now: what holds it may stay, such as its own `write`."""
    if type(value) in WRITERS:
        flush(value, 0)
        return True
    return type(value) is types.GeneratorType


def flush(stream: Any, status: int) -> int:
    try:
        if stream is not None and not stream.closed:
            stream.flush()
    except BaseException:
        return status or 120
    return status


# ---- a call's result: JSON of exact built-in types; nothing of the program's own is ever called

class NotData(Exception):
    pass


class TooLong(Exception):
    pass


quote = json.encoder.encode_basestring_ascii
living_threads, exit_functions = _thread._count, atexit._ncallbacks
threading_exits = getattr(threading, "_threading_atexits", ("unknown",))
WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
HOLDERS = (*CONTAINERS, collections.defaultdict)
collect_garbage = gc.collect
OWN_STREAMS: tuple[Any, ...] = ()
NoneType = type(None)


def encode_result(value: Any, limit: int, typed: bool = False, returned: Shape = None) -> bytes:
    """`R` and the JSON text (`N`: of a linked list or tree); `E` and one line where it is no JSON data; `O` where it is longer than
    `limit` bytes. `returned` is what the function says it returns; `typed` keeps Python's types apart (encode_typed)."""
    sys.setrecursionlimit(10000)
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    mark = b"N" if isinstance(returned, str) or node_fields(type(value)) else b"R"
    if value is None and isinstance(returned, str):
        value = []
    elif type(value) is list and isinstance(returned, list) and isinstance(returned[0], str):
        value = [[] if item is None else item for item in value]
    out: list[str] = []
    try:
        (encode_typed if typed else encode_value)(value, out, limit, DEPTH)
    except NotData as error:
        return b"E" + ("TypeError: the result is not JSON data: %s" % error).encode("utf-8", "replace")[:ERROR_LINE]
    except TooLong:
        return b"O"
    text = "".join(out)
    return mark + text.encode("ascii") if len(text) <= limit else b"O"


def encode_value(value: Any, out: list[str], left: int, depth: int) -> int:
    """Append the text of `value` to `out`. Returns what is left of `left` characters."""
    kind = type(value)
    text: str
    if kind is str:
        if len(value) > left:
            raise TooLong
        text = quote(value)
    elif kind is int:
        if value.bit_length() > 4 * left + 64:
            raise TooLong
        text = int.__repr__(value)
    elif kind is bool:
        text = "true" if value else "false"
    elif kind is NoneType:
        text = "null"
    elif kind is float:
        text = "NaN" if value != value else "Infinity" if value == INF else "-Infinity" if value == -INF else float.__repr__(value)
    elif kind is list or kind is tuple:
        if depth <= 0:
            raise NotData("nested too deep")
        mark = "["
        for item in value:
            out.append(mark)
            left = encode_value(item, out, left - 1, depth - 1)
            mark = ","
        text = "]" if mark == "," else "[]"
    elif kind is dict:
        if depth <= 0:
            raise NotData("nested too deep")
        mark = "{"
        for key, item in value.items():
            key_kind = type(key)
            if key_kind is not str:
                if key_kind is not int and key_kind is not float and key_kind is not bool and key_kind is not NoneType:
                    raise NotData("a dict with a key of type %s" % type_name(key_kind))
                parts: list[str] = []
                encode_value(key, parts, left, 0)
                key = parts[0]
            out.append(mark)
            out.append(quote(key))
            out.append(":")
            left = encode_value(item, out, left - len(key) - 4, depth - 1)
            mark = ","
        text = "}" if mark == "," else "{}"
    else:
        if depth <= 0:
            raise NotData("nested too deep")
        return encode_value(as_data(value, kind, left), out, left, depth - 1)
    left -= len(text)
    if left < 0:
        raise TooLong
    out.append(text)
    return left


def as_data(value: Any, kind: type, left: int) -> Any:
    """What JSON data an object of another type is: a node its items; one of a subclass that neither compares nor reads by itself (Counter, a named
    tuple, an IntEnum) what it is as its base; a number of numpy that number. Nothing else is."""
    fields = node_fields(kind)
    if fields:
        return node_items(value, fields, left)
    base = comparing_base(kind)
    if base in EXACT:
        return EXACT[base](value)
    if base is not None and not reads_otherwise(kind, base):
        return dict.copy(value) if base is dict else list(base.__iter__(value))
    number = as_number(value, kind) if type.__getattribute__(kind, "__module__") == "numpy" else None
    if number is None:
        raise NotData("an object of type %s" % type_name(kind))
    return number


def reads_otherwise(kind: type, base: Any) -> bool:
    """Whether a subclass of the program's shows other items than its base holds."""
    names = {"__iter__", "__len__", "__getitem__"} | ({"items", "keys", "values", "get", "__contains__"} if base is dict else set())
    own = type.mro(kind)[:type.mro(kind).index(base)]
    return any(names & type.__getattribute__(each, "__dict__").keys() for each in own
               if each is not collections.Counter and each is not collections.OrderedDict)


def encode_typed(value: Any, out: list[str], left: int, depth: int) -> int:
    """As encode_value, for comparisons that keep Python's types apart: a tuple is {"tuple": [...]}, a dict {"dict": [[key, value], ...]},
    what equals no JSON value {"other": its type}. A subclass that does not compare by itself is its base; 1+0j, Fraction(1) and such are 1."""
    kind = type(value)
    if kind in SCALARS:
        return encode_value(value, out, left, depth)
    base = comparing_base(kind)
    if base in EXACT:
        return encode_value(EXACT[base](value), out, left, depth)
    if depth <= 0:
        raise NotData("nested too deep")
    fields = node_fields(kind)
    if fields:
        return encode_typed(node_items(value, fields, left), out, left, depth - 1)
    if base is list or base is tuple or base is dict:
        items = dict.items(value) if base is dict else base.__iter__(value)
        mark, end = ("[", "]") if base is list else ('{"%s":[' % base.__name__, "]}")
        left -= len(mark) + len(end)
        out.append(mark)
        mark = ""
        for item in items:
            out.append(mark)
            if base is dict:
                out.append("[")
                left = encode_typed(item[0], out, left - 4, depth - 1)
                out.append(",")
                left = encode_typed(item[1], out, left, depth - 1)
                out.append("]")
            else:
                left = encode_typed(item, out, left - 1, depth - 1)
            mark = ","
        out.append(end)
        return left
    number = as_number(value, kind)
    if number is not None:
        return encode_value(number, out, left, depth)
    text = '{"other":%s}' % quote(type_name(kind))
    if len(text) > left:
        raise TooLong
    out.append(text)
    return left - len(text)


def comparing_base(kind: type) -> Any:
    """The built-in type as which objects of `kind` compare, or None."""
    for each in type.mro(kind):
        if any(each is base for base in BASES):
            return each
        if "__eq__" in type.__getattribute__(each, "__dict__") and each is not collections.Counter and each is not collections.OrderedDict:
            return None
    return None


def as_number(value: Any, kind: type) -> int | float | None:
    """The int or float that a number of another library type equals, if there is one."""
    module = type.__getattribute__(kind, "__module__")
    if kind is complex:
        return value.real if value.imag == 0 else None
    if module == "decimal" and type_name(kind) == "Decimal" and value.is_finite() and abs(value.adjusted()) < 400 or module == "fractions":
        for make in (int, float):
            try:
                if make(value) == value:
                    return make(value)
            except OverflowError:
                pass
    elif module == "numpy" and not flags_of(kind) & HEAP_TYPE and hasattr(value, "item"):
        item = value.item()
        return item if type(item) in (bool, int, float) else None
    return None


INF = float("inf")
SCALARS = (str, int, float, bool, NoneType)
BASES = (str, int, float, list, tuple, dict)
EXACT: dict[Any, Callable[[Any], Any]] = {str: str.__str__, int: int.__pos__, float: float.__pos__}


# ---- linked lists and trees in call mode, as contest sites have them: JSON lists outside, objects inside

class ListNode:
    def __init__(self, val: Any = 0, next: Any = None) -> None:  # noqa: A002
        self.val, self.next = val, next


class TreeNode:
    def __init__(self, val: Any = 0, left: Any = None, right: Any = None) -> None:
        self.val, self.left, self.right = val, left, right


ListNode.__module__ = TreeNode.__module__ = "solution"
Shape = Any                             # "ListNode" or "TreeNode", a list of one shape for a list of such, None for any other type
NODE_FIELDS = {"ListNode": ("next",), "TreeNode": ("left", "right")}
NODE_CLASSES: list[tuple[type, tuple[str, ...]]] = [(ListNode, ("next",)), (TreeNode, ("left", "right"))]     # and the program's own


class Nodes:
    """Arguments of a function, by its annotations: without any, nothing is converted."""

    def __init__(self, space: Head) -> None:
        self.classes: dict[str, Any] = {}
        for name, fields in NODE_FIELDS.items():
            kind = space.get(name, space["__builtins__"][name])
            self.classes[name] = kind
            if isinstance(kind, type):
                NODE_CLASSES.append((kind, fields))
        self.returned: Shape = None

    def arguments(self, target: Any, args: Sequence[Any], kwargs: Head) -> tuple[list[Any], Head]:
        bound = type(target) is types.MethodType
        function = target.__func__ if bound else target
        for _ in range(16):
            function = getattr(function, "__wrapped__", function)
        try:
            annotations = dict(function.__annotations__)
            code = function.__code__
        except Exception:                # no function, or annotations that name what is not there
            return list(args), kwargs
        shapes = {name: shape_of(annotation) for name, annotation in annotations.items()}
        self.returned = shapes.pop("return", None)
        names = code.co_varnames[bound:code.co_argcount]
        args = [self.build(shapes.get(names[n]) if n < len(names) else None, value) for n, value in enumerate(args)]
        return args, {name: self.build(shapes.get(name), value) for name, value in kwargs.items()}

    def build(self, shape: Shape, value: Any) -> Any:
        if shape is None or type(value) is not list:
            return value
        if isinstance(shape, list):
            return [self.build(shape[0], item) for item in value]
        return self.tree(value) if shape == "TreeNode" else self.chain(value)

    def chain(self, values: list[Any]) -> Any:
        top = None
        for value in reversed(values):
            node = self.node("ListNode", value)
            node.next, top = top, node
        return top

    def tree(self, values: list[Any]) -> Any:
        """Level order, null where a child is missing; missing nodes have no children in the list."""
        if not values or values[0] is None:
            return None
        nodes, at = [self.node("TreeNode", values[0])], 1
        for parent in nodes:
            for field in ("left", "right"):
                if at < len(values) and values[at] is not None:
                    child = self.node("TreeNode", values[at])
                    setattr(parent, field, child)
                    nodes.append(child)
                at += 1
        if any(value is not None for value in values[at:]):
            raise ValueError("a tree's level order has values that are no node's children")
        return nodes[0]

    def node(self, name: str, value: Any) -> Any:
        kind = self.classes[name]
        try:
            node = kind(value)
        except TypeError:                # a class of the program's own that wants other arguments
            node = kind.__new__(kind)
        node.val = value
        for field in NODE_FIELDS[name]:
            setattr(node, field, None)
        return node


def shape_of(annotation: Any) -> Shape:
    """Annotations come as classes, as objects of typing, or as text."""
    text = annotation
    if not isinstance(text, str):
        text = type_name(text) if isinstance(text, type) and not hasattr(text, "__origin__") else repr(text)
    if "Node" not in text:
        return None
    text = re.sub(r"ForwardRef\((['\"])(.*?)\1[^)]*\)", r"\2", text)
    text = re.sub(r"[\s'\"]|[\w<>]+\.", "", text)
    for _ in range(16):
        if text in NODE_FIELDS:
            return text
        inner = re.fullmatch(r"(Optional|Union|List|list)\[(.*)\]", text)
        if inner and inner[1] in ("List", "list"):
            item = shape_of(inner[2])
            return [item] if item else None
        text = re.sub(r"^None(Type)?[|,]|[|,]None(Type)?$", "", inner[2] if inner else text)
    return None


def node_fields(kind: type) -> tuple[str, ...]:
    """The fields that lead on from an object of `kind`; none where it is no node."""
    if not flags_of(kind) & HEAP_TYPE:
        return ()
    bases = type.mro(kind)
    for node, fields in NODE_CLASSES:
        if any(base is node for base in bases):
            return fields
    return ()


def node_items(top: Any, fields: tuple[str, ...], most: int) -> list[Any]:
    """A linked list's values, or a tree's in level order. Two characters each at least: no more of them than `most` leaves room for."""
    out: list[Any] = []
    if len(fields) == 1:
        node = behind = top
        while node is not None:
            out.append(node.val)
            node = node.next
            if len(out) % 2 == 0:
                behind = behind.next
            if node is behind and node is not None:
                raise NotData("a linked list without an end")
            if 2 * len(out) > most:
                raise TooLong
        return out
    refuse_circles(top, fields, most)
    nodes = [top]
    out.append(top.val)
    for node in nodes:
        for field in fields:
            child = getattr(node, field)
            out.append(None if child is None else child.val)
            if child is not None:
                nodes.append(child)
        if 2 * len(out) > most:
            raise TooLong
    while out and out[-1] is None:
        out.pop()
    return out


def refuse_circles(top: Any, fields: tuple[str, ...], most: int) -> None:
    """A node may have several parents (trees that share branches), but not be below itself."""
    seen: dict[int, Any] = {}
    above: set[int] = set()
    todo = [(top, False)]
    while todo:
        node, leaving = todo.pop()
        if leaving:
            above.discard(id(node))
            continue
        if id(node) in above:
            raise NotData("a tree in which a node is below itself")
        if id(node) in seen:
            continue
        seen[id(node)] = node
        if 2 * len(seen) > most:
            raise TooLong
        above.add(id(node))
        todo.append((node, True))
        todo.extend((child, False) for child in [getattr(node, field) for field in fields] if child is not None)


def type_name(kind: type) -> str:
    name = type.__getattribute__(kind, "__name__")
    return name if type(name) is str else "?"


def preamble() -> Head:
    """Names that solutions of function problems take for granted, as contest sites define them."""
    space: Head = {}
    for line in ("from string import *", "from re import *", "from datetime import *", "from collections import *", "from heapq import *",
                 "from bisect import *", "from copy import *", "from math import *", "from random import *", "from statistics import *",
                 "from itertools import *", "from functools import *", "from operator import *", "from typing import *",
                 "import string, re, datetime, collections, heapq, bisect, copy, math, random, statistics, itertools, functools, operator, "
                 "typing, sys, os, io, json", "from builtins import *"):
        exec(line, space)
    space["inf"] = float("inf")
    space.update(ListNode=ListNode, TreeNode=TreeNode)
    space.pop("__builtins__", None)
    return space


PREAMBLE: Head = {}
NAMES: Head = {}                        # the same, and before it the builtins


# ---------------------------------------------------------------- the fork server

def fork_server(sock: _socket.socket, config: Head, spawner: int | None) -> NoReturn:
    """Never returns. Each packet starts a program; the answer is its pid, or minus an errno."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    starter = next_clone
    if spawner is not None:
        library = ctypes.PyDLL("%s/self/fd/%d" % (config["proc"] or "/proc", spawner))
        library.starter.restype = ctypes.py_object
        starter = library.starter()
    quiet(os.setpriority, os.PRIO_PROCESS, 0, 0)     # the agent may be more urgent than the programs: a limit waits for none of them
    keep = sock.fileno()
    os.closerange(3, keep)
    os.closerange(keep + 1, 4096)
    if config["gid"] is not None:
        os.setgroups([])
        os.setresgid(config["gid"], config["gid"], config["gid"])
    # not 0: a machine that pipes cores to a program of its own would start that for every crash
    core = 0 if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0 else 1
    resource.setrlimit(resource.RLIMIT_CORE, (core, core))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = FILE_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, FILE_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    stack = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (stack, stack))
    harden(config)
    os.umask(0o022)
    os.dup2(0, 2)
    share_code(config)
    warm_up()
    gc.collect()
    gc.freeze()
    attend(sock.detach(), starter, None)


WARM_UP = """
import sys
a, b = map(int, input().split())
print(a + b, sum([a, b]))
sys.stdin.readline()
sys.stdin.read()
sys.stdout.write("")
"""


def warm_up() -> None:
    """Do what programs do, on files of our own: what the interpreter keeps of it (attributes found, code specialised) is in every clone."""
    global OWN_STREAMS
    before = sys.stdin, sys.stdout, sys.stderr, OWN_STREAMS
    code = compile(WARM_UP, "main.py", "exec", 0, True)
    for _ in range(24):                  # CPython specialises code that ran 8 times, and tries again where that failed
        files = [memfd("warm") for _ in range(3)]
        os.write(files[0], b"1 2\n" * 3)
        os.lseek(files[0], 0, os.SEEK_SET)
        sys.stdin, sys.stdout, sys.stderr = (open(fd, mode) for fd, mode in zip(files, "rww"))
        OWN_STREAMS = (sys.stdout, sys.stderr)
        new_module("__main__")
        play_main(code, None)
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            stream.close()
    sys.stdin, sys.stdout, sys.stderr, OWN_STREAMS = before
    new_module("__main__")


def share_code(config: Head) -> None:
    """Have the code of the interpreter and of the C library in every clone's page tables from the start: else each comes upon some 40
    pages that it has not.

    A fork copies the entries of a private mapping of a file if one of its pages was written to (the kernel's vma_needs_copy). So the
    first page of the code is written to, with what is there.
    """
    inside = [ctypes.cast(function, ctypes.c_void_p).value or 0 for function in (ctypes.pythonapi.Py_IsInitialized, libc.getpid)]
    with open((config["proc"] or "/proc") + "/self/maps") as file:
        for line in file:
            place, mode = line.split(None, 2)[:2]
            first, end = (int(part, 16) for part in place.split("-"))
            start, size = ctypes.c_void_p(first), ctypes.c_size_t(end - first)
            if mode != "r-xp" or not any(first <= address < end for address in inside):
                continue
            if libc.mprotect(start, size, mmap.PROT_READ | mmap.PROT_EXEC | mmap.PROT_WRITE) == 0:
                ctypes.memmove(start, start, 1)
                libc.mprotect(start, size, mmap.PROT_READ | mmap.PROT_EXEC)


def attend(sock: int, starter: Callable[[int], tuple[bytes, bytes]], ready: Any) -> NoReturn:
    """Start what the agent's packets ask for. `starter` returns in the clones alone: SPAWNER's, or `next_clone`, which is the same in Python.
    `ready`: the code, of a fork server of one job."""
    data, payload = starter(sock)
    status = 1
    try:
        if data[0] == MAIN_MARK[0]:
            status = play_main(*ready)
        else:
            want, fds = unpacked(data, payload)
            job = data[0] == JOB_MARK[0]
            del data                     # the packet has the nonce in it
            if job:
                serve_job(want, fds, starter)
            if want["whole"]:
                become(want, fds)
            status = play(want, fds, ready)
    except BaseException:
        quiet(_write, 2, trace())
        status = 1
    finally:
        _exit(status)


def serve_job(want: Head, fds: list[int], starter: Callable[[int], tuple[bytes, bytes]]) -> NoReturn:
    """Be the fork server of one job, which has its code: what each of its runs would do first is done once. `fds`: socket, code."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    sys.argv = list(want["argv"])
    ready = marshal.loads(read_all(fds[1]))
    new_module("__main__")
    gc.freeze()
    attend(fds[0], starter, ready)


def next_clone(sock: int) -> tuple[bytes, bytes]:
    """Answer packets with clones. In each of them, returns its packet and, as C integers, the descriptors that came with it."""
    link = _socket.socket(fileno=sock)
    while True:
        data, ancillary, _flags, _address = link.recvmsg(PACKET, 512, _socket.MSG_CMSG_CLOEXEC)
        if not data:
            _exit(0)
        payload = b"".join(payload for level, kind, payload in ancillary if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS))
        pid = raw_clone(CLONE_PARENT)
        if pid == 0:
            link.close()
            return data, payload
        for fd, in struct.iter_unpack("i", payload):
            os.close(fd)
        link.send(struct.pack("<i", pid))


def harden(config: Head) -> None:
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    confine_writes(config)
    text = config["seccomp"].get(os.uname().machine)
    if text is None:
        return
    code = binascii.a2b_base64(text)

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    program = Program(len(code) // 8, code)
    if libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the seccomp filter was refused")


# ---- a fork server without Python: built in the slot at the first need, where it has a C compiler

SPAWNER = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct head { long long cpu, fsize, nproc; int uid, argc, envc, by_fd; };
enum { MOST = 255 };

static struct head head;
static const int *fds;
static char *argv[MOST + 1], *envp[MOST + 1], *work, *path;
static char stack[1 << 16] __attribute__((aligned(16))), packet[1 << 17];

static void bound(int what, long long most) {
    struct rlimit limit = { most, most };
    setrlimit(what, &limit);
}

/* Take the run's place: descriptors, session, limits, user. */
static int become(void) {
    for (int n = 0; n < 3; n++)
        if (dup2(fds[n], n) < 0) return -1;
    setsid();
    if (chdir(work) != 0) return -1;
    bound(RLIMIT_CPU, head.cpu);
    bound(RLIMIT_FSIZE, head.fsize);
    if (head.nproc > 0) bound(RLIMIT_NPROC, head.nproc);
    if (head.uid >= 0) return syscall(SYS_setresuid, head.uid, head.uid, head.uid);
    struct { unsigned version; int pid; } who = { 0x20080522, 0 };
    unsigned none[6] = { 0 };
    if (syscall(SYS_capset, &who, none) != 0) return -1;
    /* a Landlock domain of its own, where there is Landlock: no signals to the fork servers, which are of this user as well */
    unsigned long long scope[3] = { 0, 0, 2 };
    int ruleset = syscall(444, scope, sizeof scope, 0);
    if (ruleset >= 0) {
        syscall(446, ruleset, 0);
        close(ruleset);
    }
    return 0;
}

/* Shares the fork server's memory until it execs; the fork server stands still meanwhile. */
static int start(void *unused) {
    if (become() != 0) _exit(127);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    if (head.by_fd) syscall(SYS_execveat, fds[3], "", argv, envp, AT_EMPTY_PATH);
    else execve(path, argv, envp);
    const char *why = strerror(errno);
    if (write(2, "cannot be started: ", 19) > 0 && write(2, why, strlen(why)) > 0) _exit(126);
    _exit(126);
}

/* A head, then work, path, arguments and environment, each ended by a zero byte. Returns 0, or minus an errno. */
static int unpack(char *at, char *end, const int *given) {
    memcpy(&head, at, sizeof head);
    at += sizeof head;
    fds = given;
    if (head.argc > MOST || head.envc > MOST) return -E2BIG;
    for (int n = 0; n < 2 + head.argc + head.envc; n++) {
        char *next = memchr(at, 0, end - at);
        if (!next) return -EINVAL;
        if (n == 0) work = at;
        else if (n == 1) path = at;
        else if (n < 2 + head.argc) argv[n - 2] = at;
        else envp[n - 2 - head.argc] = at;
        at = next + 1;
    }
    argv[head.argc] = envp[head.envc] = 0;
    return 0;
}

/* Of a native program. Returns a pid, or minus an errno. */
static int spawn(void) {
    int pid = clone(start, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_PARENT, 0);
    return pid < 0 ? -errno : pid;
}

/* A copy of the interpreter: returns 0 in it, else a pid, or minus an errno. With `whole` it has become the run. `path`, if any, is its
   oom_score_adj. */
static int copy(int server, int whole) {
    int pid = syscall(SYS_clone, CLONE_PARENT, 0, 0, 0, 0);
    if (pid != 0) return pid < 0 ? -errno : pid;
    close(server);
    if (!whole) return 0;
    if (*path) {
        int fd = open(path, O_WRONLY);
        if (fd >= 0 && write(fd, "1000", 4) > 0) close(fd);
    }
    if (become() != 0) _exit(127);
    for (int n = 0; n < 3; n++) close(fds[n]);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    return 0;
}

/* Of the stable ABI. What the server itself writes to, it has to copy after each clone: so its loop touches nothing of Python. */
typedef struct _object PyObject;
struct method { const char *name; PyObject *(*call)(PyObject *, PyObject *); int flags; const char *doc; };
extern PyObject *PyCFunction_NewEx(struct method *, PyObject *, PyObject *), *PyTuple_New(ssize_t), *PyBytes_FromStringAndSize(const char *, ssize_t);
extern int PyTuple_SetItem(PyObject *, ssize_t, PyObject *);
extern long PyLong_AsLong(PyObject *);

static PyObject *attend(PyObject *self, PyObject *number) {
    int server = PyLong_AsLong(number);
    static union { struct cmsghdr head; char bytes[512]; } control;
    for (;;) {
        struct iovec part = { packet, sizeof packet };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
        ssize_t size = recvmsg(server, &message, MSG_CMSG_CLOEXEC);
        if (size < 0 && errno == EINTR) continue;
        if (size < 5) _exit(size == 0 ? 0 : 1);
        struct cmsghdr *first = CMSG_FIRSTHDR(&message);
        const int *given = first ? (const int *)CMSG_DATA(first) : 0;
        int count = first ? (first->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0, pid = 0;
        unsigned length;
        memcpy(&length, packet + 1, 4);
        if (length) pid = unpack(packet + 5, packet + size, given);
        if (pid == 0) pid = *packet == 'X' ? spawn() : copy(server, length != 0);
        if (pid == 0) {
            PyObject *both = PyTuple_New(2);
            PyTuple_SetItem(both, 0, PyBytes_FromStringAndSize(packet, size));
            PyTuple_SetItem(both, 1, PyBytes_FromStringAndSize((const char *)given, count * sizeof(int)));
            explicit_bzero(packet, size);
            return both;
        }
        explicit_bzero(packet, size);
        for (int n = 0; n < count; n++) close(given[n]);
        if (send(server, &pid, sizeof pid, MSG_NOSIGNAL) < 0) _exit(1);
    }
}

PyObject *starter(void) {
    static struct method method = { "attend", attend, 8 /* METH_O */, 0 };
    return PyCFunction_NewEx(&method, 0, 0);
}
"""
SPAWN_HEAD = struct.Struct("<qqqiiii")
SPAWN_SIZE = struct.Struct("<I")
SPAWN_MARK, PLAY_MARK, JOB_MARK = b"X", b"P", b"J"
MAIN_MARK = b"M"                        # of a run that needs nothing but what the job's fork server has
PACKET = 1 << 17                        # the most bytes of one


def spawn_head(want: Head, path: str, argv: Sequence[str], env: Mapping[str, str], by_fd: bool) -> bytes:
    uid = -1 if want["uid"] is None else want["uid"]
    strings = [want["work"], path, *argv, *["%s=%s" % pair for pair in env.items()]]
    head = SPAWN_HEAD.pack(want["cpu"], want["fsize"], want["nproc"], uid, len(argv), len(env), by_fd)
    return head + "\0".join(strings).encode("utf-8", "surrogateescape") + b"\0"


def packet(want: Head, fds: Sequence[int], spawner: bool) -> bytes:
    """What the fork server gets for a run: a mark, the length of a head, the head, and what Python has to know. Without `spawner` there is no
    head, and all is Python's."""
    if not spawner or want.get("confined"):
        return PLAY_MARK + SPAWN_SIZE.pack(0) + marshal.dumps(dict(want, whole=True))
    if want["what"] == "exec":
        head = spawn_head(want, want.get("path", ""), want["argv"], want["env"], len(fds) > 3)
        return SPAWN_MARK + SPAWN_SIZE.pack(len(head)) + head
    head = spawn_head(want, want["shield"] + "/self/oom_score_adj" if want["shield"] else "", (), {}, False)
    if want["what"] == "main" and want["ready"]:
        return MAIN_MARK + SPAWN_SIZE.pack(len(head)) + head
    return PLAY_MARK + SPAWN_SIZE.pack(len(head)) + head + marshal.dumps(dict(want, whole=False))


def unpacked(data: bytes, payload: bytes) -> tuple[Head, list[int]]:
    """Of a packet and its descriptors, what is Python's."""
    length = SPAWN_SIZE.unpack_from(data, 1)[0]
    return marshal.loads(memoryview(data)[1 + SPAWN_SIZE.size + length:]), [fd for fd, in struct.iter_unpack("i", payload)]


# ---------------------------------------------------------------- the agent

class Blob:
    """Bytes in a sealed memfd."""

    def __init__(self, size: int, fd: int | None = None) -> None:
        self.fd = memfd("blob", MFD_ALLOW_SEALING) if fd is None else fd
        self.size = size

    def seal(self) -> None:
        fcntl.fcntl(self.fd, F_ADD_SEALS, SEALS)

    def close(self) -> None:
        os.close(self.fd)


class Gone(Exception):
    """The host is gone, or said goodbye."""


class Channel:
    """Frames from and to the host. What comes in passes through one buffer that no clone inherits."""

    def __init__(self, source: int, sink: int, blobs: dict[str, Blob]) -> None:
        self.source, self.sink, self.blobs = source, sink, blobs
        self.map = mmap.mmap(-1, BUFFER)
        self.out = mmap.mmap(-1, BUFFER)
        for area in (self.map, self.out):
            area.madvise(mmap.MADV_DONTFORK)
        self.view, self.out_view = memoryview(self.map), memoryview(self.out)
        self.rest = bytearray()          # of a head or JSON that has not come whole; never of a blob
        self.put: tuple[str, Blob, int] | None = None                  # name, blob, bytes missing
        self.talk: Talk | None = None    # of the RUN that came last, if it is one
        self.fed: Talk | None = None     # whose FEED is coming
        self.feeding = 0                 # bytes of it that are missing
        self.inbox = mmap.mmap(-1, WINDOW + PIPE)
        self.inbox.madvise(mmap.MADV_DONTFORK)
        self.queue: collections.deque[tuple[int, Head]] = collections.deque()
        self.cancelled: int | None = None
        self.held = b""

    def pump(self) -> None:
        """Read once, blocking until there is something. Raises Gone."""
        n = os.readv(self.source, [self.view])
        if n == 0:
            raise Gone
        at = 0
        while at < n:
            if self.put is not None:
                name, blob, missing = self.put
                take = min(missing, n - at)
                done = 0
                while done < take:
                    done += os.write(blob.fd, self.view[at + done:at + take])
                at += take
                self.put = (name, blob, missing - take)
                if missing == take:
                    self._stored()
                continue
            if self.feeding:
                take = min(self.feeding, n - at)
                if self.fed is not None:
                    self.fed.take(self.view[at:at + take])
                at += take
                self.feeding -= take
                continue
            need = HEAD.size - len(self.rest)
            if need > 0:
                self.rest += self.view[at:min(n, at + need)]
                at = min(n, at + need)
                if len(self.rest) < HEAD.size:
                    continue
            size, kind, text = HEAD.unpack_from(self.rest)
            need = HEAD.size + text - len(self.rest)
            self.rest += self.view[at:min(n, at + need)]
            at = min(n, at + need)
            if len(self.rest) < HEAD.size + text:
                continue
            head = json.loads(bytes(self.rest[HEAD.size:]))
            self.rest = bytearray()
            self._take(kind, head, size - text)

    def _take(self, kind: int, head: Head, body: int) -> None:
        if kind == PUT:
            self.put = (head["h"], Blob(body), body)
            if body == 0:
                self._stored()
        elif kind == DROP:
            blob = self.blobs.pop(head["h"], None)
            if blob is not None:
                blob.close()
        elif kind == CANCEL:
            self.cancelled = head["job"]
            self.queue.append((kind, head))
        elif kind in (FEED, FLOW, END):
            talk = self.talk
            if talk is not None and (talk.job, talk.n) != (head["job"], head["n"]):
                talk = None
            self.fed, self.feeding = talk, body
            if talk is not None:
                talk.told(kind, head, body)
        elif kind == PING:
            self.send(PONG, {})
        elif kind == QUIT:
            raise Gone
        else:
            if kind == RUN:              # a FEED may come before it begins
                self.talk = Talk(self, head) if head.get("talk") else None
            self.queue.append((kind, head))

    def _stored(self) -> None:
        assert self.put is not None
        name, blob, _missing = self.put
        self.put = None
        blob.seal()
        old = self.blobs.pop(name, None)
        if old is not None:
            old.close()
        self.blobs[name] = blob

    def hold(self, kind: int, head: Head, body: bytes) -> None:
        """A frame that goes out with the next one."""
        text = json.dumps(head).encode()
        self.held += HEAD.pack(len(text) + len(body), kind, len(text)) + text + body

    def release(self) -> None:
        """What is held goes out now."""
        size = len(self.held)
        self.out_view[:size] = self.held
        self.held = b""
        self._flush(size)

    def send(self, kind: int, head: Head, parts: Sequence[Part] = ()) -> None:
        """`parts` are (descriptor, first byte, number of bytes)."""
        text = json.dumps(head).encode()
        size = sum(part[2] for part in parts)
        start = self.held + HEAD.pack(len(text) + size, kind, len(text)) + text
        self.held = b""
        if len(start) + size <= BUFFER:
            at = len(start)
            self.out_view[:at] = start
            for fd, first, length in parts:
                got = 0
                while got < length:
                    more = os.preadv(fd, [self.out_view[at:at + length - got]], first + got)
                    if more == 0:
                        raise OSError("an output became shorter")
                    got += more
                    at += more
            self._flush(at)
            return
        self.out_view[:len(start)] = start
        self._flush(len(start))
        for fd, first, length in parts:
            got = 0
            while got < length:
                more = os.preadv(fd, [self.out_view[:min(BUFFER, length - got)]], first + got)
                if more == 0:
                    raise OSError("an output became shorter")
                self._flush(more)
                got += more

    def receive(self, fd: int, most: int) -> int:
        """Read from a pipe, at most `most` bytes, for `relay`. Returns their number; 0 is its end. Raises BlockingIOError."""
        return os.readv(fd, [self.out_view[HEAD_ROOM:min(BUFFER, HEAD_ROOM + most)]])

    def relay(self, kind: int, head: Head, size: int) -> None:
        """Send on what `receive` has read."""
        text = json.dumps(head).encode()
        start = HEAD_ROOM - HEAD.size - len(text)
        self.out_view[start:HEAD_ROOM] = HEAD.pack(len(text) + size, kind, len(text)) + text
        self._flush(HEAD_ROOM + size, start)

    def _flush(self, size: int, at: int = 0) -> None:
        while at < size:
            at += os.write(self.sink, self.out_view[at:size])


class Talk:
    """A run whose standard input and output are pipes, with the host between it and another slot's: it goes on as the other answers.

    Flow: SAID costs the sender `credit`, FLOW brings it back, once the other side has TOOK so many bytes into its pipe. So neither
    agent nor host ever holds more than WINDOW bytes of it, and a program whose words nobody reads stops at a full pipe, as ever; what is in
    its pipe when it ends is sent all the same. What is said to a program that closed its input is lost without a sign: an EPIPE would
    depend on who was faster.

    Time: each side says with its words how long it held the word and had a core, and so the other knows how much of its wait for them was
    neither's: the way there and back, or a partner without a core. That is no time of a program's.
    """

    def __init__(self, channel: Channel, head: Head) -> None:
        self.channel, self.inbox = channel, memoryview(channel.inbox)
        self.job, self.n = head["job"], head["n"]
        self.low = self.high = 0         # what of the inbox is to be written
        self.complete = False            # nothing more comes
        self.ended = False               # the host wants it to end
        self.credit = WINDOW
        self.total = self.took = 0
        self.way_s = 0.0                 # of its waits for answers so far, what was not the other side's
        self.spoke: float | None = None  # when, first since it was spoken to; or its start
        self.given: float | None = None  # when it was spoken to, first since it spoke; or its start
        self.silent = True               # nothing was said to it or by it
        self.their_held_s = self.awaited_s = self.held_s = 0.0     # of the words on their way in; at the end: for how long it waited, and held
        self.accounts: list[int] = []    # the kernel's, of this process and of the run's first thread
        self.starved_s = 0.0             # by them, when it was spoken to
        self.late_s = 0.0                # of this process, when the run began
        self.sink = self.source = -1     # our ends of its input and output
        self.closing: float | None = None        # its output has ended, which is to be said by then
        self.theirs: list[int] = []
        self.pid = 0
        self.poll: select.poll | None = None     # from its start on
        self.watched: dict[int, int] = {}

    def open(self) -> tuple[int, int]:
        """The program's ends."""
        stdin, self.sink = os.pipe2(os.O_CLOEXEC)
        self.source, stdout = os.pipe2(os.O_CLOEXEC)
        for fd in (stdin, stdout):
            os.fchmod(fd, 0o666)         # so that /dev/stdin can be opened
        for fd in (self.sink, self.source):
            os.set_blocking(fd, False)
        self.theirs = [stdin, stdout]
        return stdin, stdout

    def launched(self, poll: select.poll, pid: int, proc: str) -> None:
        self.poll, self.pid = poll, pid
        self.spoke = self.given = time.monotonic()
        try:
            for who in ("self", str(pid)):
                self.accounts.append(os.open("%s/%s/schedstat" % (proc, who), os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            pass
        self.late_s = starved_s(self.accounts[:1])
        self.starved_s = starved_s(self.accounts)
        while self.theirs:
            os.close(self.theirs.pop())
        self.watch()

    def told(self, kind: int, head: Head, body: int) -> None:
        if kind == FLOW:
            self.credit += head["bytes"]
        elif kind == END:
            self.ended = True
        elif body == 0:
            self.complete = True
        else:
            self.their_held_s = head["held"]

    def take(self, data: memoryview) -> None:
        if self.spoke is not None:
            self.way_s += max(0.0, time.monotonic() - self.spoke - self.their_held_s)
            self.spoke = None
        self.silent = False
        if self.given is None and self.poll is not None:
            self.given, self.starved_s = time.monotonic(), starved_s(self.accounts)
        if self.high + len(data) > len(self.inbox):
            size = self.high - self.low
            self.channel.inbox.move(0, self.low, size)
            self.low, self.high = 0, size
        self.inbox[self.high:self.high + len(data)] = data
        self.high += len(data)

    def watch(self) -> None:
        """Move what can be moved, and have the poll object wake for the rest."""
        self.tell()
        wanted = {}
        if self.sink >= 0 and self.high > self.low:
            wanted[self.sink] = select.POLLOUT
        if self.source >= 0 and self.credit > 0:
            wanted[self.source] = select.POLLIN
        if wanted != self.watched:
            assert self.poll is not None
            for fd in self.watched.keys() - wanted.keys():
                self.poll.unregister(fd)
            for fd in wanted.keys() - self.watched.keys():
                self.poll.register(fd, wanted[fd])
            self.watched = wanted

    def tell(self) -> None:
        size = self.high - self.low
        if size:
            if self.sink >= 0:
                try:
                    size = os.write(self.sink, self.inbox[self.low:self.high])
                except BlockingIOError:
                    return
                except BrokenPipeError:
                    self.sink = self.close(self.sink)
            self.low += size
            self.took += size
            if self.took >= WINDOW // 4:
                self.channel.send(TOOK, {"job": self.job, "n": self.n, "bytes": self.took})
                self.took = 0
        if self.low == self.high:
            self.low = self.high = 0
            if self.complete and self.sink >= 0:
                self.sink = self.close(self.sink)

    def hear(self, most: int) -> bool:
        """Pass on what it printed; not much more than `most` bytes in all. Returns whether there may be more."""
        try:
            n = self.channel.receive(self.source, min(self.credit, most + 1 - self.total))
        except BlockingIOError:
            return False
        if n == 0:
            self.source = self.close(self.source)
            self.closing = time.monotonic() + CLOSING_S
            return False
        said = {"job": self.job, "n": self.n, "over": False, "cpu": process_cpu_s(self.pid), "held": self.holding()}
        self.channel.relay(SAID, said, n)
        self.total += n
        self.credit -= n
        self.given = None
        if self.spoke is None or self.silent:
            self.spoke, self.silent = time.monotonic(), False
        return self.total <= most

    def holding(self) -> float:
        """Seconds since it was spoken to, without those in which it, or this process, had no core; 0 if it has answered."""
        return 0.0 if self.given is None else max(0.0, time.monotonic() - self.given - (starved_s(self.accounts) - self.starved_s))

    def waited_s(self) -> float:
        """Of its time so far, what others took: the way of its answers, and this process, without a core, to carry them on."""
        return self.way_s + starved_s(self.accounts[:1]) - self.late_s

    def say_end(self, over: bool) -> None:
        """That it says no more; `over`: since its processes have ended, rather than that it closed its output."""
        self.closing = None
        self.channel.send(SAID, {"job": self.job, "n": self.n, "over": over, "cpu": process_cpu_s(self.pid), "held": 0.0})

    def finish(self, most: int, say: bool) -> None:
        """After the end of all its processes: what is left in the pipe, and the end of it."""
        self.awaited_s = 0.0 if self.spoke is None else time.monotonic() - self.spoke
        self.credit = PIPE
        while say and self.source >= 0 and self.credit > 0 and self.hear(most):
            pass
        if self.source >= 0 and self.credit <= 0:
            self.total = most + 1        # no pipe holds so much
        if say:
            self.say_end(True)
        for fd in (self.source, self.sink, *self.accounts, *self.theirs):
            if fd >= 0:
                self.close(fd)
        self.source = self.sink = -1
        self.accounts = []
        self.theirs = []

    def close(self, fd: int) -> int:
        if self.watched.pop(fd, None) is not None:
            assert self.poll is not None
            self.poll.unregister(fd)
        os.close(fd)
        return -1


class Died(Exception):
    """The fork server died."""


class Run:
    """What a run did, before it is judged."""

    def __init__(self) -> None:
        self.status = 0
        self.cpu_s = self.wall_s = self.starved_s = self.compiler_s = 0.0
        self.peak = self.maxrss = 0
        self.over = ""                   # what ended it: cpu_limit, wall_limit, memory_limit, output_limit, cancelled, stopped
        self.oom = False


class Agent:
    def __init__(self, config: Head) -> None:
        self.config = config
        self.uid = config["uid"]
        self.proc = config["proc"] or "/proc"
        self.fds: Head = config["fds"]
        self.paths: dict[str, str] = config["read"]
        self.blobs: dict[str, Blob] = {}
        self.job: Head | None = None     # the head of the JOB under way
        self.stopped: int | None = None  # id of a job whose RUNs are to be dropped
        self.memory_limit: int | None = None
        self.pids_limit: int | None = None
        self.cpus = len(os.sched_getaffinity(0))
        self.folders_before = 0          # bytes in the emptied folders when the run began
        self.server = 0
        self.sock: _socket.socket | None = None
        self.job_server = 0              # the fork server that has the job's code, of a job with several tests; else 0
        self.job_sock: _socket.socket | None = None
        self.runs = 0                    # of this job
        self.code: Blob | None = None
        self.fused: int | None = None    # the memfd of a job's artifact while its first run compiles it
        self.channel: Channel
        self.spawner: Blob | None = None
        self.spawner_tried = False
        self.ooms = self.oom_kills()
        self.modes: dict[str, int] = {}  # of the folders

    # ---- start

    def start(self, source: int, sink: int) -> None:
        libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        for name in WARM:
            try:
                __import__(name)
            except ImportError:
                pass
        for name in set(os.environ) - set(ENVIRONMENT):
            del os.environ[name]
        site_packages()                  # first: exit() is one of the names
        PREAMBLE.update(preamble())
        NAMES.update(PREAMBLE, **vars(builtins))
        global BUILTINS, MODULES
        BUILTINS = (held_values(builtins),)
        MODULES = (*BUILTINS, *(held_values(sys.modules[name]) for name in TRUSTED if name in sys.modules))
        KINDS.update((id(kind), parts) for name in TRUSTED if name in sys.modules for kind, parts in comparing_kinds(sys.modules[name]))
        sys.path[:] = [self.config["work"]] + [path for path in sys.path if path]
        sys.dont_write_bytecode = True
        global OWN_STREAMS
        OWN_STREAMS = (sys.stdout, sys.stderr)
        for folder in self.config["remount"]:
            self.renew(folder)           # of the agent's own: those below may be the machine's, which it cannot take away
        self.modes = {folder: os.stat(folder).st_mode for folder in self.config["clean"] if os.path.isdir(folder)}
        self.start_server()
        self.channel = Channel(source, sink, self.blobs)
        self.shared_at_first = self.shared_bytes() or 0
        self.poll = select.poll()
        self.poll.register(source, select.POLLIN)
        self.channel.send(HELLO, {"protocol": PROTOCOL, "python": sys.version.split()[0], "machine": os.uname().machine, "cpus": self.cpus})

    def start_server(self) -> None:
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        pid = raw_clone(0)
        if pid == 0:
            status = 1
            try:
                os.dup2(theirs.fileno(), 9, False)
                fork_server(_socket.socket(fileno=9), self.config, None if self.spawner is None else self.spawner.fd)
            except BaseException:
                quiet(_write, 2, trace())
            finally:
                _exit(status)
        theirs.close()
        if self.sock is not None:
            self.sock.close()
        self.bound(ours)
        self.server, self.sock = pid, ours
        for fd in self.fds.get("procs", ()):
            os.write(fd, b"%d" % pid)
        self.memory_limit = self.pids_limit = None

    def bound(self, sock: _socket.socket) -> None:
        """A fork server of the programs' own user may have been stopped by one (without Landlock): no answer is its end."""
        if self.uid is None:
            sock.settimeout(STUCK_S)

    def ask_server(self, want: Head, fds: list[int]) -> int:
        """Start a program. Returns its pid. Raises Died."""
        sock = self.job_sock if want.get("ready") else self.sock
        if sock is None:
            raise Died("not started")
        return self.ask(sock, packet(want, fds, self.spawner is not None), fds)

    def ask(self, sock: _socket.socket, text: bytes, fds: Sequence[int]) -> int:
        """Returns a pid. Raises Died, OSError."""
        try:
            sock.sendmsg([text], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("%di" % len(fds), *fds))])
            answer = sock.recv(4)
        except OSError as error:
            raise Died(str(error)) from None
        if len(answer) < 4:
            raise Died("no answer")
        pid: int = struct.unpack("<i", answer)[0]
        if pid <= 0:
            raise OSError(-pid, "clone: " + os.strerror(-pid))
        return pid

    def launch(self, want: Head, fds: list[int]) -> int:
        for attempt in (0, 1, 2):
            try:
                return self.ask_server(want, fds)
            except Died:
                if attempt == 2:
                    raise
                self.end_all()
                self.end_job_server()
                end_process(self.server)
                self.start_server()
                if want.get("ready"):
                    self.start_job_server()
        raise AssertionError

    def start_job_server(self) -> None:
        """Clone the fork server, to have this job's code once for all its runs. Never another job's: that would be there to be found."""
        job, code = self.job, self.code
        assert job is not None and code is not None and self.sock is not None
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self.bound(ours)
        source = reopen(self.proc, code.fd)
        text = JOB_MARK + SPAWN_SIZE.pack(0) + marshal.dumps({"argv": [job["language"]["source"]]})
        try:
            self.job_server = self.ask(self.sock, text, [theirs.fileno(), source])
            self.job_sock = ours
        except (Died, OSError):          # it is tried again, or done without
            ours.close()
        finally:
            theirs.close()
            os.close(source)

    def end_job_server(self) -> None:
        if self.job_server:
            end_process(self.job_server)
            self.job_server = 0
        if self.job_sock is not None:
            self.job_sock.close()
            self.job_sock = None

    # ---- accounting

    def read_fd(self, name: str) -> bytes | None:
        fd = self.fds.get(name)
        if fd is not None:
            return os.pread(fd, 4096, 0)
        path = self.paths.get(name)
        if path is not None:
            try:
                with open(path, "rb") as file:
                    return file.read(4096)
            except OSError:
                return None
        return None

    def group_cpu_s(self) -> float | None:
        """CPU seconds of the run's cgroup so far, or None."""
        text = self.read_fd("cpu_usage")
        if text is None:
            return None
        if text.startswith(b"usage_usec"):
            return int(text.split(None, 2)[1]) / 1e6
        return int(text) / 1e9

    def server_cpu_s(self) -> float:
        """CPU seconds so far of what is in the run's group and no part of it: the fork server, in a container the agent too."""
        own = process_cpu_s(self.server) + (process_cpu_s(self.job_server) if self.job_server else 0.0)
        return own + (0.0 if "cpu_usage" in self.fds else time.process_time())

    def oom_kills(self) -> int:
        text = self.read_fd("memory_events")
        if text is None:
            return 0
        for line in text.splitlines():
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
        return 0

    def set_limits(self, memory: int, processes: int) -> None:
        """Write what differs from the run before to the cgroup."""
        if memory != self.memory_limit and "memory_limit" in self.fds:
            swap = self.fds.get("memory_swap_limit")
            text = b"%d" % memory
            for _ in (0, 1):             # the one that must be the larger depends on the direction
                quiet(os.write, self.fds["memory_limit"], text)
                if swap is not None:
                    quiet(os.write, swap, b"0" if self.fds.get("version") == 2 else text)
            self.memory_limit = memory
        most = processes + self.servers()
        if most != self.pids_limit and "pids_limit" in self.fds:
            os.write(self.fds["pids_limit"], b"%d" % most)
            self.pids_limit = most
        if "memory_peak" in self.fds:
            quiet(os.write, self.fds["memory_peak"], b"0")

    def servers(self) -> int:
        """Processes in the run's group that are none of the run's."""
        return 2 if self.job_server else 1

    def peak(self) -> int:
        text = self.read_fd("memory_peak")
        return int(text) if text is not None else 0

    def usage(self) -> int:
        text = self.read_fd("memory_usage") if "memory_peak" in self.fds else None
        return int(text) if text is not None else 0

    def others(self) -> list[int]:
        """Pids in the slot, without the agent and its fork servers."""
        own = (os.getpid(), self.server, self.job_server)
        return [int(name) for name in os.listdir(self.proc) if name.isdigit() and int(name) not in own]

    def tree_cpu_s(self) -> float:
        total = 0.0
        for pid in self.others():
            total += process_cpu_s(pid)
            try:
                with open("%s/%d/stat" % (self.proc, pid), "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
                total += (int(fields[13]) + int(fields[14])) / TICKS
            except (OSError, IndexError):
                pass
        return total

    def starved_s(self) -> float:
        """Seconds that the run's most unlucky thread was ready to run and had no core: not the program's time, unless it stepped back itself."""
        most = 0
        for pid in self.others():
            try:
                for task in os.listdir("%s/%d/task" % (self.proc, pid)):
                    with open("%s/%d/task/%s/stat" % (self.proc, pid, task), "rb") as file:
                        fields = file.read().rpartition(b")")[2].split()
                    if int(fields[16]) > 0 or int(fields[38]) != 0:      # nice, policy
                        continue
                    with open("%s/%d/task/%s/schedstat" % (self.proc, pid, task), "rb") as file:
                        most = max(most, int(file.read().split()[1]))
            except (OSError, IndexError):
                pass
        return most / 1e9

    def tree_memory(self) -> int:
        """Bytes of private memory, and of what lies in the emptied folders, without a cgroup."""
        total = 0
        for pid in self.others():
            try:
                with open("%s/%d/statm" % (self.proc, pid), "rb") as file:
                    fields = file.read().split()
                total += (int(fields[1]) - int(fields[2])) * PAGE
            except (OSError, IndexError):
                pass
        shared = self.shared_bytes()
        return total + (self.folder_bytes() - self.folders_before if shared is None else shared - self.shared_at_first)

    def shared_bytes(self) -> int | None:
        """Bytes of files in memory (folders, memfds, shared mappings) without the blobs, where the container's counters can be read."""
        text = self.read_fd("memory_stat")
        at = -1 if text is None else text.find(b"\nshmem ")
        if text is None or at < 0:
            return None
        blobs = sum(-(-blob.size // PAGE) * PAGE for blob in self.blobs.values())
        coming = self.channel.put
        return int(text[at + 7:].split(None, 1)[0]) - blobs - (coming[1].size - coming[2] if coming is not None else 0)

    def folder_bytes(self) -> int:
        """Bytes in the emptied folders, which are memory."""
        total = 0
        for folder in self.config["clean"]:
            try:
                found = os.statvfs(folder)
            except OSError:
                continue
            total += (found.f_blocks - found.f_bfree) * found.f_frsize
        return total

    # ---- one run

    def execute(self, want: Head, fds: list[int], limits: Head, watched: Sequence[tuple[int, int]], talk: Talk | None = None) -> Run:
        """Start it, wait, kill what is left. `watched` are its outputs: (descriptor, most bytes)."""
        run = Run()
        if "memory_peak" not in self.fds:
            self.folders_before = self.folder_bytes()
        self.set_limits(limits["memory"], limits["processes"])
        before = self.usage()            # page cache of files that others read: not this run's
        # the kernel counts this limit in whole ticks, which on a busy machine were seen to be a fifth more than what was used; ours is exact
        want["cpu"] = int(2 * limits["cpu"]) + 2
        want["uid"], want["work"] = self.uid, self.config["work"]
        # where the agent shares the programs' memory limit, the kernel is told to end them first
        want["shield"] = None if "memory_limit" in self.fds else self.config["proc"]
        want["nproc"] = 0 if "pids_limit" in self.fds else limits["processes"] + (self.servers() if self.uid is None else 1)
        grouped = self.group_cpu_s()
        spent = self.server_cpu_s()
        start = time.monotonic()
        pid = self.launch(want, fds)
        pidfd = os.pidfd_open(pid)
        self.poll.register(pidfd, select.POLLIN)
        try:
            if talk is not None:
                talk.launched(self.poll, pid, self.proc)
            self.wait(run, pidfd, limits, start, grouped, spent, watched, talk)
            if talk is not None:
                talk.held_s = talk.holding()         # while the kernel has its accounts
            if run.over:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            _pid, run.status, usage = os.wait4(pid, WALL)
        finally:
            self.poll.unregister(pidfd)
            os.close(pidfd)
        run.wall_s = time.monotonic() - start - run.starved_s
        run.cpu_s = usage.ru_utime + usage.ru_stime + self.end_all()
        if talk is not None:
            talk.finish(limits["output"], run.over != "cancelled")
            if talk.total > limits["output"]:
                run.over = run.over or "output_limit"
        if "memory_peak" in self.fds:
            run.peak = max(0, self.peak() - before)
        if grouped is not None and "cpu_usage" in self.fds and run.wall_s * self.cpus > limits["cpu"] / 4:
            # children that nobody waited for are in no rusage; in a shorter run they cannot have used enough to matter
            run.cpu_s = max(run.cpu_s, (self.group_cpu_s() or 0.0) - grouped - (self.server_cpu_s() - spent))
        ooms, self.ooms = self.ooms, self.oom_kills()
        run.oom = self.ooms > ooms
        run.compiler_s = self.compiled_fused() or 0.0
        run.cpu_s, run.wall_s = max(0.0, run.cpu_s - run.compiler_s), max(0.0, run.wall_s - run.compiler_s)
        if "memory_peak" not in self.fds:
            run.peak = max(run.peak, usage.ru_maxrss * 1024, self.folder_bytes() - self.folders_before)
        run.maxrss = usage.ru_maxrss * 1024
        return run

    def wait(self, run: Run, pidfd: int, limits: Head, start: float, grouped: float | None, spent: float,
             watched: Sequence[tuple[int, int]], talk: Talk | None) -> None:
        poll = self.poll
        wall_end = start + limits["wall"]
        look = start + limits["cpu"] / self.cpus
        blind = "memory_limit" not in self.fds
        memory_look = start + MEMORY_POLL_S if blind else wall_end
        notice = start + NOTICE_S if self.fused is not None else wall_end
        while True:
            if self.job is not None and self.channel.cancelled == self.job["job"]:
                run.over = "cancelled"
                return
            now = time.monotonic()
            closing = wall_end if talk is None or talk.closing is None else talk.closing
            timeout = max(0.0, min(wall_end, look, memory_look, notice, closing) - now)
            for fd, _event in poll.poll(timeout * 1000 + 0.999 if timeout else 0):
                if fd == pidfd:
                    return
                if talk is None or fd not in talk.watched:
                    self.channel.pump()
                elif fd == talk.source:
                    talk.hear(limits["output"])
            now = time.monotonic()
            if talk is not None:
                talk.watch()
                if talk.closing is not None and now >= talk.closing:
                    talk.say_end(False)
                if talk.ended or talk.total > limits["output"]:
                    run.over = "stopped" if talk.ended else "output_limit"
                    run.starved_s = min(self.starved_s(), now - start) if talk.ended else 0.0
                    return
            if now >= notice:
                if self.fused is None:
                    notice = wall_end
                elif self.compiled_fused() is None:     # on a busy machine it may not have come so far
                    notice = now + NOTICE_S
                else:
                    notice = wall_end
                    self.channel.release()
            if now >= wall_end:
                waited = self.starved_s() + (talk.waited_s() if talk is not None else 0.0)
                later = min(start + limits["wall"] + waited, start + STARVED * limits["wall"])
                run.starved_s = later - start - limits["wall"]
                if later - now < POLL_S:
                    # with no core for so long, nothing is known of the program
                    run.over = "starved" if waited >= (STARVED - 1) * limits["wall"] else "wall_limit"
                    return
                wall_end = later
            if blind and now >= memory_look:
                memory = self.tree_memory()
                run.peak = max(run.peak, memory)
                if memory > limits["memory"]:
                    run.over = "memory_limit"
                    return
                memory_look = now + MEMORY_POLL_S
            if now >= look:
                if grouped is not None:
                    used = (self.group_cpu_s() or 0.0) - grouped - (self.server_cpu_s() - spent)
                else:
                    used = self.tree_cpu_s()
                used -= self.compiled_fused() or 0.0
                if used > limits["cpu"]:
                    run.over = "cpu_limit"
                    return
                if any(os.fstat(fd).st_size > most for fd, most in watched):
                    run.over = "output_limit"
                    return
                look = now + max(POLL_S, (limits["cpu"] - used) / self.cpus)

    def end_all(self) -> float:
        """Kill and reap everything of the run. Returns the CPU seconds of what was reaped here: orphans."""
        cpu_s = 0.0
        if self.alone():
            return cpu_s
        if self.uid is None:
            self.kill_listed()
        else:
            # as the run's user, without the power to signal others: the fork server is spared. No fork escapes a kill(-1): the kernel
            # holds the list of tasks meanwhile, and a process with a pending SIGKILL cannot fork.
            os.setresuid(self.uid, self.uid, 0)
            try:
                os.kill(-1, signal.SIGKILL)
            except OSError:
                pass
            finally:
                os.setresuid(0, 0, 0)
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)    # which a change of users undoes
        while True:
            try:
                _pid, _status, usage = os.wait4(-1, 0)
            except ChildProcessError:
                break
            cpu_s += usage.ru_utime + usage.ru_stime
        while True:                      # siblings that a program made of itself with CLONE_PARENT
            try:
                pid, _status, usage = os.wait4(-1, os.WNOHANG | WCLONE)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self.server:
                self.start_server()
            elif pid == self.job_server:
                self.job_server = 0
                self.end_job_server()
            cpu_s += usage.ru_utime + usage.ru_stime
        return cpu_s

    def alone(self) -> bool:
        """Whether the cgroup says that there is none but the fork servers in it."""
        fd = self.fds.get("pids_current")
        return fd is not None and os.pread(fd, 16, 0) == b"%d\n" % self.servers()

    def kill_listed(self) -> None:
        """Without a user of their own: one by one, until none is left."""
        end = time.monotonic() + STUCK_S
        while True:
            left = [pid for pid in self.others() if not is_zombie(self.proc, pid)]
            if not left:
                return
            for pid in left:
                quiet(os.kill, pid, signal.SIGKILL)
            if time.monotonic() > end:
                raise RuntimeError("processes that do not die: %s" % left)

    def clean(self) -> None:
        for folder in self.config["clean"]:
            try:
                found = os.stat(folder)
                if found.st_mode != self.modes.get(folder, found.st_mode):      # where programs share the agent's user, it is theirs
                    os.chmod(folder, stat.S_IMODE(self.modes[folder]))
                if found.st_size <= EMPTY_FOLDER:
                    continue
                names = os.listdir(folder)
            except FileNotFoundError:
                continue
            if names:
                self.renew(folder)

    def renew(self, folder: str) -> None:
        options = self.config["remount"].get(folder)
        if options is not None:
            libc.umount2(folder.encode(), MNT_DETACH)
            if libc.mount(b"tmpfs", folder.encode(), b"tmpfs", MS_NOSUID | MS_NODEV, options.encode()) != 0:
                raise OSError(ctypes.get_errno(), "cannot renew " + folder)
            return
        empty(folder)

    # ---- jobs

    def serve(self) -> NoReturn:
        channel = self.channel
        while True:
            while not channel.queue:
                channel.pump()
            kind, head = channel.queue.popleft()
            if kind == JOB:
                self.begin(head)
            elif kind == RUN:
                if self.job is not None and head["job"] == self.job["job"] and head["job"] not in (self.stopped, channel.cancelled):
                    self.test(head)
            elif kind == CANCEL:
                self.stopped = head["job"]
                self.job = None
                channel.cancelled = None
                channel.send(IDLE, {"job": head["job"]})

    def build_spawner(self, limits: Head) -> None:
        """Compile `SPAWNER` in the slot, as a program would be, and start the fork server anew with it. Without a compiler, do without: in
        Python, the same takes some 0.1 CPU milliseconds more."""
        self.spawner_tried = True
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
        language = {"kind": "native", "needs": ["gcc"], "source": "spawner.c", "artifact": "spawner.so", "env": env,
                    "compile": ["gcc", "-O2", "-shared", "-fPIC", "-o", "spawner.so", "spawner.c"]}
        text = SPAWNER.encode()
        source = Blob(len(text))
        os.write(source.fd, text)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        out, err = memfd("stdout"), memfd("stderr")
        built = self.compile_native(language, limits, source, null, out, err)
        for fd in (null, out, err, source.fd):
            os.close(fd)
        if built is None:                # cancelled
            self.spawner_tried = False
        elif built[4] is not None:
            self.spawner = built[4]
            end_process(self.server)
            self.start_server()

    def begin(self, head: Head) -> None:
        self.job, self.stopped, self.code, self.runs = head, None, None, 0
        self.end_job_server()
        if head["language"]["kind"] == "native" and not self.spawner_tried:
            self.build_spawner(head["compile_limits"])
        if head.get("artifact"):
            self.code = self.blobs[head["artifact"]]
            return
        if not head.get("fused") or self.blobs[head["source"]].size > FUSED:
            self.compile_now(head)

    def compile_now(self, head: Head) -> None:
        answer = self.compile(head)
        if answer is None:               # cancelled
            self.stopped = head["job"]
            return
        ok, reason, message, run, artifact = answer
        reply = {"job": head["job"], "ok": ok, "reason": reason, "message": message, "cpu_s": run.cpu_s, "wall_s": run.wall_s}
        parts = []
        if artifact is not None:
            self.code = artifact
            parts = [(artifact.fd, 0, artifact.size)]
            name = head["keep"]
            old = self.blobs.pop(name, None)
            if old is not None:
                old.close()
            self.blobs[name] = artifact
        else:
            self.stopped = head["job"]
        self.channel.send(COMPILED, reply, parts)

    def compiled_fused(self) -> float | None:
        """CPU seconds of the compiler in the first run; None while it is not done, or where it was ended."""
        if self.fused is None or fcntl.fcntl(self.fused, F_GET_SEALS) != SEALS:
            return None
        size = os.fstat(self.fused).st_size
        cpu_s, good = TRAILER.unpack(os.pread(self.fused, TRAILER.size, size - TRAILER.size))
        if self.code is None and self.stopped is None:
            self.settle_fused(cpu_s, bool(good), size - TRAILER.size)
        return float(cpu_s)

    def settle_fused(self, cpu_s: float, good: bool, size: int) -> None:
        """Keep the artifact of the first run, and tell the host with the next frame."""
        head, fd = self.job, self.fused
        assert head is not None and fd is not None
        reply = {"job": head["job"], "ok": good, "reason": "" if good else "compile_error", "message": "", "cpu_s": cpu_s, "wall_s": cpu_s}
        text = os.pread(fd, size, 0)
        if not good:
            self.stopped = head["job"]
            self.channel.send(COMPILED, dict(reply, message=text.decode("utf-8", "replace")))
            return
        self.code = Blob(size, os.dup(fd))
        old = self.blobs.pop(head["keep"], None)
        if old is not None:
            old.close()
        self.blobs[head["keep"]] = self.code
        self.channel.hold(COMPILED, reply, text)

    def compile(self, head: Head) -> Built | None:
        language = head["language"]
        limits = dict(head["compile_limits"])
        source = self.blobs[head["source"]]
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        out, err = memfd("stdout"), memfd("stderr")
        try:
            if language["kind"] == "python":
                artifact = memfd("code", MFD_ALLOW_SEALING)
                lead = head.get("preamble")
                texts = [reopen(self.proc, blob.fd) for blob in (source, *([self.blobs[lead]] if lead else []))]
                try:
                    run = self.execute({"what": "compile", "argv": [], "fsize": ARTIFACT}, [null, out, err, texts[0], artifact, *texts[1:]],
                                       limits, [])
                finally:
                    for fd in texts:
                        os.close(fd)
                self.clean()
                if run.over == "cancelled":
                    os.close(artifact)
                    return None
                size = os.fstat(artifact).st_size
                if os.WIFEXITED(run.status) and os.WEXITSTATUS(run.status) == 0 and not run.over and size > 1:
                    blob = Blob(size, artifact)
                    blob.seal()
                    return True, "", "", run, blob
                message = os.pread(artifact, MESSAGE, 0).decode("utf-8", "replace")
                os.close(artifact)
                if lead and not message:
                    said = os.pread(out, 4 * ERROR_LINE, 0).decode("utf-8", "replace")
                    return False, "preamble_error", said or "it met its %s" % (run.over or "end").replace("_", " "), run, None
                return self.refused(run, "" if message == "+" else message)
            return self.compile_native(language, limits, source, null, out, err)
        finally:
            for fd in (null, out, err):
                os.close(fd)

    def refused(self, run: Run, message: str) -> Built:
        if run.over == "starved":
            return False, "machine_busy", "the compiler had no core", run, None
        if run.over or run.oom:
            what = "memory_limit" if run.oom else run.over
            return False, "compile_limit", ("the compiler met its %s\n" % what.replace("_", " ") + message)[:MESSAGE], run, None
        if os.WIFSIGNALED(run.status):
            text = "the compiler was ended by signal %d\n" % os.WTERMSIG(run.status)
            return False, "compile_error", (text + message)[:MESSAGE], run, None
        return False, "compile_error", message or "the compiler failed and said nothing", run, None

    def compile_native(self, language: Head, limits: Head, source: Blob, null: int, out: int, err: int) -> Built | None:
        missing = [name for name in language["needs"] if found(name, language) is None]
        if missing:
            return False, "language_absent", "this sandbox has no %s" % ", ".join(missing), Run(), None
        work = self.config["work"]
        if not language["compile"]:
            same = Blob(source.size)
            copy(source.fd, same.fd, source.size)
            same.seal()
            return True, "", "", Run(), same
        place(work, language["source"], source)
        run = self.execute({"what": "exec", "argv": language["compile"], "path": found(language["compile"][0], language), "env": language["env"],
                            "fsize": ARTIFACT, "confined": True},
                           [null, out, err], limits, [(out, MESSAGE * 64), (err, MESSAGE * 64)])
        blob: Blob | None = None
        if run.over == "cancelled":
            self.clean()
            return None
        said = os.pread(err, MESSAGE, 0) or os.pread(out, MESSAGE, 0)
        message = said.decode("utf-8", "replace")
        if os.WIFEXITED(run.status) and os.WEXITSTATUS(run.status) == 0 and not run.over and not run.oom:
            try:
                blob = take(os.path.join(work, language["artifact"]))
            except OSError as error:
                message = "the compiler made no %s: %s" % (language["artifact"], error)
        self.clean()
        if blob is None and set(OPTIONAL) & set(language["compile"]) and "cannot find " in message:
            for fd in (out, err):
                os.ftruncate(fd, 0)
                os.lseek(fd, 0, os.SEEK_SET)
            plain = dict(language, compile=[word for word in language["compile"] if word not in OPTIONAL])
            return self.compile_native(plain, limits, source, null, out, err)
        if blob is not None:
            return True, "", message, run, blob
        return self.refused(run, message)

    def test(self, head: Head) -> None:
        job = self.job
        assert job is not None
        limits = head.get("limits") or job["limits"]
        if self.code is None:
            self.fused = memfd("code", MFD_ALLOW_SEALING)
        try:
            outcome, parts, fds = self.test_once(job, head, limits)
        finally:
            if self.fused is not None:
                os.close(self.fused)
                self.fused = None
        if self.code is None and self.stopped is None and outcome["ended"] != "cancelled":     # it did not come to its first line
            for fd in fds:
                os.close(fd)
            self.compile_now(job)
            return None if self.stopped is not None else self.test(head)
        if self.stopped == job["job"]:   # it does not compile
            for fd in fds:
                os.close(fd)
            return None
        if outcome["compiler_s"] > FUSED_S and outcome["ended"] != "cancelled":
            for fd in fds:
                os.close(fd)
            outcome, parts, fds = self.test_once(job, head, limits)
        if outcome["ended"] == "wall_limit" and outcome["cpu_s"] < IDLE_SHARE * limits["cpu"] and not head.get("talk"):
            for fd in fds:
                os.close(fd)
            outcome, parts, fds = self.test_once(job, head, limits)
        if outcome["ended"] != "cancelled":
            if job["stop"] and not (outcome["ended"] == "exited" and outcome["exit_code"] == 0):
                self.stopped = job["job"]
            self.channel.send(OUTCOME, outcome, parts)
        for fd in fds:
            os.close(fd)

    def ready(self, job: Head, head: Head) -> bool:
        """Whether a fork server of this job's own is there to start this run. From its third run on: making one costs as much as it saves a few."""
        self.runs += 1
        if job["language"]["kind"] != "python" or self.code is None or self.fused is not None or head.get("argv"):
            return False
        if not self.job_server and self.runs > JOB_RUNS and self.code.size <= JOB_CODE:
            if not self.spawner_tried:
                self.build_spawner(job["compile_limits"])
            self.start_job_server()
        return self.job_server != 0

    def test_once(self, job: Head, head: Head, limits: Head) -> tuple[Head, list[Part], list[int]]:
        language, mode = job["language"], job["mode"]
        ready = self.ready(job, head)
        most = limits["output"]
        data, program = self.blobs[head["data"]], self.code or self.blobs[job["source"]]
        if self.uid is None:
            os.fchmod(data.fd, 0o777)    # a program of the agent's user may have changed it, for all that come with this input
        out, err = memfd("stdout"), memfd("stderr")
        fds, extra = [out, err], []
        result, nonce = -1, b""
        talk = self.channel.talk if head.get("talk") else None
        stdout, opened = out, []
        if talk is not None:
            stdin, stdout = talk.open()
        else:
            stdin = reopen(self.proc, data.fd) if mode == "stdin" else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            opened = [stdin]
        want = {"argv": [language["source"], *head.get("argv", ())], "fsize": max(limits["file"], most + 4096)}
        for name, blob in (head.get("files") or {}).items():
            place(self.config["work"], name, self.blobs[blob] if blob else None)
        if language["kind"] == "python":
            want["ready"] = ready
            if not ready:
                extra = [reopen(self.proc, program.fd)]
                opened.extend(extra)
            if mode == "stdin":
                want["what"] = "main"
            else:
                result = memfd("result")
                fds.append(result)
                given = reopen(self.proc, data.fd)
                opened.append(given)
                extra += [result, given]
                nonce = binascii.hexlify(os.urandom(16))
                want.update(what=mode, output=most, entry=job.get("entry"), nonce=nonce, typed=job.get("typed", False))
            if self.fused is not None:
                want["fused"] = True
                extra = [*extra, self.fused]
        else:
            want.update(what="exec", env=language["env"])
            if language["run"]:
                want["argv"] = [*language["run"], *head.get("argv", ())]
                want["path"] = found(language["run"][0], language)
            if language["run_artifact"]:
                place(self.config["work"], language["run_artifact"], program, 0o555)
            else:
                extra = [program.fd]
        run = self.execute(want, [stdin, stdout, err, *extra], limits, [(out, most), (err, most)], talk)
        for fd in opened:
            os.close(fd)
        if talk is not None:
            self.channel.talk = None
        note = peek(self.config["work"], head["note"]) if head.get("note") else b""
        self.clean()
        outcome, parts = self.judge(job, head, limits, run, out, err, result, nonce)
        if talk is not None:
            outcome.update(awaited_s=talk.awaited_s, held_s=talk.held_s)
        if note:
            outcome["note"] = note.decode("utf-8", "replace")
        return outcome, parts, fds

    def judge(self, job: Head, head: Head, limits: Head, run: Run, out: int, err: int, result: int, nonce: bytes) -> tuple[Head, list[Part]]:
        most = limits["output"]
        out_size, err_size = os.fstat(out).st_size, os.fstat(err).st_size
        result_size = os.fstat(result).st_size if result >= 0 else 0
        outcome = {"job": job["job"], "n": head["n"], "exit_code": None, "signal": None, "completed": False, "error": "", "nodes": False,
                   "cpu_s": run.cpu_s, "wall_s": run.wall_s, "compiler_s": run.compiler_s,
                   "memory": max(run.peak, run.maxrss) if job["language"]["kind"] == "python" else run.peak}
        parts = [(out, 0, min(out_size, most))]
        parts.append((err, max(0, err_size - STDERR_EXCERPT), min(err_size, STDERR_EXCERPT)))
        shown = -1
        record = os.pread(result, 1 + max(len(nonce), 4 * ERROR_LINE), 0) if result >= 0 else b""
        long = record[:1] == b"O" or result_size > most + 1
        if record[:1] == b"E":
            outcome["error"] = record[1:].decode("utf-8", "replace")[:ERROR_LINE]
        elif record[:1] == b"D" and job["mode"] == "assert":
            outcome["completed"] = record[1:] == nonce
        elif record[:1] in (b"R", b"N") and job["mode"] == "call" and not long:
            shown, outcome["nodes"] = result_size - 1, record[:1] == b"N"
            parts.append((result, 1, shown))
        if run.over in ("cancelled", "stopped"):
            ended = run.over
        elif run.oom or run.over == "memory_limit" or run.peak > limits["memory"]:
            ended = "memory_limit"
        elif run.over == "output_limit" or out_size > most or err_size > most or (long and not run.over):
            ended = "output_limit"
        elif run.over == "cpu_limit" or run.cpu_s > limits["cpu"]:
            ended = "cpu_limit"
        elif run.over in ("wall_limit", "starved"):
            ended = run.over
        elif os.WIFSIGNALED(run.status):
            ended = "signalled"
            outcome["signal"] = os.WTERMSIG(run.status)
        else:
            ended = "exited"
            outcome["exit_code"] = os.WEXITSTATUS(run.status)
        outcome.update(ended=ended, out=parts[0][2], err=parts[1][2], result=shown)
        return outcome, parts


TRAILER = struct.Struct("<dB")           # after the code, or the compiler's message: CPU seconds, whether it is code
PAGE = os.sysconf("SC_PAGESIZE")
TICKS = os.sysconf("SC_CLK_TCK")


def starved_s(accounts: Sequence[int]) -> float:
    """Seconds that the threads whose `schedstat` these are were ready to run and had no core; of one that has ended, 0."""
    total = 0
    for fd in accounts:
        try:
            total += int(os.pread(fd, 100, 0).split()[1])
        except (OSError, IndexError):
            pass
    return total / 1e9


def process_cpu_s(pid: int) -> float:
    """CPU seconds of a process, all its threads, by its clock (clock_getcpuclockid)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def end_process(pid: int) -> None:
    """Of the agent's own children."""
    quiet(os.kill, pid, signal.SIGKILL)
    try:
        os.waitpid(pid, WALL)
    except ChildProcessError:
        pass


def is_zombie(proc: str, pid: int) -> bool:
    try:
        with open("%s/%d/stat" % (proc, pid), "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except OSError:
        return True


def found(name: str, language: Head) -> str | None:
    """The path of a language's binary, or None."""
    for folder in language["env"]["PATH"].split(":"):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def reopen(proc: str, fd: int) -> int:
    """The same file, read-only, from its start: what one run does to an offset or to flags, no other run sees."""
    return os.open("%s/self/fd/%d" % (proc, fd), os.O_RDONLY | os.O_CLOEXEC)


def copy(source: int, sink: int, size: int) -> None:
    at = 0
    while at < size:
        n = os.sendfile(sink, source, at, size - at)
        if n == 0:
            break
        at += n


def place(work: str, name: str, blob: Blob | None, mode: int = 0o444) -> None:
    """A file of a run in its work folder; a name that ends with / is an empty folder that the program may write to."""
    parts = [part for part in name.split("/") if part]
    if not parts or ".." in parts or name.startswith("/"):
        raise ValueError("a file name that leaves the work folder: %r" % name)
    path = work
    for part in parts[:-1]:
        path = os.path.join(path, part)
        os.makedirs(path, 0o755, exist_ok=True)
    path = os.path.join(path, parts[-1])
    if name.endswith("/") or blob is None:
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o777)
        return
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        copy(blob.fd, fd, blob.size)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def peek(work: str, name: str) -> bytes:
    """The beginning of a plain file that a run left in its work folder, or nothing. What may be a link is not followed."""
    *folders, last = name.split("/")
    held = []
    try:
        held.append(os.open(work, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        for folder in folders:
            held.append(os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held[-1]))
        held.append(os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=held[-1]))
        return os.read(held[-1], NOTE) if stat.S_ISREG(os.fstat(held[-1]).st_mode) else b""
    except OSError:
        return b""
    finally:
        for fd in held:
            os.close(fd)


def take(path: str) -> Blob:
    """What a compiler made, as a blob. It must be a plain file of bounded size."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_size > ARTIFACT:
            raise OSError(errno.EFBIG, "no plain file, or a very large one")
        blob = Blob(info.st_size)
        copy(fd, blob.fd, info.st_size)
        blob.seal()
        return blob
    finally:
        os.close(fd)


def empty(folder: str) -> None:
    """Remove everything in `folder`, however deep: a folder's folders are moved up to `folder`, so no path has more than two parts."""
    while True:
        names = os.listdir(folder)
        if not names:
            return
        for name in names:
            path = os.path.join(folder, name)
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                os.unlink(path)
                continue
            try:
                os.rmdir(path)
                continue
            except OSError:
                pass
            os.chmod(path, 0o700)
            for inner in os.listdir(path):
                inner_path = os.path.join(path, inner)
                if stat.S_ISDIR(os.lstat(inner_path).st_mode):
                    os.chmod(inner_path, 0o700)
                    os.rename(inner_path, os.path.join(folder, binascii.hexlify(os.urandom(16)).decode()))
                else:
                    os.unlink(inner_path)
            os.rmdir(path)


def main(config: bytes) -> NoReturn:
    """`config`: see sandbox/backend.py."""
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    agent = Agent(json.loads(config))
    try:
        agent.start(source, sink)
        agent.serve()
    except (Gone, BrokenPipeError, ConnectionResetError):
        pass
    except BaseException:
        text = trace()
        quiet(_write, 2, text)
        try:
            agent.channel.send(FAULT, {"message": text.decode("utf-8", "replace")[-4000:]})
        except BaseException:
            pass
        _exit(1)
    _exit(0)
