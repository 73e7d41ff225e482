//! The routes under torture: every order, undo, unknown policy, probe, monitor and lock setting has its turn.

/// Targets that answer for themselves.
pub(super) const PLAIN: [&str; 4] = ["tokyo", "osaka", "nagoya", "otaru"];

/// Targets that accept operations of their own, by the monitor that follows them.
pub(super) const LOWER: [(&str, Style); 4] =
    [("kobe", Style::Msf), ("nara", Style::Plas), ("sakai", Style::Location), ("ube", Style::Poll)];

/// Targets that are taken out of the configuration for a while, with the routes that need them.
pub(super) const REMOVED: [&str; 2] = ["otaru", "ube"];

/// Paths below these are those of things that somebody else changes, too.
pub(super) const CONTESTED: [&str; 3] = ["/r/s/", "/r/u/", "/r/d/"];

/// How many things there are on a route whose operations are to meet.
pub(super) const SHARED: usize = 6;

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
    pub(super) fn monitor(self) -> &'static str {
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
    /// Whether the server makes the idempotency key out of the request.
    pub(super) dedupe: bool,
    /// The order in which undos run, where it is defined: the names of targets, first to last.
    pub(super) undo_order: Option<&'static [&'static str]>,
    /// The rest of the route's table. A line that is a word of [`SHORT`] stands for what is told there.
    pub(super) settings: &'static str,
}

/// What most routes have in common.
const PLAN: Plan = Plan {
    name: "",
    method: "POST",
    path: "",
    shared: false,
    repeatable: false,
    probe: false,
    dedupe: false,
    undo_order: None,
    settings: "",
};

/// Lines that many routes have, by a word.
pub(super) const SHORT: [(&str, &str); 4] = [
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
    Plan {
        name: "restore-contested",
        method: "PUT",
        path: "/r/s/{}",
        shared: true,
        repeatable: true,
        settings: "two\norder = \"sequence\"\nundo = \"restore\"\nlock = \"rs/{{ path.id }}\"\non_locked = \"queue\"\n",
        ..PLAN
    },
    Plan {
        name: "restore-untagged",
        method: "PUT",
        path: "/r/u/{}",
        shared: true,
        repeatable: true,
        settings: "two\norder = \"sequence\"\nundo = \"restore\"\nlock = \"ru/{{ path.id }}\"\n",
        ..PLAN
    },
    Plan {
        name: "restore-delete",
        method: "DELETE",
        path: "/r/d/{}",
        shared: true,
        repeatable: true,
        settings: "two\norder = \"sequence\"\nundo = \"restore\"\nlock = \"rd/{{ path.id }}\"\non_locked = \"queue\"\n",
        ..PLAN
    },
    Plan {
        name: "dedupe",
        path: "/dd/{}",
        dedupe: true,
        settings: "two\ndedupe = \"dd/{{ request.json.key }}\"\nundo\n",
        ..PLAN
    },
    Plan { name: "hooked", path: "/w/{}", settings: "two\ncallback = \"{receiver}/hook/webhook\"\nundo\n", ..PLAN },
    // Followed at a target that often takes longer.
    Plan {
        name: "deadline",
        path: "/t/{}",
        settings: "targets = [\"tokyo\", \"sakai\"]\ndeadline = \"1s\"\nundo\n",
        ..PLAN
    },
    Plan { name: "removable", path: "/o/{}", settings: "targets = [\"tokyo\", \"otaru\"]\nundo\n", ..PLAN },
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
    /// The plan of the route of this name.
    pub(super) fn of_route(name: &str) -> Option<&'static Self> {
        PLANS.iter().find(|plan| plan.name == name)
    }
    fn says(&self, words: &str) -> bool {
        self.settings.contains(words)
    }

    /// Whether it is taken out of the configuration for a while.
    pub(super) fn is_removable(&self) -> bool {
        REMOVED.iter().any(|target| self.says(&format!("\"{target}\"")))
    }

    /// The setting of this kind, in the word of the configuration.
    pub(super) fn order(&self) -> &'static str {
        if self.says("waves = ") {
            return "waves";
        }
        if self.says("order = \"sequence\"") { "sequence" } else { "parallel" }
    }

    pub(super) fn undo(&self) -> &'static str {
        if self.says("undo = \"restore\"") {
            return "restore";
        }
        if self.settings.lines().any(|line| line == "undo") { "request" } else { "none" }
    }

    pub(super) fn on_unknown(&self) -> &'static str {
        ["undo", "hold"].into_iter().find(|word| self.says(&format!("on_unknown = \"{word}\""))).unwrap_or("fail")
    }

    pub(super) fn on_locked(&self) -> Option<&'static str> {
        let locks = self.says("lock = ");
        locks.then(|| if self.says("on_locked = \"queue\"") { "queue" } else { "reject" })
    }

    /// How many targets have to succeed; `None`: all.
    pub(super) fn required(&self) -> Option<usize> {
        let line = self.settings.lines().find_map(|line| line.strip_prefix("require = "))?;
        line.parse().ok()
    }

    /// Whether the route itself has a webhook.
    pub(super) fn is_hooked(&self) -> bool {
        self.says("callback = ")
    }
}
