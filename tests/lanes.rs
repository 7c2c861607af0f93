//! The same kernel with its work dealt to other lanes.
//!
//! Invocations of one subgroup run in lock-step, so a barrier between them that is missing does no
//! harm there, and shows on another adapter. Here the lanes trade places: those whose numbers
//! differ in a low bit end up in different subgroups. A kernel whose barriers are all there does
//! not notice.

/// Gives the work of lane `l` to the lane with the bits of `l` in reverse. Needs a power of 2.
const DEAL: &str = "\
fn deal(lane: u32, lanes: u32) -> u32 {
    return reverseBits(lane) >> (32u - firstTrailingBit(lanes));
}
";

const BUILTIN: &str = "@builtin(local_invocation_index) lane: u32";

/// The shader with its lanes shuffled, or nothing if none of its entry points asks for
/// `local_invocation_index`.
pub fn shuffled(text: &str) -> Option<String> {
    let mut parts = text.split("@workgroup_size(");
    let mut whole = format!("{DEAL}{}", parts.next()?);
    let mut found = false;
    for part in parts {
        let (size, rest) = part.split_once(')')?;
        let (head, body) = rest.split_once("{\n")?;
        whole += &format!("@workgroup_size({size})");
        if head.contains(BUILTIN) {
            let head = head.replace(BUILTIN, "@builtin(local_invocation_index) dealt: u32");
            whole += &format!("{head}{{\n    let lane = deal(dealt, {size});\n{body}");
            found = true;
        } else {
            whole += &format!("{head}{{\n{body}");
        }
    }
    found.then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_the_lane_and_deals_it() {
        let text =
            "@compute @workgroup_size(SIZE)\nfn f(@builtin(local_invocation_index) lane: u32) {\n    g(lane);\n}\n";
        let expected = format!(
            "{DEAL}@compute @workgroup_size(SIZE)\nfn f(@builtin(local_invocation_index) dealt: u32) {{\n    \
             let lane = deal(dealt, SIZE);\n    g(lane);\n}}\n"
        );
        assert_eq!(shuffled(text), Some(expected));
        assert_eq!(shuffled("@compute @workgroup_size(1)\nfn f() {\n}\n"), None);
    }
}
