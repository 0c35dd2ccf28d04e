"""Run a command as a container runtime would: inside a root, as user 10001 without rights, under a seccomp profile.

Usage: contain.py ROOT PROFILE [--forbid CALL,...] -- COMMAND...

The mounts are the caller's. --forbid leaves calls out of what the profile allows. Needs Debian's python3-seccomp.
"""

import argparse
import ctypes
import errno
import json
import os

import seccomp

PR_SET_NO_NEW_PRIVS = 38
USER = 10001


def argument(rule):
    """A condition on an argument, as the profile writes it."""
    assert rule["op"] == "SCMP_CMP_MASKED_EQ", rule["op"]
    return seccomp.Arg(rule["index"], seccomp.MASKED_EQ, rule["value"], rule["valueTwo"])


def filter_of(profile, forbidden):
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    result = seccomp.SyscallFilter(seccomp.ERRNO(profile.get("defaultErrnoRet", errno.EPERM)))
    for rule in profile["syscalls"]:
        assert rule["action"] == "SCMP_ACT_ALLOW"
        for name in rule["names"]:
            if name not in forbidden and seccomp.resolve_syscall(seccomp.Arch(), name) >= 0:
                result.add_rule(seccomp.ALLOW, name, *map(argument, rule.get("args", [])))
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("profile")
    parser.add_argument("--forbid", default="")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    with open(options.profile) as file:
        rules = filter_of(json.load(file), options.forbid.split(","))
    os.chroot(options.root)
    os.chdir("/")
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)  # from root to another user: all capabilities go
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    rules.load()
    environment = {"PATH": "/usr/bin", "ASAN_OPTIONS": "detect_leaks=0"}  # leaks are looked for with ptrace
    os.execvpe(options.command[0], options.command, environment)


main()
