//! Fault injection: what the tests of several crates share.
//!
//! A [`Campaign`] injects one kind of fault many times. In `cargo test` it does so a few times; `cargo xtask faults` sets
//! [`SCALE_VARIABLE`] and [`LEDGER_VARIABLE`], runs the same tests with the full counts, and turns what they
//! [`record`] into the table of `docs/RELIABILITY.md`.

mod campaign;
mod damage;
mod random;
mod table;

pub use campaign::{CAMPAIGNS, Campaign, LEDGER_VARIABLE, SCALE_VARIABLE, TEST_TARGETS, campaign, record};
pub use damage::{Damage, damaged};
pub use random::Random;
pub use table::{BEGIN, END, Row, TableError, replace, rows, table};
