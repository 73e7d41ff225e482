//! Targets over TLS.

use fanfold_core::operation::{Sent, TroubleKind};
use fanfold_engine::target::Tls;
use fanfold_testkit::{FakeTarget, Reply, fake};

use super::*;

/// Trusts the authority of fake targets.
pub(super) fn ours() -> Tls {
    Tls::new(fake::AUTHORITY.as_bytes(), None).unwrap()
}

#[tokio::test]
async fn a_target_whose_authority_is_trusted_is_called() {
    let fake = FakeTarget::start_tls().await;
    let target = target_with(&fake.url(), |config| config.tls = Some(ours()));
    for _ in 0..3 {
        assert_eq!(send(&target, &post("/x")).await.unwrap().status, 200);
    }
    assert_eq!(fake.connections(), 1);
    assert_eq!(fake.seen()[0].header("host"), Some(&*format!("localhost:{}", fake.address().port())));
}

#[tokio::test]
async fn a_target_whose_certificate_is_not_trusted_is_sent_nothing() {
    let fake = FakeTarget::start_tls().await;
    // The certificate is for `127.0.0.1`, but not for this way to write it.
    let url = format!("https://[::ffff:127.0.0.1]:{}", fake.address().port());
    let target = target_with(&url, |config| config.tls = Some(ours()));
    let broke = send(&target, &post("/x")).await.unwrap_err();
    assert_eq!((broke.sent, broke.trouble.kind), (Sent::No, TroubleKind::Unreachable));
    assert!(broke.trouble.detail.contains("certificate"), "{broke}");
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn what_breaks_over_tls_may_have_been_sent() {
    let mut fake = FakeTarget::start_tls().await;
    let target = target_with(&fake.url(), |config| config.tls = Some(ours()));
    fake.once("*", "*", Reply::Reset { applied: true });
    assert_eq!(send(&target, &post("/x")).await.unwrap_err().sent, Sent::Maybe);
    send(&target, &post("/x")).await.unwrap();
    fake.start_again().await;
    send(&target, &post("/x")).await.unwrap();
}

#[test]
fn text_that_is_no_pem_is_refused() {
    assert!(Tls::new(b"-----BEGIN NONSENSE", None).is_err());
    assert!(Tls::new(fake::AUTHORITY.as_bytes(), Some((b"", b""))).is_err());
}
