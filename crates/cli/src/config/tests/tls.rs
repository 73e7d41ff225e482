//! `[server.tls]`: files that are read, and what is said about them.

use fanfold_server::CertificateName;
use fanfold_testkit::certificates::Authority;

use super::*;

const TLS: &str = "[server.tls]\ncertificate = \"own.pem\"\nkey = \"own.key\"\n";

/// A folder with a certificate in it that is good in these years.
fn folder(first: i32, last: i32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Authority::new().server_between(first, last).write(folder.path(), "own");
    folder
}

fn load(folder: &tempfile::TempDir, text: &str) -> Result<(Settings, Vec<Warning>), Vec<Mistake>> {
    let around = Surroundings { folder: folder.path().to_owned(), variable: &variable, now: NOW.parse().unwrap() };
    load_text("f.toml", format!("{text}{ROUTE}"), &around)
}

fn warnings(folder: &tempfile::TempDir, text: &str) -> Vec<String> {
    let (settings, warnings) = load(folder, text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    assert_eq!(settings.server.tls.is_some(), text.contains("tls"));
    warnings.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn mistake(folder: &tempfile::TempDir) -> String {
    let mistakes = load(folder, TLS).expect_err("something is wrong with it");
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    mistakes[0].to_string()
}

#[test]
fn a_good_certificate_is_taken_without_a_word() {
    assert_eq!(warnings(&folder(2026, 2027), TLS), Vec::<String>::new());
}

#[test]
fn files_that_are_missing_or_do_not_belong_together_are_mistakes() {
    let home = folder(2026, 2027);
    std::fs::remove_file(home.path().join("own.key")).unwrap();
    assert!(mistake(&home).starts_with("f.toml:3:7: key: cannot read "), "{}", mistake(&home));
    let other = Authority::new().server();
    std::fs::write(home.path().join("own.key"), other.key).unwrap();
    assert_eq!(mistake(&home), "f.toml:1:9: the key is not that of the certificate");
    std::fs::write(home.path().join("own.pem"), "").unwrap();
    assert!(mistake(&home).contains("cannot read certificates from PEM: there are none"), "{}", mistake(&home));
}

#[test]
fn one_that_is_not_good_now_or_not_for_long_is_warned_of() {
    for (first, last, said) in [
        (2027, 2028, "is good from 2027-01-01T00:00:00Z on only"),
        (2025, 2026, "was good until 2026-01-01T00:00:00Z: clients will refuse it"),
    ] {
        let warnings = warnings(&folder(first, last), TLS);
        assert!(warnings.len() == 1 && warnings[0].contains(said), "{warnings:?}");
        assert!(warnings[0].starts_with("f.toml:2:15: warning: the certificate "), "{warnings:?}");
    }
    let home = folder(2025, 2027);
    for (now, is_said) in [("2026-12-17T23:00:00Z", false), ("2026-12-18T01:00:00Z", true)] {
        let around = Surroundings { folder: home.path().to_owned(), variable: &variable, now: now.parse().unwrap() };
        let (_, warnings) = load_text("f.toml", format!("{TLS}{ROUTE}"), &around).unwrap();
        assert_eq!(
            warnings.iter().any(|warning| warning.message.contains("2027-01-01T00:00:00Z only")),
            is_said,
            "{now}"
        );
    }
}

#[test]
fn what_does_not_go_with_it_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = folder(2026, 2027);
    let said = |text: &str| warnings(&home, text).join("\n");
    let public = |scheme: &str| format!("[server]\npublic_url = \"{scheme}://fanfold.example\"\n{TLS}");
    assert_eq!(said(&public("https")), "");
    assert!(said(&public("http")).contains("links would lead to http"), "{}", said(&public("http")));
    let msf = "[[mounts]]\ndialect = \"msf\"\nprefix = \"/v1\"\n";
    let callback = said(&format!("[server]\ncallback = \"10.0.0.5:8080\"\n{TLS}{msf}"));
    assert!(callback.contains("controllers notify without TLS"), "{callback}");
    std::fs::set_permissions(home.path().join("own.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(said(TLS).contains("everybody on this machine can read the private key"), "{}", said(TLS));
}

#[test]
fn credentials_in_clear_are_warned_of() {
    let home = folder(2026, 2027);
    let exposed = "[auth]\n[server]\nlisten = \"0.0.0.0:80\"\n";
    let said = warnings(&home, exposed);
    assert!(said.iter().any(|one| one.contains("crosses the network in clear")), "{said:?}");
    let said = warnings(&home, &format!("{exposed}{TLS}"));
    assert!(!said.iter().any(|one| one.contains("crosses the network in clear")), "{said:?}");
}

const CLIENTS: &str = "client_authorities = \"ca.pem\"\n";

#[test]
fn certificates_of_clients_are_known_by_one_thing_each() {
    let home = folder(2026, 2027);
    std::fs::write(home.path().join("ca.pem"), Authority::new().pem()).unwrap();
    let one = |what: &str| format!("[[auth.certificates]]\nname = \"portal\"\nroles = [\"read\"]\n{what}\n");
    let digest = "a".repeat(64);
    for (what, is) in [
        ("common_name = \"Portal\"", CertificateName::CommonName("Portal".to_owned())),
        ("dns = \"Portal.example\"", CertificateName::Dns("portal.example".to_owned())),
        ("uri = \"spiffe://a/b\"", CertificateName::Uri("spiffe://a/b".to_owned())),
        (&format!("sha256 = \"{digest}\""), CertificateName::Digest(digest.parse().unwrap())),
    ] {
        let (settings, _) = load(&home, &format!("{TLS}{CLIENTS}{}", one(what))).unwrap();
        let certificates = settings.auth.unwrap().certificates;
        assert_eq!(certificates.iter().map(|one| (one.name.as_str(), &one.is)).collect::<Vec<_>>(), [("portal", &is)]);
    }
    let two = |first: &str, second: &str| format!("{}{}", one(first), one(second));
    for (text, part) in [
        (format!("{TLS}{}", one("dns = \"a\"")), "no client is asked for a certificate; name those who vouch"),
        (format!("{TLS}{CLIENTS}{}", one("")), "nothing says which certificates are meant"),
        (format!("{TLS}{CLIENTS}{}", one("dns = \"a\"\nuri = \"b\"")), "known by one thing alone"),
        (format!("{TLS}{CLIENTS}{}", one("sha256 = \"a\"\ndns = \"a\"")), "sha256 is not a SHA-256"),
        (format!("{TLS}{CLIENTS}{}", two("dns = \"a\"", "dns = \"A\"")), "the same certificates stand here twice"),
        (format!("{TLS}{CLIENTS}{}", two("dns = \"a\"", "dns = \"b\"")), "two certificates are called \"portal\""),
        (format!("{TLS}require_client_certificate = true\n"), "no client is asked for a certificate that could be"),
        (format!("{TLS}client_authorities = \"own.key\"\n"), "cannot read certificates from PEM: there are none"),
    ] {
        let mistakes = load(&home, &text).expect_err(part);
        assert!(mistakes.len() == 1 && mistakes[0].to_string().contains(part), "{part}: {mistakes:#?}");
    }
}
