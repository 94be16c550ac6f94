"""The seccomp filter of programs, as classic BPF: what is known to be dangerous is refused, what is newer than this list is absent.

Rules, in order:
- a call of another architecture (32-bit `int 0x80` on a 64-bit machine) kills the process; x32 numbers are ENOSYS;
- numbers above `_NEWEST`, and gaps, are ENOSYS: a kernel may know calls that this list does not;
- clone3 is ENOSYS (its flags lie in memory, where a filter cannot look), so libraries fall back to clone, whose namespace flags are refused;
- the families of `_DENIED` are EPERM, never a kill: programs probe for what they can do without;
- where programs share the user of their fork server (`shared_user`), a process changes limits, niceness, scheduling and cores of itself alone
  (pid 0): the next program would have what it left there.

The fork server of a slot carries the filter before it starts a program, so a test costs nothing for it (sandbox/agent.py).
Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h (aarch64) of Linux 6.12.
"""
from __future__ import annotations

import struct
from typing import Final

__all__ = ["MACHINES", "build_filter", "denied_numbers"]

MACHINES: Final = ("x86_64", "aarch64")
_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_EPERM, _ENOSYS = 1, 38
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NR, _ARCH_AT, _ARG0, _ARG1 = 0, 4, 16, 24                       # offsets in struct seccomp_data; low halves of arguments
_LOAD, _JEQ, _JGE, _JGT, _JSET, _RET = 0x20, 0x15, 0x35, 0x25, 0x45, 0x06
_X32: Final = 0x40000000
_NEWEST: Final = 462                                             # mseal
_GAP: Final = {"x86_64": (335, 423), "aarch64": (295, 423)}      # unused numbers below the common ones, uprobe's among them
_NAMESPACES: Final = 0x7E020000                                  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_AF_UNIX: Final = 1
_TERMINAL_INPUT: Final = (0x5412, 0x541C)                        # TIOCSTI, TIOCLINUX: typing into someone else's terminal
_PERSONALITIES: Final = (0, 0xFFFFFFFF)                          # none; asking

_OF_OTHERS: Final = {                                            # name: the argument that is a pid
    "prlimit64": ((302, 261), 0), "sched_setparam": ((142, 118), 0), "sched_setscheduler": ((144, 119), 0), "sched_setaffinity": ((203, 122), 0),
    "sched_setattr": ((314, 274), 0), "setpriority": ((141, 140), 1), "ioprio_set": ((251, 30), 1)}
_BY_USER: Final = {"setpriority": 2, "ioprio_set": 3}            # first arguments: of all processes of a user, 0 is the own one

_CLONE: Final = {"x86_64": 56, "aarch64": 220}
_CLONE3: Final = 435
_IOCTL: Final = {"x86_64": 16, "aarch64": 29}
_SOCKETPAIR: Final = {"x86_64": 53, "aarch64": 199}
_PERSONALITY: Final = {"x86_64": 135, "aarch64": 92}

_DENIED: Final[dict[str, tuple[int | None, int | None]]] = {     # name: (x86_64, aarch64)
    # sockets; what socketpair gives may send and receive, bytes alone
    "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "bind": (49, 200), "listen": (50, 201), "accept4": (288, 242),
    "setsockopt": (54, 208),
    # a descriptor on its way through a socket that is itself on its way outlives its process, until the kernel comes to collect it
    "sendmsg": (46, 211), "sendmmsg": (307, 269),
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    # System V and POSIX queues outlive processes
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "shmdt": (67, 197), "semget": (64, 190), "semop": (65, 193),
    "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "mq_timedsend": (242, 182), "mq_timedreceive": (243, 183), "mq_notify": (244, 184),
    "mq_getsetattr": (245, 185),
    # keyrings outlive processes too
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # asynchronous input and output past the filter
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_setup": (206, 0),
    "io_destroy": (207, 1), "io_getevents": (208, 4), "io_submit": (209, 2), "io_cancel": (210, 3), "io_pgetevents": (333, 292),
    # extended attributes stay with a file, and a test's input is one file for all its runs: what one writes there, the next one reads and pays for
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "statmount": (457, 457), "listmount": (458, 458),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
    # the kernel itself
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "memfd_secret": (447, 447), "seccomp": (317, 277),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "create_module": (174, None), "get_kernel_syms": (177, None), "query_module": (178, None),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "syslog": (103, 116), "acct": (163, 89), "vhangup": (153, 58),
    "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170), "adjtimex": (159, 171),
    "clock_settime": (227, 112), "clock_adjtime": (305, 266), "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
    "lookup_dcookie": (212, 18), "nfsservctl": (180, 42), "_sysctl": (156, None), "uselib": (134, None), "ustat": (136, None),
    "sysfs": (139, None), "vserver": (236, None), "getpmsg": (181, None), "putpmsg": (182, None), "afs_syscall": (183, None),
    "tuxcall": (184, None), "security": (185, None),
    # the machine's disks: folders of a slot are memory, and a call that waits for a disk cannot be killed
    "sync": (162, 81), "syncfs": (306, 267),
    # placing memory on other nodes' behalf
    "mbind": (237, 235), "set_mempolicy": (238, 237), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "set_mempolicy_home_node": (450, 450),
}


def denied_numbers(machine: str) -> dict[str, int]:
    """The calls that are always refused, by name."""
    at = MACHINES.index(machine)
    return {name: number for name, both in _DENIED.items() if (number := both[at]) is not None}


def build_filter(machine: str, shared_user: bool = False) -> bytes:
    """The program for `machine`, an array of struct sock_filter of that machine's byte order (both are little-endian)."""
    out: list[tuple[int, int, int, int]] = []

    def say(code: int, value: int, yes: int = 0, no: int = 0) -> None:
        out.append((code, yes, no, value))

    def refuse_if(jump: int, value: int, errno: int = _EPERM) -> None:
        say(jump, value, 0, 1)
        say(_RET, _ERRNO | errno)

    def only(number: int, at: int, allowed: tuple[int, ...]) -> None:
        """The call `number` passes if its argument at `at` is one of `allowed`."""
        say(_JEQ, number, 0, len(allowed) + 3)
        say(_LOAD, at)
        for n, value in enumerate(allowed):
            say(_JEQ, value, len(allowed) - n, 0)
        say(_RET, _ERRNO | _EPERM)
        say(_RET, _ALLOW)

    say(_LOAD, _ARCH_AT)
    say(_JEQ, _ARCH[machine], 1, 0)
    say(_RET, _KILL)
    say(_LOAD, _NR)
    if machine == "x86_64":
        refuse_if(_JGE, _X32, _ENOSYS)
    refuse_if(_JGT, _NEWEST, _ENOSYS)
    low, high = _GAP[machine]
    say(_JGE, low, 0, 2)
    say(_JGT, high, 1, 0)
    say(_RET, _ERRNO | _ENOSYS)
    refuse_if(_JEQ, _CLONE3, _ENOSYS)
    only(_SOCKETPAIR[machine], _ARG0, (_AF_UNIX,))
    only(_PERSONALITY[machine], _ARG0, _PERSONALITIES)
    for name, (numbers, at) in _OF_OTHERS.items() if shared_user else ():
        by_user = name in _BY_USER
        say(_JEQ, numbers[MACHINES.index(machine)], 0, 6 if by_user else 4)
        if by_user:
            say(_LOAD, _ARG0)
            say(_JEQ, _BY_USER[name], 2, 0)
        say(_LOAD, (_ARG0, _ARG1)[at])
        say(_JEQ, 0, 1, 0)
        say(_RET, _ERRNO | _EPERM)
        say(_RET, _ALLOW)
    say(_JEQ, _CLONE[machine], 0, 4)
    say(_LOAD, _ARG0)
    say(_JSET, _NAMESPACES, 0, 1)
    say(_RET, _ERRNO | _EPERM)
    say(_RET, _ALLOW)
    say(_JEQ, _IOCTL[machine], 0, 5)
    say(_LOAD, _ARG1)
    say(_JEQ, _TERMINAL_INPUT[0], 1, 0)
    say(_JEQ, _TERMINAL_INPUT[1], 0, 1)
    say(_RET, _ERRNO | _EPERM)
    say(_RET, _ALLOW)
    for number in sorted(denied_numbers(machine).values()):
        refuse_if(_JEQ, number)
    say(_RET, _ALLOW)
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in out)
