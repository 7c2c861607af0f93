//! Text that a stranger wrote, made fit for a terminal.

/// Longer pieces of a stranger's text say nothing more.
const LONGEST: usize = 300;

/// On one line, without terminal codes, and not too long.
pub fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if plain.len() >= LONGEST {
            plain.push('…');
            break;
        }
        if c.is_control() {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_the_rest_is_kept() {
        assert_eq!(plain("lr = \"é\"; `x`"), "lr = \"é\"; `x`");
        assert_eq!(plain("a\u{1b}[31m\nb\u{9b}"), r"a\u{1b}[31m\nb\u{9b}");
        assert_eq!(plain(&"é".repeat(1000)).chars().count(), LONGEST / 2 + 1);
    }
}
