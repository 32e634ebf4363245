//! What the text matcher needs of the outside: the embedding model, and the library's vectors, kept
//! across restarts.
//!
//! Learning a library takes seconds the first time, so it happens beside the loop; until it is done
//! the structure of triggers alone decides, as it does when it fails.

use std::{fs, io, num::NonZeroUsize, path::Path, thread};

use hostmedic_embed::{Cache, Model, SHIPPED_SHA256};
use hostmedic_index::Graph;
use hostmedic_model::{playbook::Playbook, vector::Vector};
use hostmedic_reason::matching::{
    catalogue::{Catalogue, SCAN_MAX},
    entry::Entry,
    library::Library,
};
use rustix::process::nice;
use tokio::sync::oneshot;

use crate::files;

/// Name of the cache in the state directory.
const CACHE: &str = "vectors.hmvc";

/// Threads that learn a library at most. They last for seconds and have the lowest priority.
const THREADS_MAX: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// Begins to learn the library: `playbooks`, and incidents that none of them is for.
pub(crate) fn learn(
    playbooks: &[Playbook],
    unmatched: Vec<String>,
    state_dir: &Path,
) -> oneshot::Receiver<Catalogue> {
    let library = Library {
        playbooks: playbooks.iter().map(Entry::from).collect(),
        unmatched,
    };
    let path = state_dir.join(CACHE);
    let (send, receive) = oneshot::channel();
    let learn = move || {
        // Seconds of one core, which whoever works on this host needs more: of Linux's priorities
        // each thread has its own (setpriority(2), BUGS).
        if let Err(error) = nice(19) {
            tracing::debug!(%error, "Cannot learn the library at a lower priority.");
        }
        let catalogue = build(&library, &path);
        tracing::info!(
            playbooks = catalogue.len(),
            "The text matcher knows the library."
        );
        // The daemon may have stopped meanwhile.
        _ = send.send(catalogue);
    };
    // Without a thread the sender is dropped, and structure alone goes on deciding.
    if let Err(error) = thread::Builder::new()
        .name("library".to_owned())
        .spawn(learn)
    {
        tracing::warn!(%error, "Cannot learn the library.");
    }
    receive
}

fn build(library: &Library, path: &Path) -> Catalogue {
    let model = Model::shipped();
    let mut cache = kept(path);
    let before = cache.len();
    // One after another: with all vectors in the cache none has to be kept.
    let texts = || library.texts();
    let threads =
        thread::available_parallelism().map_or(NonZeroUsize::MIN, |of| of.min(THREADS_MAX));
    cache.learn(texts(), threads, |new| model.embed_all(new));
    let catalogue = Catalogue::build(library, |text| cache.vector(text, |text| model.embed(text)));
    let made = cache.len() > before;
    cache.retain(texts());
    if (made || cache.len() < before)
        && let Err(error) = files::replace(path, &cache.encode())
    {
        tracing::warn!(path = %path.display(), %error, "Cannot keep the library's vectors; the next start makes them anew.");
    }
    if catalogue.len() <= SCAN_MAX {
        return catalogue;
    }
    match Graph::build(catalogue.vectors()) {
        Ok(graph) => catalogue.with_index(Box::new(graph)),
        Err(error) => {
            tracing::warn!(%error, "No index.");
            catalogue
        }
    }
}

fn kept(path: &Path) -> Cache {
    match fs::read(path) {
        Ok(bytes) => Cache::decode(&bytes, SHIPPED_SHA256).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "Cannot use the cache.");
            Cache::new(SHIPPED_SHA256)
        }),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error, "Cannot read the cache.");
            }
            Cache::new(SHIPPED_SHA256)
        }
    }
}

/// The meaning of a text. Takes milliseconds of one core.
pub(crate) async fn embed(text: String) -> Result<Vector, String> {
    let embedded =
        tokio::task::spawn_blocking(move || Model::shipped().embed_incident(&text)).await;
    embedded.map_err(|error| format!("the embedding broke: {error}"))
}
