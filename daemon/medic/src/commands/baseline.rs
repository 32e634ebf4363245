//! What is normal on this host, and what was not.

use std::{fs, path::Path};

use hostmedic_model::{
    anomaly::Anomaly,
    view::{BaselineList, SeriesView},
};

use super::capture::now_ms;
use crate::{
    cli::numbers::{Anomalies, Baseline},
    client::{self, Client},
    exit::{Exit, Failed},
    out::Out,
    render::{baseline, plot},
};

/// Names offered when a word means several series.
const OFFERED_MAX: usize = 10;

pub(crate) async fn baseline(
    client: &Client,
    out: &Out,
    wanted: &Baseline,
) -> Result<Exit, Failed> {
    let answer = client.get("/v1/baselines").await?;
    let list: BaselineList = client::read(answer.clone())?;
    let Some(word) = &wanted.series else {
        out.answer(&answer, |style| baseline::list(&list, style))?;
        return Ok(Exit::Ok);
    };
    let name = find(&list, word)?;
    let answer = client
        .get(&format!("/v1/series?name={}", client::path("", &name, "")))
        .await?;
    let view: SeriesView = client::read(answer.clone())?;
    if let Some(file) = &wanted.out {
        return write(out, &view, file);
    }
    out.answer(&answer, |style| {
        let mut text = baseline::page(&view.baseline, style);
        if wanted.plot {
            text += "\n";
            text += &plot::text(&view);
        }
        if !view.anomalies.is_empty() {
            text += "\n";
            text += &baseline::anomalies(&view.anomalies, style);
        }
        text
    })?;
    Ok(Exit::Ok)
}

pub(crate) async fn anomalies(
    client: &Client,
    out: &Out,
    wanted: &Anomalies,
) -> Result<Exit, Failed> {
    let since = wanted.since.wall_ms(now_ms());
    let answer = client.get(&format!("/v1/anomalies?since={since}")).await?;
    let found: Vec<Anomaly> = client::read(answer.clone())?;
    out.answer(&answer, |style| baseline::anomalies(&found, style))?;
    if !wanted.plot || out.json {
        return Ok(Exit::Ok);
    }
    let mut names: Vec<_> = found.iter().map(|found| found.series.to_string()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let path = format!("/v1/series?name={}", client::path("", &name, ""));
        let view: SeriesView = client::read(client.get(&path).await?)?;
        out.text(&format!("\n{}", plot::text(&view)))?;
    }
    Ok(Exit::Ok)
}

/// The series of this name, or the only one that has the word in its name.
fn find(list: &BaselineList, word: &str) -> Result<String, Failed> {
    let names: Vec<_> = list
        .baselines
        .iter()
        .map(|view| view.series.to_string())
        .collect();
    if let Some(name) = names.iter().find(|name| *name == word) {
        return Ok(name.clone());
    }
    let like: Vec<_> = names.iter().filter(|name| name.contains(word)).collect();
    match like.as_slice() {
        [name] => Ok((*name).clone()),
        [] => Err(Failed::new(
            Exit::NotFound,
            "not_found",
            format!("no series is called `{word}`"),
            "`medic baseline` lists those that are known",
        )),
        several => {
            let offered: Vec<_> = several
                .iter()
                .take(OFFERED_MAX)
                .map(|name| format!("`{name}`"))
                .collect();
            Err(Failed::new(
                Exit::Usage,
                "usage",
                format!("`{word}` is in the name of {} series", several.len()),
                format!("name one of {}", offered.join(", ")),
            ))
        }
    }
}

fn write(out: &Out, view: &SeriesView, file: &Path) -> Result<Exit, Failed> {
    let failed = |what: String| Failed::internal(format!("{}: {what}", file.display()));
    if file.extension().is_none_or(|kind| kind != "svg") {
        return Err(Failed::new(
            Exit::Usage,
            "usage",
            format!("{} does not end in .svg", file.display()),
            "pictures are written as SVG; rsvg-convert makes a PNG of one",
        ));
    }
    let svg = plot::svg(view).map_err(failed)?;
    fs::write(file, svg).map_err(|error| failed(error.to_string()))?;
    out.note(&format!("wrote {}", file.display()));
    Ok(Exit::Ok)
}
