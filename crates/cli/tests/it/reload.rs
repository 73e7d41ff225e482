//! Reading the configuration again.

use fanfold_testkit::{FakeTarget, Home};

use crate::program::{Server, config, things};

const MORE: &str = "[[routes]]\nname = \"put-more\"\nmatch = \"PUT /more/{id}\"\ntargets = [\"osaka\"]\n\
                    undo = { method = \"DELETE\", path = \"/more/{{ path.id }}\" }\n";

#[tokio::test]
async fn new_routes_and_targets_are_there_after_a_reload() {
    let (tokyo, osaka) = (FakeTarget::start().await, FakeTarget::start().await);
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    assert_eq!(server.http.put("/more/1", &serde_json::json!({})).await.status, 404);

    home.configure(&config(&[("tokyo", &tokyo), ("osaka", &osaka)], &format!("{}{MORE}", things(&["tokyo"]))));
    server.process.reload();
    server.process.line("the configuration was reloaded").await;

    let id = server.put("/more/1").await;
    assert_eq!(server.end_of(&id).await["status"], "completed");
    assert_eq!(osaka.wait_for(1).await[0].path(), "/more/1");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_reported() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;

    home.configure(&config(&[("tokyo", &tokyo)], &things(&["tokio"])));
    server.process.reload();
    server.process.line("there is no target \"tokio\"").await;
    server.process.line("nothing has changed").await;

    let id = server.put("/things/1").await;
    assert_eq!(server.end_of(&id).await["status"], "completed");
}

#[tokio::test]
async fn settings_that_need_a_restart_are_named() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;

    let other = config(&[("tokyo", &tokyo)], &things(&["tokyo"])).replace("127.0.0.1:0", "127.0.0.1:1");
    home.configure(&format!("{other}\n[store]\nurl = \"sqlite:other.db\"\n"));
    server.process.reload();
    server.process.line("[server] listen").await;
    server.process.line("[store]").await;
    server.process.line("the configuration was reloaded").await;

    let id = server.put("/things/1").await;
    assert_eq!(server.end_of(&id).await["status"], "completed");
}
