// conv2d_moments.fwd.subgroup: y[n,oh,ow,co] = bias[co] + sum over kh,kw,ci of x[n,ih,iw,ci] * weight[kh,kw,ci,co],
// clipped at 0 if relu; moments = mean, M2 of every 32 pixels of a channel
//
// Idea versus tiled: the same implicit matrix product without workgroup memory and barriers, for
// software adapters (shared/gemm_subgroup.wgsl). As conv2d.fwd.subgroup; a tile has 32 pixels, so that
// a lane, which has stored all of them in its two columns, reads them back while they are near and
// merges them as batch_norm.fwd.chunked does.
// Writes: y =, moments =.
// Dispatch: ceil(n*h_out*w_out / 32) * ceil(c_out / 16) workgroups of 8; a lane owns 32 x 2 outputs.
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
    // 1 if y is clipped.
    relu: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
// [32 pixels][mean, M2][c_out]
@group(0) @binding(5) var<storage, read_write> moments: array<f32>;

// Not max(): it may turn a NaN into 0, and divergence must be seen.
fn clip(value: f32) -> f32 {
    return select(value, 0.0, params.relu != 0u && value < 0.0);
}

fn store(row: u32, column: vec2<u32>, value: vec2<f32>) {
    let columns = params.c_out;
    if row >= params.n * params.h_out * params.w_out {
        return;
    }
    if column.x < columns {
        y[row * columns + column.x] = clip(value.x + bias[column.x]);
    }
    if column.y < columns {
        y[row * columns + column.y] = clip(value.y + bias[column.y]);
    }
}

// Mean and M2 of what this lane has stored in a column.
fn leave_moments(first_row: u32, column: u32) {
    let columns = params.c_out;
    if column >= columns {
        return;
    }
    let end = min(first_row + ROWS, params.n * params.h_out * params.w_out);
    var all = Moments(0.0, 0.0, 0.0);
    var at = first_row * columns + column;
    var row = first_row;
    for (; row + 4u <= end; row += 4u) {
        let four = moments_of_four(y[at], y[at + columns], y[at + 2u * columns], y[at + 3u * columns]);
        all = merge_moments(all, four);
        at += 4u * columns;
    }
    for (; row < end; row++) {
        all = merge_moments(all, Moments(1.0, y[at], 0.0));
        at += columns;
    }
    let to = first_row / ROWS * 2u * columns + column;
    moments[to] = all.mean;
    moments[to + columns] = all.m2;
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.n * params.h_out * params.w_out;
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
    // The four pixels whose x this lane loads; past the end it loads those of the last.
    let row = min(first_row + lane + vec4(0u, 8u, 16u, 24u), vec4(rows - 1u));
    let line = vec4(divide(row.x, params.w_out), divide(row.y, params.w_out), divide(row.z, params.w_out), divide(row.w, params.w_out));
    let n = vec4(divide(line.x, params.h_out), divide(line.y, params.h_out), divide(line.z, params.h_out), divide(line.w, params.h_out));
    let first_h = (line - n * params.h_out) * params.stride_h - params.pad_h;
    let first_w = (row - line * params.w_out) * params.stride_w - params.pad_w;
    let image = n * params.h_in;
    var acc0 = Rows8();
    var acc1 = Rows8();
    var acc2 = Rows8();
    var acc3 = Rows8();
    var from_weight = 0u;
    for (var kh = 0u; kh < params.k_h; kh++) {
        // Left of or above the image wraps to a huge number: one comparison guards both sides.
        let ih = first_h + kh * params.dilation_h;
        for (var kw = 0u; kw < params.k_w; kw++) {
            let iw = first_w + kw * params.dilation_w;
            let inside = (ih < vec4(params.h_in)) & (iw < vec4(params.w_in));
            let from_x = select(vec4<u32>(), ((image + ih) * params.w_in + iw) * params.c_in, inside);
            for (var ci = 0u; ci < params.c_in; ci++) {
                let at = from_x + ci;
                let a = select(vec4<f32>(), vec4(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
                let b = vec2(weight[from_weight + safe_column.x], weight[from_weight + safe_column.y]);
                from_weight += columns;
                outer_8(&acc0, a.x, b);
                outer_8(&acc1, a.y, b);
                outer_8(&acc2, a.z, b);
                outer_8(&acc3, a.w, b);
            }
        }
    }
    for (var r = 0u; r < 8u; r++) {
        store(first_row + r, column, acc0[r]);
        store(first_row + 8u + r, column, acc1[r]);
        store(first_row + 16u + r, column, acc2[r]);
        store(first_row + 24u + r, column, acc3[r]);
    }
    leave_moments(first_row, column.x);
    leave_moments(first_row, column.y);
}
