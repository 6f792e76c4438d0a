//! CSV as it arrives (RFC 4180): rows one by one, each with the line on which it begins, and never more of the file in memory than
//! one row.

use std::io::{self, Read};

use csv::StringRecord;
use hongyan_core::limits::DIRECTORY_ROW_BYTES_MAX;

/// The rows of a file.
pub(super) struct Table<R> {
    reader: csv::Reader<Lines<R>>,
    row: StringRecord,
}

/// What ended the reading of a file before its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// On which line.
    pub line: u64,
    /// Why, in words.
    pub why: String,
}

impl<R: Read> Table<R> {
    pub fn new(file: R) -> Self {
        let lines = Lines { file, held: None, end: End::Open, is_first: true, since_row: 0 };
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(lines);
        Self { reader, row: StringRecord::new() }
    }

    /// The next row that is not blank, and the line on which it begins, the first being 1.
    ///
    /// # Errors
    /// When the rest of the file is not to be read as rows.
    pub fn next(&mut self) -> Result<Option<(u64, &StringRecord)>, Broken> {
        loop {
            let begin = self.reader.position().line();
            match self.reader.read_record(&mut self.row) {
                Ok(false) => return Ok(None),
                Ok(true) => {}
                Err(error) => {
                    let why = match error.into_kind() {
                        csv::ErrorKind::Utf8 { .. } => "it is not UTF-8; save it as CSV UTF-8".to_owned(),
                        csv::ErrorKind::Io(error) => error.to_string(),
                        _ => "it is not CSV".to_owned(),
                    };
                    return Err(Broken { line: begin, why });
                }
            }
            self.reader.get_mut().since_row = 0;
            if self.row.iter().any(|cell| !cell.trim().is_empty()) {
                break;
            }
        }
        // Every row ends with a line feed by now; those within its cells are counted, too.
        let within: usize = self.row.iter().map(|cell| cell.bytes().filter(|byte| *byte == b'\n').count()).sum();
        Ok(Some((self.reader.position().line() - 1 - within as u64, &self.row)))
    }
}

/// The file with line feeds alone at the ends of its lines, the last one included, so that lines are counted alike whoever wrote
/// them, and without the mark that says that it is UTF-8. Refuses a row that does not end.
struct Lines<R> {
    file: R,
    /// A carriage return of which it is not yet known whether it ends a line.
    held: Option<u8>,
    end: End,
    is_first: bool,
    /// Bytes handed out since a row was whole.
    since_row: usize,
}

#[derive(PartialEq, Eq)]
enum End {
    /// More may follow, the last byte being another one than a line feed.
    Open,
    /// More may follow, the last byte being a line feed.
    Line,
    /// Nothing follows.
    Over,
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // The reader asks for thousands of bytes; two are needed for what was held back.
        if into.len() < 2 || self.end == End::Over {
            return Ok(0);
        }
        if self.since_row > DIRECTORY_ROW_BYTES_MAX {
            return Err(io::Error::other(format!(
                "a row is longer than {} KiB: is a quotation mark not closed?",
                DIRECTORY_ROW_BYTES_MAX / 1024
            )));
        }
        loop {
            let mut raw = [0; 8 * 1024];
            let room = raw.len().min(into.len() - 1);
            let size = self.file.read(&mut raw[..room])?;
            let written = if size == 0 { self.finish(into) } else { self.pass(&raw[..size], into) };
            if written > 0 || self.end == End::Over {
                self.since_row += written;
                return Ok(written);
            }
        }
    }
}

impl<R> Lines<R> {
    fn pass(&mut self, raw: &[u8], into: &mut [u8]) -> usize {
        let raw =
            if std::mem::take(&mut self.is_first) { raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw) } else { raw };
        let mut written = 0;
        for byte in raw {
            if let Some(held) = self.held.take()
                && *byte != b'\n'
            {
                into[written] = held;
                written += 1;
            }
            if *byte == b'\r' {
                self.held = Some(b'\r');
            } else {
                into[written] = *byte;
                written += 1;
            }
        }
        if written > 0 {
            self.end = if into[written - 1] == b'\n' { End::Line } else { End::Open };
        }
        written
    }

    fn finish(&mut self, into: &mut [u8]) -> usize {
        let is_open = self.end == End::Open;
        self.end = End::Over;
        if is_open {
            into[0] = b'\n';
        }
        usize::from(is_open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a few bytes at a time, as a network does.
    struct Slow<'t>(&'t [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(into.len()).min(self.0.len());
            let (head, tail) = self.0.split_at(size);
            into[..size].copy_from_slice(head);
            self.0 = tail;
            Ok(size)
        }
    }

    fn rows(text: &str, step: usize) -> Vec<(u64, Vec<String>)> {
        let mut table = Table::new(Slow(text.as_bytes(), step));
        let mut rows = Vec::new();
        while let Some((line, row)) = table.next().expect("CSV") {
            rows.push((line, row.iter().map(str::to_owned).collect()));
        }
        rows
    }

    #[test]
    fn each_row_begins_on_its_line_whoever_wrote_the_file() {
        let text = "code,name\na,\"A\nB\nC\"\n\n\n,\nb,\"say \"\"hi\"\"\"\nc,x";
        let wanted = [(1, "name"), (2, "A\nB\nC"), (8, "say \"hi\""), (9, "x")];
        let wanted: Vec<_> = wanted.into_iter().map(|(line, cell)| (line, cell.to_owned())).collect();
        for text in [text.to_owned(), text.replace('\n', "\r\n"), format!("\u{feff}{text}\r\n"), format!("{text}\n\n")]
        {
            for step in [1, 2, 3, 7, 8 * 1024] {
                // The mark is there whole or not at all: the first bytes come together.
                let step = if text.starts_with('\u{feff}') { step.max(3) } else { step };
                let found: Vec<_> = rows(&text, step).into_iter().map(|(line, row)| (line, row[1].clone())).collect();
                assert_eq!(found, wanted, "{step} {text:?}");
            }
        }
        assert!(rows("", 1).is_empty() && rows("\r\n\r\n", 1).is_empty());
        assert_eq!(rows("a\rb", 1).len(), 2, "a carriage return alone ends a row, too");
    }

    #[test]
    fn what_is_no_list_is_said_with_its_line() {
        let broken = |text: &[u8]| {
            let mut table = Table::new(text);
            loop {
                match table.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(broken) => return Some(broken),
                }
            }
        };
        let latin = broken(b"code\na\n\xd6\xd0\n").expect("not UTF-8");
        assert!(latin.line == 3 && latin.why.contains("UTF-8"), "{latin:?}");
        let open = format!("code\n\"a\n{}", "b\n".repeat(DIRECTORY_ROW_BYTES_MAX));
        let open = broken(open.as_bytes()).expect("a row without an end");
        assert!(open.line == 2 && open.why.contains("quotation mark"), "{open:?}");
        let long = format!("code\n{}", format!("{}\n", "b".repeat(1_000)).repeat(2_000));
        assert_eq!(broken(long.as_bytes()), None, "rows that end are not added up");
    }
}
