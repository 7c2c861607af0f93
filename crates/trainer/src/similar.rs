//! "Did you mean …?" for names that do not exist.

/// The candidate that takes the fewest edits, if they are few: two at most, and less than half of the name.
pub fn most_similar<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let candidates = candidates.into_iter().map(|candidate| (edits(&name, candidate), candidate));
    candidates
        .min()
        .filter(|&(edits, _)| edits <= 2 && 2 * edits < name.chars().count())
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, distance) in
            [("", "", 0), ("abc", "", 3), ("abc", "abd", 1), ("lenet", "lenet5", 1), ("ab", "ba", 2)]
        {
            assert_eq!(edits(a, b), distance, "{a} {b}");
        }
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let names = ["conv2d.fwd", "conv2d.fwd.tiled", "dense"];
        assert_eq!(most_similar("Conv2D.fwd.tilde", names), Some("conv2d.fwd.tiled"));
        assert_eq!(most_similar("conv2.fwd", names), Some("conv2d.fwd"));
        assert_eq!(most_similar("pooling", names), None);
        assert_eq!(most_similar("foo", ["row"]), None);
        assert_eq!(most_similar("foo", ["fo", "row"]), Some("fo"));
        assert_eq!(most_similar("x", []), None);
    }
}
