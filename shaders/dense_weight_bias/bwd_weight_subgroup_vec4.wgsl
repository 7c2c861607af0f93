// dense_weight_bias.bwd_weight.subgroup_vec4: dweight[i,o] = sum over n of dy[n,o] * x[n,i], dbias[o] = sum over n of dy[n,o]
//
// Idea versus subgroup: vec4s (shared/gemm_subgroup_vec4.wgsl). A lane loads four
// neighbouring rows in one go. Needs features_in and features_out to be multiples of 4.
// The bias gradient sums the dy that the product loads anyway, in the workgroups of the first rows alone.
// Writes: dweight =, dbias =.
// Dispatch: ceil(features_in / 32) * ceil(features_out / 32) workgroups of 8; a lane owns 32 x 4 weights.
// Shared memory: none. Barriers: none. Needs subgroups of at least 8 lanes.

struct Params {
    n: u32,
    features_in: u32,
    features_out: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dweight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> dbias: array<vec4<f32>>;

fn store(row: u32, column4: u32, value: vec4<f32>) {
    if row < params.features_in && column4 < params.features_out / 4u {
        dweight[row * (params.features_out / 4u) + column4] = value;
    }
}

// Eight rows, by constant indices: a loop that stays one would keep the accumulators in memory.
fn store_8(first_row: u32, column4: u32, acc: Rows8) {
    store(first_row, column4, acc[0]);
    store(first_row + 1u, column4, acc[1]);
    store(first_row + 2u, column4, acc[2]);
    store(first_row + 3u, column4, acc[3]);
    store(first_row + 4u, column4, acc[4]);
    store(first_row + 5u, column4, acc[5]);
    store(first_row + 6u, column4, acc[6]);
    store(first_row + 7u, column4, acc[7]);
}

fn store_bias(column4: u32, value: vec4<f32>) {
    if column4 < params.features_out / 4u {
        dbias[column4] = value;
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.features_in;
    let columns4 = params.features_out / 4u;
    let tiles_n = (columns4 + COLUMNS4 - 1u) / COLUMNS4;
    let tile = group_index(group, groups);
    let first_row = tile / tiles_n * ROWS;
    let first_column4 = tile % tiles_n * COLUMNS4;
    if first_row >= rows {
        return;
    }
    // Columns past the end load the last ones and are not stored.
    let column4 = first_column4 + lane;
    let safe4 = min(column4, columns4 - 1u);
    // The four rows this lane loads; past the end it loads the last.
    let features_in4 = params.features_in / 4u;
    let row4 = min(first_row / 4u + lane, features_in4 - 1u);
    var bias_sum = vec4<f32>();
    var acc0 = Rows8();
    var acc1 = Rows8();
    var acc2 = Rows8();
    var acc3 = Rows8();
    for (var n = 0u; n < params.n; n++) {
        let a = x[n * features_in4 + row4];
        let b = dy[n * columns4 + safe4];
        bias_sum += b;
        outer_4_4(&acc0, subgroupBroadcast(a, 0u), subgroupBroadcast(a, 1u), b);
        outer_4_4(&acc1, subgroupBroadcast(a, 2u), subgroupBroadcast(a, 3u), b);
        outer_4_4(&acc2, subgroupBroadcast(a, 4u), subgroupBroadcast(a, 5u), b);
        outer_4_4(&acc3, subgroupBroadcast(a, 6u), subgroupBroadcast(a, 7u), b);
    }
    if first_row == 0u {
        store_bias(column4, bias_sum);
    }
    store_8(first_row, column4, acc0);
    store_8(first_row + 8u, column4, acc1);
    store_8(first_row + 16u, column4, acc2);
    store_8(first_row + 24u, column4, acc3);
}
