//! The connection string, read for what the client does not know of libpq's parameters: those are taken out of it, whichever
//! of its two forms it has, and the rest is the client's. What is said of a wrong one never repeats its values: one of them is
//! the password.

use tokio_postgres::Config;

use crate::trouble::words;

/// The parameters that are taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ours {
    pub sslmode: Option<String>,
    pub sslrootcert: Option<String>,
    pub target_session_attrs: Option<String>,
}

impl Ours {
    fn take(&mut self, key: &str, value: &str) -> bool {
        let place = match key {
            "sslmode" => &mut self.sslmode,
            "sslrootcert" => &mut self.sslrootcert,
            "target_session_attrs" => &mut self.target_session_attrs,
            _ => return false,
        };
        // As in libpq: empty is the same as absent, and the last one counts.
        *place = Some(value.to_owned()).filter(|value| !value.is_empty());
        true
    }
}

/// Reads a connection string.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn read(url: &str) -> Result<(Config, Ours), String> {
    let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    let (rest, ours) = match is_url {
        true => take_from_url(url)?,
        false => take_from_pairs(url),
    };
    let config: Config = rest.parse().map_err(|error| told(&error))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err("it names no host".to_owned());
    }
    let is_odd = |host: &tokio_postgres::config::Host| match host {
        tokio_postgres::config::Host::Tcp(name) => name.contains('@'),
        _ => false,
    };
    if config.get_hosts().iter().any(is_odd) {
        return Err("there is an @ in the name of a host: where the password has one, write it as %40".to_owned());
    }
    Ok((config, ours))
}

/// What the client says of a string that it does not understand, without what it quotes from it.
fn told(error: &tokio_postgres::Error) -> String {
    let words = words(error);
    let quoted = words.split('`').nth(1).unwrap_or_default();
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    match words.contains("unknown option") && !quoted.chars().all(is_name) {
        true => "it is neither a URL (postgres://user@host/database) nor pairs (host=… user=… dbname=…)".to_owned(),
        false => words,
    }
}

/// Everything after the host and the path, as the client cuts it: credentials end at the first `@`, the query begins at the
/// first `?` behind them.
fn take_from_url(url: &str) -> Result<(String, Ours), String> {
    let host = url.find('@').map_or(0, |at| at + 1);
    let mut ours = Ours::default();
    let Some(query) = url[host..].find('?').map(|at| host + at) else { return Ok((url.to_owned(), ours)) };
    let mut kept = Vec::new();
    for pair in url[query + 1..].split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !ours.take(key, &decode(value).ok_or_else(|| format!("{key:?} has a value that is not text"))?) {
            kept.push(pair);
        }
    }
    let separator = if kept.is_empty() { "" } else { "?" };
    Ok((format!("{}{separator}{}", &url[..query], kept.join("&")), ours))
}

fn decode(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}

/// `key = value` pairs; values may be quoted. Where the string is no such pairs, it is left to the client, which says so.
fn take_from_pairs(pairs: &str) -> (String, Ours) {
    let mut ours = Ours::default();
    let mut kept = String::new();
    let mut rest = pairs.trim_start();
    while !rest.is_empty() {
        let Some((key, value, after)) = first_pair(rest) else {
            kept.push_str(rest);
            break;
        };
        if !ours.take(key, &value) {
            kept.push_str(&rest[..rest.len() - after.len()]);
            kept.push(' ');
        }
        rest = after.trim_start();
    }
    (kept, ours)
}

/// The first pair, and what follows it.
fn first_pair(text: &str) -> Option<(&str, String, &str)> {
    let (key, value) = text.split_once('=')?;
    let value = value.trim_start();
    let is_quoted = value.starts_with('\'');
    let mut said = String::new();
    let mut letters = value.char_indices().skip(usize::from(is_quoted));
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' if is_quoted => return Some((key.trim_end(), said, &value[at + 1..])),
            space if space.is_whitespace() && !is_quoted => return Some((key.trim_end(), said, &value[at..])),
            '\\' => said.push(letters.next()?.1),
            other => said.push(other),
        }
    }
    (!is_quoted).then(|| (key.trim_end(), said, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_ours_out_of_both_forms() {
        let forms = [
            "postgres://u:p@h1:1,h2:2/d?sslmode=verify-full&application_name=x&sslrootcert=%2Fa%20b&target_session_attrs=any",
            "host=h1,h2 port=1,2 sslmode = verify-full user=u password=p dbname='d' application_name=x sslrootcert='/a b' \
             target_session_attrs=any",
        ];
        for form in forms {
            let (config, ours) = read(form).expect("is understood");
            assert_eq!(ours.sslmode.as_deref(), Some("verify-full"), "{form}");
            assert_eq!(ours.sslrootcert.as_deref(), Some("/a b"), "{form}");
            assert_eq!(ours.target_session_attrs.as_deref(), Some("any"), "{form}");
            assert_eq!((config.get_hosts().len(), config.get_ports()), (2, [1, 2].as_slice()), "{form}");
            assert_eq!(config.get_application_name(), Some("x"), "{form}");
            assert_eq!(config.get_dbname(), Some("d"), "{form}");
        }
    }

    #[test]
    fn keeps_passwords_whole() {
        for (form, password) in [
            ("postgres://u:p%3Fsslmode=x@h/d", "p?sslmode=x"),
            ("postgres://u:p?q=1@h/d?sslmode=require", "p?q=1"),
            (r"host=h user=u password='it\'s = sslmode=x' sslmode=require", "it's = sslmode=x"),
            (r"host=h user=u password=a\ b", "a b"),
        ] {
            let (config, _) = read(form).expect("is understood");
            assert_eq!(config.get_password(), Some(password.as_bytes()), "{form}");
        }
    }

    #[test]
    fn says_what_is_wrong_without_the_password() {
        for (form, says) in [
            ("postgres:/u:hunter2@h/d?sslmode=disable", "neither a URL"),
            ("u:hunter2@h/d?application_name=x", "neither a URL"),
            ("postgres://u:hun@ter2@h/d", "%40"),
            ("postgres://u:hunter2@h:port/d", "port"),
            ("postgres://u:hunter2@h/d?colour=red", "unknown option `colour`"),
            ("user=u password=hunter2", "no host"),
            ("host=h password='hunter2", "unterminated"),
            ("hunter2", "EOF"),
            ("", "no host"),
        ] {
            let Err(said) = read(form) else { panic!("{form} is refused") };
            assert!(said.contains(says), "{form}: {said}");
            assert!(!said.contains("hun") && !said.contains("ter2"), "{form}: {said}");
        }
    }
}
