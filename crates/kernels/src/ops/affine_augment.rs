use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Scratch, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::{AffineAugment, Fill};

params! {
    /// `shaders/affine_augment/*.wgsl`: angles in radians, shifts in pixels.
    struct Params {
        n: u32,
        c: u32,
        h: u32,
        w: u32,
        rotation: f32,
        shift_h: f32,
        shift_w: f32,
        shear: f32,
        zoom: f32,
        flips: u32,
        constant: u32,
        value: f32,
    }
}

const SHARED: &[crate::Source] = &[
    shader!("shared/grid.wgsl"),
    shader!("shared/philox.wgsl"),
    shader!("shared/trigonometry.wgsl"),
    shader!("shared/affine.wgsl"),
];

fn bytes(op: &AffineAugment) -> Vec<u8> {
    let ranges = op.ranges;
    let (constant, value) = match op.fill {
        Fill::Nearest => (0, 0.0),
        Fill::Constant(value) => (1, value),
    };
    let params = Params {
        n: op.n as u32,
        c: op.c as u32,
        h: op.h as u32,
        w: op.w as u32,
        rotation: f64::from(ranges.rotation).to_radians() as f32,
        shift_h: ranges.shift_h * op.h as f32,
        shift_w: ranges.shift_w * op.w as f32,
        shear: f64::from(ranges.shear).to_radians() as f32,
        zoom: ranges.zoom,
        flips: u32::from(ranges.flip_horizontal) | u32::from(ranges.flip_vertical) << 1,
        constant,
        value,
    };
    params.bytes()
}

fn per_element(op: &AffineAugment, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.c * op.h * op.w, o.get("WORKGROUP"))
}

fn per_image(op: &AffineAugment, o: &Overrides) -> Grid {
    Grid::threads(op.n, o.get("WORKGROUP"))
}

pub(super) static TABLE: Table<AffineAugment> = Table {
    params: bytes,
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "affine_augment.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("affine_augment/fwd_naive.wgsl"),
            shared: SHARED,
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "affine_augment.fwd.per_image",
            direction: Direction::Fwd,
            source: shader!("affine_augment/fwd_per_image.wgsl"),
            shared: SHARED,
            overrides: &[("WORKGROUP", 64)],
            scratch: |op| vec![Scratch { name: "matrices", words: 8 * op.n }],
            stages: &[Stage { entry: "draw", grid: per_image }, Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
    ],
};
