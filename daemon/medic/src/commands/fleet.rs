//! `medic fleet`: what the collector knows of all hosts.

use std::io::ErrorKind;

use hostmedic_retain::{
    bundle::{Bundle, BundleError},
    fleet::{Fleet, FleetError, IncidentFilter},
};

use super::chain::Progress;
use crate::{
    cli::{self, FleetTask},
    exit::{Exit, Failed},
    out::Out,
    render,
};

/// Asks the collector.
pub(crate) async fn run(out: &Out, asked: &cli::Fleet) -> Result<Exit, Failed> {
    let bundle = Bundle::load(&asked.bundle).map_err(|error| bundle_failed(&error))?;
    let mut fleet = Fleet::connect(&bundle)
        .await
        .map_err(|error| failed(&error))?;
    match &asked.task {
        FleetTask::Hosts => {
            let hosts = fleet.hosts().await.map_err(|error| failed(&error))?;
            out.answer(&hosts, |style| render::fleet::hosts(&hosts, style))?;
            Ok(Exit::Ok)
        }
        FleetTask::Incidents { host, open, limit } => {
            let filter = IncidentFilter {
                host: host.clone(),
                open_only: *open,
                limit: *limit,
            };
            let incidents = fleet
                .incidents(filter)
                .await
                .map_err(|error| failed(&error))?;
            out.answer(&incidents, |style| {
                render::fleet::incidents(&incidents, style)
            })?;
            Ok(Exit::Ok)
        }
        FleetTask::Verify { host } => {
            let mut progress = Progress::new();
            let verdict = fleet
                .verify(host, |done, all| progress.show(done, all))
                .await;
            progress.end();
            let verdict = verdict.map_err(|error| failed(&error))?;
            out.answer(&verdict, |style| render::fleet::verdict(&verdict, style))?;
            Ok(if verdict.bad.is_none() {
                Exit::Ok
            } else {
                Exit::Finding
            })
        }
    }
}

fn failed(error: &FleetError) -> Failed {
    let (exit, code, hint) = match error {
        FleetError::Connect(_) => (
            Exit::Unreachable,
            "unreachable",
            "see `systemctl status medic-collector` on its host",
        ),
        FleetError::NotFound(_) => (
            Exit::NotFound,
            "not_found",
            "`medic fleet hosts` lists the hosts",
        ),
        FleetError::Forbidden(_) => (
            Exit::NotPermitted,
            "forbidden",
            "ask with an operator's bundle; `medic-collector enrol --operator` makes one",
        ),
        FleetError::Refused(_) => (
            Exit::Refused,
            "refused",
            "see `journalctl -u medic-collector` on its host",
        ),
        FleetError::Malformed(_) => (
            Exit::Internal,
            "unknown_form",
            "medic and the collector are of different versions",
        ),
    };
    Failed::new(exit, code, with_sources(error), hint)
}

/// An error with what caused it: the reason of a failed connection lies three causes deep.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat their cause in their own text.
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn bundle_failed(error: &BundleError) -> Failed {
    let (exit, code) = match error {
        BundleError::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
            (Exit::NotFound, "not_found")
        }
        BundleError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            (Exit::NotPermitted, "forbidden")
        }
        BundleError::Io { .. } | BundleError::Exposed { .. } | BundleError::Malformed { .. } => {
            (Exit::Internal, "bad_bundle")
        }
    };
    Failed::new(
        exit,
        code,
        error.to_string(),
        "name an operator's bundle with --bundle",
    )
}
