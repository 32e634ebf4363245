//! `medic-collector verify`: checks the copies on disk, with or without a running collector.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use hostmedic_retain::{
    chain::{BadRecord, Fault},
    verify::{Verified, VerifyError, verify},
};

use crate::store::Store;

/// What was found about one host.
#[derive(Debug)]
pub struct Finding {
    /// The host's id.
    pub host: String,
    /// The name in its certificate.
    pub name: String,
    /// The verdict on its copy.
    pub verdict: Result<Verified, VerifyError>,
}

/// Verifies the copies in `copies`: of one host (id or name), or of all. `progress` is called with
/// (host, records done, records in all).
///
/// # Errors
/// When the store cannot be read or has no such host. A bad record is no error but a finding.
pub fn run(
    copies: &Path,
    host: Option<&str>,
    mut progress: impl FnMut(&str, u64, u64),
) -> Result<Vec<Finding>> {
    let store = Store::open_read_only(copies)?;
    let damage = store.log_damage();
    let wanted = match host {
        Some(asked) => Some(
            store
                .find(asked)?
                .with_context(|| format!("there is no host `{asked}`"))?,
        ),
        None => None,
    };
    let mut findings = Vec::new();
    for (id, known) in store.hosts()? {
        if wanted.as_ref().is_some_and(|wanted| *wanted != id) {
            continue;
        }
        let verdict = verify(&mut store.copy(&id, false)?, None, |done, all| {
            progress(&id, done, all);
        })
        .and_then(|verified| match &damage {
            None => Ok(verified),
            // Whose records are gone cannot be told, so no copy is called whole.
            Some(why) => Err(VerifyError::BadRecord(BadRecord {
                seq: verified.last.seq + 1,
                why: Fault::Lost(format!(
                    "the store's log is damaged after record {}: {why}",
                    verified.last.seq
                )),
            })),
        });
        findings.push(Finding {
            host: id,
            name: known.name,
            verdict,
        });
    }
    if let (true, Some(why)) = (findings.is_empty(), &damage) {
        bail!("{} is damaged from its beginning: {why}", copies.display());
    }
    Ok(findings)
}
