//! What a metric is told with: its name, its kind, its unit, what it means, and what bounds each of its labels. Every metric of
//! the program is described by one of these, which it is registered with and `docs/metrics.md` is generated from; so there is
//! none that the document does not have. It is here because this is the lowest crate that measures anything.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::registry::{self, Registry};

/// A metric beside its values.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    name: &'static str,
    kind: Kind,
    unit: Option<Unit>,
    help: &'static str,
    labels: &'static [Label],
    of: Of,
}

/// How the values of a metric are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from zero at each start.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How many values were so large at the most, their number and their sum.
    Histogram,
}

/// Base units alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Octets.
    Bytes,
}

/// What the values are about, where several nodes share a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// This process: the values of all nodes are to be added up.
    Node,
    /// The store: every node that shares it says the same.
    Store,
}

/// A label, and why it has no more than so many values.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// All of its values, or what bounds them.
    pub bound: &'static str,
}

/// The name of a route.
pub const ROUTE: Label =
    Label { name: "route", bound: "names of routes that are or were configured, or that recorded operations have" };

/// The dialect that something came in.
pub const DIALECT: Label = Label { name: "dialect", bound: "`native`, `msf`, `plas`" };

/// The name of a target.
pub const TARGET: Label =
    Label { name: "target", bound: "names of targets that are or were configured, or that recorded operations have" };

impl Metric {
    /// A counter of this process. Its name is told without `_total`, which is put behind it.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, unit: None, help, labels: &[], of: Of::Node }
    }

    /// A gauge of this process.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Gauge, ..Self::counter(name, help) }
    }

    /// A histogram of this process.
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Histogram, ..Self::counter(name, help) }
    }

    /// The same in this unit, which is put behind its name.
    #[must_use]
    pub const fn in_unit(self, unit: Unit) -> Self {
        Self { unit: Some(unit), ..self }
    }

    /// The same with these labels, in this order.
    #[must_use]
    pub const fn by(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    /// The same of the store.
    #[must_use]
    pub const fn of_the_store(self) -> Self {
        Self { of: Of::Store, ..self }
    }

    /// Puts its values under its name.
    pub fn register(&self, registry: &mut Registry, values: impl registry::Metric) {
        match self.unit {
            None => registry.register(self.name, self.help, values),
            Some(unit) => registry.register_with_unit(self.name, self.help, unit.into(), values),
        }
    }

    /// Writes a value that was looked up just now.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn encode(&self, encoder: &mut DescriptorEncoder<'_>, value: &impl EncodeMetric) -> Result<(), fmt::Error> {
        // As a registry does it.
        let help = format!("{}.", self.help);
        let unit = self.unit.map(registry::Unit::from);
        value.encode(encoder.encode_descriptor(self.name, &help, unit.as_ref(), value.metric_type())?)
    }

    /// The same of one value for each of these values of its only label.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn encode_each<V: EncodeMetric>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        values: impl IntoIterator<Item = (&'static str, V)>,
    ) -> Result<(), fmt::Error> {
        let mut values = values.into_iter().peekable();
        let (Some((_, first)), Some(label)) = (values.peek(), self.labels.first()) else { return Ok(()) };
        let help = format!("{}.", self.help);
        let unit = self.unit.map(registry::Unit::from);
        let mut described = encoder.encode_descriptor(self.name, &help, unit.as_ref(), first.metric_type())?;
        for (of, value) in values {
            value.encode(described.encode_family(&[(label.name, of)])?)?;
        }
        Ok(())
    }

    /// Its name as it is queried: with its unit, and with `_total` if it is a counter.
    pub fn name(&self) -> String {
        let unit = self.unit.map_or("", |unit| match unit {
            Unit::Seconds => "_seconds",
            Unit::Bytes => "_bytes",
        });
        let total = match self.kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{unit}{total}", self.name)
    }

    /// How its values are to be read.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The unit of its values.
    pub fn unit(&self) -> Option<Unit> {
        self.unit
    }

    /// What it means.
    pub fn help(&self) -> &'static str {
        self.help
    }

    /// Its labels.
    pub fn labels(&self) -> &'static [Label] {
        self.labels
    }

    /// What its values are about.
    pub fn of(&self) -> Of {
        self.of
    }
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Unit {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }
}

impl From<Unit> for registry::Unit {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Seconds => Self::Seconds,
            Unit::Bytes => Self::Bytes,
        }
    }
}
