//! Which hosts are connected. A host has one link: a newer one ends the older, which may be half
//! open and would otherwise keep the host out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// The links by host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links(Arc<Mutex<HashMap<String, Entry>>>);

#[derive(Debug)]
struct Entry {
    number: u64,
    end: watch::Sender<bool>,
}

/// A link that is up; ends with this value.
#[derive(Debug)]
pub(crate) struct Link {
    links: Links,
    host: String,
    number: u64,
    end: watch::Receiver<bool>,
}

impl Links {
    /// Takes the host's place in the list, unless `max` other hosts are there.
    pub(crate) fn join(&self, host: &str, max: usize) -> Option<Link> {
        let mut links = self.lock();
        if links.len() >= max && !links.contains_key(host) {
            return None;
        }
        let (end, ended) = watch::channel(false);
        let number = links.get(host).map_or(0, |older| older.number + 1);
        if let Some(older) = links.insert(host.to_owned(), Entry { number, end }) {
            older.end.send_replace(true);
        }
        drop(links);
        Some(Link {
            links: self.clone(),
            host: host.to_owned(),
            number,
            end: ended,
        })
    }

    /// Whether the host is connected.
    pub(crate) fn has(&self, host: &str) -> bool {
        self.lock().contains_key(host)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// Waits until a newer link has taken this one's place.
    pub(crate) async fn replaced(&mut self) {
        // An error means the sender is gone, which it is only after it has said so.
        let _ = self.end.wait_for(|ended| *ended).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut links = self.links.lock();
        if links
            .get(&self.host)
            .is_some_and(|entry| entry.number == self.number)
        {
            links.remove(&self.host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newer_link_ends_the_older_and_keeps_the_place() {
        let links = Links::default();
        let mut older = links.join("a", 1).expect("there is room");
        assert!(
            links.join("b", 1).is_none(),
            "there is no room for another host"
        );
        let newer = links.join("a", 1).expect("a host always gets in again");
        older.replaced().await;
        drop(older);
        assert!(
            links.has("a"),
            "the older link took the newer one's place away"
        );
        drop(newer);
        assert!(!links.has("a"));
    }
}
