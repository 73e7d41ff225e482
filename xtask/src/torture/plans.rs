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
    /// The rest of the route's table.
    settings: &'static str,
}

/// The undo of everything that is undone by a request.
macro_rules! undo {
    () => {
        "undo = { method = \"DELETE\", path = \"/by-op/{{ operation.id }}\" }\n"
    };
}

/// The probe of everything that is asked for.
macro_rules! probe {
    () => {
        "probe = { path = \"/probe/{{ operation.id }}\", applied = \"response.json.applied\" }\n"
    };
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

const ALL: &str = "targets = [\"tokyo\", \"osaka\", \"nagoya\"]\n";
const TWO: &str = "targets = [\"tokyo\", \"osaka\"]\n";

pub(super) const PLANS: &[Plan] = &[
    Plan { name: "parallel-fail", path: "/a/{}", settings: concat!("all\non_unknown = \"fail\"\n", undo!()), ..PLAN },
    Plan {
        name: "sequence-undo",
        path: "/b/{}",
        undo_order: Some(&["nagoya", "osaka", "tokyo"]),
        settings: concat!("all\norder = \"sequence\"\non_unknown = \"undo\"\n", undo!()),
        ..PLAN
    },
    Plan {
        name: "waves",
        path: "/c/{}",
        undo_order: Some(&["nagoya", "osaka", "tokyo"]),
        settings: concat!("all\nwaves = [1, 1]\n", undo!()),
        ..PLAN
    },
    Plan { name: "quorum", path: "/e/{}", settings: concat!("all\nrequire = 2\n", undo!()), ..PLAN },
    Plan { name: "put", method: "PUT", path: "/p/{}", repeatable: true, settings: concat!("all\n", undo!()), ..PLAN },
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
    Plan { name: "delayed", path: "/dl/{}", settings: concat!("two\ndelay = \"300ms\"\n", undo!()), ..PLAN },
    Plan { name: "delete", method: "DELETE", path: "/d/{}", repeatable: true, settings: "two\n", ..PLAN },
    Plan { name: "no-undo", path: "/n/{}", settings: "two\n", ..PLAN },
    Plan {
        name: "patch-repeatable",
        method: "PATCH",
        path: "/x/{}",
        repeatable: true,
        settings: concat!("two\nrepeatable = true\n", undo!()),
        ..PLAN
    },
    Plan { name: "unknown-hold", path: "/h/{}", settings: concat!("two\non_unknown = \"hold\"\n", undo!()), ..PLAN },
    Plan { name: "failure-hold", path: "/f/{}", settings: concat!("two\non_failure = \"hold\"\n", undo!()), ..PLAN },
    Plan { name: "msf-noticed", path: "/v1/m/{}", settings: concat!("two\ndialect = \"msf\"\n", undo!()), ..PLAN },
    Plan { name: "probe", path: "/q/{}", probe: true, settings: concat!("two\n", probe!(), undo!()), ..PLAN },
    Plan {
        name: "probe-undo",
        path: "/qu/{}",
        probe: true,
        settings: concat!("two\norder = \"sequence\"\non_unknown = \"undo\"\n", probe!(), undo!()),
        ..PLAN
    },
    Plan { name: "undo-hold", path: "/uh/{}", settings: concat!("two\non_undo_failure = \"hold\"\n", undo!()), ..PLAN },
    Plan { name: "lower-msf", path: "/lm/{}", settings: concat!("targets = [\"tokyo\", \"kobe\"]\n", undo!()), ..PLAN },
    Plan {
        name: "lower-plas",
        path: "/lp/{}",
        settings: concat!("targets = [\"tokyo\", \"nara\"]\n", undo!()),
        ..PLAN
    },
    Plan {
        name: "lower-location",
        path: "/ll/{}",
        settings: concat!("targets = [\"tokyo\", \"sakai\"]\n", undo!()),
        ..PLAN
    },
    Plan { name: "lower-poll", path: "/lq/{}", settings: concat!("targets = [\"tokyo\", \"ube\"]\n", undo!()), ..PLAN },
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
        // Restores are locked by the value, whatever its first letter.
        let settings = plan.settings.replacen("all\n", ALL, 1).replacen("two\n", TWO, 1);
        writeln!(text, "[[routes]]\nname = \"{}\"\nmatch = \"{} {path}\"\n{settings}", plan.name, plan.method)
            .expect("writing to a String cannot fail");
    }
    text
}
