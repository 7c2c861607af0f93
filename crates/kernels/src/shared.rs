//! The modules of `shaders/shared`, for [`crate::Kernel::shared`] of rows in other crates.

use crate::{Source, shader};

/// `group_index`: the place of a workgroup in a folded grid.
pub const GRID: Source = shader!("shared/grid.wgsl");

/// `stored`: what is left of a number once it was stored as `y`.
pub const STORED: Source = crate::storage::STORED;

/// `divide`: integer division without the lane-by-lane division of software adapters.
pub const DIVIDE: Source = shader!("shared/divide.wgsl");

/// A workgroup's tile of a matrix product, in workgroup memory.
pub const GEMM_TILE: Source = shader!("shared/gemm_tile.wgsl");

/// A subgroup's tile of a matrix product, without barriers.
pub const GEMM_SUBGROUP: Source = shader!("shared/gemm_subgroup.wgsl");

/// The same in vec4s.
pub const GEMM_SUBGROUP_VEC4: Source = shader!("shared/gemm_subgroup_vec4.wgsl");

/// The same with twice the columns.
pub const GEMM_SUBGROUP_WIDE: Source = shader!("shared/gemm_subgroup_wide.wgsl");

/// A strip of pixels in a lane, for convolutions with few channels.
pub const STRIP_SUBGROUP: Source = shader!("shared/strip_subgroup.wgsl");

/// Sine and cosine to a few units in the last place.
pub const TRIGONOMETRY: Source = shader!("shared/trigonometry.wgsl");

/// Mean and spread of a set of values from those of its parts.
pub const MOMENTS: Source = shader!("shared/moments.wgsl");

/// Philox4x32-10: random words from a counter and a key.
pub const PHILOX: Source = shader!("shared/philox.wgsl");

/// What `affine_augment` draws for an image. With [`PHILOX`] and [`TRIGONOMETRY`].
pub const AFFINE: Source = shader!("shared/affine.wgsl");

/// What `random_erasing` draws for an image. With [`PHILOX`].
pub const ERASING: Source = shader!("shared/erasing.wgsl");
