// relu_dense.bwd_input.subgroup: dx[n,i] = sum over o of dy[n,o] * weight[i,o] where x[n,i] > 0, else 0
//
// Idea versus tiled: the same matrix product without workgroup memory and barriers, for software
// adapters (shared/gemm_subgroup.wgsl).
// As dense.bwd_input.subgroup, with the gradient of the ReLU that gave x before the store.
// Writes: dx =.
// Dispatch: ceil(n / 32) * ceil(features_in / 16) workgroups of 8; a lane owns 32 x 2 inputs.
// Shared memory: none. Barriers: none. Needs subgroups of at least 8 lanes.

struct Params {
    n: u32,
    features_in: u32,
    features_out: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

fn store(row: u32, column: vec2<u32>, value: vec2<f32>) {
    let columns = params.features_in;
    if row >= params.n {
        return;
    }
    if column.x < columns {
        dx[row * columns + column.x] = select(0.0, value.x, x[row * columns + column.x] > 0.0);
    }
    if column.y < columns {
        dx[row * columns + column.y] = select(0.0, value.y, x[row * columns + column.y] > 0.0);
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.n;
    let columns = params.features_in;
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
    let from_dy = row * params.features_out;
    let from_weight = safe_column * params.features_out;
    for (var o = 0u; o < params.features_out; o++) {
        let at = from_dy + o;
        let a = vec4(dy[at.x], dy[at.y], dy[at.z], dy[at.w]);
        let b = vec2(weight[from_weight.x + o], weight[from_weight.y + o]);
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
