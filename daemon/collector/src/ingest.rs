//! What is taken from a host: only what continues the chain it has shown so far, under its own
//! signature. Everything else is refused, with the kind and the reason.

use std::{collections::HashMap, fmt};

use anyhow::Result;
use hostmedic_model::incident::IncidentId;
use hostmedic_retain::{
    canonical,
    chain::{Fault, Hash, Head, Link, Verifier},
    keys::PublicKey,
    proto,
};

use crate::{
    enrolled::Enrolled,
    incidents::{self, Incident},
    store::{HEADS, Host, RECORDS, Store},
};

/// Kinds of refusals, as they are kept and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The host shows another history than before.
    Forked,
    /// The host shows less than it did.
    Truncated,
    /// The certificate speaks for another audit key.
    OtherKey,
    /// What it sends does not verify.
    Invalid,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forked => "forked",
            Self::Truncated => "truncated",
            Self::OtherKey => "other_key",
            Self::Invalid => "invalid",
        })
    }
}

/// Why nothing was taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The host is at fault; its chain is disputed.
    Host {
        /// What kind of fault.
        kind: Kind,
        /// Whose chain it is about, if that host is known.
        host: Option<String>,
        /// What is wrong.
        reason: String,
        /// The signed head that proves it, if there is one.
        head: Option<Box<Head>>,
    },
    /// We are.
    Store(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

/// A host that was let in.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) id: String,
    pub(crate) key: PublicKey,
}

/// Lets a host in, if its key is the one its certificate speaks for and its chain is not shorter
/// or other than what is here. Returns where to go on from.
pub(crate) fn greet(
    store: &Store,
    enrolled: &Enrolled,
    hello: proto::Hello,
) -> Result<(Guest, Link), Refused> {
    let name = &enrolled.name;
    // Until the key is known, whatever goes wrong is about the host that had that name so far.
    let bound = store.bound(name)?;
    let refuse = |kind, host: Option<&str>, reason: String, head: Option<Head>| Refused::Host {
        kind,
        host: host.map(str::to_owned),
        reason,
        head: head.map(Box::new),
    };
    let key = PublicKey::from_bytes(&hello.public_key)
        .map_err(|why| refuse(Kind::Invalid, bound.as_deref(), why, None))?;
    let id = key.host_id();
    match (&enrolled.key, &bound) {
        (Some(pinned), _) if *pinned != key.to_string() => {
            let reason =
                format!("{name} was enrolled with the audit key {pinned}, but shows {key}");
            return Err(refuse(Kind::OtherKey, bound.as_deref(), reason, None));
        }
        (None, Some(bound)) if *bound != id => {
            let reason = format!(
                "{name} is host {bound}, but shows the key of host {id}; if the host was set up anew, enrol it again with `--key {key}`"
            );
            return Err(refuse(Kind::OtherKey, Some(bound), reason, None));
        }
        _ => {}
    }
    let _turn = store.turn(&id);
    let mut host = match store.host(&id)? {
        Some(host) if host.name != *name => {
            let reason = format!(
                "host {id} is {}, but came with the certificate of {name}",
                host.name
            );
            return Err(refuse(Kind::OtherKey, Some(&id), reason, None));
        }
        Some(host) => host,
        None => Host {
            name: name.clone(),
            hostname: String::new(),
            public_key: key.to_string(),
            accepted: Link::START,
            accepted_wall_ms: None,
        },
    };
    let head = match hello.head {
        Some(head) => {
            let head =
                Head::try_from(head).map_err(|why| refuse(Kind::Invalid, Some(&id), why, None))?;
            head.verify(&key)
                .map_err(|fault| refuse(Kind::Invalid, Some(&id), fault.to_string(), None))?;
            Some(head)
        }
        None => None,
    };
    let shown = head.as_ref().map_or(Link::START, Head::link);
    let accepted = host.accepted;
    if shown.seq < accepted.seq {
        let reason = format!(
            "its chain ends with record {}, but record {} was acknowledged",
            shown.seq, accepted.seq
        );
        return Err(refuse(Kind::Truncated, Some(&id), reason, head));
    }
    if shown.seq == accepted.seq && shown.hash != accepted.hash {
        return Err(refuse(
            Kind::Forked,
            Some(&id),
            fork(shown, accepted.hash),
            head,
        ));
    }
    if host.hostname != hello.hostname || bound.as_deref() != Some(&id) {
        host.hostname = hello.hostname;
        store.note_host(&id, &host)?;
    }
    Ok((Guest { id, key }, accepted))
}

/// Takes batches: verifies each, stores what verifies, durably, and returns the newest record
/// that is here then. Batches that are here already are fine.
pub(crate) fn take(
    store: &Store,
    guest: &Guest,
    batches: Vec<proto::Batch>,
    wall_ms: i64,
) -> Result<Link, Refused> {
    let _turn = store.turn(&guest.id);
    let mut host = store
        .host(&guest.id)?
        .ok_or_else(|| anyhow::anyhow!("host {} is not known any more", guest.id))?;
    let before = host.accepted;
    let mut addition = store.add();
    let mut incidents: HashMap<IncidentId, Incident> = HashMap::new();
    let mut refused = None;
    for batch in batches {
        match check(store, guest, host.accepted, batch) {
            Ok(Checked::Known) => {}
            Ok(Checked::New { records, head }) => {
                for (seq, (bytes, record)) in (head.from_seq..).zip(&records) {
                    store.put(&mut addition, RECORDS, &guest.id, seq, bytes)?;
                    let known = |id: &IncidentId| match incidents.get(id) {
                        Some(incident) => Ok(Some(incident.clone())),
                        None => store.incident(&guest.id, id),
                    };
                    if let Some((id, incident)) =
                        incidents::fold(&record.body, record.at.wall_ms, known)?
                    {
                        incidents.insert(id, incident);
                    }
                }
                let bytes = canonical::encode_value(&head)?;
                store.put(&mut addition, HEADS, &guest.id, head.seq, &bytes)?;
                host.accepted = head.link();
            }
            // What came before it in the message is good and is kept.
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    if host.accepted != before {
        for (id, incident) in &incidents {
            store.put_incident(&mut addition, &guest.id, id, incident)?;
        }
        host.accepted_wall_ms = Some(wall_ms);
        store.commit(addition, &guest.id, &host)?;
    }
    refused.map_or(Ok(host.accepted), Err)
}

enum Checked {
    /// Here already, the same.
    Known,
    /// Continues the chain.
    New {
        records: Vec<(Vec<u8>, hostmedic_model::record::Record)>,
        head: Head,
    },
}

/// Holds a batch against the chain that ends with `accepted`.
fn check(
    store: &Store,
    guest: &Guest,
    accepted: Link,
    batch: proto::Batch,
) -> Result<Checked, Refused> {
    let refuse = |kind, reason: String, head: Option<Head>| Refused::Host {
        kind,
        host: Some(guest.id.clone()),
        reason,
        head: head.map(Box::new),
    };
    let invalid = |reason: String| refuse(Kind::Invalid, reason, None);
    let head = batch
        .head
        .ok_or_else(|| invalid("a batch came without a head".to_owned()))?;
    let head = Head::try_from(head).map_err(invalid)?;
    head.verify(&guest.key)
        .map_err(|fault| invalid(fault.to_string()))?;
    if head.seq <= accepted.seq {
        let ours = store
            .record(&guest.id, head.seq)?
            .map(|bytes| Hash::of(&bytes));
        return match ours {
            Some(ours) if ours == head.hash => Ok(Checked::Known),
            ours => Err(refuse(
                Kind::Forked,
                fork(head.link(), ours.unwrap_or(Hash::ZERO)),
                Some(head),
            )),
        };
    }
    if head.from_seq <= accepted.seq {
        let reason = format!(
            "its head covers records {} to {}, but another head already covers those up to {}",
            head.from_seq, head.seq, accepted.seq
        );
        return Err(refuse(Kind::Forked, reason, Some(head)));
    }
    let mut verifier = Verifier::new(guest.key, accepted);
    let mut records = Vec::with_capacity(batch.records.len());
    let mut verified = Ok(());
    for bytes in batch.records {
        match verifier.record(&bytes) {
            Ok(record) => records.push((bytes, record)),
            Err(bad) => {
                verified = Err(bad);
                break;
            }
        }
    }
    match verified.and_then(|()| verifier.head(&head)) {
        Ok(()) => Ok(Checked::New { records, head }),
        Err(bad) => {
            let kind = match bad.why {
                Fault::Forked { .. } => Kind::Forked,
                _ => Kind::Invalid,
            };
            Err(refuse(kind, bad.to_string(), Some(head)))
        }
    }
}

fn fork(shown: Link, ours: Hash) -> String {
    format!(
        "its record {} is {}, but {ours} was acknowledged",
        shown.seq, shown.hash
    )
}
