//! Problem cases: an operation at sizes worth testing, under a name.

use crate::Operation;
use std::sync::Arc;

/// One named problem.
#[derive(Clone, Debug)]
pub struct Case {
    /// Short and unique within the operation.
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
