//! Secrets go to the targets, and nowhere else: each place of a request, of an answer and of the configuration where one may
//! stand has one of its own, a real server is taken through success, failure, a kill and retries, and everything that it leaves
//! behind or shows is searched.

mod hunt;
mod postgres;

mod world;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfold_testkit::Home;

use crate::program::Server;
use hunt::{Found, Hunt};
use world::{SECRETS, World};

/// A sealing key as configuration has it.
fn store_key(number: u8) -> String {
    STANDARD.encode([number; 32])
}

/// Files of the test's own, which hold secrets because they are put there.
const OWN_FILES: [&str; 3] = ["fanfold.toml", "osaka.token", "store.key"];

#[tokio::test(flavor = "multi_thread")]
async fn secrets_stand_nowhere_in_clear_with_the_embedded_store() {
    let world = World::new().await;
    let home = world.home("[store]\nurl = \"sqlite:fanfold.db\"\n");
    let hunt = Hunt::new(SECRETS);
    let server = world.live(&home, |when| {
        let mut found = Found::default();
        assert!(hunt.look_at_files(&mut found, home.path(), &OWN_FILES) >= 3, "database, log and key");
        found.assert_nothing(when);
    });
    let server = server.await;
    let mut found = Found::default();
    world.look_at_all_that_is_shown(&server, &hunt, &mut found).await;
    world.look_at_commands(&server, &home, &hunt, &mut found).await;
    for arguments in [
        &["export", "--database", "fanfold.db"][..],
        &["backup", "--database", "fanfold.db", "--to", "backup.db", "--with-key"],
    ] {
        let ended = world.run(&home, arguments).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        hunt.look(&mut found, format!("fanfold {}", arguments[0]), (ended.stdout + &ended.stderr).as_bytes());
    }
    hunt.look_at_files(&mut found, home.path(), &OWN_FILES);
    tell_of_memory(&server, &hunt);
    look_at_the_end(server, &home, &world, &hunt, found).await;
}

/// Nothing is promised of the memory of a server, so what it holds is told and no more.
#[expect(clippy::print_stdout, reason = "whoever wants the figure runs the test with --nocapture")]
fn tell_of_memory(server: &Server, hunt: &Hunt) {
    let places = world::in_memory(server.process.id(), hunt);
    println!("the memory of the server after the end has secrets of these places: {places:?}");
}

/// Stops the server, and looks at what it has printed, what it has sent elsewhere than to targets, and what is left on the disk.
async fn look_at_the_end(server: Server, home: &Home, world: &World, hunt: &Hunt, mut found: Found) {
    world.look_at_what_was_sent_elsewhere(hunt, &mut found).await;
    let printed = server.stop().await;
    assert!(printed.contains("TRACE"), "the log tells all that it can");
    hunt.look(&mut found, "the log", printed.as_bytes());
    hunt.look_at_files(&mut found, home.path(), &OWN_FILES);
    found.assert_nothing("after the end");
    world.assert_targets_have_got_all();
}
