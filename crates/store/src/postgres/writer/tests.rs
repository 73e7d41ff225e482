use fanfold_testkit::postgres::Cluster;

use super::*;
use crate::postgres::{Config, Postgres};

/// Decides without a mistake, or with one.
struct Decides {
    is_mistaken: bool,
}

impl Write for Decides {
    type Answer = ();

    fn wants(&self, _: &mut Wanted) {}

    fn decide(&self, _: &mut Picture<'_>) -> Result<(), Error> {
        assert!(!self.is_mistaken, "a mistake on purpose");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_fails_its_own_request_and_no_other() {
    let Some(cluster) = Cluster::shared() else { return };
    let url = cluster.url(&cluster.create_database());
    let store = Postgres::open(Config::new(url.parse().unwrap(), [7; 32])).await.unwrap();
    let write = |is_mistaken| store.writer.write(Decides { is_mistaken });
    // Whatever is decided together with it is tried again alone.
    for _ in 0..5 {
        let (before, mistaken, after) = tokio::join!(write(false), write(true), write(false));
        assert_eq!((before, after), (Ok(()), Ok(())));
        assert!(matches!(mistaken, Err(Error::Invalid { .. })), "{mistaken:?}");
    }
    assert!(!store.writer.has_ended());
}
