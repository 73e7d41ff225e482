//! Each test is skipped where there is no PostgreSQL, and says so.

use std::path::Path;
use std::process::Command;

use fanfold_testkit::postgres::{Cluster, Stop};
use fanfold_testkit::{PATIENCE, Process};

/// Tells the test program that it is the process to be killed.
const VICTIM: &str = "FANFOLD_TESTS_VICTIM";

#[test]
fn databases_are_separate_and_the_server_outlives_the_thread_that_started_it() {
    let started = std::thread::spawn(Cluster::shared).join().unwrap();
    let Some(cluster) = started else { return };
    let (one, other) = (cluster.create_database(), cluster.create_database());
    assert_ne!(one, other);
    cluster.query(&one, "CREATE TABLE only_here (n int)");
    assert_eq!(cluster.query(&other, "SELECT count(*) FROM pg_tables WHERE tablename = 'only_here'"), "0");
    assert_eq!(cluster.query(&one, "SHOW fsync"), "on");
}

#[test]
fn what_was_committed_is_there_after_a_kill_and_after_a_stop() {
    let Some(mut cluster) = Cluster::start() else { return };
    let database = cluster.create_database();
    cluster.query(&database, "CREATE TABLE kept AS SELECT 7 AS n");
    let port = cluster.port();
    cluster.kill();
    assert_eq!(cluster.postmaster(), None);
    cluster.start_again();
    assert!(cluster.log().contains("automatic recovery in progress"), "{}", cluster.log());
    for how in [Stop::Fast, Stop::Immediate] {
        cluster.stop(how);
        cluster.start_again();
        assert_eq!(cluster.query(&database, "SELECT n FROM kept"), "7");
    }
    assert_eq!(cluster.port(), port);
}

#[test]
fn a_dropped_cluster_leaves_no_process_and_no_folder() {
    let Some(cluster) = Cluster::start() else { return };
    let (home, postmaster) = (cluster.home().to_owned(), cluster.postmaster().unwrap());
    drop(cluster);
    assert!(!home.exists() && !runs(postmaster));
}

#[test]
fn only_encrypted_connections_are_taken_with_tls() {
    let Some((cluster, authority)) = Cluster::start_with_tls() else { return };
    let database = cluster.create_database();
    assert_eq!(cluster.query(&database, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), "t");
    let connect = |host: &str, options: &str| {
        let url = format!("postgres://fanfold@{host}:{}/{database}?{options}", cluster.port());
        cluster.psql().args(["-X", "-c", "SELECT 1", &url]).output().unwrap()
    };
    let verified = format!("sslmode=verify-full&sslrootcert={}", authority.display());
    assert!(connect("127.0.0.1", &verified).status.success());
    assert!(connect("localhost", &verified).status.success());
    assert!(!connect("127.0.0.1", "sslmode=disable").status.success());
}

#[tokio::test]
async fn a_killed_test_process_leaves_no_server_and_no_folder() {
    let Some(cluster) = Cluster::start() else { return };
    drop(cluster);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "postgres::the_process_that_is_killed", "--nocapture"]).env(VICTIM, "1");
    let victim = Process::spawn(command);
    let line = victim.line("started ").await;
    let mut words = line.split("started ").nth(1).unwrap().split(' ');
    let postmaster: u32 = words.next().unwrap().parse().unwrap();
    let home = Path::new(words.next().unwrap());
    assert!(runs(postmaster) && home.exists());
    victim.kill();
    let gone = async {
        while runs(postmaster) || home.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}

/// Not a test by itself: [`a_killed_test_process_leaves_no_server_and_no_folder`] starts it in a process of its own.
#[test]
#[expect(clippy::print_stdout, reason = "it tells the process that watches")]
fn the_process_that_is_killed() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let cluster = Cluster::shared().unwrap();
    println!("started {} {}", cluster.postmaster().unwrap(), cluster.home().display());
    loop {
        std::thread::park();
    }
}

fn runs(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}
