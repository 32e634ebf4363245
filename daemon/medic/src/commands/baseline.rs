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
    render::{
        baseline,
        plot::{self, Format},
    },
};

/// Names offered when a word means several series.
const OFFERED_MAX: usize = 10;

pub(crate) async fn baseline(
    client: &Client,
    out: &Out,
    wanted: &Baseline,
) -> Result<Exit, Failed> {
    let file = picture(wanted.out.as_deref())?;
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
    if let Some((file, format)) = file {
        return write(out, &[view], file, format);
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
    let file = picture(wanted.out.as_deref())?;
    let since = wanted.since.wall_ms(now_ms());
    let answer = client.get(&format!("/v1/anomalies?since={since}")).await?;
    let found: Vec<Anomaly> = client::read(answer.clone())?;
    let mut names: Vec<_> = found.iter().map(|found| found.series.to_string()).collect();
    names.sort();
    names.dedup();
    if let Some((file, format)) = file {
        if names.is_empty() {
            out.note("no anomalies: no file is written");
            return Ok(Exit::Ok);
        }
        if names.len() > plot::IN_ONE_FILE_MAX {
            return Err(too_many(names.len()));
        }
        let mut views = Vec::new();
        for name in &names {
            views.push(series(client, name).await?);
        }
        return write(out, &views, file, format);
    }
    out.answer(&answer, |style| baseline::anomalies(&found, style))?;
    if !wanted.plot || out.json {
        return Ok(Exit::Ok);
    }
    for name in &names {
        let view = series(client, name).await?;
        out.text(&format!("\n{}", plot::text(&view)))?;
    }
    Ok(Exit::Ok)
}

async fn series(client: &Client, name: &str) -> Result<SeriesView, Failed> {
    let path = format!("/v1/series?name={}", client::path("", name, ""));
    client::read(client.get(&path).await?)
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

/// The file with the format that its ending asks for, before anything else is asked for.
fn picture(file: Option<&Path>) -> Result<Option<(&Path, Format)>, Failed> {
    let Some(file) = file else {
        return Ok(None);
    };
    match Format::of(file) {
        Some(format) => Ok(Some((file, format))),
        None => Err(Failed::new(
            Exit::Usage,
            "usage",
            format!("{} does not end in {}", file.display(), Format::ENDINGS),
            "the ending of the file says what the picture is written as",
        )),
    }
}

fn too_many(series: usize) -> Failed {
    let most = plot::IN_ONE_FILE_MAX;
    Failed::new(
        Exit::Usage,
        "usage",
        format!("{series} series have anomalies; one file holds {most}"),
        "a later --since, or `medic baseline SERIES --out FILE` for each",
    )
}

fn write(out: &Out, views: &[SeriesView], file: &Path, format: Format) -> Result<Exit, Failed> {
    let failed = |what: String| Failed::internal(format!("{}: {what}", file.display()));
    let bytes = plot::bytes(views, format).map_err(failed)?;
    fs::write(file, bytes).map_err(|error| failed(error.to_string()))?;
    out.note(&format!("wrote {}", file.display()));
    Ok(Exit::Ok)
}
