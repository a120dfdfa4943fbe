//! Flags of `goscope cardinality` that say how its sources are read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use reqwest::header::{HeaderName, HeaderValue};

use super::values;
use crate::cardinality::source::{Accept, Auth, Compression, FetchOptions};
use crate::error::{Error, Result};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How to read the source")]
pub struct SourceArgs {
    /// Port of a process that serves its metrics, instead of a search
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Path of the metrics, for a process and for a URL without one
    #[arg(long, value_name = "PATH", default_value = "/metrics", value_parser = path)]
    path: String,
    /// Formats to ask a server for
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "prometheus")]
    accept: Accept,
    /// Encoding to ask a server for
    #[arg(long, value_name = "ENCODING", value_enum, default_value = "gzip")]
    compression: Compression,
    /// Time for one scrape, as a whole
    #[arg(long, value_name = "DURATION", value_parser = values::period, allow_hyphen_values = true, default_value = "10s")]
    timeout: Duration,
    /// Refuse a body that has SIZE or more when decompressed; uncompressed files have no limit
    #[arg(long, value_name = "SIZE", value_parser = values::size, allow_hyphen_values = true, default_value = "1GiB")]
    body_limit: u64,
    /// Send a header, 'Name: value'; '@FILE' takes all lines of FILE (repeatable)
    ///
    /// Other users of the machine can read a command line: what is secret belongs into a file.
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// Send 'Authorization: Bearer' with the token in FILE, or in the environment variable GOSCOPE_BEARER_TOKEN
    #[arg(long, value_name = "FILE", conflicts_with = "basic_auth_file")]
    bearer_token_file: Option<PathBuf>,
    /// Send 'Authorization: Basic' with the 'user:password' in FILE, or in the environment variable GOSCOPE_BASIC_AUTH
    #[arg(long, value_name = "FILE")]
    basic_auth_file: Option<PathBuf>,
    /// Trust the certificates in FILE (PEM), and not those of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Client certificate (PEM)
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Key of the client certificate (PEM), where it isn't in the same file
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Trust any certificate
    #[arg(long)]
    insecure: bool,
}

impl SourceArgs {
    /// Errors: Usage for a header that is none, Io for a file that cannot be read.
    pub fn options(&self) -> Result<FetchOptions> {
        let mut headers = Vec::new();
        for word in &self.header {
            match word.strip_prefix('@') {
                None => headers.push(header(word).ok_or_else(|| Error::usage("--header takes 'Name: value'"))?),
                Some(path) => {
                    let text = secret(Path::new(path))?;
                    let lines = text.lines().filter(|line| !line.trim().is_empty());
                    let parsed: Option<Vec<_>> = lines.map(header).collect();
                    headers.extend(parsed.ok_or_else(|| Error::usage(format!("a line of {path} is not of the form 'Name: value'")))?);
                }
            }
        }
        Ok(FetchOptions {
            headers,
            auth: self.auth()?,
            ca: self.ca.clone(),
            cert: self.cert.clone().map(|cert| (cert, self.key.clone())),
            insecure: self.insecure,
            timeout: self.timeout,
            body_limit: self.body_limit,
            compression: self.compression,
            accept: self.accept,
            port: self.port,
            path: self.path.clone(),
        })
    }

    /// A file that is named goes before a variable, which may be there for other runs.
    fn auth(&self) -> Result<Option<Auth>> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(path) = &self.bearer_token_file {
            return bearer(&secret(path)?, &path.display().to_string()).map(Some);
        }
        if let Some(path) = &self.basic_auth_file {
            return basic(&secret(path)?, &path.display().to_string()).map(Some);
        }
        if let Some(token) = variable("GOSCOPE_BEARER_TOKEN") {
            return bearer(&token, "GOSCOPE_BEARER_TOKEN").map(Some);
        }
        variable("GOSCOPE_BASIC_AUTH").map(|text| basic(&text, "GOSCOPE_BASIC_AUTH")).transpose()
    }
}

fn secret(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::io(format!("cannot read {}", path.display())).because(error))
}

/// One token, which can be sent in a header (RFC 6750 has even fewer characters).
fn bearer(text: &str, place: &str) -> Result<Auth> {
    let token = text.trim();
    match token {
        "" => Err(Error::usage(format!("{place} holds no token: it is empty"))),
        token if token.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Auth::Bearer(token.to_owned())),
        token if token.lines().count() > 1 => Err(Error::usage(format!("{place} holds several lines, not one token"))),
        _ => Err(Error::usage(format!("{place} holds no token: there are blanks or characters in it that no header may have"))),
    }
}

fn basic(text: &str, place: &str) -> Result<Auth> {
    let pair = text.trim_end_matches(['\r', '\n']).split_once(':');
    let (user, password) = pair.ok_or_else(|| Error::usage(format!("{place} does not hold 'user:password'")))?;
    Ok(Auth::Basic { user: user.to_owned(), password: password.to_owned() })
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::from_bytes(name.trim().as_bytes()).ok()?, value))
}

fn path(text: &str) -> std::result::Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err("a path begins with /".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        source: SourceArgs,
    }

    fn options(args: &[&str]) -> Result<FetchOptions> {
        Line::parse_from([&["x"], args].concat()).source.options()
    }

    #[test]
    fn headers_and_secrets_come_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let headers = file("headers", "X-Scope-OrgID: one\n\nX-Other:two\r\n");
        let read = options(&["--header", "A: b: c", "--header", &format!("@{headers}")]).ok().unwrap().headers;
        let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(read, [("a", "b: c"), ("x-scope-orgid", "one"), ("x-other", "two")]);
        let auth = options(&["--bearer-token-file", &file("token", "abc\n")]).ok().unwrap().auth;
        assert!(matches!(auth, Some(Auth::Bearer(token)) if token == "abc"));
        let auth = options(&["--basic-auth-file", &file("basic", "me:a:b \n")]).ok().unwrap().auth;
        assert!(matches!(auth, Some(Auth::Basic { user, password }) if user == "me" && password == "a:b "));
        for (name, text, told) in [
            ("empty", " \n", "it is empty"),
            ("two", "secret\nsecret\n", "several lines"),
            ("odd", "sec ret", "blanks"),
            ("é", "secreté", "characters"),
        ] {
            let error = options(&["--bearer-token-file", &file(name, text)]).err().unwrap();
            assert!(error.kind.exit_code() == 2 && error.message.contains(told) && !error.message.contains("secret"), "{error}");
        }
        for (args, code) in [
            (["--header", "no colon"], 2),
            (["--header", "@/nowhere"], 5),
            (["--basic-auth-file", &file("none", "secret")], 2),
            (["--bearer-token-file", "/nowhere"], 5),
        ] {
            let error = options(&args).err().unwrap();
            assert_eq!(error.kind.exit_code(), code, "{args:?}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_feature() {
        let (read, default) = (options(&[]).ok().unwrap(), FetchOptions::default());
        assert_eq!((read.timeout, read.body_limit, read.path), (default.timeout, default.body_limit, default.path));
        assert_eq!((read.accept, read.compression, read.port), (default.accept, default.compression, default.port));
    }
}
