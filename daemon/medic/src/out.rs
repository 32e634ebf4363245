//! What `medic` prints and where: answers to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

use hostmedic_model::view::{Failure, FailureBody};
use serde::Serialize;

use crate::{
    exit::{Exit, Failed},
    render::text::{Style, Tone, clean},
};

/// The way out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    /// JSON instead of text.
    pub(crate) json: bool,
    /// For text on stdout.
    pub(crate) style: Style,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        let colour = io::stdout().is_terminal() && colour_wanted();
        Self {
            json,
            style: Style { colour },
        }
    }

    /// Prints text as it is.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failed> {
        write_out(|out| out.write_all(text.as_bytes()))
    }

    /// Prints one JSON document over several lines.
    pub(crate) fn document<T: Serialize>(&self, value: &T) -> Result<(), Failed> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failed::internal(format!("cannot write JSON: {error}")))?;
        self.text(&format!("{text}\n"))
    }

    /// Prints one JSON document on one line, at once.
    pub(crate) fn line<T: Serialize>(&self, value: &T) -> Result<(), Failed> {
        let text = serde_json::to_string(value)
            .map_err(|error| Failed::internal(format!("cannot write JSON: {error}")))?;
        self.text(&format!("{text}\n"))
    }

    /// Prints JSON or text, whichever was asked for.
    pub(crate) fn answer<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(Style) -> String,
    ) -> Result<(), Failed> {
        if self.json {
            self.document(value)
        } else {
            self.text(&text(self.style))
        }
    }

    /// Prints a remark that is no part of the answer.
    pub(crate) fn note(&self, text: &str) {
        // Nothing is left to tell anybody when stderr is gone.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Prints why it failed.
    pub(crate) fn failure(&self, failed: &Failed) {
        if failed.message.is_empty() {
            return;
        }
        if self.json {
            let body = FailureBody {
                code: failed.code.clone(),
                message: failed.message.clone(),
                hint: failed.hint.clone(),
            };
            if let Ok(text) = serde_json::to_string(&Failure { error: body }) {
                self.note(&text);
            }
            return;
        }
        let style = Style {
            colour: io::stderr().is_terminal() && colour_wanted(),
        };
        let text = failed.to_string();
        let text: Vec<String> = text.lines().map(clean).collect();
        self.note(&format!(
            "{} {}",
            style.paint(Tone::Bad, "medic:"),
            text.join("\n")
        ));
    }
}

/// Whether nobody asked for text without colour; see no-color.org.
fn colour_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A reader that has gone (`medic ... | head`) is no failure, but there is no point in going on.
fn write_out(write: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) -> Result<(), Failed> {
    let mut out = io::stdout().lock();
    write(&mut out).and_then(|()| out.flush()).map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failed::new(Exit::Ok, "closed", "", "")
        } else {
            Failed::internal(format!("cannot write to stdout: {error}"))
        }
    })
}
