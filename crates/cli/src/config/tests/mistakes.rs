//! Mistakes: each kind of them, with its line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

#[test]
fn five_mistakes_of_different_kinds_are_all_named() {
    let text = r#"[server]
listen = "127.0.0.1"

[targets.tokyo]
url = "http://10.0.1.1"
timeout = { connect = "3s" }
max_in_flight = "32"

[[routes]]
match = "POST /things"
targets = ["tokyo", "osaka"]

[[routes]]
targets = ["tokyo"]
"#;
    assert_eq!(
        bad(text),
        [
            "f.toml:2:10: listen: \"127.0.0.1\" is not an IP address with a port; write \"127.0.0.1:8080\", or \
             \"[::1]:8080\" for IPv6",
            "f.toml:6:1: unknown key \"timeout\" in [targets.tokyo]; did you mean \"timeouts\"?",
            "f.toml:7:17: max_in_flight: expected a whole number, found text; leave out the quotes",
            "f.toml:11:21: there is no target \"osaka\"; add a table [targets.osaka]",
            "f.toml:13:1: [[routes]] has no \"match\"; write it as in match = \"POST /v1/slices/{slice_id}/cps\"",
        ]
    );
}

#[test]
fn each_mistake_in_the_form_of_a_file_has_its_place() {
    for (text, expected) in [
        ("[sever]\n", "8:2: unknown key \"sever\" at the top of the file; did you mean \"server\"?"),
        ("[store]\nlisten = 3\n", "9:1: unknown key \"listen\" in [store]"),
        ("listen = \"127.0.0.1:80\"\n", "8:1: unknown key \"listen\" in [[mounts]]"),
        ("[server]\nlisten = 8080\n", "9:10: listen: expected text, found a whole number; write it in quotes"),
        (
            "[limits]\nrequests_per_second = 0\n",
            "9:23: requests_per_second: 0 is out of range; 1 to 1000000 is possible",
        ),
        ("[tenants.\"a:b\"]\n", "8:10: \"a:b\" is not a name of a tenant; use 1 to 64 letters"),
        ("[store]\nwaiting_max = 0\n", "9:15: waiting_max: 0 is out of range; 1 to 100000000 is possible"),
        ("[store]\nwaiting_max = 99999999999999999999\n", "9:15: waiting_max: the number does not fit into 64 bits"),
        ("[server]\nconnections_max = 3\n", "9:19: connections_max: 3 is out of range; 16 to 1000000 is possible"),
        ("[server]\nrequest_body_max = 12\n", "9:20: request_body_max: 12 bytes is out of range; 1KiB to 64MiB"),
        ("[server]\nrequest_body_max = \"1TiB\"\n", "9:20: request_body_max: \"1TiB\" is out of range; 1KiB to 64MiB"),
        ("[server]\nrequest_body_max = \"1 MB\"\n", "9:20: request_body_max: \"1 MB\" is not a size; "),
        ("[defaults]\nretention = \"1h\"\n", "9:13: retention: \"1h\" is out of range; 24h to 36500d is possible"),
        ("[defaults]\ndeadline = \"1 hour\"\n", "9:12: deadline: \"1 hour\" is not a duration; "),
        (
            "[defaults]\ntimeouts = { connect = 3 }\n",
            "9:24: connect: expected text, found a whole number; write it in quotes",
        ),
        (
            "[defaults]\nretry.attemps = 3\n",
            "9:7: unknown key \"attemps\" in [defaults.retry]; did you mean \"attempts\"?",
        ),
        ("[notices]\nallow = \"10.0.0.1\"\n", "9:9: allow: expected a list, found text; put it in brackets"),
        (
            "[notices]\nallow = [\"10.0.0.1\", \"10.0.0.7/8\"]\n",
            "9:22: allow: \"10.0.0.7/8\" has bits set beyond its prefix",
        ),
        ("[[mounts]]\nprefix = \"/v2\"\n", "8:1: [[mounts]] has no \"dialect\"; it is needed"),
        (
            "[[mounts]]\ndialect = \"mfs\"\nprefix = \"/v2\"\n",
            "9:11: dialect: \"mfs\" is not one of \"msf\", \"plas\"; did you mean \"msf\"?",
        ),
        ("[[mounts]]\ndialect = \"msf\"\nprefix = \"/v2/\"\n", "10:10: prefix: \"/v2/\" is not a path prefix; "),
        (
            "[[mounts]]\ndialect = \"msf\"\nprefix = \"/v2\"\ntime_zone = \"Tokio\"\n",
            "11:13: time_zone: \"Tokio\" is not a time zone",
        ),
        (
            "[targets.x]\nid = \"3\"\n",
            "8:10: [targets.x] has no \"url\"; write it as in url = \"http://10.0.1.1:18080\"",
        ),
        ("[targets.x]\nurl = \"10.0.0.1:80\"\n", "9:7: url: "),
        (
            "[targets.x]\nurl = \"http://a\"\nmonitor = \"msf\"\nmonitor_prefix = \"/ops\"\n",
            "11:18: there is no monitor here that follows an address of the target's",
        ),
        (
            "[targets.x]\nurl = \"http://a\"\nmonitor = \"plas\"\nmonitor_prefix = \"/a/../b\"\n",
            "11:18: a target's URL has operations below a path",
        ),
        (
            "[targets.x]\nurl = \"http://a\"\nmonitor = 3\n",
            "10:11: monitor: expected text or a table, found a whole number",
        ),
        (
            "[targets.x]\nurl = \"http://a\"\nmonitor = \"mfs\"\n",
            "10:11: monitor: \"mfs\" is not one of \"none\", \"msf\"",
        ),
        ("[store]\nurl = \"mysql://a:s3cret@b\"\n", "9:7: url: this is not the address of a store; "),
        ("[auth]\nsession = \"31d\"\n", "9:11: a session lasts from 1m to 30d; leave it out for 12h"),
        ("[auth]\nsession = \"59s\"\n", "9:11: a session lasts"),
        ("[server]\npublic_url = \"https://a/?b\"\n", "9:14: public_url: the address has a query; "),
        ("[server]\npublic_url = 2026-11-21\n", "9:14: public_url: expected text, found a date"),
        ("[server]\ncallback = \"[::1]:80\"\n", "9:12: callback: \"[::1]:80\" is not an IPv4 address with a port; "),
    ] {
        let found = only(text);
        assert!(found.starts_with(&format!("f.toml:{expected}")), "{text}: {found}");
        assert!(!found.contains("s3cret"));
    }
}

#[test]
fn each_mistake_in_a_route_has_its_place() {
    for (text, expected) in [
        ("match = \"post /a\"\npass = \"tokyo\"\n", "9:9: match: \"post\" is not a method that a route can have"),
        ("match = \"POST /a\"\ntargets = []\n", "10:11: targets: the list is empty"),
        ("match = \"POST /a\"\n", "8:1: the route does not say what it calls"),
        ("match = \"POST /a\"\npass = \"tokyo\"\ntargets = [\"tokyo\"]\n", "11:1: pass and targets exclude each other"),
        ("match = \"POST /a\"\npass = \"tokio\"\n", "10:8: there is no target \"tokio\"; did you mean \"tokyo\"?"),
        (
            "match = \"POST /a\"\npass = \"tokyo\"\nlock = \"x\"\n",
            "11:1: \"lock\" means nothing on a route that passes",
        ),
        ("match = \"GET /a\"\ntargets = [\"tokyo\"]\n", "9:9: GET changes nothing, so that it cannot be an operation"),
        ("match = \"POST /ui/a\"\ntargets = [\"tokyo\"]\n", "9:9: `/ui` is one of Fanfold's own paths"),
        (
            "match = \"POST /a\"\ndialect = \"msf\"\ntargets = [\"tokyo\"]\n",
            "10:11: no msf mount contains \"/a\"; the path must begin with \"/v1\"",
        ),
        (
            "match = \"POST /a\"\ndialect = \"plas\"\ntargets = [\"tokyo\"]\n",
            "10:11: no plas mount contains \"/a\"; add a [[mounts]] table",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\", \"tokyo\"]\n",
            "10:21: the target `tokyo` stands in the list twice",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\nrequire = 2\n",
            "11:11: 2 steps must succeed, but there are only 1 targets",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\nrequire = \"most\"\n",
            "11:11: require: \"most\" is not one of \"all\"",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\non_locked = \"reject\"\n",
            "11:1: \"on_locked\" means nothing without \"lock\"",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\nwave_failures = 1\n",
            "11:1: \"wave_failures\" means nothing without \"waves\"",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\norder = \"sequence\"\nwaves = [1]\n",
            "12:1: order and waves exclude each other",
        ),
        ("match = \"POST /a\"\ntargets = [\"tokyo\"]\nwaves = [1, 0]\n", "11:13: waves: 0 is out of range"),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\non_unknown = \"undo\"\n",
            "11:14: on_unknown = \"undo\" on a route that has no undo",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\nundo = \"revert\"\n",
            "11:8: undo: \"revert\" is not one of \"restore\"",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\nundo = { metod = \"PUT\", path = \"/a\" }\n",
            "11:10: unknown key \"metod\" in [routes.undo]; did you mean \"method\"?",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\nreveal = [\"token\"]\n",
            "11:11: reveal: \"token\" is not a JSON pointer",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\nrequest = { headers = { host = \"x\" } }\n",
            "11:32: `host` names the target and is never forwarded",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\nrequest = { body = { at = 2026-01-01 } }\n",
            "11:27: at: JSON has no dates; write it in quotes",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\nforward_headers = [\"Fanfold-Attempt\"]\n",
            "11:20: `fanfold-attempt` is set by Fanfold on every attempt",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\n[routes.on.osaka]\nrequest = { query = \"a\" }\n",
            "11:12: the route does not call `osaka`",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\n[routes.on.tokyo]\ndeadline = \"1h\"\n",
            "12:1: unknown key \"deadline\" in [routes.on.tokyo]; \"deadline\" belongs to [[routes]]",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\ndelay = \"366d\"\n",
            "11:9: delay: \"366d\" is out of range; 0s to 365d is possible",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\nretry = { backoff = \"1m\", backoff_max = \"1s\" }\n",
            "11:21: backoff is longer than backoff_max",
        ),
    ] {
        let found = only(&format!("[[routes]]\n{text}"));
        assert!(found.starts_with(&format!("f.toml:{expected}")), "{text}: {found}");
    }
}

#[test]
fn what_planning_finds_has_its_place_too() {
    for (text, expected) in [
        (
            "match = \"POST /a/{id\"\ntargets = [\"tokyo\"]\nlock = \"{{ path.id }}\"\n",
            "9:9: `{id`: a capture is a whole segment",
        ),
        (
            "match = \"POST /a/{id}\"\ntargets = [\"tokyo\"]\nlock = \"{{ path.ip }}\"\n",
            "11:8: there is no `path.ip`, only `path.id`",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\n\n[routes.undo]\nmethod = \"DELETE\"\npath = \"/a/{{ response.\"\n",
            "14:8: ",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\nundo = { path = \"/a\" }\n",
            "11:1: an undo request needs a method",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\n[routes.undo]\nmethod = \"DELETE\"\npath = \"{{ response.json.href }}\"\n",
            "13:8: a path begins with `/`, and a value stands for one segment: slashes in it are encoded; write the path",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\n[routes.probe]\napplied = \"true\"\npath = \"{{ request.json.href }}\"\n",
            "13:8: a path begins with `/`",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\nundo = \"restore\"\n",
            "11:8: what a `POST` changes cannot be read before",
        ),
        (
            "match = \"POST /a\"\ntargets_from = \"{{ request.json }}\"\n",
            "10:16: this is an expression, not a template; leave out",
        ),
        (
            "match = \"POST /a\"\ntargets = [\"tokyo\"]\n[routes.on.tokyo.undo]\nmethod = \"PUT\"\npath = \"/{{ nothing }}\"\n",
            "13:8: there is no `nothing` here",
        ),
        (
            "match = \"GET /v1/operations\"\npass = \"tokyo\"\n",
            "9:9: the `msf` mount at `/v1` keeps its operations here",
        ),
    ] {
        let found = only(&format!("[[routes]]\n{text}"));
        assert!(found.starts_with(&format!("f.toml:{expected}")), "{text}: {found}");
    }
}

#[test]
fn a_route_that_cannot_be_compiled_does_not_move_those_behind_it() {
    let mistakes = bad(&format!(
        "{BASE}[[routes]]\ntargets = [\"tokyo\"]\n[[routes]]\nmatch = \"POST /a\"\ntargets = [\"tokyo\"]\nlock = \"{{{{ x }}}}\"\n"
    ));
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert!(mistakes[0].starts_with("f.toml:8:1: [[routes]] has no \"match\""), "{mistakes:?}");
    assert!(mistakes[1].starts_with("f.toml:13:8: there is no `x` here"), "{mistakes:?}");
}

#[test]
fn what_belongs_together_is_compared() {
    for (text, expected) in [
        (
            "[[mounts]]\ndialect = \"plas\"\nprefix = \"/v1/plas\"\n",
            "10:10: the prefix \"/v1/plas\" overlaps with the mount at \"/v1\"",
        ),
        (
            "[[mounts]]\ndialect = \"msf\"\nprefix = \"/v1\"\n",
            "10:10: the prefix \"/v1\" overlaps with the mount at \"/v1\"",
        ),
        (
            "[[mounts]]\ndialect = \"msf\"\nprefix = \"/api\"\n",
            "10:10: the prefix \"/api\" is in the way of \"/api/v1\"",
        ),
        ("[[mounts]]\ndialect = \"msf\"\nprefix = \"/ui/x\"\n", "10:10: the prefix \"/ui/x\" is in the way of \"/ui\""),
        (
            "[[mounts]]\ndialect = \"msf\"\nprefix = \"/v2\"\nletter_case = \"lower\"\n",
            "11:1: only a mount of \"plas\" has \"letter_case\"",
        ),
        (
            "[targets.x]\nid = \"osaka\"\nurl = \"http://a\"\n",
            "9:6: the targets \"osaka\" and \"x\" have the same id \"osaka\"",
        ),
        ("[targets.\"a b\"]\nurl = \"http://a\"\n", "8:10: \"a b\" is not a name of a target"),
        (
            "[targets.x]\nurl = \"http://a\"\nretry = { backoff = \"1h\" }\n",
            "10:21: backoff is longer than backoff_max",
        ),
        ("[targets.x]\nurl = \"http://a\"\ntls = {}\n", "10:1: tls without https"),
        (
            "[targets.x]\nurl = \"https://a\"\ntls = { authorities = \"none.pem\" }\n",
            "10:23: authorities: cannot read etc/none.pem: ",
        ),
        (
            "[targets.x]\nurl = \"http://a\"\nheaders = { x-a = \"${env:NONE}\" }\n",
            "10:19: x-a: the environment variable \"NONE\" is not set",
        ),
        (
            "[targets.x]\nurl = \"http://a\"\nheaders = { idempotency-key = \"a\" }\n",
            "10:13: the header \"idempotency-key\" is set by Fanfold",
        ),
        ("[store]\nsize_soft = \"2GiB\"\nsize_hard = \"1GiB\"\n", "10:13: size_hard is not larger than size_soft"),
        (
            "[server]\nlisten = \"0.0.0.0:80\"\n",
            "9:10: listening on 0.0.0.0:80 would let everybody who reaches it start operations; add an [auth] table",
        ),
    ] {
        let found = only(text);
        assert!(found.starts_with(&format!("f.toml:{expected}")), "{text}: {found}");
    }
}

#[test]
fn a_file_without_routes_is_a_mistake() {
    for text in ["", "routes = []\n", "[targets.a]\nurl = \"http://a\"\n"] {
        let around = Surroundings { folder: "etc".into(), variable: &variable, now: NOW.parse().unwrap() };
        let mistakes = load_text("f.toml", text.to_owned(), &around).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        let (message, hint) = (&mistakes[0].message, mistakes[0].hint.as_deref().unwrap_or_default());
        assert!(message.starts_with("there are no routes") && hint.contains("fanfold init"), "{mistakes:?}");
    }
}

#[test]
fn a_store_is_made_only_in_a_folder_that_is_there() {
    let found = only("[store]\nurl = \"sqlite:/nonexistent/dir/f.db\"\n");
    assert!(found.starts_with("f.toml:9:7: there is no folder /nonexistent/dir; make it first"), "{found}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let found = only(&format!("[store]\nurl = \"sqlite:{}/file/f.db\"\n", folder.path().display()));
    assert!(found.contains("/file is not a folder"), "{found}");
    good(&format!("{BASE}[store]\nurl = \"sqlite:{}/f.db\"\n", folder.path().display()));
    let variable = |name: &str| (name == "FANFOLD_STORE_URL").then(|| "sqlite:/nonexistent/f.db".to_owned());
    let mistakes = load_with(BASE, &variable).unwrap_err();
    assert!(mistakes[0].to_string().starts_with("FANFOLD_STORE_URL: there is no folder /nonexistent"), "{mistakes:?}");
}

/// The whole lists of mistakes of routes that have several: none hides another one, and none is told twice.
#[test]
fn one_mistake_in_a_route_does_not_hide_the_others() {
    let end = "targets = [\"tokyo\"]\n";
    for (text, expected) in [
        (
            // No targets, an unclosed template, a restore of a POST, and no mount of the wire format.
            "match = \"POST /a/{id}\"\ndialect = \"plas\"\nlock = \"{{ path.id }\"\nundo = \"restore\"\nreveal = [\"x\"]\n"
                .to_owned(),
            vec!["8:1: the route does not say", "10:11: no plas mount", "11:8: the template", "12:8: what a `POST`", "13:11: reveal"],
        ),
        (
            "name = \"first\"\nmatch = \"POST a/{id}\"\ndialect = \"plas\"\ntargets = [\"tokyo\"]\nrequire = 2\n\
             lock = \"{{ path.ip }}\"\n"
                .to_owned(),
            vec![
                "10:9: match: ",
                "11:11: there is no plas mount",
                "13:11: 2 steps must",
                "14:8: there is no `path.ip`, only `path.id`",
            ],
        ),
        (
            // Without a pattern nobody knows what it captures.
            format!("{end}lock = \"{{{{ path.id }}}}\"\nsuccess = \"foo = 1\"\nundo = {{ path = \"/{{{{ nothing }}}}\" }}\n"),
            vec![
                "8:1: [[routes]] has no \"match\"",
                "11:11: the expression cannot be read",
                "12:1: an undo request needs",
                "12:17: there is no `nothing`",
            ],
        ),
        (
            "match = \"PUT /a\"\ntargets = \"tokyo\"\nlock = \"{{ a }}{{ b }}\"\non.tokio.request.path = \"/{{ c }}\"\n"
                .to_owned(),
            vec![
                "10:11: targets: expected a list",
                "11:8: there is no `a`",
                "11:8: there is no `b`",
                "12:4: there is no target \"tokio\"",
                "12:25: there is no `c`",
            ],
        ),
        (
            "match = \"GET /a\"\nlock = \"{{ a }}\"\n".to_owned(),
            vec!["8:1: the route does not say"],
        ),
        (
            format!("name = \"x\"\n{end}[[routes]]\nname = \"x\"\nmatch = \"PUT /b\"\n"),
            vec!["8:1: [[routes]] has no", "11:1: the route does not say", "12:8: two routes have the name `x`"],
        ),
    ] {
        let found = bad(&format!("{BASE}[[routes]]\n{text}"));
        assert_eq!(found.len(), expected.len(), "{text}: {found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(&format!("f.toml:{expected}")), "{text}: {found}");
        }
    }
}

#[test]
fn the_path_of_a_poll_begins_with_a_slash() {
    let rule = "{ path = \"{{ response.json.href }}\", done = \"true\", success = \"true\" }";
    let found = only(&format!("[targets.a]\nurl = \"http://a\"\nmonitor = {{ poll = {rule} }}\n"));
    assert!(found.contains("a path begins with `/`") && found.contains("`monitor = \"location\"`"), "{found}");
}

#[test]
fn notifications_need_a_mount_that_hears_them() {
    for mounts in ["", "[[mounts]]\ndialect = \"msf\"\nprefix = \"/v2\"\n"] {
        let mistakes = bad(&format!("[server]\ncallback = \"10.0.0.5:80\"\n{mounts}"));
        assert!(mistakes[0].contains("2:12: callback without a mount that hears notifications"), "{mistakes:#?}");
    }
}

#[test]
fn mistakes_tell_what_to_do() {
    for (text, hint) in [
        ("success = \"response.status = 200\"\n", "write `==` to compare"),
        ("success = \"foo\"\n", "name a part of the answer"),
        ("waves = []\n", "write at least one, as in waves = [...]"),
        ("forward_headers = [\"bad header\"]\n", "use letters, digits"),
        ("undo = { path = \"/a\" }\n", "add `method = \"DELETE\"`"),
        ("result = { body = \"{{ targets.osaka.response }}\" }\n", "these are the targets that the route calls"),
    ] {
        let found = only(&format!("[[routes]]\nmatch = \"POST /a\"\ntargets = [\"tokyo\"]\n{text}"));
        assert!(found.contains(&format!("; {hint}")), "{found}");
    }
}

#[test]
fn a_bad_url_of_a_store_is_one_mistake_and_names_of_nodes_are_short() {
    let key = format!("key = \"{}=\"\n", "A".repeat(43));
    let found = bad(&format!("[store]\nurl = \"postgres://u@db/d?foo=bar\"\n{key}node = \"a\"\nlease = \"10s\"\n"));
    assert!(found.len() == 1 && found[0].contains("f.toml:2:"), "{found:?}");
    for name in ["a\\nFAKE", &"n".repeat(101)] {
        let found = bad(&format!("[store]\nurl = \"postgres://u@db/d\"\n{key}node = \"{name}\"\n"));
        assert!(found.len() == 1 && found[0].contains("without control characters"), "{found:?}");
    }
}

#[test]
fn keys_of_a_store_are_told_from_each_other_and_bounded() {
    let key = |number: u8| format!("\"{}\"", STANDARD.encode([number; 32]));
    let with = |others: &[u8]| {
        let others: Vec<String> = others.iter().map(|other| key(*other)).collect();
        format!("[store]\nurl = \"postgres://u@db/d\"\nkey = {}\nother_keys = [{}]\n", key(1), others.join(", "))
    };
    for others in [&[2, 1][..], &[2, 2]] {
        let found = bad(&with(others));
        assert!(
            found.len() == 1 && found[0].contains("f.toml:4:") && found[0].contains("is there already"),
            "{found:?}"
        );
    }
    let found = bad(&with(&[2, 3, 4, 5, 6, 7, 8, 9]));
    assert!(found.len() == 1 && found[0].contains("more than 7 keys"), "{found:?}");
    let found = bad(&with(&[]).replace("other_keys = []", "other_keys = [\"c2hvcnQ=\"]"));
    assert!(found.len() == 1 && found[0].contains("32 bytes in base64") && !found[0].contains("c2hvcnQ"), "{found:?}");
    let found = bad(&with(&[2]).replace("postgres://u@db/d", "sqlite:fanfold.db"));
    assert!(found.iter().any(|found| found.contains("other_keys means nothing to the embedded store")), "{found:?}");
}

#[test]
fn syntax_errors_have_their_line_and_show_no_text() {
    let mistakes = bad("[server]\nlisten = \"127.0.0.1:80\"\n[targets.a]\nheaders = { authorization = hunter2 }\n");
    assert!(mistakes[0].starts_with("f.toml:4:29: "), "{mistakes:?}");
    assert!(!format!("{mistakes:?}").contains("hunter2"));
}

#[test]
fn a_file_that_is_not_there_is_a_mistake() {
    let mistakes = load(Path::new("no/such/fanfold.toml")).unwrap_err();
    assert_eq!(
        mistakes[0].to_string(),
        "no/such/fanfold.toml: there is no such file; \"fanfold init\" writes one to start from"
    );
}
