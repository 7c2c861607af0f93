// conv2d_weight_bias.bwd_weight.subgroup_vec4_split_k: dweight[kh,kw,ci,co] = sum over n,oh,ow of dy[n,oh,ow,co] * x[n,ih,iw,ci],
// dbias[co] = sum over n,oh,ow of dy[n,oh,ow,co]
//
// Idea versus subgroup_split_k: vec4s (shared/gemm_subgroup_vec4.wgsl). A lane loads four
// neighbouring rows, which are channels of one kernel element, in one go. Needs c_in and c_out to be
// multiples of 4.
// The bias gradient sums the dy that the product loads anyway, in the workgroups of the first rows alone.
// Writes: dweight =, dbias =.
// Dispatch: `partial` ceil(k_h*k_w*c_in / 32) * ceil(c_out / 32) workgroups of 8 in each of `splits`
// layers, a lane owns 32 x 4 weights of one split; `reduce` one invocation per four weights, and
// behind them per four biases.
// Shared memory: none. Barriers: none. Needs subgroups of at least 8 lanes.

struct Params {
    n: u32,
    c_in: u32,
    h_in: u32,
    w_in: u32,
    c_out: u32,
    h_out: u32,
    w_out: u32,
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    splits: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dweight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> dbias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> partials: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> bias_partials: array<vec4<f32>>;

fn store(split: u32, row: u32, column4: u32, value: vec4<f32>) {
    let rows = params.k_h * params.k_w * params.c_in;
    if row < rows && column4 < params.c_out / 4u {
        partials[(split * rows + row) * (params.c_out / 4u) + column4] = value;
    }
}

// Eight rows, by constant indices: a loop that stays one would keep the accumulators in memory.
fn store_8(split: u32, first_row: u32, column4: u32, acc: Rows8) {
    store(split, first_row, column4, acc[0]);
    store(split, first_row + 1u, column4, acc[1]);
    store(split, first_row + 2u, column4, acc[2]);
    store(split, first_row + 3u, column4, acc[3]);
    store(split, first_row + 4u, column4, acc[4]);
    store(split, first_row + 5u, column4, acc[5]);
    store(split, first_row + 6u, column4, acc[6]);
    store(split, first_row + 7u, column4, acc[7]);
}

fn store_bias(split: u32, column4: u32, value: vec4<f32>) {
    if column4 < params.c_out / 4u {
        bias_partials[split * (params.c_out / 4u) + column4] = value;
    }
}

@compute @workgroup_size(LANES)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.k_h * params.k_w * params.c_in;
    let columns4 = params.c_out / 4u;
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
    // The four weights whose x this lane loads; past the end it loads those of the last.
    let c_in4 = params.c_in / 4u;
    let row4 = min(first_row / 4u + lane, params.k_h * params.k_w * c_in4 - 1u);
    let kernel = row4 / c_in4;
    let kh = kernel / params.k_w;
    let first_h = kh * params.dilation_h - params.pad_h;
    let first_w = (kernel - kh * params.k_w) * params.dilation_w - params.pad_w;
    let ci4 = row4 - kernel * c_in4;
    var bias_sum = vec4<f32>();
    var acc0 = Rows8();
    var acc1 = Rows8();
    var acc2 = Rows8();
    var acc3 = Rows8();
    let lines = params.n * params.h_out;
    let per_split = (lines + params.splits - 1u) / params.splits;
    let end = min(lines, (group.z + 1u) * per_split);
    for (var line = group.z * per_split; line < end; line++) {
        let n = divide(line, params.h_out);
        // Left of or above the image wraps to a huge number: one comparison guards both sides.
        let ih = first_h + (line - n * params.h_out) * params.stride_h;
        let inside_h = ih < params.h_in;
        let from_x = (n * params.h_in + ih) * params.w_in;
        var from_dy = line * params.w_out * columns4 + safe4;
        var iw = first_w;
        for (var ow = 0u; ow < params.w_out; ow++) {
            let inside = inside_h & (iw < params.w_in);
            let a = select(vec4<f32>(), x[select(0u, (from_x + iw) * c_in4 + ci4, inside)], inside);
            let b = dy[from_dy];
            bias_sum += b;
            outer_4_4(&acc0, subgroupBroadcast(a, 0u), subgroupBroadcast(a, 1u), b);
            outer_4_4(&acc1, subgroupBroadcast(a, 2u), subgroupBroadcast(a, 3u), b);
            outer_4_4(&acc2, subgroupBroadcast(a, 4u), subgroupBroadcast(a, 5u), b);
            outer_4_4(&acc3, subgroupBroadcast(a, 6u), subgroupBroadcast(a, 7u), b);
            from_dy += columns4;
            iw += params.stride_w;
        }
    }
    if first_row == 0u {
        store_bias(group.z, column4, bias_sum);
    }
    store_8(group.z, first_row, column4, acc0);
    store_8(group.z, first_row + 8u, column4, acc1);
    store_8(group.z, first_row + 16u, column4, acc2);
    store_8(group.z, first_row + 24u, column4, acc3);
}

fn reduce_bias(column: u32) {
    let columns = params.c_out / 4u;
    if column >= columns {
        return;
    }
    var sum = vec4<f32>();
    for (var split = 0u; split < params.splits; split++) {
        sum += bias_partials[split * columns + column];
    }
    dbias[column] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn reduce(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    let len = params.k_h * params.k_w * params.c_in * (params.c_out / 4u);
    if i >= len {
        reduce_bias(i - len);
        return;
    }
    var sum = vec4<f32>();
    for (var split = 0u; split < params.splits; split++) {
        sum += partials[split * len + i];
    }
    dweight[i] = sum;
}
