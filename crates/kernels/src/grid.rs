//! Workgroup counts.

/// Workgroups of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Workgroups along x, y, z.
    pub groups: [u64; 3],
}

impl Grid {
    /// What WebGPU guarantees along each dimension.
    const MAX: u64 = 65_535;

    /// `groups` workgroups in a row, folded over x and y where a dimension would not hold them.
    /// A shader finds its place by `group_index` of `shared/grid.wgsl` and returns past the end.
    pub fn linear(groups: usize) -> Self {
        let groups = (groups as u64).max(1);
        let y = groups.div_ceil(Self::MAX);
        Self { groups: [groups.div_ceil(y), y, 1] }
    }

    /// One invocation for each of `items`, `size` invocations to a workgroup.
    pub fn threads(items: usize, size: usize) -> Self {
        Self::linear(items.div_ceil(size))
    }

    /// `splits` layers of `tiles` workgroups; the layer is `workgroup_id.z`.
    pub fn layered(tiles: usize, splits: usize) -> Self {
        let [x, y, _] = Self::linear(tiles).groups;
        Self { groups: [x, y, splits as u64] }
    }
}

#[cfg(test)]
mod tests {
    use super::Grid;

    #[test]
    fn linear_covers_and_stays_within_limits() {
        for groups in [1, 2, 65_535, 65_536, 131_071, 1_000_003, 400_000_007] {
            let [x, y, z] = Grid::linear(groups).groups;
            assert!(x <= 65_535 && y <= 65_535 && z == 1);
            assert!(x * y >= groups as u64 && (x * (y - 1)) < groups as u64);
        }
    }
}
