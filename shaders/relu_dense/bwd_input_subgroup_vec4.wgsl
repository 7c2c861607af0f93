// relu_dense.bwd_input.subgroup_vec4: dx[n,i] = sum over o of dy[n,o] * weight[i,o] where x[n,i] > 0, else 0
//
// Idea versus subgroup: the vec4 tile (shared/gemm_subgroup_vec4.wgsl): four k at a time.
// Here the weights lie along k, so that a lane loads a vec4 for each of its columns and transposes
// in registers, which costs nothing. Needs features_in and features_out to be multiples of 4.
// As dense.bwd_input.subgroup_vec4, with the gradient of the ReLU that gave x before the store.
// Writes: dx =.
// Dispatch: ceil(n / 32) * ceil(features_in / 32) workgroups of 8; a lane owns 32 x 4 inputs.
// Shared memory: none. Barriers: none. Needs subgroups of at least 8 lanes.

struct Params {
    n: u32,
    features_in: u32,
    features_out: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> dx: array<vec4<f32>>;

fn store(row: u32, column4: u32, value: vec4<f32>) {
    if row < params.n && column4 < params.features_in / 4u {
        dx[row * (params.features_in / 4u) + column4] = select(vec4<f32>(), value, x[row * (params.features_in / 4u) + column4] > vec4<f32>());
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

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.n;
    let columns4 = params.features_in / 4u;
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
    let row = min(first_row + lane + vec4(0u, 8u, 16u, 24u), vec4(rows - 1u));
    let features_out4 = params.features_out / 4u;
    let from_dy = row * features_out4;
    let from_weight = (4u * safe4 + vec4(0u, 1u, 2u, 3u)) * features_out4;
    var acc0 = Rows8();
    var acc1 = Rows8();
    var acc2 = Rows8();
    var acc3 = Rows8();
    for (var o4 = 0u; o4 < features_out4; o4++) {
        let a0 = dy[from_dy.x + o4];
        let a1 = dy[from_dy.y + o4];
        let a2 = dy[from_dy.z + o4];
        let a3 = dy[from_dy.w + o4];
        let w0 = weight[from_weight.x + o4];
        let w1 = weight[from_weight.y + o4];
        let w2 = weight[from_weight.z + o4];
        let w3 = weight[from_weight.w + o4];
        let b = Slab(
            vec4(w0.x, w1.x, w2.x, w3.x),
            vec4(w0.y, w1.y, w2.y, w3.y),
            vec4(w0.z, w1.z, w2.z, w3.z),
            vec4(w0.w, w1.w, w2.w, w3.w),
        );
        outer_8x4(&acc0, a0, b);
        outer_8x4(&acc1, a1, b);
        outer_8x4(&acc2, a2, b);
        outer_8x4(&acc3, a3, b);
    }
    store_8(first_row, column4, acc0);
    store_8(first_row + 8u, column4, acc1);
    store_8(first_row + 16u, column4, acc2);
    store_8(first_row + 24u, column4, acc3);
}
