//! `medic top`: polls the daemon and shows what it says, until somebody leaves. The terminal is
//! given back as it was, however it ends.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::{
    cli::Top,
    client::{self, Client},
    exit::{Exit, Failed},
    out::Out,
    render::top::{Screen, draw, plain},
};

/// Columns of a picture that is not for a terminal.
const PLAIN_WIDTH: u16 = 100;

pub(crate) async fn top(client: &Client, out: &Out, wanted: &Top) -> Result<Exit, Failed> {
    if out.json {
        let (top, probes) = ask(client).await?;
        out.document(&json!({"top": top, "probes": probes}))?;
    } else if wanted.once || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let mut screen = Screen::default();
        look(client, &mut screen).await?;
        out.text(&plain(&screen, PLAIN_WIDTH))?;
    } else {
        live(client, out, wanted.every.0).await?;
    }
    Ok(Exit::Ok)
}

/// Both halves of the picture, as they came.
async fn ask(client: &Client) -> Result<(Value, Value), Failed> {
    tokio::try_join!(client.get("/v1/top"), client.get("/v1/probes"))
}

/// A new picture on `screen`.
async fn look(client: &Client, screen: &mut Screen) -> Result<(), Failed> {
    let (top, probes) = ask(client).await?;
    screen.top = Some(client::read(top)?);
    screen.probes = Some(client::read(probes)?);
    Ok(())
}

/// The terminal, ours while this lives.
struct Ours;

impl Ours {
    fn take() -> Result<(Self, ratatui::DefaultTerminal), Failed> {
        // First, so that whatever half of it fails is undone. A panic is handled by ratatui's
        // hook, which comes before the message is printed.
        let ours = Self;
        let terminal = ratatui::try_init().map_err(|error| trouble(&error))?;
        Ok((ours, terminal))
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        // Nothing is left to tell anybody when the terminal is gone.
        _ = ratatui::try_restore();
    }
}

async fn live(client: &Client, out: &Out, every: Duration) -> Result<(), Failed> {
    let mut stop = stop_signals()?;
    let (_ours, mut terminal) = Ours::take()?;
    let (found, mut pictures) = mpsc::channel(1);
    // On its own, so that a daemon that does not answer never holds a key up.
    let client = client.clone();
    let poll = tokio::spawn(async move {
        loop {
            let mut screen = Screen::default();
            let looked = look(&client, &mut screen).await.map(|()| screen);
            if found.send(looked).await.is_err() {
                return;
            }
            tokio::time::sleep(every).await;
        }
    });
    let mut keys = EventStream::new();
    let mut screen = Screen {
        style: out.style,
        ..Screen::default()
    };
    let ended = loop {
        let drawn = terminal.draw(|frame| draw(&screen, frame.area(), frame.buffer_mut()));
        if let Err(error) = drawn {
            break Err(trouble(&error));
        }
        tokio::select! {
            // A daemon that is gone leaves the old picture, and why it is old.
            Some(looked) = pictures.recv() => match looked {
                Ok(newer) => screen = Screen { style: out.style, ..newer },
                Err(failed) => screen.trouble = Some(failed.message),
            },
            event = keys.next() => match event {
                Some(Ok(event)) if leaves(&event) => break Ok(()),
                // Of a resize the next drawing learns by itself.
                Some(Ok(_)) => {}
                Some(Err(error)) => break Err(trouble(&error)),
                None => break Ok(()),
            },
            _ = stop.recv() => break Ok(()),
        }
    };
    poll.abort();
    ended
}

/// Tells of every signal that asks a program on a terminal to end.
fn stop_signals() -> Result<mpsc::Receiver<()>, Failed> {
    let (told, stop) = mpsc::channel(1);
    for kind in [
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::quit(),
    ] {
        let mut came = signal(kind)
            .map_err(|error| Failed::internal(format!("cannot listen for signals: {error}")))?;
        let told = told.clone();
        tokio::spawn(async move {
            came.recv().await;
            // Whoever waited has left already.
            _ = told.send(()).await;
        });
    }
    Ok(stop)
}

/// Whether a key means: leave.
fn leaves(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind != KeyEventKind::Release
        && match key.code {
            KeyCode::Char('q') | KeyCode::Esc => true,
            // In raw mode the terminal sends no signal for it.
            KeyCode::Char('c') => control,
            _ => false,
        }
}

fn trouble(error: &io::Error) -> Failed {
    Failed::internal(format!("the terminal fails: {error}"))
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn q_escape_and_control_c_leave() {
        let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        for (event, expected) in [
            (key(KeyCode::Char('q'), KeyModifiers::NONE), true),
            (key(KeyCode::Esc, KeyModifiers::NONE), true),
            (key(KeyCode::Char('c'), KeyModifiers::CONTROL), true),
            (key(KeyCode::Char('c'), KeyModifiers::NONE), false),
            (key(KeyCode::Enter, KeyModifiers::NONE), false),
            (Event::Resize(40, 10), false),
        ] {
            assert_eq!(leaves(&event), expected, "{event:?}");
        }
    }
}
