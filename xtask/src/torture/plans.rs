//! The routes under torture: every order, undo, unknown policy, probe, monitor and lock setting has its turn.

use std::fmt::Write as _;

/// Targets that answer for themselves.
pub(super) const PLAIN: [&str; 3] = ["tokyo", "osaka", "nagoya"];

/// Targets that accept operations of their own, by the monitor that follows them.
pub(super) const LOWER: [(&str, Style); 4] =
    [("kobe", Style::Msf), ("nara", Style::Plas), ("sakai", Style::Location), ("ube", Style::Poll)];

/// How a target with operations of its own shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Msf,
    Plas,
    Location,
    Poll,
}

impl Style {
    /// The target's `monitor`.
    fn monitor(self) -> &'static str {
        match self {
            Self::Msf => "monitor = \"msf\"",
            Self::Plas => "monitor = \"plas\"",
            Self::Location => "monitor = \"location\"",
            Self::Poll => {
                "monitor = { poll = { path = \"/jobs/{{ response.json.job }}\", done = \"response.json.done\", \
                 success = \"response.json.ok\" } }"
            }
        }
    }
}

/// One route.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    /// The path; `{}` stands for a value that the client chooses.
    pub(super) path: &'static str,
    /// Whether the values are few, so that operations meet.
    pub(super) shared: bool,
    /// Whether its requests may be sent again after an attempt in doubt.
    pub(super) repeatable: bool,
    pub(super) probe: bool,
    /// The order in which undos run, where it is defined: the names of targets, first to last.
    pub(super) undo_order: Option<&'static [&'static str]>,
    /// The rest of the route's table. A line that is a word of [`SHORT`] stands for what is told there.
    settings: &'static str,
}

/// What most routes have in common.
const PLAN: Plan = Plan {
    name: "",
    method: "POST",
    path: "",
    shared: false,
    repeatable: false,
    probe: false,
    undo_order: None,
    settings: "",
};

/// Lines that many routes have, by a word.
const SHORT: [(&str, &str); 4] = [
    ("all", "targets = [\"tokyo\", \"osaka\", \"nagoya\"]"),
    ("two", "targets = [\"tokyo\", \"osaka\"]"),
    ("undo", "undo = { method = \"DELETE\", path = \"/by-op/{{ operation.id }}\" }"),
    ("probe", "probe = { path = \"/probe/{{ operation.id }}\", applied = \"response.json.applied\" }"),
];

pub(super) const PLANS: &[Plan] = &[
    Plan { name: "parallel-fail", path: "/a/{}", settings: "all\non_unknown = \"fail\"\nundo\n", ..PLAN },
    Plan {
        name: "sequence-undo",
        path: "/b/{}",
        undo_order: Some(&["nagoya", "osaka", "tokyo"]),
        settings: "all\norder = \"sequence\"\non_unknown = \"undo\"\nundo\n",
        ..PLAN
    },
    Plan {
        name: "waves",
        path: "/c/{}",
        undo_order: Some(&["nagoya", "osaka", "tokyo"]),
        settings: "all\nwaves = [1, 1]\nundo\n",
        ..PLAN
    },
    Plan { name: "quorum", path: "/e/{}", settings: "all\nrequire = 2\nundo\n", ..PLAN },
    Plan { name: "put", method: "PUT", path: "/p/{}", repeatable: true, settings: "all\nundo\n", ..PLAN },
    Plan {
        name: "restore-reject",
        method: "PUT",
        path: "/r/{}",
        shared: true,
        repeatable: true,
        settings: "two\norder = \"sequence\"\nundo = \"restore\"\nlock = \"r/{{ path.id }}\"\n",
        ..PLAN
    },
    Plan {
        name: "restore-queue",
        method: "PUT",
        path: "/r/q/{}",
        shared: true,
        repeatable: true,
        settings: "two\norder = \"sequence\"\nundo = \"restore\"\nlock = \"rq/{{ path.id }}\"\non_locked = \"queue\"\n",
        ..PLAN
    },
    Plan { name: "delayed", path: "/dl/{}", settings: "two\ndelay = \"300ms\"\nundo\n", ..PLAN },
    Plan { name: "delete", method: "DELETE", path: "/d/{}", repeatable: true, settings: "two\n", ..PLAN },
    Plan { name: "no-undo", path: "/n/{}", settings: "two\n", ..PLAN },
    Plan {
        name: "patch-repeatable",
        method: "PATCH",
        path: "/x/{}",
        repeatable: true,
        settings: "two\nrepeatable = true\nundo\n",
        ..PLAN
    },
    Plan { name: "unknown-hold", path: "/h/{}", settings: "two\non_unknown = \"hold\"\nundo\n", ..PLAN },
    Plan { name: "failure-hold", path: "/f/{}", settings: "two\non_failure = \"hold\"\nundo\n", ..PLAN },
    Plan { name: "msf-noticed", path: "/v1/m/{}", settings: "two\ndialect = \"msf\"\nundo\n", ..PLAN },
    Plan { name: "probe", path: "/q/{}", probe: true, settings: "two\nprobe\nundo\n", ..PLAN },
    Plan {
        name: "probe-undo",
        path: "/qu/{}",
        probe: true,
        settings: "two\norder = \"sequence\"\non_unknown = \"undo\"\nprobe\nundo\n",
        ..PLAN
    },
    Plan { name: "undo-hold", path: "/uh/{}", settings: "two\non_undo_failure = \"hold\"\nundo\n", ..PLAN },
    Plan { name: "lower-msf", path: "/lm/{}", settings: "targets = [\"tokyo\", \"kobe\"]\nundo\n", ..PLAN },
    Plan { name: "lower-plas", path: "/lp/{}", settings: "targets = [\"tokyo\", \"nara\"]\nundo\n", ..PLAN },
    Plan { name: "lower-location", path: "/ll/{}", settings: "targets = [\"tokyo\", \"sakai\"]\nundo\n", ..PLAN },
    Plan { name: "lower-poll", path: "/lq/{}", settings: "targets = [\"tokyo\", \"ube\"]\nundo\n", ..PLAN },
];

impl Plan {
    /// The plan that a path belongs to.
    pub(super) fn of_route(name: &str) -> Option<&'static Self> {
        PLANS.iter().find(|plan| plan.name == name)
    }
}

/// Where everything listens.
pub(super) struct Places {
    pub(super) server: String,
    /// Names and URLs.
    pub(super) targets: Vec<(&'static str, String)>,
}

/// The configuration: everything is quick, so that a kill meets all of it.
pub(super) fn config(places: &Places) -> String {
    let mut text = format!(
        "[server]\nlisten = \"{}\"\nshutdown_grace = \"3s\"\n\n[store]\nurl = \"sqlite:fanfold.db\"\n\n\
         [notices]\nallow = [\"127.0.0.0/8\"]\nattempts = 200\nbackoff = \"50ms\"\nbackoff_max = \"400ms\"\n\
         timeouts = {{ connect = \"500ms\", response = \"400ms\" }}\n\n[[mounts]]\ndialect = \"msf\"\nprefix = \"/v1\"\n\n",
        places.server
    );
    for (name, url) in &places.targets {
        let monitor = match LOWER.iter().find(|(lower, _)| lower == name) {
            None => "monitor = \"none\"",
            Some((_, style)) => style.monitor(),
        };
        let table = format!(
            "[targets.{name}]\nurl = \"{url}\"\n{monitor}\nsettle = \"150ms\"\n\
             timeouts = {{ connect = \"500ms\", response = \"400ms\", lower = \"2s\" }}\n\
             retry = {{ attempts = 4, backoff = \"20ms\", backoff_max = \"100ms\", budget = \"20s\" }}\n\
             undo_retry = {{ attempts = 8, backoff = \"20ms\", backoff_max = \"100ms\", budget = \"30s\" }}\n\
             breaker = {{ breaks = 20, pause = \"200ms\" }}\n\n"
        );
        text.push_str(&table);
    }
    for plan in PLANS {
        let path = plan.path.replace("{}", "{id}");
        writeln!(text, "[[routes]]\nname = \"{}\"\nmatch = \"{} {path}\"", plan.name, plan.method)
            .expect("writing to a String cannot fail");
        for line in plan.settings.lines() {
            let short = SHORT.iter().find(|(word, _)| *word == line);
            text.push_str(short.map_or(line, |(_, whole)| *whole));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_a_table_with_targets() {
        let text = config(&Places { server: "127.0.0.1:0".into(), targets: Vec::new() });
        let file: toml::Table = text.parse().unwrap();
        let routes = file["routes"].as_array().unwrap();
        assert_eq!(routes.len(), PLANS.len());
        assert!(routes.iter().all(|route| route["targets"].is_array()), "{text}");
    }
}
