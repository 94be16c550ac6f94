"""The filter, run by an interpreter of classic BPF: every rule of sandbox/seccomp.py, on both machines."""
from __future__ import annotations

import struct
from functools import cache

import pytest

from assay.sandbox.seccomp import MACHINES, build_filter, denied_numbers

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x50001, 0x50026
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386 = 0x40000003
CLONE = {"x86_64": 56, "aarch64": 220}
SOCKETPAIR = {"x86_64": 53, "aarch64": 199}
IOCTL = {"x86_64": 16, "aarch64": 29}
PERSONALITY = {"x86_64": 135, "aarch64": 92}


@cache
def instructions(machine: str, shared_user: bool) -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("<HBBI", build_filter(machine, shared_user)))


def judge(machine: str, number: int, *args: int, arch: int | None = None, shared_user: bool = False) -> int:
    """What the filter answers."""
    data = struct.pack("<iIQ6Q", number - (1 << 32) if number >> 31 else number, ARCH[machine] if arch is None else arch, 0,
                       *(args + (0,) * 6)[:6])
    code = instructions(machine, shared_user)
    at = accumulator = 0
    while True:
        op, yes, no, value = code[at]
        at += 1
        if op == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif op == 0x06:
            return int(value)
        else:
            true = {0x15: accumulator == value, 0x35: accumulator >= value, 0x25: accumulator > value, 0x45: bool(accumulator & value)}[op]
            at += yes if true else no


@pytest.mark.parametrize("machine", MACHINES)
def test_denied_calls_are_eperm_and_others_pass(machine: str) -> None:
    denied = set(denied_numbers(machine).values())
    special = {435, SOCKETPAIR[machine], PERSONALITY[machine], CLONE[machine], IOCTL[machine]}
    gap = range(335, 424) if machine == "x86_64" else range(295, 424)
    for number in range(600):
        if number in special:
            continue
        expected = ENOSYS if number in gap or number > 462 else EPERM if number in denied else ALLOW
        assert judge(machine, number) == expected, number


@pytest.mark.parametrize("machine", MACHINES)
def test_other_architectures_are_killed(machine: str) -> None:
    assert judge(machine, 1, arch=I386) == KILL
    assert judge(machine, 1, arch=ARCH["aarch64" if machine == "x86_64" else "x86_64"]) == KILL


def test_x32_numbers_are_absent() -> None:
    for number in (0, 41, 56, 272, 250, 520):
        assert judge("x86_64", 0x40000000 | number, 2) == ENOSYS
    assert judge("x86_64", 0xFFFFFFFF) == ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_arguments(machine: str) -> None:
    assert judge(machine, SOCKETPAIR[machine], 1) == ALLOW
    for family in (2, 10, 16, 17, 40):
        assert judge(machine, SOCKETPAIR[machine], family) == EPERM
    assert judge(machine, 435) == ENOSYS
    for flags in (17, 0x3D0F00, 0x4111, 0x8000):
        assert judge(machine, CLONE[machine], flags) == ALLOW
    for bit in (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert judge(machine, CLONE[machine], bit | 17) == EPERM
    assert judge(machine, IOCTL[machine], 0, 0x5401) == ALLOW
    assert judge(machine, IOCTL[machine], 0, 0x5412) == EPERM
    assert judge(machine, IOCTL[machine], 0, 0x541C) == EPERM
    assert judge(machine, PERSONALITY[machine], 0xFFFFFFFF) == ALLOW
    assert judge(machine, PERSONALITY[machine], 0x0040000) == EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_fits_the_kernel(machine: str) -> None:
    assert len(build_filter(machine)) // 8 <= 4096


OF_OTHERS = {"x86_64": {302: 0, 142: 0, 144: 0, 203: 0, 314: 0, 141: 1, 251: 1}, "aarch64": {261: 0, 118: 0, 119: 0, 122: 0, 274: 0, 140: 1, 30: 1}}


@pytest.mark.parametrize("machine", MACHINES)
def test_with_a_shared_user_a_process_changes_itself_alone(machine: str) -> None:
    denied = set(denied_numbers(machine).values())
    for number in (*range(280), *OF_OTHERS[machine]):
        at = OF_OTHERS[machine].get(number)
        for pid in (0, 1, 77):
            args = (1, pid) if at else (pid,)
            alone = judge(machine, number, *args, shared_user=True)
            assert alone == (EPERM if at is not None and pid else judge(machine, number, *args)), (number, args)
            if at is not None:
                assert judge(machine, number, *args) == ALLOW
    by_user = {"x86_64": {141: 2, 251: 3}, "aarch64": {140: 2, 30: 3}}[machine]
    for number, which in by_user.items():
        assert number not in denied
        assert judge(machine, number, which, 0, shared_user=True) == EPERM
