//! `medic-collector verify`: checks the copies on disk, with or without a running collector.

use std::path::Path;

use anyhow::{Context as _, Result};
use hostmedic_retain::verify::{Verified, VerifyError, verify};

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
        });
        findings.push(Finding {
            host: id,
            name: known.name,
            verdict,
        });
    }
    Ok(findings)
}
