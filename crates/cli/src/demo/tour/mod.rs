//! `fanfold demo --once`: five stories over real HTTP, told from the history of their operations, and compared with what the
//! dialects answer and what the sample targets hold.
//!
//! What is asked, and what should come of it, stands in [`scene`]; how a client asks is [`visitor`].

mod check;
mod scene;
mod visitor;

use fanfold_core::OperationId;
use fanfold_core::dialect::native::HistoryEntry;
use tokio::time::Instant;

use super::stage::Stage;
use crate::client::api::Api;
use crate::failure::Failure;
use crate::output::{Paint, Tone, print_line, printable};
use crate::story::Story;
use check::Checks;
use scene::Scene;
use visitor::Visitor;

/// The most entries of a history that are told.
const HISTORY_MAX: usize = 1000;

/// Plays all stories.
///
/// # Errors
/// [`Failure::Differs`] if something was not as it should be; other failures if the server does not answer at all.
pub(super) async fn run(stage: &Stage) -> Result<(), Failure> {
    let paint = Paint::stdout();
    let started = Instant::now();
    let (mut count, mut differences) = (0, 0);
    for (number, scene) in (1..).zip(Scene::ALL) {
        let checks = play(stage, number, scene, paint).await?;
        count += checks.count();
        differences += checks.differences().len();
    }
    if differences > 0 {
        return Err(Failure::Differs { count: differences });
    }
    let seconds = started.elapsed().as_secs_f64();
    let stories = Scene::ALL.len();
    let end = format!("{stories} stories, {count} checks, {seconds:.1} s: everything is as it should be.");
    Ok(print_line(&paint.apply(Tone::Good, &end))?)
}

async fn play(stage: &Stage, number: usize, scene: Scene, paint: Paint) -> Result<Checks, Failure> {
    print_line(&format!("{number}. {}\n   {}\n", scene.title(), scene.gist()))?;
    let visitor = Visitor::new(&stage.url())?;
    let mut checks = Checks::default();
    let id = scene.play(stage, &visitor, &mut checks).await?;
    for line in story(visitor.api(), id).await?.lines(paint) {
        print_line(&format!("   {line}"))?;
    }
    for difference in checks.differences() {
        print_line(&format!("   {} {}", paint.apply(Tone::Bad, "differs:"), printable(difference)))?;
    }
    if checks.differences().is_empty() {
        let verified = paint.apply(Tone::Good, "Verified");
        print_line(&format!("   {verified}: {} checks of the answers and of the targets.", checks.count()))?;
    }
    print_line("")?;
    Ok(checks)
}

/// The story of an operation as the native API tells it.
async fn story(api: &Api, id: OperationId) -> Result<Story, Failure> {
    let shown = api.operation(id).await?;
    let mut pages = api.history(id, HISTORY_MAX);
    let mut history: Vec<HistoryEntry> = Vec::new();
    while let Some(entry) = pages.next().await? {
        history.push(api.parse(&entry)?);
    }
    Ok(Story::of(&shown.detail, &history))
}
