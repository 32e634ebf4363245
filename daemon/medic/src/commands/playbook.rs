//! `medic playbook`: reads playbooks as the daemon would, says where they are wrong, tries them, and
//! explains them. Only `ls` asks the daemon.

pub(super) mod files;
mod matching;
mod vectors;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use hostmedic_model::playbook::Playbook as Model;
use hostmedic_reason::playbook::{
    Checked, Level, listing, scaffold, schema,
    trial::{self, Trial},
};
use serde::Serialize;
use serde_json::json;

use self::files::{File, collect, named, read, unmatched_in};
use crate::{
    cli::playbook::{Explain, Ls, Playbook, Shape},
    client::Client,
    exit::{Exit, Failed},
    out::Out,
    render::{
        lists,
        playbook::{diff, explain, lint, show, tried},
    },
};

/// Does what `medic playbook` is asked for.
pub(crate) async fn run(client: &Client, out: &Out, task: &Playbook) -> Result<Exit, Failed> {
    match task {
        Playbook::Ls(ls) => list(client, out, ls).await,
        Playbook::Show { playbook, library } => {
            let file = named(playbook, &library.dir)?;
            let model = whole(&file)?;
            out.answer(&model, |style| {
                show::show(&model, file.checked.document.as_ref(), style)
            })?;
            Ok(Exit::Ok)
        }
        Playbook::Lint { paths, strict } => check(out, paths, *strict),
        Playbook::Test { paths, alone } => test(out, paths, *alone),
        Playbook::Explain(wanted) => explain_word(out, wanted),
        Playbook::New { name, shape, dir } => new(out, name, *shape, dir),
        Playbook::Diff { before, after } => {
            let (before, after) = (read(before)?, read(after)?);
            let (old, new) = (whole(&before)?, whole(&after)?);
            let changes = diff::changes(&old, &new);
            out.answer(&changes, |style| diff::diff(&changes, style))?;
            Ok(if changes.is_empty() {
                Exit::Ok
            } else {
                Exit::Finding
            })
        }
        Playbook::Match(wanted) => matching::run(client, out, wanted).await,
        Playbook::Schema => {
            out.text(&schema::text())?;
            Ok(Exit::Ok)
        }
    }
}

async fn list(client: &Client, out: &Out, ls: &Ls) -> Result<Exit, Failed> {
    let mut playbooks = match &ls.dir {
        Some(dir) => {
            let mut playbooks = Vec::new();
            for file in collect(std::slice::from_ref(dir))? {
                playbooks.push(whole(&read(&file)?)?);
            }
            playbooks
        }
        None => {
            let answer = client.get("/v1/playbooks").await?;
            let bad = |error| Failed::internal(format!("cannot read the daemon's answer: {error}"));
            serde_json::from_value::<Vec<Model>>(answer).map_err(bad)?
        }
    };
    if ls.missing {
        playbooks.retain(|playbook| !playbook.missing.is_empty());
    }
    out.answer(&playbooks, |style| {
        if ls.missing {
            lists::missing(&playbooks, style)
        } else {
            lists::playbooks(&playbooks, style)
        }
    })?;
    Ok(Exit::Ok)
}

/// What one file's check found.
#[derive(Serialize)]
struct Linted<'a> {
    file: &'a str,
    ok: bool,
    findings: &'a [hostmedic_reason::playbook::Finding],
    missing: &'a [String],
}

/// Checks every file; the exit code tells whether all were right.
fn check(out: &Out, paths: &[PathBuf], strict: bool) -> Result<Exit, Failed> {
    let mut files = collect(paths)?
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>, _>>()?;
    for path in paths {
        files.extend(unmatched_in(path)?);
    }
    let is_wrong = |checked: &Checked| !checked.is_ok() || strict && !checked.findings.is_empty();
    let wrong = files.iter().filter(|file| is_wrong(&file.checked)).count();
    let linted: Vec<_> = files
        .iter()
        .map(|file| Linted {
            file: &file.name,
            ok: !is_wrong(&file.checked),
            findings: &file.checked.findings,
            missing: file
                .checked
                .playbook
                .as_ref()
                .map_or(&[], |playbook| playbook.missing.as_slice()),
        })
        .collect();
    out.answer(&linted, |style| {
        let pages: Vec<_> = files
            .iter()
            .map(|file| lint::page(&file.name, &file.text, &file.checked, strict, style))
            .collect();
        pages.concat() + &lint::end(files.len(), wrong)
    })?;
    Ok(if wrong == 0 { Exit::Ok } else { Exit::Finding })
}

/// Runs every file's cases beside the playbooks of its directory.
fn test(out: &Out, paths: &[PathBuf], alone: bool) -> Result<Exit, Failed> {
    let mut answers = Vec::new();
    let mut failed = 0;
    for path in collect(paths)? {
        let file = read(&path)?;
        let playbook = whole(&file)?;
        let library = if alone {
            vec![playbook.clone()]
        } else {
            beside(&path, &playbook)?
        };
        let cases = file
            .checked
            .document
            .iter()
            .flat_map(|document| &document.tests);
        let trials: Vec<_> = cases
            .map(|case| {
                (
                    case.name.value.clone(),
                    trial::run(case, &playbook, &library),
                )
            })
            .collect();
        failed += trials
            .iter()
            .filter(|(_, trial)| matches!(trial, Trial::Failed { .. }))
            .count();
        answers.push((playbook.name.clone(), trials));
    }
    let value: Vec<_> = answers
        .iter()
        .map(|(name, trials)| {
            let tests: Vec<_> = trials
                .iter()
                .map(|(name, trial)| json!({"name": name, "trial": trial}))
                .collect();
            json!({"playbook": name, "tests": tests})
        })
        .collect();
    out.answer(&value, |style| tried::tried(&answers, style))?;
    Ok(if failed == 0 { Exit::Ok } else { Exit::Finding })
}

/// The playbooks of a file's directory, itself among them; those that are wrong are left out.
fn beside(path: &Path, own: &Model) -> Result<Vec<Model>, Failed> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut library = vec![own.clone()];
    for file in collect(&[dir])? {
        if let Some(playbook) = read(&file)?.checked.playbook
            && playbook.name != own.name
        {
            library.push(playbook);
        }
    }
    Ok(library)
}

fn explain_word(out: &Out, wanted: &Explain) -> Result<Exit, Failed> {
    if wanted.markdown {
        out.text(&listing::markdown())?;
        return Ok(Exit::Ok);
    }
    let words = listing::words();
    let Some(word) = &wanted.word else {
        out.answer(&words, |style| explain::all(&words, style))?;
        return Ok(Exit::Ok);
    };
    let found: Vec<_> = words.iter().filter(|known| known.name == word).collect();
    if !found.is_empty() {
        out.answer(&found, |style| explain::words(&found, style))?;
        return Ok(Exit::Ok);
    }
    let file = named(word, &wanted.library.dir).map_err(|mut failed| {
        let names = words.iter().map(|word| word.name);
        if let Some(meant) = hostmedic_reason::playbook::registry::nearest(names, word) {
            failed.hint = format!("did you mean `{meant}`?");
        }
        failed
    })?;
    let model = whole(&file)?;
    let document = file.checked.document.as_ref();
    let steps = explain::steps(document, &words);
    let value = json!({"playbook": model, "steps": steps});
    out.answer(&value, |style| explain::playbook(&model, &steps, style))?;
    Ok(Exit::Ok)
}

fn new(out: &Out, name: &str, shape: Shape, dir: &Path) -> Result<Exit, Failed> {
    let shape = match shape {
        Shape::Restart => scaffold::Shape::Restart,
        Shape::Disk => scaffold::Shape::Disk,
        Shape::Notify => scaffold::Shape::Notify,
        Shape::Sql => scaffold::Shape::Sql,
    };
    let text = scaffold::new(name, shape)
        .map_err(|why| Failed::new(Exit::Usage, "usage", why, "such as web-restart"))?;
    let path = dir.join(format!("{name}.yaml"));
    let unwritable = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "choose another name; nothing was overwritten",
            _ => "",
        };
        let message = format!("cannot write {}: {error}", path.display());
        Failed::new(Exit::Internal, "internal", message, hint)
    };
    let mut file = fs::File::create_new(&path).map_err(unwritable)?;
    file.write_all(text.as_bytes()).map_err(unwritable)?;
    let value = json!({"file": path.display().to_string()});
    out.answer(&value, |_| {
        let path = path.display();
        format!(
            "wrote {path}\n\nnext:\n  medic playbook lint {path}\n  medic playbook test --alone {path}\n  \
             medic playbook explain              # every word that it can be written with\n"
        )
    })?;
    Ok(Exit::Ok)
}

/// The playbook of a file; a file that is wrong is a failure that points to `lint`.
fn whole(file: &File) -> Result<Model, Failed> {
    file.checked.playbook.clone().ok_or_else(|| {
        let errors = file.checked.findings.iter();
        let first = errors.clone().find(|finding| finding.level == Level::Error);
        let message = first.map_or_else(
            || format!("{} is no playbook", file.name),
            |finding| {
                let place = finding.place;
                format!(
                    "{}:{}:{}: {}",
                    file.name, place.line, place.column, finding.message
                )
            },
        );
        Failed::new(
            Exit::Finding,
            "wrong",
            message,
            format!("medic playbook lint {}", file.name),
        )
    })
}
