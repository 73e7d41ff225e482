//! The same with PostgreSQL, whose own files are searched too.

use fanfold_testkit::postgres::{Cluster, Stop};

use super::hunt::{Found, Hunt};
use super::world::{SECRETS, World};
use super::{look_at_the_end, store_key};

#[tokio::test(flavor = "multi_thread")]
async fn secrets_stand_nowhere_in_clear_with_postgresql() {
    let Some(mut cluster) = Cluster::start() else { return };
    let world = World::new().await;
    let url = cluster.url(&cluster.create_database());
    let home = world.home(&format!("[store]\nurl = \"{url}\"\nkey = \"${{file:store.key}}\"\nlease = \"2s\"\n"));
    std::fs::write(home.path().join("store.key"), store_key(1)).unwrap();
    let hunt = Hunt::new(SECRETS);
    let server = world.live(&home, |when| {
        let mut found = Found::default();
        // The rows, and the log of the database as far as it goes back.
        assert!(hunt.look_at_files(&mut found, cluster.home(), &[]) > 100);
        found.assert_nothing(when);
    });
    let server = server.await;
    let mut found = Found::default();
    world.look_at_all_that_is_shown(&server, &hunt, &mut found).await;
    world.look_at_commands(&server, &home, &hunt, &mut found).await;
    let exported = world.run(&home, &["export"]).await;
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    hunt.look(&mut found, "fanfold export", (exported.stdout + &exported.stderr).as_bytes());
    look_at_the_end(server, &home, &world, &hunt, found).await;

    cluster.query("postgres", "CHECKPOINT");
    cluster.stop(Stop::Fast);
    let mut found = Found::default();
    assert!(hunt.look_at_files(&mut found, cluster.home(), &[]) > 100);
    found.assert_nothing("in the files of PostgreSQL");
}
