use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Scratch, Stage, Table};
use crate::{params, shader};
use reference::Direction;
use reference::ops::RandomErasing;

params! {
    /// `shaders/random_erasing/*.wgsl`: the chance out of 2^24, areas in pixels, logarithms of aspects.
    struct Params {
        n: u32,
        c: u32,
        h: u32,
        w: u32,
        chance: u32,
        area: f32,
        area_span: f32,
        aspect: f32,
        aspect_span: f32,
        value: f32,
    }
}

const SHARED: &[crate::Source] =
    &[shader!("shared/grid.wgsl"), shader!("shared/philox.wgsl"), shader!("shared/erasing.wgsl")];

fn bytes(op: &RandomErasing) -> Vec<u8> {
    let config = op.config;
    let [min_area, max_area, min_aspect, max_aspect] =
        [config.min_area, config.max_area, config.min_aspect, config.max_aspect].map(f64::from);
    let pixels = (op.h * op.w) as f64;
    let params = Params {
        n: op.n as u32,
        c: op.c as u32,
        h: op.h as u32,
        w: op.w as u32,
        // Below 2^24 times the probability are as many whole numbers as that, rounded up.
        chance: (f64::from(config.probability) * 16_777_216.0).ceil() as u32,
        area: (pixels * min_area) as f32,
        area_span: (pixels * (max_area - min_area)) as f32,
        aspect: min_aspect.ln() as f32,
        aspect_span: (max_aspect / min_aspect).ln() as f32,
        value: config.value,
    };
    params.bytes()
}

fn per_element(op: &RandomErasing, o: &Overrides) -> Grid {
    Grid::threads(op.n * op.c * op.h * op.w, o.get("WORKGROUP"))
}

fn per_image(op: &RandomErasing, o: &Overrides) -> Grid {
    Grid::threads(op.n, o.get("WORKGROUP"))
}

pub(super) static TABLE: Table<RandomErasing> = Table {
    params: bytes,
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "random_erasing.fwd.naive",
            direction: Direction::Fwd,
            source: shader!("random_erasing/fwd_naive.wgsl"),
            shared: SHARED,
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
        Kernel {
            id: "random_erasing.fwd.per_image",
            direction: Direction::Fwd,
            source: shader!("random_erasing/fwd_per_image.wgsl"),
            shared: SHARED,
            overrides: &[("WORKGROUP", 64)],
            scratch: |op| vec![Scratch { name: "rectangles", words: 4 * op.n }],
            stages: &[Stage { entry: "draw", grid: per_image }, Stage { entry: "main", grid: per_element }],
            ..Kernel::ROW
        },
    ],
};
