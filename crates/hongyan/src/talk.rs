//! What the program says to the person at the terminal: standard error, for standard output is data.

use std::io::{self, Write};

/// Says one line; when nobody can hear it, there is nobody to tell.
pub fn say(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}
