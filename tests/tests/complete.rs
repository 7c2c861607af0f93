//! Nothing is missing: every operation has kernels, cases, error cases and documentation in its six parts, every
//! kernel a header in its parts. (That every shader belongs to a row and agrees with it is tested in `kernels`, that every
//! operation has fixtures in `fixtures.rs`, planted bugs in `broken_kernels.rs`.)

use kernels::Storage;
use reference::Direction;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_operation_is_complete() {
    let mut missing = Vec::new();
    for entry in reference::ops::ALL {
        let name = entry.name;
        let mut need = |there: bool, what: &str| {
            if !there {
                missing.push(format!("{name} has no {what}"));
            }
        };
        let cases = (entry.cases)();
        need(cases.len() >= 5, "five cases");
        need(!(entry.errors)().is_empty(), "error cases");
        need(cases.iter().all(|case| case.op.name() == name), "cases of its own");

        let source = root().join(format!("crates/reference/src/ops/{name}.rs"));
        let source = std::fs::read_to_string(source).unwrap_or_default();
        // The formula comes first, then the other five, in the documentation of the descriptor.
        let before_shapes = source.lines().take_while(|line| !line.starts_with("/// - Shapes: "));
        let docs: Vec<&str> =
            before_shapes.collect::<Vec<_>>().into_iter().rev().take_while(|line| line.starts_with("///")).collect();
        need(docs.iter().any(|line| line.contains('`')), "formula in its documentation");
        // What `cargo xtask new-op` leaves to a person.
        if let Some(line) = source.lines().find(|line| line.contains("FILL IN")) {
            need(false, &format!("sentence yet for `{}`", line.trim_start_matches(['/', '!', ' '])));
        }
        for part in ["Shapes", "Writes", "Numerics", "Errors", "Source"] {
            need(source.contains(&format!("/// - {part}: ")), &format!("`{part}` in its documentation"));
        }

        for &direction in cases.first().map_or(&[][..], |case| case.op.directions()) {
            let rows = kernels::ops::all().iter().filter(|row| row.op() == name && row.direction() == direction);
            let rows: Vec<_> = rows.filter(|row| row.storage() == Storage::F32).collect();
            let first = rows.first().map_or("", |row| row.id());
            need(first == format!("{name}.{direction}.naive"), &format!("naive kernel first for {direction}"));
            // One invocation counts a step; there is nothing to do better.
            let one_is_enough = name == "schedule" && direction == Direction::Update;
            need(rows.len() > 1 || one_is_enough, &format!("better kernel for {direction}"));
        }
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

#[test]
fn every_kernel_has_a_header_in_its_parts() {
    for row in kernels::ops::all() {
        let source = row.source();
        let header: Vec<&str> = source.text.lines().take_while(|line| line.starts_with("//")).collect();
        let header = header.join("\n");
        // A row that stores f16 has the shader of the one that stores f32, and one of some stages that of all stages.
        let id = row.shader_of().or(row.id().strip_suffix(row.storage().suffix())).unwrap_or_default();
        assert!(header.starts_with(&format!("// {id}: ")), "{} does not open with id and formula", source.path);
        for part in ["// Idea", "// Writes: ", "// Dispatch: ", "// Shared memory: ", "Barriers: "] {
            assert!(header.contains(part), "{} has no `{part}` in its header", source.path);
        }
    }
}
