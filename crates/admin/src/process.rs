//! Metrics of the process itself. Their names begin with `weir_`, which no guest's metric does.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_host::{Shared, Usage};
use weir_meters::{Meters, TimesReading, UpstreamReading, VmState};

use crate::writer::{Family, Kind, Writer};

/// Name and help of a metric of each `vm_id`, and its value.
type UsageFamily = (&'static str, &'static str, fn(&Usage) -> usize);

/// Name, kind and help of a metric of each upstream, and its value.
type UpstreamFamily = (&'static str, Kind, &'static str, fn(&UpstreamReading) -> u64);

/// Writes the metrics of the process.
pub(crate) fn write(writer: &mut Writer, shared: &Shared) {
    let meters = shared.meters();
    writer.family(
        "weir_build_info",
        Kind::Gauge,
        "The version of Weir; always 1.",
        |family| {
            family.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        },
    );
    for counter in meters.reading() {
        let name = format!("weir_{}_total", counter.name);
        writer.family(&name, Kind::Counter, counter.help, |family| {
            family.sample(&[], counter.value);
        });
    }
    writer.family(
        "weir_log_lines_lost_total",
        Kind::Counter,
        "Lines that the logs lost, since nobody read them in time or the disk was full.",
        |family| family.sample(&[], weir_log::lost_lines()),
    );
    writer.family(
        "weir_guest_log_lines_lost_total",
        Kind::Counter,
        "Lines that a plugin lost because it logged more than limits.log.",
        |family| {
            let mut lost = shared.lost_log_lines();
            lost.sort_unstable_by(|one, other| one.plugin.cmp(&other.plugin));
            for lost in lost {
                family.sample(&[("plugin", &lost.plugin)], lost.lines);
            }
        },
    );
    let open = meters
        .streams
        .value()
        .saturating_sub(meters.streams_ended.value());
    writer.family(
        "weir_streams_open",
        Kind::Gauge,
        "Streams that filters see now.",
        |family| family.sample(&[], open),
    );
    write_vms(writer, meters);
    write_host_memory(writer, shared);
    write_plugins(writer, meters);
    let compilations = meters.compilations();
    writer.family(
        "weir_compile_seconds",
        Kind::Histogram,
        "Time that a runtime took to compile a module, or to load its code from the code cache.",
        |family| {
            for (runtime, times) in &compilations {
                write_times(family, &[("runtime", runtime)], times);
            }
        },
    );
    write_upstreams(writer, meters);
}

/// Memory that the host holds for guests beside their linear memory.
fn write_host_memory(writer: &mut Writer, shared: &Shared) {
    let mut held: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    for vm in shared.meters().vm_readings() {
        *held.entry(vm.plugins).or_default() += vm.host_memory;
    }
    writer.family(
        "weir_vm_host_memory_bytes",
        Kind::Gauge,
        "Bytes that the host holds for the VMs of a plugin, or of plugins that share VMs: calls, replies, edits, properties.",
        |family| {
            for (plugins, bytes) in &held {
                family.sample(&[("plugin", plugins)], bytes);
            }
        },
    );
    let mut usage = shared.stores().usage();
    usage.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let families: [UsageFamily; 2] = [
        (
            "weir_shared_data_bytes",
            "Bytes of the shared data of a vm_id.",
            |usage| usage.bytes,
        ),
        (
            "weir_shared_queue_bytes",
            "Bytes that wait in the shared queues of a vm_id.",
            |usage| usage.queue_bytes,
        ),
    ];
    for (name, help, value) in families {
        writer.family(name, Kind::Gauge, help, |family| {
            for (vm_id, usage) in &usage {
                family.sample(&[("vm_id", vm_id)], value(usage));
            }
        });
    }
    let ceiling = shared.stores().ceiling();
    let numbers = [
        (
            "weir_host_memory_bytes",
            "Bytes that the host holds for all VMs, in steps of 64 KiB.",
            ceiling.held(),
        ),
        (
            "weir_host_memory_limit_bytes",
            "Bytes that the host may hold for all VMs.",
            ceiling.limit(),
        ),
    ];
    for (name, help, value) in numbers {
        writer.family(name, Kind::Gauge, help, |family| family.sample(&[], value));
    }
    writer.family(
        "weir_host_memory_refused_total",
        Kind::Counter,
        "Times that the host refused to hold more for a guest.",
        |family| family.sample(&[], ceiling.refused()),
    );
}

fn write_vms(writer: &mut Writer, meters: &Meters) {
    let vms = meters.vm_readings();
    writer.family("weir_vms", Kind::Gauge, "VMs by state.", |family| {
        for state in VmState::ALL {
            let count = vms.iter().filter(|vm| vm.state == state).count();
            family.sample(&[("state", state.name())], count);
        }
        family.sample(&[("state", "restarting")], meters.slots_restarting());
    });
    let mut memory: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
    for vm in vms
        .iter()
        .filter(|vm| !matches!(vm.state, VmState::Starting | VmState::Spare))
    {
        *memory.entry(&vm.plugins).or_default() += vm.memory;
    }
    writer.family(
        "weir_vm_memory_bytes",
        Kind::Gauge,
        "Linear memory of the VMs of a plugin, or of plugins that share VMs.",
        |family| {
            for (plugins, bytes) in memory {
                family.sample(&[("plugin", plugins)], bytes);
            }
        },
    );
    writer.family(
        "weir_vm_deaths_total",
        Kind::Counter,
        "VMs that have died, by the plugin that was called and the cause.",
        |family| {
            for death in meters.deaths() {
                family.sample(&[("plugin", &death.plugin), ("cause", death.cause)], death.count);
            }
        },
    );
}

fn write_plugins(writer: &mut Writer, meters: &Meters) {
    let plugins = meters.plugin_readings();
    writer.family(
        "weir_callback_seconds",
        Kind::Histogram,
        "Time that a plugin's callbacks took, hostcalls included.",
        |family| {
            for plugin in &plugins {
                for callback in &plugin.callbacks {
                    let labels = [("plugin", &*plugin.name), ("callback", callback.callback.name())];
                    write_times(family, &labels, &callback.times);
                }
            }
        },
    );
    writer.family(
        "weir_hostcall_errors_total",
        Kind::Counter,
        "Hostcalls of a plugin that were answered with an error.",
        |family| {
            for plugin in &plugins {
                for error in &plugin.errors {
                    let status = error.status.to_string();
                    let labels = [
                        ("plugin", &*plugin.name),
                        ("hostcall", error.hostcall),
                        ("status", &*status),
                    ];
                    family.sample(&labels, error.count);
                }
            }
        },
    );
    writer.family(
        "weir_background_put_off_total",
        Kind::Counter,
        "Ticks, queue wake-ups and results that no stream waited for, put off because of limits.cpu.",
        |family| {
            for plugin in &plugins {
                family.sample(&[("plugin", &*plugin.name)], plugin.put_off);
            }
        },
    );
}

fn write_upstreams(writer: &mut Writer, meters: &Meters) {
    let upstreams = meters.upstream_readings();
    let families: [UpstreamFamily; 4] = [
        (
            "weir_upstream_requests_total",
            Kind::Counter,
            "Requests to an upstream, HTTP calls of filters and second tries included.",
            |upstream| upstream.requests,
        ),
        (
            "weir_upstream_errors_total",
            Kind::Counter,
            "Requests to an upstream that got no response, or none in time.",
            |upstream| upstream.errors,
        ),
        (
            "weir_upstream_connections_total",
            Kind::Counter,
            "Connections to an upstream that were begun.",
            |upstream| upstream.connections,
        ),
        (
            "weir_upstream_connections_open",
            Kind::Gauge,
            "Connections to an upstream that are open or being made.",
            |upstream| upstream.open,
        ),
    ];
    for (name, kind, help, value) in families {
        writer.family(name, kind, help, |family| {
            for upstream in &upstreams {
                family.sample(&[("upstream", &upstream.name)], value(upstream));
            }
        });
    }
}

fn write_times(family: &mut Family<'_>, labels: &[(&str, &str)], times: &TimesReading) {
    for (bound, count) in times.cumulative() {
        family.bucket(labels, bound.seconds, count);
    }
    family.totals(labels, times.sum.as_secs_f64(), times.count());
}
