//! `--tui`: the profile as a tree to walk through, metric, label, value.

mod app;
mod draw;
mod terminal;

use std::io;
use std::time::Duration;

use crossterm::event::{self, Event, KeyEventKind};

use super::profile::Profile;
use crate::error::{Error, Result};
use app::{App, Next};
use terminal::Screen;

/// How long a signal may wait for its effect.
const POLL: Duration = Duration::from_millis(100);

/// Runs until the user leaves, or `stopped` says so. The terminal is as before then, also after an error or a panic.
pub fn run(profile: &Profile, mut stopped: impl FnMut() -> bool) -> Result<()> {
    let mut screen = Screen::enter().map_err(broken)?;
    let mut app = App::new(profile);
    while !stopped() {
        screen.draw(|frame| draw::draw(&mut app, frame)).map_err(broken)?;
        if !event::poll(POLL).map_err(broken)? {
            continue;
        }
        let Event::Key(key) = event::read().map_err(broken)? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match app.on_key(key) {
            Next::Stay => {}
            Next::Suspend => screen.suspend().map_err(broken)?,
            Next::Leave => break,
        }
    }
    Ok(())
}

fn broken(error: io::Error) -> Error {
    Error::io("the terminal can't be used").because(error).hint("--format table needs none")
}
