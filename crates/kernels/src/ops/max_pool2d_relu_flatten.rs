use super::max_pool2d_relu::{FIELDS, GRID, bytes, disjoint, inputs, per_cell, threads, whole_vec4s};
use crate::kernel::{Kernel, Stage, Summation, Table};
use crate::shader;
use reference::Direction;
use reference::ops::MaxPool2dReluFlatten;

pub(super) static TABLE: Table<MaxPool2dReluFlatten> = Table {
    params: |op| bytes(&op.pool),
    fields: FIELDS,
    rows: &[
        Kernel {
            id: "max_pool2d_relu_flatten.bwd_input.naive",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("max_pool2d_relu_flatten/bwd_input_naive.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            stages: &[Stage { entry: "main", grid: |op, o| threads(inputs(&op.pool, 1), o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d_relu_flatten.bwd_input.disjoint",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("max_pool2d_relu_flatten/bwd_input_disjoint.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| disjoint(&op.pool),
            stages: &[Stage { entry: "main", grid: |op, o| threads(per_cell(&op.pool, 1), o) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "max_pool2d_relu_flatten.bwd_input.disjoint_vec4",
            direction: Direction::BwdInput,
            order: Summation::NOTHING,
            source: shader!("max_pool2d_relu_flatten/bwd_input_disjoint_vec4.wgsl"),
            shared: &[GRID],
            overrides: &[("WORKGROUP", 64)],
            accepts: |op| disjoint(&op.pool).and_then(|()| whole_vec4s(&op.pool)),
            stages: &[Stage { entry: "main", grid: |op, o| threads(per_cell(&op.pool, 4), o) }],
            ..Kernel::ROW
        },
    ],
};
