//! Problem cases: an operation at sizes worth testing, under a name; and sizes it must refuse.
//!
//! Besides the edges of tiles and vectors, the tables hold the layers of these Fashion-MNIST
//! networks, at a batch that keeps the reference quick. `max2` is a pooling of 2x2 at stride 2.
//!
//! | name | network |
//! |---|---|
//! | `lenet5` | 6 and 16 filters of 5x5, the image padded to 32x32 |
//! | `depth2` `depth3` | 32, 64 and, in `depth3`, 128 filters of 3x3, padded, each of the first two with `max2` |
//! | `grid` | 32, 32 and 64 filters of 5x5, average pooling of 2x2 at stride 2 or of 4x4 at stride 3 with padding 1 |
//! | `shallow1` | 32 filters of 3x3, unpadded, `max2` |
//! | `deep4-valid` `deep4-same` | 32, 32, 64, 128 filters of 3x3, unpadded or padded, `max2` after the second and the fourth |
//! | `two-dense` | 32 filters of 3x3 padded, `max2`, 64 unpadded, `max2`, two hidden dense layers |
//! | `variant` | 32 and 64 filters of 3x3, unpadded, each with `max2` |

use crate::{Error, ErrorKind, Operation, TensorSpec};
use std::fmt::Write;
use std::sync::Arc;

/// One named problem.
#[derive(Clone, Debug)]
pub struct Case {
    /// Short and unique within the operation; letters, digits, dots and dashes.
    pub name: String,
    /// The operation at the case's sizes.
    pub op: Arc<dyn Operation>,
}

impl Case {
    /// Names a problem.
    pub fn new(name: impl Into<String>, op: impl Operation) -> Self {
        Self { name: name.into(), op: Arc::new(op) }
    }
}

/// A table of cases under construction.
#[derive(Debug, Default)]
pub(crate) struct Cases(pub(crate) Vec<Case>);

impl Cases {
    /// Adds a problem. One that its operation refuses is a mistake in the table, which must not
    /// hide as a case that is never run: this crate's tests stop at it.
    pub(crate) fn add(&mut self, name: impl Into<String>, op: Result<impl Operation, Error>) {
        let name = name.into();
        match op {
            Ok(op) => self.0.push(Case::new(name, op)),
            Err(error) if cfg!(test) => panic!("case `{name}`: {error}"),
            Err(_) => {}
        }
    }
}

/// A tensor's kind and dimensions, as part of a case's name: `image-3x6x32x32`.
pub(crate) fn label(spec: &TensorSpec) -> String {
    let kind = spec.to_string();
    let mut label = kind.split(' ').next().unwrap_or_default().to_owned();
    for (number, dim) in spec.dims.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(label, "{}{dim}", if number == 0 { '-' } else { 'x' });
    }
    label
}

/// A constructor call that must be refused.
#[derive(Clone, Debug)]
pub struct ErrorCase {
    /// Short and unique within the operation.
    pub name: &'static str,
    /// What came of the call.
    pub outcome: Result<Arc<dyn Operation>, Error>,
    /// The error it must be.
    pub kind: ErrorKind,
    /// The size or number at fault, as the message must name it.
    pub names: &'static str,
}

impl ErrorCase {
    /// `made` must be an error of this kind whose message names the operation and `names`.
    pub(crate) fn new(
        name: &'static str,
        made: Result<impl Operation, Error>,
        kind: ErrorKind,
        names: &'static str,
    ) -> Self {
        Self { name, outcome: made.map(|op| Arc::new(op) as Arc<dyn Operation>), kind, names }
    }

    /// Whether the call was refused as it must be, or what was wrong.
    pub fn check(&self, op: &str) -> Result<(), String> {
        let Err(error) = &self.outcome else {
            return Err(format!("{op} error case `{}`: accepted as {:?}", self.name, self.outcome));
        };
        let message = error.to_string();
        let says = |word: &str| message.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word);
        if error.kind() != self.kind || !message.starts_with(&format!("{op}: ")) || !says(self.names) {
            return Err(format!(
                "{op} error case `{}`: expected {:?} naming `{}`, got {:?}: {message}",
                self.name,
                self.kind,
                self.names,
                error.kind()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Dense;

    #[test]
    fn labels_need_no_quotes() {
        assert_eq!(label(&TensorSpec::image(3, 6, 32, 1)), "image-3x6x32x1");
        assert_eq!(label(&TensorSpec::plain([65])), "plain-65");
    }

    #[test]
    #[should_panic(expected = "case `wrong`: dense: n is 0")]
    fn a_case_that_is_refused_does_not_vanish() {
        Cases::default().add("wrong", Dense::new(0, 1, 1));
    }

    #[test]
    fn an_error_case_can_fail() {
        let zero = || Dense::new(0, 1, 1);
        assert_eq!(ErrorCase::new("zero", zero(), ErrorKind::ZeroSize, "n").check("dense"), Ok(()));
        let wrong = [
            ErrorCase::new("accepted", Dense::new(1, 1, 1), ErrorKind::ZeroSize, "n").check("dense"),
            ErrorCase::new("other kind", zero(), ErrorKind::TooLarge, "n").check("dense"),
            ErrorCase::new("other size", zero(), ErrorKind::ZeroSize, "features_in").check("dense"),
            ErrorCase::new("part of a word", zero(), ErrorKind::ZeroSize, "e").check("dense"),
            ErrorCase::new("other operation", zero(), ErrorKind::ZeroSize, "n").check("conv2d"),
        ];
        for outcome in wrong {
            assert!(outcome.is_err(), "{outcome:?}");
        }
    }
}
