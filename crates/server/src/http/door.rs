//! Which rule answers a request: Fanfold's own paths first, then the paths where mounts keep their operations, then routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfold_core::dialect::{Mount, OwnRequest, Refusal};
use fanfold_core::route::{Found, Route};
use http::Method;

use super::Front;
use super::auth::rules;

/// Where the native API lies.
pub(super) const API: &str = "/api/v1";

/// Where the console lies.
pub(super) const CONSOLE: &str = "/ui";

/// Where a request goes.
#[derive(Debug)]
pub(super) enum Door {
    /// To one of the pages for programs: monitoring, and the document of the API.
    System(System),
    /// To the native API.
    Native,
    /// To the pages for people.
    Console,
    /// To the operations of a mount.
    Own(OwnRequest),
    /// To a route.
    Route {
        /// The route.
        route: Arc<Route>,
        /// What its pattern captured.
        captures: BTreeMap<String, String>,
    },
    /// Nowhere.
    Closed(Refusal),
}

/// Pages for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    /// `/healthz`
    Health,
    /// `/readyz`
    Readiness,
    /// `/metrics`
    Metrics,
    /// `/openapi.json`
    Document,
}

impl Door {
    /// The door for a request, and the mount in whose dialect it is answered.
    pub(super) fn find(front: &Front, method: &Method, path: &str, query: Option<&str>) -> (Self, Arc<Mount>) {
        let voice = front.mounts_over(path).next().unwrap_or_else(|| front.native());
        let found = front.routes().find(method, path);
        // A path that no path may be (with dot segments, for instance) does not get as far as being compared.
        if let Found::Refused(refusal) = found {
            let voice = if is_own(path) { front.native() } else { voice };
            return (Self::Closed(refusal), Arc::clone(voice));
        }
        if let Some(door) = own_door(path) {
            return (door, Arc::clone(front.native()));
        }
        for mount in front.mounts_over(path) {
            if let Some(asked) = mount.own(method, path, query) {
                return (asked.map_or_else(Self::Closed, Self::Own), Arc::clone(mount));
            }
        }
        match found {
            Found::Route { route, captures } => {
                let mount = front.mount(route.dialect, &route.mount);
                (Self::Route { route, captures }, mount)
            }
            Found::WrongMethod { allow } => (Self::Closed(Refusal::MethodNotAllowed { allow }), Arc::clone(voice)),
            Found::Nothing => (Self::Closed(rules::no_such_route()), Arc::clone(voice)),
            Found::Refused(refusal) => (Self::Closed(refusal), Arc::clone(voice)),
        }
    }
}

/// The door to one of Fanfold's own paths.
fn own_door(path: &str) -> Option<Door> {
    match path {
        "/healthz" => Some(Door::System(System::Health)),
        "/readyz" => Some(Door::System(System::Readiness)),
        "/openapi.json" => Some(Door::System(System::Document)),
        "/metrics" => Some(Door::System(System::Metrics)),
        _ if lies_below(path, API) => Some(Door::Native),
        _ if lies_below(path, CONSOLE) => Some(Door::Console),
        _ => None,
    }
}

fn is_own(path: &str) -> bool {
    own_door(path).is_some()
}

fn lies_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fanfold_core::plan::{DialectName, Limits, Monitor};
    use fanfold_core::route::spec::{Action, RouteSpec, TargetSpec};

    use super::*;

    fn target() -> TargetSpec {
        let limits = Limits {
            attempts: 1,
            backoff: Duration::ZERO,
            backoff_max: Duration::ZERO,
            budget: Duration::ZERO,
            connect: Duration::ZERO,
            response: Duration::ZERO,
            lower: Duration::ZERO,
            response_body_max: 0,
        };
        let monitor = Monitor::None;
        TargetSpec { id: "1".to_owned(), monitor, step: limits.clone(), undo: limits, settle: Duration::ZERO }
    }

    fn front() -> Front {
        let pass = |method: Method, pattern: &str, dialect, mount: &str| RouteSpec {
            name: format!("{method} {pattern}"),
            dialect,
            mount: mount.to_owned(),
            method,
            pattern: pattern.to_owned(),
            action: Action::Pass("tokyo".into()),
        };
        let routes = vec![
            pass(Method::GET, "/{*rest}", DialectName::Native, ""),
            pass(Method::POST, "/v1/{a}/{*rest}", DialectName::Msf, "/v1"),
        ];
        let targets = [("tokyo".into(), target())].into();
        let table = fanfold_core::route::RouteTable::compile(routes, &targets).unwrap();
        let mounts = vec![Mount::new(DialectName::Msf, "/v1"), Mount::new(DialectName::Plas, "/v1.0/plasconnector")];
        Front::new(mounts, Arc::new(table), BTreeMap::new(), None).unwrap()
    }

    fn find(method: Method, path: &str) -> (String, DialectName) {
        let (door, mount) = Door::find(&front(), &method, path, None);
        let word = match door {
            Door::System(system) => format!("{system:?}"),
            Door::Native => "native".to_owned(),
            Door::Console => "console".to_owned(),
            Door::Own(own) => format!("{own:?}").split([' ', '{']).next().unwrap().to_owned(),
            Door::Route { route, .. } => route.name.clone(),
            Door::Closed(refusal) => format!("{refusal:?}").split([' ', '{']).next().unwrap().to_owned(),
        };
        (word, mount.dialect)
    }

    #[test]
    fn own_paths_go_before_mounts_and_mounts_before_routes() {
        use DialectName::{Msf, Native, Plas};
        let get = |path| find(Method::GET, path);
        let is = |word: &str, dialect| (word.to_owned(), dialect);
        assert_eq!(get("/healthz"), is("Health", Native));
        assert_eq!(get("/readyz"), is("Readiness", Native));
        assert_eq!(get("/metrics"), is("Metrics", Native));
        assert_eq!(get("/api/v1"), is("native", Native));
        assert_eq!(get("/api/v1/operations"), is("native", Native));
        assert_eq!(get("/api/v1x"), is("GET /{*rest}", Native));
        assert_eq!(get("/openapi.json"), is("Document", Native));
        assert_eq!(get("/openapi.json/x"), is("GET /{*rest}", Native));
        assert_eq!(get("/ui"), is("console", Native));
        assert_eq!(get("/ui/x"), is("console", Native));
        assert_eq!(get("/uix"), is("GET /{*rest}", Native));
        assert_eq!(get("/v1/operations"), is("List", Msf));
        assert_eq!(find(Method::POST, "/v1/operations"), is("MethodNotAllowed", Msf));
        assert_eq!(find(Method::POST, "/v1/slices/7"), is("POST /v1/{a}/{*rest}", Msf));
        assert_eq!(get("/v1.0/plasconnector/connectors/c/operations/x"), is("NotFound", Plas));
        assert_eq!(get("/v1/anything"), is("GET /{*rest}", Native));
    }

    #[test]
    fn what_nothing_answers_is_refused_in_the_dialect_of_its_mount() {
        use DialectName::{Msf, Native, Plas};
        let is = |word: &str, dialect| (word.to_owned(), dialect);
        assert_eq!(find(Method::DELETE, "/v1/x"), is("MethodNotAllowed", Msf));
        assert_eq!(find(Method::POST, "/v1.0/plasconnector/nothing"), is("MethodNotAllowed", Plas));
        assert_eq!(find(Method::POST, "/"), is("NotFound", Native));
        for path in ["/v1/a/../b", "/v1/%2e%2E/b", "/v1/a%00", "/v1/a%zz"] {
            assert_eq!(find(Method::POST, path), is("BadValue", Msf), "{path}");
        }
        assert_eq!(find(Method::GET, "/v1.0/plasconnector/."), is("BadValue", Plas));
        assert_eq!(find(Method::GET, "/api/v1/../v1/operations"), is("BadValue", Native));
        assert_eq!(find(Method::OPTIONS, "*"), is("BadValue", Native));
    }
}
