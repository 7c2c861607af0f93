//! The modules of `shaders/shared`, for [`crate::Kernel::shared`] of rows in other crates.

use crate::{Source, shader};

/// `group_index`: the place of a workgroup in a folded grid.
pub const GRID: Source = shader!("shared/grid.wgsl");

/// `divide`: integer division without the lane-by-lane division of software adapters.
pub const DIVIDE: Source = shader!("shared/divide.wgsl");

/// A workgroup's tile of a matrix product, in workgroup memory.
pub const GEMM_TILE: Source = shader!("shared/gemm_tile.wgsl");

/// A subgroup's tile of a matrix product, without barriers.
pub const GEMM_SUBGROUP: Source = shader!("shared/gemm_subgroup.wgsl");

/// Mean and spread of a set of values from those of its parts.
pub const MOMENTS: Source = shader!("shared/moments.wgsl");

/// Philox4x32-10: random words from a counter and a key.
pub const PHILOX: Source = shader!("shared/philox.wgsl");
