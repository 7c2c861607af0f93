// dense_relu.fwd.subgroup: y[n,o] = max(bias[o] + sum over i of x[n,i] * weight[i,o], 0)
//
// Idea versus tiled: the same matrix product without workgroup memory and barriers, for software
// adapters (shared/gemm_subgroup.wgsl).
// As dense.fwd.subgroup, with the ReLU before the store.
// Writes: y =.
// Dispatch: ceil(n / 32) * ceil(features_out / 16) workgroups of 8; a lane owns 32 x 2 outputs.
// Shared memory: none. Barriers: none. Needs subgroups of at least 8 lanes.

struct Params {
    n: u32,
    features_in: u32,
    features_out: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// Not max(): it may turn a NaN into 0, and divergence must be seen.
fn relu(value: f32) -> f32 {
    return select(value, 0.0, value < 0.0);
}

fn store(row: u32, column: vec2<u32>, value: vec2<f32>) {
    let columns = params.features_out;
    if row >= params.n {
        return;
    }
    if column.x < columns {
        y[row * columns + column.x] = relu(value.x + bias[column.x]);
    }
    if column.y < columns {
        y[row * columns + column.y] = relu(value.y + bias[column.y]);
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.n;
    let columns = params.features_out;
    let tiles_n = (columns + COLUMNS - 1u) / COLUMNS;
    let tile = group_index(group, groups);
    let first_row = tile / tiles_n * ROWS;
    let first_column = tile % tiles_n * COLUMNS;
    if first_row >= rows {
        return;
    }
    // A column past the end loads the last one and is not stored.
    let column = first_column + vec2(lane, lane + LANES);
    let safe_column = min(column, vec2(columns - 1u));
    // The four rows this lane loads; past the end it loads the last.
    let row = min(first_row + lane + vec4(0u, 8u, 16u, 24u), vec4(rows - 1u));
    var acc0 = Rows8();
    var acc1 = Rows8();
    var acc2 = Rows8();
    var acc3 = Rows8();
    let from_x = row * params.features_in;
    for (var i = 0u; i < params.features_in; i++) {
        let at = from_x + i;
        let a = vec4(x[at.x], x[at.y], x[at.z], x[at.w]);
        let b = vec2(weight[i * columns + safe_column.x], weight[i * columns + safe_column.y]);
        outer_8(&acc0, a.x, b);
        outer_8(&acc1, a.y, b);
        outer_8(&acc2, a.z, b);
        outer_8(&acc3, a.w, b);
    }
    for (var r = 0u; r < 8u; r++) {
        store(first_row + r, column, acc0[r]);
        store(first_row + 8u + r, column, acc1[r]);
        store(first_row + 16u + r, column, acc2[r]);
        store(first_row + 24u + r, column, acc3[r]);
    }
}
