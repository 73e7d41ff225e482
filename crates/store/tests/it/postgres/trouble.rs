//! What a database may do to a store: hold it up, take its rights away, hang, lose its standby.

use std::sync::Arc;
use std::time::Duration;

use fanfold_store::contract::fixtures::{LANE, accept_plain, acceptance, at, begun, commit, id, plan};
use fanfold_store::postgres::{Config, Postgres};
use fanfold_store::{
    Acceptance, Adopted, Change, Commit, Error, NewNode, Nodes as _, Operations as _, Queue as _, ReadOperations as _,
    ReadSize as _,
};
use fanfold_testkit::PATIENCE;
use fanfold_testkit::Proxy;
use fanfold_testkit::postgres::Cluster;
use tokio::task::JoinSet;

use super::{KEY, database, eventually, other};

/// How long a statement may take here: what waits in vain is soon told.
const SOON: Duration = Duration::from_millis(600);

fn impatient(url: &str) -> Config {
    Config { patience: SOON, ..Config::new(url.parse().expect("it is an address"), KEY) }
}

async fn open(config: Config) -> Arc<Postgres> {
    Postgres::open(config).await.expect("the database is there")
}

fn a_new_one(number: u64) -> Acceptance {
    acceptance(number, at(1), plan())
}

async fn join(store: &Postgres, name: &str) -> fanfold_store::Epoch {
    let (configuration, version) = ("c".to_owned(), "1".to_owned());
    let lease = Duration::from_secs(10);
    store
        .join(NewNode { name: name.to_owned(), configuration, version, lease, joined_at: at(0) })
        .await
        .expect("it may join")
}

fn is_unavailable(error: &Error) -> bool {
    matches!(error, Error::Unavailable { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_hangs_keeps_nobody_from_the_others() {
    let Some(cluster) = Cluster::shared() else { return };
    let url = cluster.url(&cluster.create_database());
    let hanging = Proxy::start(([127, 0, 0, 1], cluster.port()).into()).await;
    hanging.pause();
    let several = url.replace("127.0.0.1:", &format!("{},127.0.0.1:", hanging.address()));
    let store = open(Config::new(several.parse().unwrap(), KEY)).await;
    let accepted = accept_plain(&*store, 1).await;
    assert_eq!(store.operation(accepted.id).await, Ok(Some(accepted)));
    join(&store, "a").await;
    assert_eq!(store.beat(at(1), "c0ffee").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_table_is_held_everything_is_refused_and_it_says_why() {
    let Some(url) = database() else { return };
    let store = open(impatient(&url)).await;
    let (somebody, _running) = other(&url).await;
    somebody.batch_execute("BEGIN; LOCK TABLE operations IN SHARE MODE").await.unwrap();
    let mut asking = JoinSet::new();
    for number in 1..=50 {
        let store = Arc::clone(&store);
        asking.spawn(async move { store.accept(a_new_one(number)).await });
    }
    for refused in tokio::time::timeout(PATIENCE, asking.join_all()).await.unwrap() {
        assert!(refused.as_ref().is_err_and(is_unavailable), "{refused:?}");
    }
    let trouble = store.trouble().expect("nothing can be written");
    assert!(trouble.to_string().contains("lock"), "{trouble}");
    // It is looked for an end of that again and again; meanwhile what comes is refused, and not kept.
    assert!(store.accept(a_new_one(1)).await.is_err_and(|error| is_unavailable(&error)));
    somebody.batch_execute("ROLLBACK").await.unwrap();
    eventually("it takes writes again", async || store.trouble().is_none()).await;
    accept_plain(&*store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_waits_for_its_standby_holds_up_the_others_no_longer_than_they_can_tell() {
    let Some(url) = database() else { return };
    let store = open(impatient(&url)).await;
    let (somebody, _running) = other(&url).await;
    // The lock of whoever writes, as a node holds it whose commit waits for a standby that is away.
    somebody
        .batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({})", 0x464e_4644_0000_0002_i64))
        .await
        .unwrap();
    assert!(store.accept(a_new_one(1)).await.is_err_and(|error| is_unavailable(&error)));
    eventually("it says so", async || store.trouble().is_some()).await;
    somebody.batch_execute("ROLLBACK").await.unwrap();
    eventually("it takes writes again", async || store.trouble().is_none()).await;
    accept_plain(&*store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_missing_for_a_moment_damage_nothing() {
    let Some(cluster) = Cluster::shared() else { return };
    let name = cluster.create_database();
    cluster.query(&name, &format!("CREATE ROLE {name}_app LOGIN; ALTER DATABASE {name} OWNER TO {name}_app"));
    let url = cluster.url(&name).replace("fanfold@", &format!("{name}_app@"));
    let store = open(impatient(&url)).await;
    let operation = accept_plain(&*store, 1).await;
    cluster.query(&name, &format!("REVOKE UPDATE ON operations FROM {name}_app"));
    let next = Commit::new(begun(&operation, at(2)));
    let refused = store.commit(next.clone()).await.unwrap_err();
    assert!(is_unavailable(&refused) && refused.to_string().contains("ALTER DATABASE"), "{refused}");
    cluster.query(&name, &format!("GRANT UPDATE ON operations TO {name}_app"));
    eventually("it is recorded", async || store.commit(next.clone()).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_make_tables_is_told_what_it_lacks() {
    let Some(cluster) = Cluster::shared() else { return };
    let name = cluster.create_database();
    cluster.query(&name, &format!("CREATE ROLE {name}_guest LOGIN"));
    let url = cluster.url(&name).replace("fanfold@", &format!("{name}_guest@"));
    let refused = Postgres::open(Config::new(url.parse().unwrap(), KEY)).await.unwrap_err().to_string();
    assert!(refused.contains("ALTER DATABASE") && !refused.contains("damaged"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_that_was_asked_for_in_an_earlier_life_is_made_in_the_new_one() {
    let Some(url) = database() else { return };
    let (a, lost) = (open(Config::new(url.parse().unwrap(), KEY)).await, open(impatient(&url)).await);
    let first = join(&a, "a").await;
    let gone = join(&lost, "lost").await;
    let operation = accept_plain(&*lost, 1).await;
    assert_eq!(a.fence(gone, 0).await, Ok(Change::Made));
    let fencing = open(impatient(&url)).await;
    join(&fencing, "b").await;
    assert_eq!(fencing.fence(first, 0).await, Ok(Change::Made));
    // Both are asked for before either is carried out.
    let (somebody, _running) = other(&url).await;
    somebody.batch_execute("BEGIN; LOCK TABLE counters").await.unwrap();
    let both = async { tokio::join!(biased; join(&a, "again"), a.adopt(at(2), 10)) };
    let ((again, adopted), ()) = tokio::join!(both, async {
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        let waiting = async || somebody.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) > 0;
        eventually("it waits", waiting).await;
        somebody.batch_execute("ROLLBACK").await.unwrap();
    });
    assert_ne!(again, first);
    assert_eq!(adopted, Ok(Adopted { operations: 1, more: false }));
    assert_eq!(a.due(LANE, at(99), 10).await.unwrap(), [operation.id], "it is owned by who lives");
    commit(&*a, Commit::new(begun(&operation, at(3)))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_standby_nothing_is_written_where_one_is_required() {
    let Some(url) = database() else { return };
    let store = open(Config { require_sync_standby: true, ..impatient(&url) }).await;
    eventually("it says so", async || store.trouble().is_some()).await;
    let refused = store.accept(a_new_one(1)).await.unwrap_err();
    assert!(refused.to_string().contains("synchronous_standby_names"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_true_late_is_found_once_it_is_decided() {
    let Some(cluster) = Cluster::start() else { return };
    let url = cluster.url(&cluster.create_database());
    let store = open(impatient(&url)).await;
    let set = |names: &str| {
        cluster.query("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"));
        cluster.query("postgres", "SELECT pg_reload_conf()");
    };
    set("nobody");
    let reloaded = async || cluster.query("postgres", "SHOW synchronous_standby_names") == "nobody";
    eventually("it is in force", reloaded).await;
    let refused = store.accept(a_new_one(1)).await.unwrap_err();
    assert!(refused.may_have_committed(), "{refused}");
    let id = id(at(1), 1);
    assert_eq!(store.operation(id).await, Ok(None), "not yet");
    assert!(store.decided().await.is_err(), "it is not decided as long as the standby may come");
    set("");
    eventually("it is decided", async || store.decided().await.is_ok()).await;
    assert!(store.operation(id).await.unwrap().is_some());
}
