//! Manual pages from the clap types.

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, EXIT_CODES};
use crate::error::{Error, Result};

/// Every page, nested subcommands too, by name: its file name and its roff source.
pub fn pages() -> Result<Vec<(String, Vec<u8>)>> {
    let mut root = <Cli as clap::CommandFactory>::command();
    root.build();
    let mut pages = Vec::new();
    let mut commands = vec![&root];
    while let Some(command) = commands.pop() {
        pages.push((format!("{}.1", page_name(command)), page(command)?));
        commands.extend(command.get_subcommands());
    }
    pages.sort();
    Ok(pages)
}

/// clap's `build` sets `goscope-goroutines-diff` as the name to show.
fn page_name(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &clap::Command) -> Result<Vec<u8>> {
    let name = page_name(command);
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .section("1")
        // Not empty: an empty argument would vanish and shift those behind it.
        .date(" ")
        .source(concat!("goscope ", env!("CARGO_PKG_VERSION")))
        .manual("goscope manual");
    let mut page = Vec::new();
    man.render_title(&mut page).map_err(Error::write)?;
    man.render_name_section(&mut page).map_err(Error::write)?;
    synopsis(command, &mut page)?;
    man.render_description_section(&mut page).map_err(Error::write)?;
    man.render_options_section(&mut page).map_err(Error::write)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page).map_err(Error::write)?;
    }
    if let Some(examples) = command.get_after_help().map(ToString::to_string).and_then(|text| body_below(&text, "Examples:")) {
        verbatim("EXAMPLES", &examples, &mut page)?;
    }
    if let Some(codes) = body_below(EXIT_CODES, "Exit codes:") {
        verbatim("EXIT STATUS", &codes, &mut page)?;
    }
    if name != "goscope" {
        let mut also = Roff::new();
        also.control("SH", ["SEE ALSO"]).text([bold("goscope"), roman("(1)")]);
        also.to_writer(&mut page).map_err(Error::write)?;
    }
    Ok(page)
}

/// The usage lines that help shows, without what every option looks like.
fn synopsis(command: &clap::Command, page: &mut Vec<u8>) -> Result<()> {
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    for (index, line) in usage.trim_start_matches("Usage:").lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        if index > 0 {
            roff.control("br", []);
        }
        roff.text([bold(line)]);
    }
    roff.to_writer(page).map_err(Error::write)
}

/// What stands below a heading of an after-help text.
fn body_below(text: &str, heading: &str) -> Option<String> {
    text.strip_prefix(heading).map(|body| body.trim_start_matches('\n').to_owned())
}

/// Lines as they are: the formatter must not fill them.
fn verbatim(heading: &str, text: &str, page: &mut Vec<u8>) -> Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [heading]).control("nf", []);
    for line in text.lines() {
        match line.is_empty() {
            true => roff.control("sp", []),
            false => roff.text([roman(line.trim_start())]),
        };
    }
    roff.control("fi", []);
    roff.to_writer(page).map_err(Error::write)
}
