//! The settings of traces: `[telemetry]`.

use fanfold_engine::target::Tls;

use super::TelemetrySettings;
use super::target::{headers, read_file};
use crate::config::document::Place;
use crate::config::file;
use crate::config::finding::{Findings, Wrong};
use crate::config::secret::Surroundings;

/// What goes behind the collector's address (OTLP specification, "OTLP/HTTP Request").
const TRACES: &str = "/v1/traces";

/// The longest name of a service, in octets.
const SERVICE_NAME_MAX: usize = 255;

/// `None` also where there is a mistake in the findings.
pub(super) fn telemetry(
    telemetry: &file::Telemetry,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<TelemetrySettings> {
    let place = Place::of(["telemetry"]);
    if telemetry.otlp.is_some() && !cfg!(feature = "otlp") {
        let wrong = Wrong::new("this program was built without the feature \"otlp\", and sends no traces");
        let hint = "leave otlp out, or build the program with its default features";
        findings.mistake(&place.key("otlp"), wrong.hint(hint));
    }
    let headers = headers(&telemetry.headers, &place.key("headers"), around, findings);
    let service_name = telemetry.service_name.clone().unwrap_or_else(|| "fanfold".to_owned());
    if service_name.len() > SERVICE_NAME_MAX {
        let wrong = Wrong::new(format!("a service_name has at most {SERVICE_NAME_MAX} bytes"));
        findings.mistake(&place.key("service_name"), wrong);
    }
    let authorities = authorities(telemetry, &place.key("authorities"), around, findings);
    let Some(address) = &telemetry.otlp else {
        if telemetry.has_more() {
            let wrong = Wrong::new("no traces are sent without the address of a collector");
            findings.warning(&place, wrong.hint("set otlp, or leave the table out"));
        }
        return None;
    };
    let url = format!("{}{TRACES}", address.0.0);
    if !authorities.is_empty() && !url.starts_with("https:") {
        let wrong = Wrong::new("authorities without https");
        findings.mistake(&place.key("authorities"), wrong.hint("write otlp = \"https://...\""));
    }
    Some(TelemetrySettings { url, headers, authorities, service_name, share: telemetry.share.unwrap_or(1.0) })
}

/// The text of the file, once it is known to be of use.
fn authorities(
    telemetry: &file::Telemetry,
    place: &Place,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Vec<u8> {
    let Some(path) = &telemetry.authorities else { return Vec::new() };
    let pem = read_file(&around.folder.join(path));
    let checked = pem.and_then(|pem| match Tls::new(&pem, None) {
        Ok(_) => Ok(pem),
        Err(bad) => Err(Wrong::new(bad.to_string())),
    });
    checked.map_err(|wrong| findings.bad_value(place, wrong)).unwrap_or_default()
}
