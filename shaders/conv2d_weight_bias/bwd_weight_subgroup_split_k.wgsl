// conv2d_weight_bias.bwd_weight.subgroup_split_k: dweight[kh,kw,ci,co] = sum over n,oh,ow of dy[n,oh,ow,co] * x[n,ih,iw,ci],
// dbias[co] = sum over n,oh,ow of dy[n,oh,ow,co]
//
// Idea versus tiled_split_k: the same split implicit matrix product without workgroup memory and
// barriers, for software adapters (shared/gemm_subgroup.wgsl). A split owns whole lines (n,oh) of
// outputs, so that only the column moves in the inner loop.
// The bias gradient sums the dy that the product loads anyway, in the workgroups of the first rows alone.
// Writes: dweight =, dbias =.
// Dispatch: `partial` ceil(k_h*k_w*c_in / 32) * ceil(c_out / 16) workgroups of 8 in each of `splits`
// layers, a lane owns 32 x 2 weights of one split; `reduce` one invocation per weight, and
// behind them per bias.
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
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(4) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;
@group(0) @binding(6) var<storage, read_write> bias_partials: array<f32>;

fn store(split: u32, row: u32, column: vec2<u32>, value: vec2<f32>) {
    let columns = params.c_out;
    if row >= params.k_h * params.k_w * params.c_in {
        return;
    }
    if column.x < columns {
        partials[(split * params.k_h * params.k_w * params.c_in + row) * columns + column.x] = value.x;
    }
    if column.y < columns {
        partials[(split * params.k_h * params.k_w * params.c_in + row) * columns + column.y] = value.y;
    }
}

fn store_bias(split: u32, column: vec2<u32>, value: vec2<f32>) {
    if column.x < params.c_out {
        bias_partials[split * params.c_out + column.x] = value.x;
    }
    if column.y < params.c_out {
        bias_partials[split * params.c_out + column.y] = value.y;
    }
}

@compute @workgroup_size(LANES)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.k_h * params.k_w * params.c_in;
    let columns = params.c_out;
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
    // The four weights whose x this lane loads; past the end it loads those of the last.
    let row = min(first_row + lane + vec4(0u, 8u, 16u, 24u), vec4(rows - 1u));
    let kernel = row / params.c_in;
    let kh = kernel / params.k_w;
    let first_h = kh * params.dilation_h - params.pad_h;
    let first_w = (kernel - kh * params.k_w) * params.dilation_w - params.pad_w;
    let ci = row - kernel * params.c_in;
    var bias_sum = vec2<f32>();
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
        let inside_h = ih < vec4(params.h_in);
        let from_x = (n * params.h_in + ih) * params.w_in;
        var from_dy = line * params.w_out * columns + safe_column;
        var iw = first_w;
        for (var ow = 0u; ow < params.w_out; ow++) {
            let inside = inside_h & (iw < vec4(params.w_in));
            let at = select(vec4<u32>(), (from_x + iw) * params.c_in + ci, inside);
            let a = select(vec4<f32>(), vec4(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
            let b = vec2(dy[from_dy.x], dy[from_dy.y]);
            bias_sum += b;
            outer_8(&acc0, a.x, b);
            outer_8(&acc1, a.y, b);
            outer_8(&acc2, a.z, b);
            outer_8(&acc3, a.w, b);
            from_dy += columns;
            iw += params.stride_w;
        }
    }
    if first_row == 0u {
        store_bias(group.z, column, bias_sum);
    }
    for (var r = 0u; r < 8u; r++) {
        store(group.z, first_row + r, column, acc0[r]);
        store(group.z, first_row + 8u + r, column, acc1[r]);
        store(group.z, first_row + 16u + r, column, acc2[r]);
        store(group.z, first_row + 24u + r, column, acc3[r]);
    }
}

fn reduce_bias(column: u32) {
    let columns = params.c_out;
    if column >= columns {
        return;
    }
    var sum = 0.0;
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
    let len = params.k_h * params.k_w * params.c_in * params.c_out;
    if i >= len {
        reduce_bias(i - len);
        return;
    }
    var sum = 0.0;
    for (var split = 0u; split < params.splits; split++) {
        sum += partials[split * len + i];
    }
    dweight[i] = sum;
}
