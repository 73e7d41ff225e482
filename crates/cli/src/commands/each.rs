//! Doing something with each of several things that were named.

use crate::exit::Exit;
use crate::failure::Failure;

/// Does it with each in turn. One that is refused is told by `refused`, and keeps none of the others back; a single one is the
/// failure itself. Where there is no answer there is none for the others either.
pub(super) async fn each<T>(
    things: &[T],
    one: impl AsyncFn(&T) -> Result<(), Failure>,
    refused: impl Fn(&T, &Failure),
) -> Result<(), Failure> {
    if let [only] = things {
        return one(only).await;
    }
    let (mut count, mut worst) = (0, Exit::Done);
    for thing in things {
        match one(thing).await {
            Ok(()) => {}
            Err(failure @ (Failure::Refused { .. } | Failure::NotFound(_))) => {
                refused(thing, &failure);
                count += 1;
                worst = worst.max(failure.exit());
            }
            Err(failure) => return Err(failure),
        }
    }
    if count > 0 { Err(Failure::NotAll { refused: count, all: things.len(), worst }) } else { Ok(()) }
}
