//! Numeric parity.
