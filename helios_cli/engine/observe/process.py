"""What the operating system says about this process, as metrics."""

from __future__ import annotations

import psutil

from helios_cli.engine.observe.metrics import Registry


def register_process_metrics(registry: Registry) -> None:
    """Add memory, processor time, descriptors, threads and start time; each is read when scraped."""
    process = psutil.Process()
    registry.observe(
        "gauge",
        "heliosdb_process_resident_memory_bytes",
        "Resident memory of the node's process.",
        lambda: process.memory_info().rss,
    )
    registry.observe(
        "counter",
        "heliosdb_process_cpu_seconds_total",
        "Processor time used by the node's process.",
        lambda: sum(process.cpu_times()[:2]),
    )
    registry.observe(
        "gauge", "heliosdb_process_open_fds", "Open file descriptors of the node's process.", process.num_fds
    )
    registry.observe("gauge", "heliosdb_process_threads", "Threads of the node's process.", process.num_threads)
    started = process.create_time()
    registry.observe(
        "gauge", "heliosdb_process_start_time_seconds", "Start of the process, Unix time.", lambda: started
    )
