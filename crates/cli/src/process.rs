//! What the operating system says of this process, and which program it is, as metrics. The names are those that Prometheus
//! clients of all languages have, so that dashboards for any process know this one too.

use fanfold_store::metric::{Label, Metric, Unit};
use jiff::Timestamp;
use procfs::process::Process;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

const VERSION: Label = Label { name: "version", bound: "the version of the program" };

const BUILD: Metric = Metric::gauge("fanfold_build_info", "1, for the program that runs").by(&[VERSION]);
const START: Metric =
    Metric::gauge("process_start_time", "When the process started, since the beginning of 1970").in_unit(Unit::Seconds);
const CPU: Metric = Metric::counter("process_cpu", "Time that processors spent on this process").in_unit(Unit::Seconds);
const MEMORY: Metric = Metric::gauge("process_resident_memory", "Resident memory").in_unit(Unit::Bytes);
const OPEN_FDS: Metric = Metric::gauge("process_open_fds", "Open file descriptors");
const MAX_FDS: Metric = Metric::gauge("process_max_fds", "File descriptors that may be open");

/// All that is told of the process, for the document, which is made of the whole program.
#[cfg(all(test, feature = "otlp"))]
pub(crate) const DESCRIBED: &[Metric] = &[BUILD, START, CPU, MEMORY, OPEN_FDS, MAX_FDS];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// Asks the operating system whenever the metrics are asked for. What it does not tell is left out.
#[derive(Debug)]
struct ThisProcess {
    started_at: Timestamp,
}

/// Puts it under its names into a registry.
pub(crate) fn register(registry: &mut Registry, started_at: Timestamp) {
    let build = Family::<BuildLabels, Gauge>::default();
    build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
    BUILD.register(registry, build);
    registry.register_collector(Box::new(ThisProcess { started_at }));
}

impl Collector for ThisProcess {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let started_at = self.started_at.as_duration().as_secs_f64();
        START.encode(&mut encoder, &ConstGauge::new(started_at))?;
        let Ok(process) = Process::myself() else { return Ok(()) };
        if let Ok(stat) = process.stat() {
            let (spent, memory) = (stat.utime + stat.stime, stat.rss.saturating_mul(procfs::page_size()));
            #[expect(clippy::cast_precision_loss, reason = "a process runs for less than 2^53 ticks")]
            let seconds = spent as f64 / procfs::ticks_per_second() as f64;
            CPU.encode(&mut encoder, &ConstCounter::new(seconds))?;
            MEMORY.encode(&mut encoder, &ConstGauge::new(i64::try_from(memory).unwrap_or(i64::MAX)))?;
        }
        if let Ok(open) = process.fd_count() {
            OPEN_FDS.encode(&mut encoder, &ConstGauge::new(i64::try_from(open).unwrap_or(i64::MAX)))?;
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        if let Some(most) = limit {
            MAX_FDS.encode(&mut encoder, &ConstGauge::new(i64::try_from(most).unwrap_or(i64::MAX)))?;
        }
        Ok(())
    }
}
