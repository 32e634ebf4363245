//! Runs a reader that may block in a thread of its own: a file system that does not answer would
//! otherwise hold up the daemon, and the end of its runtime.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use tokio::sync::oneshot;

use super::found::Found;

/// Readers at once, also those of captures before that have not come back.
const READERS_MAX: usize = 24;
/// What a reader's stack needs at most; the list of its findings is on the heap.
const STACK_BYTES: usize = 512 * 1024;

/// Readers that are under way.
static READERS: AtomicUsize = AtomicUsize::new(0);

/// Counts a reader as long as it lives.
struct Place(&'static AtomicUsize);

impl Place {
    fn take(readers: &'static AtomicUsize) -> Option<Self> {
        let taken = readers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |readers| {
            (readers < READERS_MAX).then_some(readers + 1)
        });
        taken.is_ok().then_some(Self(readers))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What `reader` finds. Whoever waits no longer leaves it behind; it is counted until it ends.
pub(super) async fn aside(reader: impl FnOnce() -> Found + Send + 'static) -> Found {
    among(&READERS, reader).await
}

async fn among(
    readers: &'static AtomicUsize,
    reader: impl FnOnce() -> Found + Send + 'static,
) -> Found {
    let Some(place) = Place::take(readers) else {
        return Found::nothing(format!(
            "{READERS_MAX} readers are under way; does a file system not answer?"
        ));
    };
    let (send, answer) = oneshot::channel();
    let begun = thread::Builder::new()
        .name("capture".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let _place = place;
            drop(send.send(reader()));
        });
    if let Err(error) = begun {
        return Found::nothing(format!("cannot begin a thread: {error}"));
    }
    let broken = |_| Found::nothing("its reader broke");
    answer.await.unwrap_or_else(broken)
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn readers_that_hang_are_bounded_and_named() {
        // Not those of the tests beside it.
        static OWN: AtomicUsize = AtomicUsize::new(0);
        let line = |line: &str| Found::of(Ok(vec![line.to_owned()]));
        assert_eq!(among(&OWN, move || line("x")).await, line("x"));
        let mut hung = Vec::new();
        for _ in 0..READERS_MAX {
            let (go_on, wait) = mpsc::channel::<()>();
            hung.push(go_on);
            let reader = among(&OWN, move || {
                _ = wait.recv();
                Found::default()
            });
            let answer = timeout(Duration::from_millis(1), reader).await;
            assert!(answer.is_err(), "a hung reader answered");
        }
        let refused = among(&OWN, Found::default).await;
        assert!(
            refused.missing[0].contains("readers are under way"),
            "{refused:?}"
        );
        drop(hung);
        for _ in 0..500 {
            if among(&OWN, Found::default).await.missing.is_empty() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("a place was not given back");
    }
}
