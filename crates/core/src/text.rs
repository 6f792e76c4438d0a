//! Control characters (design 10, `contracts/cmsi.md` decision 8): in subjects and names they become one space, in addresses
//! and identifiers they are refused, in content they are dropped where no text may hold them.

/// Folds each run of CR, LF and TAB to one space.
///
/// # Errors
/// The first other control character (C0, DEL, C1), which no subject or name may hold.
pub fn fold_line(text: &str) -> Result<String, char> {
    let mut folded = String::with_capacity(text.len());
    let mut in_run = false;
    for c in text.chars() {
        match c {
            '\r' | '\n' | '\t' => {
                if !in_run {
                    folded.push(' ');
                }
                in_run = true;
            }
            c if c.is_control() => return Err(c),
            c => {
                folded.push(c);
                in_run = false;
            }
        }
    }
    Ok(folded)
}

/// Drops NUL and the other control characters except TAB, LF and CR from content.
pub fn clean_content(text: String) -> String {
    if text.chars().any(is_stray) { text.chars().filter(|c| !is_stray(*c)).collect() } else { text }
}

fn is_stray(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r')
}

/// Whether `text` holds any control character, so that it can be no address and no identifier.
pub fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_line_breaks_and_refuses_the_rest() {
        assert_eq!(fold_line("a\r\nBcc: x\ty"), Ok("a Bcc: x y".to_owned()));
        assert_eq!(fold_line("a\0b"), Err('\0'));
        assert_eq!(fold_line("a\u{85}b"), Err('\u{85}'));
        assert_eq!(fold_line("鸿雁 %0d%0a"), Ok("鸿雁 %0d%0a".to_owned()));
    }

    #[test]
    fn content_keeps_its_lines_and_loses_nul() {
        assert_eq!(clean_content("a\0b\r\n\tc\u{7f}".to_owned()), "ab\r\n\tc");
    }
}
