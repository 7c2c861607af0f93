//! Which kernel rows, and which of their cases, a command line means.

use crate::cli::UsageError;
use crate::similar::most_similar;
use kernels::{Row, Storage};
use reference::Operation;
use reference::cases::Case;
use std::collections::BTreeSet;

/// The rows that some filter is a part of, in the order of their tables; all of them without filters. A filter that is
/// a whole id, an operation, or an operation and a direction means that alone: `relu` is not `conv2d_relu`.
pub fn rows(filters: &[String]) -> Result<Vec<&'static dyn Row>, UsageError> {
    let all = || kernels::ops::all().iter().map(|row| &**row);
    let begins =
        |id: &str, filter: &str| id.strip_prefix(filter).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let is_whole = |filter: &str| all().any(|row| begins(row.id(), filter));
    let matches = |filter: &str, row: &dyn Row| match is_whole(filter) {
        true => begins(row.id(), filter),
        false => row.id().contains(filter),
    };
    if let Some(filter) = filters.iter().find(|filter| !all().any(|row| matches(filter, row))) {
        let names: BTreeSet<&str> = all().flat_map(names).collect();
        let suggestion = most_similar(filter, names).map(str::to_owned);
        return Err(UsageError::UnknownKernel { filter: filter.clone(), suggestion });
    }
    Ok(all().filter(|row| filters.is_empty() || filters.iter().any(|filter| matches(filter, *row))).collect())
}

/// The one row that is meant: a whole id, or a part that no other id has. One that stores f16 has to be called so.
pub fn one(name: &str) -> Result<&'static dyn Row, UsageError> {
    let mut rows = rows(&[name.to_owned()])?;
    if !name.contains("f16") && rows.iter().any(|row| row.storage() == Storage::F32) {
        rows.retain(|row| row.storage() == Storage::F32);
    }
    match rows[..] {
        [row] => Ok(row),
        _ => {
            let ids: Vec<&str> = rows.iter().map(|row| row.id()).collect();
            Err(UsageError::ManyKernels { filter: name.to_owned(), ids: ids.join(", ") })
        }
    }
}

/// The cases that a row accepts, or the one called `case`.
pub fn cases_of(row: &'static dyn Row, case: Option<&str>) -> Result<Vec<Case>, UsageError> {
    let mut cases: Vec<Case> = with_cases(&[row], case)?.into_iter().flat_map(|chosen| chosen.cases).collect();
    let refusal = cases.iter().find_map(|case| row.accepts(&*case.op).err());
    cases.retain(|case| row.accepts(&*case.op).is_ok());
    match (cases.is_empty(), refusal) {
        (true, refusal) => {
            let reason = refusal.map_or_else(|| "it has no cases".to_owned(), |error| error.to_string());
            Err(UsageError::NoCase { row: row.id(), reason })
        }
        (false, _) => Ok(cases),
    }
}

/// The names of the cases that a row accepts.
pub fn case_names(row: &'static dyn Row) -> Vec<String> {
    cases_of(row, None).unwrap_or_default().into_iter().map(|case| case.name).collect()
}

/// Of the cases that a row accepts the one with the most work, or the one called `case`.
pub fn case_of(row: &'static dyn Row, case: Option<&str>) -> Result<Case, UsageError> {
    let cases = cases_of(row, case)?;
    let heaviest = cases.into_iter().max_by_key(|case| work(row, &*case.op));
    heaviest.ok_or_else(|| UsageError::NoCase { row: row.id(), reason: "it has no cases".to_owned() })
}

/// Floating-point operations of a launch, and bytes that it has to move.
pub fn work(row: &dyn Row, op: &dyn Operation) -> (u64, u64) {
    (op.flops(row.direction()), row.storage().bytes(op, row.direction()))
}

/// What a row could have been meant by: `conv2d`, `conv2d.fwd`, `conv2d.fwd.tiled`, `tiled`.
fn names(row: &'static dyn Row) -> Vec<&'static str> {
    let id = row.id();
    let dots = id.match_indices('.').map(|(at, _)| at);
    let after = id.rfind('.').map(|at| &id[at + 1..]);
    dots.map(|at| &id[..at]).chain([id]).chain(after).collect()
}

/// An operation with the chosen ones of its rows and cases.
#[derive(Debug)]
pub struct Chosen {
    /// The operation's name.
    pub op: &'static str,
    /// Never empty.
    pub rows: Vec<&'static dyn Row>,
    /// Never empty.
    pub cases: Vec<Case>,
}

/// The rows by operation, with all cases of that, or with the one called `case`.
pub fn with_cases(rows: &[&'static dyn Row], case: Option<&str>) -> Result<Vec<Chosen>, UsageError> {
    let mut chosen: Vec<Chosen> = reference::ops::ALL
        .iter()
        .map(|entry| {
            let rows = rows.iter().copied().filter(|row| row.op() == entry.name).collect();
            Chosen { op: entry.name, rows, cases: (entry.cases)() }
        })
        .collect();
    chosen.retain(|chosen| !chosen.rows.is_empty());
    if let Some(name) = case {
        let known: BTreeSet<String> = chosen.iter().flat_map(|c| &c.cases).map(|case| case.name.clone()).collect();
        if !known.contains(name) {
            let suggestion = most_similar(name, known.iter().map(String::as_str)).map(str::to_owned);
            let known = match &chosen[..] {
                [one] => {
                    let names: Vec<&str> = one.cases.iter().map(|case| case.name.as_str()).collect();
                    format!("there are {}", names.join(", "))
                }
                // Hundreds, of which most belong to other operations.
                _ => "each operation has its own, `trainer kernels show ROW` lists them".to_owned(),
            };
            return Err(UsageError::UnknownCase { case: name.to_owned(), suggestion, known });
        }
        chosen.iter_mut().for_each(|chosen| chosen.cases.retain(|case| case.name == name));
        chosen.retain(|chosen| !chosen.cases.is_empty());
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(filters: &[&str]) -> Result<Vec<&'static str>, String> {
        let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        rows(&filters).map(|rows| rows.iter().map(|row| row.id()).collect()).map_err(|error| error.to_string())
    }

    fn one_row(name: &str) -> Vec<&'static dyn Row> {
        vec![one(name).unwrap()]
    }

    #[test]
    fn filters_are_parts_of_ids_and_add_up() {
        assert_eq!(ids(&[]).unwrap().len(), kernels::ops::all().len());
        assert_eq!(
            ids(&["dropout.fwd"]).unwrap(),
            ["dropout.fwd.naive", "dropout.fwd.vec4", "dropout.fwd.naive_f16", "dropout.fwd.vec4_f16"]
        );
        assert!(ids(&["relu.fw"]).unwrap().contains(&"conv2d_relu.fwd.naive"));
        assert_eq!(ids(&["dropout.fwd.vec4", "dropout.fwd.naive", "opout.fwd.vec4"]).unwrap().len(), 3);
        // Part of `avg_pool2d.bwd_input.disjoint_vec4`, too.
        assert_eq!(ids(&["avg_pool2d.bwd_input.disjoint"]).unwrap(), ["avg_pool2d.bwd_input.disjoint"]);
        assert!(ids(&["naive"]).unwrap().len() > 10);
        assert_eq!(ids(&["relu.fwd.vec4_f16"]).unwrap(), ["relu.fwd.vec4_f16"]);
        assert_eq!(one("opout.fwd.naiv").unwrap().id(), "dropout.fwd.naive");
        assert_eq!(one("dropout.fwd.naive_f").unwrap().id(), "dropout.fwd.naive_f16");
        assert!(ids(&["f16"]).unwrap().iter().all(|id| id.contains("_f16")));
    }

    #[test]
    fn a_filter_that_matches_nothing_is_refused() {
        for (filter, suggestion) in [
            ("conv2", None),
            ("conv3d", Some("conv2d")),
            ("conv2d.forward", None),
            ("relu.fwd.vec", None),
            ("relu.fw.vec4", Some("relu.fwd.vec4")),
            ("tild", Some("tiled")),
        ] {
            match (ids(&["relu", filter]), suggestion) {
                (Ok(_), None) => {}
                (Err(error), Some(name)) => assert!(error.contains(&format!("did you mean `{name}`?")), "{error}"),
                (Err(error), None) => assert!(!error.contains("did you mean"), "{error}"),
                (Ok(rows), Some(_)) => panic!("{filter} matches {rows:?}"),
            }
        }
        assert!(ids(&["conv2d.forward"]).is_err());
        assert!(ids(&[""]).is_ok(), "an empty filter is part of everything");
    }

    #[test]
    fn one_row_is_meant_by_its_id_or_by_a_part_that_is_its_own() {
        let one = |name: &str| one(name).map(Row::id).map_err(|error| error.to_string());
        assert_eq!(one("relu.fwd.vec4").as_deref(), Ok("relu.fwd.vec4"));
        assert_eq!(one("multi_class_hinge.fwd.single").as_deref(), Ok("multi_class_hinge.fwd.single_group"));
        let several = one("relu.fwd").unwrap_err();
        assert!(several.starts_with("`relu.fwd` could be any of ") && several.contains("relu.fwd.vec4"), "{several}");
        assert!(one("relu.fwd.vec5").unwrap_err().contains("did you mean `relu.fwd.vec4`?"));
    }

    #[test]
    fn the_case_with_the_most_work_is_chosen() {
        let row = one("relu.fwd.vec4").unwrap();
        let case = case_of(row, None).unwrap();
        assert!(cases_of(row, None).unwrap().iter().all(|other| work(row, &*other.op) <= work(row, &*case.op)));
        assert_eq!(case_of(row, Some("plain-4")).unwrap().name, "plain-4");
        let error = case_of(row, Some("plain-5")).unwrap_err().to_string();
        assert!(error.contains("relu.fwd.vec4") && error.contains("no multiple of 4"), "{error}");
        assert!(case_of(row, Some("plain-45")).is_err());
    }

    #[test]
    fn a_case_is_chosen_by_its_name() {
        let rows = rows(&["relu".to_owned(), "dense".to_owned()]).unwrap();
        let all = with_cases(&rows, None).unwrap();
        assert_eq!(all.iter().map(|chosen| chosen.op).collect::<Vec<_>>(), ["dense", "relu"]);
        let name = all[1].cases[2].name.clone();
        let one = with_cases(&rows, Some(&name)).unwrap();
        assert_eq!((one.len(), one[0].op, one[0].cases.len()), (1, "relu", 1));
        let error = with_cases(&rows, Some(&format!("{name}x"))).unwrap_err();
        assert!(error.to_string().contains("did you mean"), "{error}");
        // Nothing like it: all there are, where that is one operation's.
        let error = with_cases(&one_row("relu.fwd.naive"), Some("nonsense")).unwrap_err().to_string();
        assert!(error.contains("no such case; there are ") && error.contains(&format!(" {name},")), "{error}");
        let error = with_cases(&rows, Some("nonsense")).unwrap_err().to_string();
        assert!(error.ends_with("each operation has its own, `trainer kernels show ROW` lists them"), "{error}");
    }
}
