//! The MIME type of an attachment (`contracts/cmsi.md` decision 6): of an image by its bytes, of anything else by what its type or name ends in.

/// What nothing better is known of.
const UNKNOWN: &str = "application/octet-stream";

/// Suffixes in lower case with their types, sorted.
const BY_SUFFIX: [(&str, &str); 52] = [
    ("7z", "application/x-7z-compressed"),
    ("avi", "video/x-msvideo"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("conf", "text/plain"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("eml", UNKNOWN),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("ics", "text/calendar"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("log", "text/plain"),
    ("md", "text/markdown"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ogg", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("rar", "application/vnd.rar"),
    ("rtf", "application/rtf"),
    ("sql", "application/sql"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("tsv", "text/tab-separated-values"),
    ("txt", "text/plain"),
    ("vcf", "text/vcard"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("zip", "application/zip"),
];

/// What follows the last dot of a file name; the whole name where there is none.
pub fn suffix(filename: &str) -> &str {
    filename.rsplit('.').next().unwrap_or(filename)
}

/// The type of an image by its first bytes; what is none is sent as it is.
pub fn of_image(bytes: &[u8]) -> &'static str {
    match infer::get(bytes) {
        Some(found) if found.matcher_type() == infer::MatcherType::Image => found.mime_type(),
        _ => UNKNOWN,
    }
}

/// The type of any other file: what the caller called it, a suffix or a whole type, or else the suffix of its name.
pub fn of_file(kind: &str, filename: &str) -> &'static str {
    by_suffix(kind).or_else(|| by_name(kind)).or_else(|| by_suffix(suffix(filename))).unwrap_or(UNKNOWN)
}

fn by_suffix(suffix: &str) -> Option<&'static str> {
    let suffix = suffix.to_ascii_lowercase();
    BY_SUFFIX.binary_search_by_key(&&*suffix, |(known, _)| known).ok().map(|n| BY_SUFFIX[n].1)
}

/// A type that is in the table. Others are not taken over: a `multipart` or `message` part is no file.
fn by_name(name: &str) -> Option<&'static str> {
    BY_SUFFIX.into_iter().map(|(_, mime)| mime).find(|mime| mime.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        assert!(BY_SUFFIX.is_sorted(), "the search needs order");
        assert_eq!(of_file("PDF", "x"), "application/pdf");
        assert_eq!(of_file("text/csv", "x"), "text/csv");
        assert_eq!(of_file("multipart/mixed", "a.txt"), "text/plain");
        assert_eq!(of_file("tar.gz", "a.tar.gz"), "application/gzip");
        assert_eq!(of_file("x", "x"), UNKNOWN);
        assert_eq!(of_image(b"\xff\xd8\xff\xe0"), "image/jpeg");
        assert_eq!(of_image(b"%PDF-1.4"), UNKNOWN);
        assert_eq!((suffix("a.b.png"), suffix("png"), suffix("a.")), ("png", "png", ""));
    }
}
