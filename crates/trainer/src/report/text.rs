//! Numbers and names as a page shows them.

/// Replaces what must not reach a reader: control characters, which also no XML parser takes, and marks that turn the
/// direction of a text. Names come from files that anybody may have written.
pub fn harmless(text: &str) -> String {
    let harmful = |c: char| {
        let direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let not_a_character = matches!(c, '\u{fffe}' | '\u{ffff}');
        (c.is_control() && c != '\n' && c != '\t') || direction || not_a_character
    };
    text.replace("\r\n", "\n").replace(harmful, "\u{fffd}")
}

/// With four decimals, as in the messages of a run; a dash if there is no number.
pub fn loss(loss: Option<f64>) -> String {
    loss.map_or_else(|| "–".to_owned(), |loss| format!("{loss:.4}"))
}

/// In percent; a dash if there is no number.
pub fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), crate::evaluation::percent)
}

/// `12.5 s`, `2:05 min`, `1:30 h`
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        0..3600 => format!("{}:{:02} min", whole / 60, whole % 60),
        _ => format!("{}:{:02} h", whole / 3600, whole / 60 % 60),
    }
}

/// Where the true accuracy lies in 95 of 100 cases, if `images` were drawn at random (Wilson's interval).
pub fn interval(accuracy: f64, images: u64) -> Option<(f64, f64)> {
    const Z: f64 = 1.959_964;
    if images == 0 {
        return None;
    }
    let n = images as f64;
    let (centre, scale) = ((accuracy + Z * Z / (2.0 * n)), 1.0 + Z * Z / n);
    let half = Z * (accuracy * (1.0 - accuracy) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some((((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0)))
}

/// `1 image`, `2 images`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", crate::network::thousands(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_do_harm_is_replaced() {
        assert_eq!(harmless("a\u{0}b\u{1b}[31m\u{202e}c\r\nd\te\u{ffff}\r"), "a�b�[31m�c\nd\te��");
        assert_eq!(harmless("Zürich – 漢字 🙂"), "Zürich – 漢字 🙂");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!((loss(Some(0.123_45)), loss(None)), ("0.1235".into(), "–".into()));
        assert_eq!(
            [0.04, 59.94, 61.0, 3600.0, 7384.0].map(duration),
            ["0.0 s", "59.9 s", "1:01 min", "1:00 h", "2:03 h"]
        );
        assert_eq!((count(1, "run", "runs"), count(2000, "run", "runs")), ("1 run".into(), "2,000 runs".into()));
    }

    #[test]
    fn the_interval_is_wilsons() {
        // 81 of 263, from Newcombe's comparison of methods (1998): 0.2553 to 0.3662.
        let (low, high) = interval(81.0 / 263.0, 263).unwrap();
        assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5, "{low} {high}");
        let (low, high) = interval(1.0, 10).unwrap();
        assert!(low < 0.8 && (1.0 - high).abs() < 1e-9 && high <= 1.0);
        assert_eq!(interval(0.5, 0), None);
    }
}
