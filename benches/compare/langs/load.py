"""The workloads of the comparison in Python.

    load.py WORKLOAD WAY COUNT SIZE

prints operations, nanoseconds of wall time and nanoseconds of CPU time, of its children too.
"""

import asyncio
import multiprocessing
import resource
import sys
import threading
import time


def add(terms):
    x, total = 1, 0
    for _ in range(terms):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        total += x
    return total


async def add_in_coroutine(terms):
    return add(terms)


async def sleep_in_coroutine(seconds):
    time.sleep(seconds)


async def gather(function, argument, count):
    await asyncio.gather(*(function(argument) for _ in range(count)))


def run(way, count, function, coroutine, argument):
    if way == "sequential":
        for _ in range(count):
            function(argument)
    elif way in ("threading", "multiprocessing"):
        kind = threading.Thread if way == "threading" else multiprocessing.Process
        workers = [kind(target=function, args=(argument,)) for _ in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    elif way == "asyncio":
        asyncio.run(gather(coroutine, argument, count))
    else:
        raise SystemExit(f"no way {way}")


def numbers():
    n = 0
    while True:
        n += 1
        yield n


def generate(alive, milliseconds):
    """Takes a value of one generator after the other, after one of each."""
    generators = [numbers() for _ in range(alive)]
    for generator in generators:
        next(generator)
    rounds = max(1, 1000 // alive)
    start, cpu_start, values = time.monotonic_ns(), cpu(), 0
    while time.monotonic_ns() - start < milliseconds * 1_000_000:
        for _ in range(rounds):
            for generator in generators:
                next(generator)
        values += rounds * alive
    print(values, time.monotonic_ns() - start, cpu() - cpu_start)


def cpu():
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(sum(usage.ru_utime + usage.ru_stime for usage in usages) * 1e9)


def main():
    workload, way, count, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    if workload == "generator":
        generate(count, int(size))
        return
    kinds = {
        "sums": (add, add_in_coroutine, lambda: int(size)),
        "sleeps": (time.sleep, asyncio.sleep, lambda: float(size)),
        "blocking": (time.sleep, sleep_in_coroutine, lambda: float(size)),
    }
    function, coroutine, argument = kinds[workload]
    start, cpu_start = time.monotonic_ns(), cpu()
    run(way, count, function, coroutine, argument())
    print(count, time.monotonic_ns() - start, cpu() - cpu_start)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main()
