//! What every operation must have, and refuse.

use super::ALL;
use crate::{Access, Array, DType, Direction, Error, Operation, Random};
use std::collections::BTreeSet;

const DIRECTIONS: [Direction; 5] =
    [Direction::Fwd, Direction::BwdInput, Direction::BwdWeight, Direction::BwdBias, Direction::Update];

#[test]
fn cases_are_possible_and_named() {
    for entry in ALL {
        let cases = (entry.cases)();
        assert!(cases.len() >= 10, "{} has {} cases", entry.name, cases.len());
        let mut names = BTreeSet::new();
        for case in &cases {
            let name = case.name.as_str();
            assert_eq!(case.op.name(), entry.name, "`{name}` is of another operation");
            assert!(names.insert(name), "{} has two cases `{name}`", entry.name);
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            assert!(name.chars().all(plain), "`{name}` would need quotes on a command line");
        }
    }
}

#[test]
fn impossible_sizes_are_refused_by_name() {
    let mut failures = Vec::new();
    for entry in ALL {
        let errors = (entry.errors)();
        assert!(errors.len() >= 4, "{} has {} error cases", entry.name, errors.len());
        let names: BTreeSet<_> = errors.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), errors.len(), "{} has two error cases of one name", entry.name);
        failures.extend(errors.iter().filter_map(|case| case.check(entry.name).err()));
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn random_problems_repeat_vary_and_stay_small() {
    for entry in ALL {
        let draw = |seed| (entry.random)(&mut Random::new(seed, entry.name));
        let problems: Vec<_> = (0..1000).filter_map(draw).collect();
        // A test that draws until there is one must not draw for long.
        assert!(problems.len() >= 200, "{}: {} of 1000 draws are problems", entry.name, problems.len());
        let distinct: BTreeSet<_> = problems.iter().map(|op| format!("{op:?}")).collect();
        assert!(distinct.len() >= problems.len() / 3, "{}: only {} differ", entry.name, distinct.len());
        for (seed, op) in (0..1000).filter_map(|seed| Some((seed, draw(seed)?))).take(20) {
            assert_eq!(format!("{:?}", draw(seed)), format!("{:?}", Some(op)));
        }
        for op in problems {
            assert_eq!(op.name(), entry.name);
            for &direction in op.directions() {
                let elements: usize = op.signature(direction).iter().map(|arg| arg.spec.len()).sum();
                assert!(elements <= 65_536 && op.flops(direction) <= 1 << 20, "{op:?} is too large for a random test");
            }
        }
    }
}

/// One array for each argument: those that are read, and those that are written.
fn arguments(op: &dyn Operation, direction: Direction) -> [Vec<Array<f32>>; 2] {
    let signature = op.signature(direction);
    let (reads, writes): (Vec<_>, Vec<_>) = signature.iter().partition(|arg| arg.access == Access::Read);
    [reads, writes].map(|args| args.into_iter().map(|arg| Array::zeros(&arg.spec)).collect())
}

fn run(
    op: &dyn Operation,
    direction: Direction,
    inputs: &[Array<f32>],
    outputs: &mut [Array<f32>],
) -> Result<(), Error> {
    let inputs: Vec<_> = inputs.iter().collect();
    op.run(direction, &inputs, &mut outputs.iter_mut().collect::<Vec<_>>())
}

/// The arguments a direction must not accept, each with the word its message must name.
fn wrong_arguments(op: &dyn Operation, direction: Direction) -> Vec<(&'static str, [Vec<Array<f32>>; 2])> {
    let right = arguments(op, direction);
    let mut wrong = Vec::new();
    for side in 0..2 {
        let mut more = right.clone();
        more[side].push(Array::Real(vec![0.0]));
        wrong.push(("number", more));
        let signature = op.signature(direction);
        let args = signature.iter().filter(|arg| (arg.access == Access::Read) == (side == 0));
        for (index, arg) in args.enumerate() {
            let (dtype, len) = (arg.spec.dtype, arg.spec.len());
            let of = |dtype, len| match dtype {
                DType::Real => Array::Real(vec![0.0; len]),
                DType::Index => Array::Index(vec![0; len]),
            };
            let other = if dtype == DType::Real { DType::Index } else { DType::Real };
            for array in [of(dtype, len + 1), of(dtype, len - 1), of(other, len)] {
                let mut replaced = right.clone();
                replaced[side][index] = array;
                wrong.push((arg.name, replaced));
            }
            let mut fewer = right.clone();
            fewer[side].remove(index);
            wrong.push(("number", fewer));
        }
    }
    wrong
}

#[test]
fn wrong_arguments_are_refused() {
    for entry in ALL {
        let cases = (entry.cases)();
        let elements = |op: &dyn Operation| -> usize {
            op.directions().iter().flat_map(|d| op.signature(*d)).map(|arg| arg.spec.len()).sum()
        };
        // The smallest that has no two tensors of one size to confuse would do; two are enough.
        let mut cases: Vec<_> = cases.iter().map(|case| &*case.op).collect();
        cases.sort_by_key(|op| elements(*op));
        for op in [cases[0], cases[cases.len() / 2]] {
            for direction in DIRECTIONS {
                let known = op.directions().contains(&direction);
                let [inputs, mut outputs] = arguments(op, direction);
                let outcome = run(op, direction, &inputs, &mut outputs);
                assert_eq!(outcome.is_ok(), known, "{op:?} {direction}: {outcome:?}");
                if !known {
                    assert!(outcome.is_err_and(|e| e.to_string().contains(direction.name())));
                    continue;
                }
                for (name, [inputs, mut outputs]) in wrong_arguments(op, direction) {
                    let before = outputs.clone();
                    let error = match run(op, direction, &inputs, &mut outputs) {
                        Ok(()) => panic!("{op:?} {direction} accepts a wrong `{name}`"),
                        Err(error) => error.to_string(),
                    };
                    assert!(error.starts_with(&format!("{}: ", entry.name)), "{error}");
                    assert!(error.contains(name) && error.contains(direction.name()), "{error}");
                    assert_eq!(outputs, before, "{op:?} {direction} writes before it refuses");
                }
            }
        }
    }
}
