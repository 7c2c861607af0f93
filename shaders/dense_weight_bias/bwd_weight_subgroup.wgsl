// dense_weight_bias.bwd_weight.subgroup: dweight[i,o] = sum over n of dy[n,o] * x[n,i], dbias[o] = sum over n of dy[n,o]
//
// Idea versus tiled: the same matrix product without workgroup memory and barriers, for software
// adapters (shared/gemm_subgroup.wgsl).
// The bias gradient sums the dy that the product loads anyway, in the workgroups of the first rows alone.
// Writes: dweight =, dbias =.
// Dispatch: ceil(features_in / 32) * ceil(features_out / 16) workgroups of 8; a lane owns 32 x 2 weights.
// Shared memory: none. Barriers: none. Needs subgroups of at least 8 lanes.

struct Params {
    n: u32,
    features_in: u32,
    features_out: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(4) var<storage, read_write> dbias: array<f32>;

fn store(row: u32, column: vec2<u32>, value: vec2<f32>) {
    let columns = params.features_out;
    if row >= params.features_in {
        return;
    }
    if column.x < columns {
        dweight[row * columns + column.x] = value.x;
    }
    if column.y < columns {
        dweight[row * columns + column.y] = value.y;
    }
}

fn store_bias(column: vec2<u32>, value: vec2<f32>) {
    if column.x < params.features_out {
        dbias[column.x] = value.x;
    }
    if column.y < params.features_out {
        dbias[column.y] = value.y;
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.features_in;
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
    var bias_sum = vec2<f32>();
    var acc0 = Rows8();
    var acc1 = Rows8();
    var acc2 = Rows8();
    var acc3 = Rows8();
    for (var n = 0u; n < params.n; n++) {
        let at = n * params.features_in + row;
        let a = vec4(x[at.x], x[at.y], x[at.z], x[at.w]);
        let b = vec2(dy[n * columns + safe_column.x], dy[n * columns + safe_column.y]);
        bias_sum += b;
        outer_8(&acc0, a.x, b);
        outer_8(&acc1, a.y, b);
        outer_8(&acc2, a.z, b);
        outer_8(&acc3, a.w, b);
    }
    if first_row == 0u {
        store_bias(column, bias_sum);
    }
    for (var r = 0u; r < 8u; r++) {
        store(first_row + r, column, acc0[r]);
        store(first_row + 8u + r, column, acc1[r]);
        store(first_row + 16u + r, column, acc2[r]);
        store(first_row + 24u + r, column, acc3[r]);
    }
}
