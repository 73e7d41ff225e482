//! `[notices]`, and `callback` of routes.

use super::*;

/// 32 octets.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

const ROUTE: &str = "[[routes]]\nname = \"a\"\nmatch = \"PUT /a\"\ntargets = [\"tokyo\"]\n";

fn with_secret(name: &str) -> Option<String> {
    (name == "HOOK").then(|| SECRET.to_owned())
}

#[test]
fn callbacks_are_signed_with_common_secrets_or_their_own() {
    let text = format!(
        "{BASE}[notices]\nsecrets = [\"${{env:HOOK}}\", \"${{env:HOOK}}\"]\n{ROUTE}callback = \"https://hooks.example/x?token=s3cret\"\n"
    );
    let (settings, warnings) = load_with(&text, &with_secret).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(settings.notices.secrets.len(), 2);
    assert!(settings.notices.callbacks["a"].secrets.is_empty());
    assert!(!format!("{settings:?}").contains("s3cret") && !format!("{settings:?}").contains("AAECAw"));
    let text = format!("{BASE}{ROUTE}callback = {{ url = \"http://10.0.0.1:1/\", secrets = [\"${{env:HOOK}}\"] }}\n");
    let (settings, _) = load_with(&text, &with_secret).unwrap();
    assert_eq!(settings.notices.callbacks["a"].secrets.len(), 1);
}

#[test]
fn a_secret_in_the_file_is_warned_of_and_not_shown() {
    let (settings, warnings) = good(&format!("{BASE}[notices]\nsecrets = [\"{SECRET}\"]\n{ROUTE}"));
    assert!(warnings[0].contains("a secret stands in this file"), "{warnings:?}");
    assert!(!format!("{settings:?}{warnings:?}").contains("AAECAw"));
}

#[test]
fn what_cannot_be_signed_or_sent_is_a_mistake() {
    let table = |callback: &str| format!("{ROUTE}callback = {callback}\n");
    for (text, expected) in [
        (table("\"https://hooks.example/\""), "there is nothing to sign what is told with"),
        (table("{ url = \"https://hooks.example/\" }"), "there is nothing to sign what is told with"),
        (table("{ secrets = [\"whsec_c2hvcnQ=\"], url = \"http://a\" }"), "24 to 64 bytes"),
        (table(&format!("{{ secrets = [\"{}\"], url = \"http://a\" }}", &SECRET[6..])), "whsec_"),
        (table("{ secrets = [\"${env:NONE}\"], url = \"http://a\" }"), "NONE"),
        (format!("[notices]\nsecrets = [{}]\n", format!("\"{SECRET}\",").repeat(9)), "more than 8 secrets"),
        ("[notices]\nauthorities = \"none.pem\"\n".to_owned(), "none.pem"),
    ] {
        let found = only(&text);
        assert!(found.contains(expected), "{found}");
        assert!(!found.contains("AAECAw"), "{found}");
    }
    let signed = format!("[notices]\nsecrets = [\"{SECRET}\"]\n");
    for bad in ["ftp://hooks.example", "https://me:s3cret@hooks.example/", "https://hooks.example/#s3cret", "s3cret"] {
        let found = only(&format!("{signed}{}", table(&format!("\"{bad}\""))));
        assert!(found.contains("callback: the address ") && !found.contains("s3cret"), "{found}");
    }
    let found = only(&format!("{signed}[[routes]]\nmatch = \"GET /a\"\npass = \"tokyo\"\ncallback = \"http://a\"\n"));
    assert!(found.contains("callback"), "{found}");
}
