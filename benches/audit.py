#!/usr/bin/env python3
"""Times `doorward audit` over generated Deployments, with all rules and with none: the difference is the judging.

usage: benches/audit.py DOORWARD [--count 10000] [--files 100] [--rounds 5]

The manifests are made by `benches/floor` (`manifests`). Prints medians of wall time and of peak memory, and the ratio to the floor
(the same command with `--no-builtin`: reading, parsing and reporting alone).
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time


def once(command):
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.execv(command[0], command)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - started
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 1):
        sys.exit(f"{' '.join(command)} ended with {code}")
    return wall, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("doorward")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    floor = os.path.join(os.path.dirname(os.path.abspath(__file__)), "floor")
    with tempfile.TemporaryDirectory() as folder:
        make = ["cargo", "run", "--quiet", "--release", "--locked", "--manifest-path", f"{floor}/Cargo.toml", "--bin", "manifests", "--"]
        subprocess.run(make + ["--out", folder, "--count", str(args.count), "--files", str(args.files)], check=True, stdout=subprocess.DEVNULL)
        commands = {
            "all rules": [args.doorward, "audit", "-o", "json", folder],
            "no rules (floor)": [args.doorward, "audit", "-o", "json", "--no-builtin", folder],
        }
        rounds = {name: [] for name in commands}
        for _ in range(args.rounds):
            for name, command in commands.items():
                rounds[name].append(once(command))
        medians = {name: [statistics.median(values) for values in zip(*rounds[name])] for name in commands}
        base = medians["no rules (floor)"][0]
        print(f"{args.count} Deployments in {args.files} files, medians of {args.rounds} rounds")
        print(f"{'command':<20}{'wall s':>9}{'of floor':>10}{'cpu s':>9}{'peak MiB':>10}")
        for name, (wall, memory, cpu) in medians.items():
            print(f"{name:<20}{wall:>9.2f}{wall / base:>10.2f}{cpu:>9.2f}{memory:>10.0f}")


if __name__ == "__main__":
    main()
