//! Opening a database: what is made, and what is refused.

use fanfold_core::operation::Phase;
use fanfold_store::contract::fixtures::{accept_plain, acceptance, at, begun, commit, end, plan};
use fanfold_store::postgres::{Config, Postgres, Url};
use fanfold_store::{Commit, Error, Filter, Limits, Operations as _, Page, ReadOperations as _};
use fanfold_testkit::postgres::Cluster;
use tokio::task::JoinSet;

use super::{KEY, database, eventually, open, other};

async fn refusal(config: Config) -> Error {
    Postgres::open(config).await.expect_err("it is refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_start_at_once_make_the_tables_once() {
    let Some(url) = database() else { return };
    let opened: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            async move { open(&url, Limits::default()).await }
        })
        .collect();
    let mut starts = tokio::task::JoinSet::new();
    for opening in opened {
        starts.spawn(opening);
    }
    let stores = starts.join_all().await;
    let first = accept_plain(&*stores[0], 1).await;
    assert_eq!(stores[5].operation(first.id).await, Ok(Some(first)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_has_the_same_key() {
    let Some(url) = database() else { return };
    open(&url, Limits::default()).await;
    let error = refusal(Config::new(url.parse().unwrap(), [8; 32])).await;
    assert!(matches!(error, Error::Key { .. }), "{error}");
    assert!(!error.to_string().contains("fanfold@"), "the address is shown without its user: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_fit_is_refused_with_what_to_do() {
    let Some(cluster) = Cluster::shared() else { return };
    let unsafe_one = cluster.create_database();
    cluster.query("postgres", &format!("ALTER DATABASE {unsafe_one} SET synchronous_commit = off"));
    let newer = cluster.create_database();
    open(&cluster.url(&newer), Limits::default()).await.close().await;
    cluster.query(&newer, "INSERT INTO migrations (version, name, serves, checksum) VALUES (999, 'later', 999, '')");
    let changed = cluster.create_database();
    open(&cluster.url(&changed), Limits::default()).await.close().await;
    cluster.query(&changed, "UPDATE migrations SET checksum = 'x' WHERE version = 1");
    let foreign = cluster.create_database();
    cluster.query(&foreign, "CREATE TABLE operations (id int)");
    for (name, words) in [
        (unsafe_one, "synchronous_commit is off"),
        (newer, "use a newer program"),
        (changed, "set up by a different build"),
        (foreign, "another program"),
    ] {
        let error = refusal(Config::new(cluster.url(&name).parse().unwrap(), KEY)).await.to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_still_serves_this_version_is_none_of_its_business() {
    let Some(cluster) = Cluster::shared() else { return };
    let name = cluster.create_database();
    open(&cluster.url(&name), Limits::default()).await.close().await;
    cluster.query(&name, "INSERT INTO migrations (version, name, serves, checksum) VALUES (999, 'later', 1, '')");
    let store = open(&cluster.url(&name), Limits::default()).await;
    accept_plain(&*store, 1).await;
}

/// What is answered by what the migrations fill in.
fn filters() -> [Filter; 4] {
    [
        Filter { route: Some("create-thing".to_owned()), ..Filter::default() },
        Filter { resource: Some("/v1/things".to_owned()), ..Filter::default() },
        Filter { target: Some("osaka".into()), ..Filter::default() },
        Filter { text: Some("create-t".to_owned()), ..Filter::default() },
    ]
}

/// Takes back what later migrations have added.
const BEFORE_PHASES: &str = "ALTER TABLE operations DROP COLUMN phase, DROP COLUMN searched;
    DROP TRIGGER operations_filed ON operations; DROP TRIGGER operations_unfiled ON operations;
    DROP FUNCTION file_operations, unfile_operations, facets_of, kind_of, facet_of;
    DROP TABLE facets, kinds; DROP INDEX attention_by_target; DROP TABLE tokens, sessions, audit;
    DROP FUNCTION refuse_change_of_audit; ALTER TABLE counters DROP COLUMN tokens, DROP COLUMN audit; ALTER TABLE nodes DROP COLUMN keys; DELETE FROM migrations WHERE version >= 3";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_before_there_were_phases_is_found_by_its_phase() {
    let Some(cluster) = Cluster::shared() else { return };
    let name = cluster.create_database();
    let store = open(&cluster.url(&name), Limits::default()).await;
    let calling = begun(&accept_plain(&*store, 1).await, at(3));
    let calling = commit(&*store, Commit::new(calling)).await.operation;
    let ended = accept_plain(&*store, 2).await;
    end(&*store, &ended, at(4)).await;
    store.close().await;
    cluster.query(&name, BEFORE_PHASES);

    let store = open(&cluster.url(&name), Limits::default()).await;
    let filter = Filter { phases: Phase::ALL.into(), ..Filter::default() };
    assert_eq!(store.list(&filter, Page::newest(9)).await, Ok(vec![*calling.clone()]));
    end(&*store, &calling, at(5)).await;
    assert_eq!(store.list(&filter, Page::newest(9)).await, Ok(Vec::new()));
    for filter in filters() {
        assert_eq!(store.list(&filter, Page::newest(9)).await.unwrap().len(), 2, "{filter:?}");
    }
}

/// Takes back the facets alone: the phases were there at an earlier start.
const BEFORE_FACETS: &str = "ALTER TABLE operations DROP COLUMN searched;
    DROP TRIGGER operations_filed ON operations; DROP TRIGGER operations_unfiled ON operations;
    DROP FUNCTION file_operations, unfile_operations, facets_of, kind_of, facet_of;
    DROP TABLE facets, kinds; DROP INDEX attention_by_target; DROP TABLE tokens, sessions, audit;
    DROP FUNCTION refuse_change_of_audit; ALTER TABLE counters DROP COLUMN tokens, DROP COLUMN audit; ALTER TABLE nodes DROP COLUMN keys; DELETE FROM migrations WHERE version >= 4";

// A node of the version before goes on accepting while another one migrates.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_while_facets_are_filled_in_is_filed_as_well() {
    let Some(cluster) = Cluster::shared() else { return };
    let name = cluster.create_database();
    let store = open(&cluster.url(&name), Limits::default()).await;
    accept_plain(&*store, 1).await;
    store.close().await;
    cluster.query(&name, BEFORE_FACETS);
    let (before, _running) = other(&cluster.url(&name)).await;
    let accept =
        "BEGIN; CREATE TEMPORARY TABLE another AS SELECT * FROM operations; UPDATE another SET id = gen_random_uuid();
        INSERT INTO operations SELECT * FROM another";
    before.batch_execute(accept).await.unwrap();

    let url = cluster.url(&name);
    let mut migrating = JoinSet::new();
    migrating.spawn(async move { open(&url, Limits::default()).await });
    let waits = "SELECT count(*) FROM pg_locks WHERE relation = 'operations'::regclass AND NOT granted";
    eventually("it waits", async || cluster.query(&name, waits).trim() == "1").await;
    before.batch_execute("COMMIT").await.unwrap();
    migrating.join_all().await;
    let filed = "SELECT operation, count(*) FROM facets GROUP BY 1 ORDER BY 1";
    let expected =
        "SELECT id, count(*) FROM operations, facets_of(tenant, route, dialect, mount, verb, resource, targets)
        GROUP BY 1 ORDER BY 1";
    let filed = cluster.query(&name, filed);
    assert_eq!(filed.lines().count(), 2, "{filed}");
    assert_eq!(filed, cluster.query(&name, expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_that_takes_writes_is_found_among_several() {
    let Some(cluster) = Cluster::shared() else { return };
    let url = cluster.url(&cluster.create_database());
    // The first one is not there.
    let several = url.replace("127.0.0.1:", "127.0.0.1:9,127.0.0.1:");
    accept_plain(&*open(&several, Limits::default()).await, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked() {
    let Some((cluster, authority)) = Cluster::start_with_tls() else { return };
    let name = cluster.create_database();
    let with = |query: &str| -> Url { format!("{}?{query}", cluster.url(&name)).parse().unwrap() };
    let trusted = with(&format!("sslmode=verify-full&sslrootcert={}", authority.display()));
    let store = Postgres::open(Config::new(trusted, KEY)).await.expect("its authority is known");
    store.accept(acceptance(1, at(1), plan())).await.unwrap();
    let error = refusal(Config::new(with("sslmode=verify-full"), KEY)).await;
    assert!(error.to_string().contains("certificate"), "{error}");
    refusal(Config::new(with("sslmode=disable"), KEY)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_may_hold_anything() {
    let Some(url) = database() else { return };
    let store = open(&url, Limits::default()).await;
    let strange = "a\0b\u{10ffff}'\"\\%";
    let mut given = acceptance(1, at(1), fanfold_core::Plan { resource: strange.to_owned(), ..plan() });
    given.owner = Some(strange.to_owned());
    store.accept(given).await.unwrap();
    let filter = fanfold_store::Filter {
        owner: Some(strange.to_owned()),
        resource: Some(strange.to_owned()),
        text: Some("\0B".to_owned()),
        ..fanfold_store::Filter::default()
    };
    assert_eq!(store.list(&filter, fanfold_store::Page::newest(9)).await.unwrap().len(), 1);
}
