//! Kernel timing.
