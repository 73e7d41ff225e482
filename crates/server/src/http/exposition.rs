//! The text in which metrics are shown: OpenMetrics for whoever accepts it, as Prometheus does, and the older text format of
//! Prometheus (version 0.0.4) for everybody else. They differ in how counters are named beside their values.

use http::HeaderMap;
use http::header::ACCEPT;

/// The media type of OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// A form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    OpenMetrics,
    Plain,
}

impl Form {
    /// The form that a request accepts. Weights are not compared: whoever names the newer one can read it.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let names_it = |value: &http::HeaderValue| value.to_str().is_ok_and(|value| value.contains(OPEN_METRICS));
        if headers.get_all(ACCEPT).iter().any(names_it) { Self::OpenMetrics } else { Self::Plain }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The text in this form.
    pub(super) fn written(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Plain => plain(&open_metrics),
        }
    }
}

/// In the older format a counter is described under the name that its values have, which ends with `_total`; and a line that says
/// that the text is complete is not known.
fn plain(open_metrics: &str) -> String {
    let mut plain = String::with_capacity(open_metrics.len() + 1024);
    let mut lines = open_metrics.lines().peekable();
    // The lines that describe a metric come together: its help, its type, its unit.
    let mut described: Vec<(&str, &str, &str)> = Vec::new();
    while let Some(line) = lines.next() {
        let Some((word, name, rest)) = description(line) else {
            if line != "# EOF" {
                plain.push_str(line);
                plain.push('\n');
            }
            continue;
        };
        described.push((word, name, rest));
        if lines.peek().is_some_and(|next| description(next).is_some_and(|(_, next, _)| next == name)) {
            continue;
        }
        let is_counter = described.iter().any(|(word, _, rest)| *word == "TYPE" && *rest == "counter");
        let suffix = if is_counter { "_total" } else { "" };
        for (word, name, rest) in described.drain(..) {
            plain.push_str(&format!("# {word} {name}{suffix} {rest}\n"));
        }
    }
    plain
}

/// What a line says of a metric: a word, the name, the rest.
fn description(line: &str) -> Option<(&str, &str, &str)> {
    let (word, rest) = line.strip_prefix("# ")?.split_once(' ')?;
    let (name, rest) = rest.split_once(' ')?;
    Some((word, name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_described_under_the_name_of_their_values() {
        let open_metrics = "# HELP a Some.\n# TYPE a counter\na_total{x=\"# EOF\"} 1\n\
            # HELP b_seconds Times.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\nb_seconds 2\n# EOF\n";
        let expected = "# HELP a_total Some.\n# TYPE a_total counter\na_total{x=\"# EOF\"} 1\n\
            # HELP b_seconds Times.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\nb_seconds 2\n";
        assert_eq!(Form::Plain.written(open_metrics.to_owned()), expected);
    }

    #[test]
    fn whoever_names_open_metrics_gets_it() {
        let accepting = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, http::HeaderValue::from_static(value));
            Form::accepted(&headers)
        };
        assert_eq!(accepting("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"), Form::OpenMetrics);
        assert_eq!(accepting("*/*"), Form::Plain);
        assert_eq!(Form::accepted(&HeaderMap::new()), Form::Plain);
    }
}
