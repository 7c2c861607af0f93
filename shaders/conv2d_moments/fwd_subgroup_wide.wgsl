// conv2d_moments.fwd.subgroup_wide: y[n,oh,ow,co] = bias[co] + sum over kh,kw,ci of x[n,ih,iw,ci] * weight[kh,kw,ci,co],
// clipped at 0 if relu; moments = mean, M2 of every 32 pixels of a channel
//
// Idea versus subgroup_vec4: twice the columns to a tile (shared/gemm_subgroup_wide.wgsl).
// Needs c_in and c_out to be multiples of 4.
// As conv2d.fwd.subgroup_wide; a lane then reads back the 32 pixels that it has stored in its eight
// columns, and merges them as batch_norm.fwd.vec4 does.
// Writes: y =, moments =.
// Dispatch: ceil(n*h_out*w_out / 32) * ceil(c_out / 64) workgroups of 8; a lane owns 32 x 8 outputs.
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
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
// [32 pixels][mean, M2][c_out / 4]
@group(0) @binding(5) var<storage, read_write> moments: array<vec4<f32>>;

fn divide4(a: vec4<u32>, b: u32) -> vec4<u32> {
    return vec4(divide(a.x, b), divide(a.y, b), divide(a.z, b), divide(a.w, b));
}

// Not max(): it may turn a NaN into 0, and divergence must be seen.
fn clip(value: vec4<f32>) -> vec4<f32> {
    return select(value, vec4<f32>(), (value < vec4<f32>()) & vec4<bool>(params.relu != 0u));
}

fn store(row: u32, column4: u32, value: vec4<f32>) {
    if row < params.n * params.h_out * params.w_out && column4 < params.c_out / 4u {
        y[row * (params.c_out / 4u) + column4] = clip(value);
    }
}

// Eight rows, by constant indices: a loop that stays one would keep the accumulators in memory.
fn store_8(first_row: u32, column4: vec2<u32>, acc: Rows8, shift: array<vec4<f32>, 2>) {
    store(first_row, column4.x, acc[0] + shift[0]);
    store(first_row, column4.y, acc[1] + shift[1]);
    store(first_row + 1u, column4.x, acc[2] + shift[0]);
    store(first_row + 1u, column4.y, acc[3] + shift[1]);
    store(first_row + 2u, column4.x, acc[4] + shift[0]);
    store(first_row + 2u, column4.y, acc[5] + shift[1]);
    store(first_row + 3u, column4.x, acc[6] + shift[0]);
    store(first_row + 3u, column4.y, acc[7] + shift[1]);
    store(first_row + 4u, column4.x, acc[8] + shift[0]);
    store(first_row + 4u, column4.y, acc[9] + shift[1]);
    store(first_row + 5u, column4.x, acc[10] + shift[0]);
    store(first_row + 5u, column4.y, acc[11] + shift[1]);
    store(first_row + 6u, column4.x, acc[12] + shift[0]);
    store(first_row + 6u, column4.y, acc[13] + shift[1]);
    store(first_row + 7u, column4.x, acc[14] + shift[0]);
    store(first_row + 7u, column4.y, acc[15] + shift[1]);
}

// Mean and M2 of what this lane has stored in four columns.
fn leave_moments(first_row: u32, column4: u32) {
    let columns4 = params.c_out / 4u;
    if column4 >= columns4 {
        return;
    }
    let end = min(first_row + ROWS, params.n * params.h_out * params.w_out);
    var all = Moments4(0.0, vec4<f32>(), vec4<f32>());
    var at = first_row * columns4 + column4;
    var row = first_row;
    for (; row + 4u <= end; row += 4u) {
        let four = moments_of_four4(y[at], y[at + columns4], y[at + 2u * columns4], y[at + 3u * columns4]);
        all = merge_moments4(all, four);
        at += 4u * columns4;
    }
    for (; row < end; row++) {
        all = merge_moments4(all, Moments4(1.0, y[at], vec4<f32>()));
        at += columns4;
    }
    let to = first_row / ROWS * 2u * columns4 + column4;
    moments[to] = all.mean;
    moments[to + columns4] = all.m2;
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.n * params.h_out * params.w_out;
    let columns4 = params.c_out / 4u;
    let tiles_n = (columns4 + COLUMNS4 - 1u) / COLUMNS4;
    let tile = group_index(group, groups);
    let first_row = tile / tiles_n * ROWS;
    let first_column4 = tile % tiles_n * COLUMNS4;
    if first_row >= rows {
        return;
    }
    // Columns past the end load the last ones and are not stored.
    let column4 = first_column4 + vec2(lane, lane + LANES);
    let safe4 = min(column4, vec2(columns4 - 1u));
    // The four pixels whose x this lane loads; past the end it loads those of the last.
    let row = min(first_row + lane + vec4(0u, 8u, 16u, 24u), vec4(rows - 1u));
    let line = divide4(row, params.w_out);
    let n = divide4(line, params.h_out);
    let first_h = (line - n * params.h_out) * params.stride_h - params.pad_h;
    let first_w = (row - line * params.w_out) * params.stride_w - params.pad_w;
    let image = n * params.h_in;
    let c_in4 = params.c_in / 4u;
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
            let from_x = select(vec4<u32>(), ((image + ih) * params.w_in + iw) * c_in4, inside);
            for (var ci4 = 0u; ci4 < c_in4; ci4++) {
                let at = from_x + ci4;
                let a0 = select(vec4<f32>(), x[at.x], inside.x);
                let a1 = select(vec4<f32>(), x[at.y], inside.y);
                let a2 = select(vec4<f32>(), x[at.z], inside.z);
                let a3 = select(vec4<f32>(), x[at.w], inside.w);
                let b = Slab(
                    weight[from_weight + safe4.x],
                    weight[from_weight + safe4.y],
                    weight[from_weight + columns4 + safe4.x],
                    weight[from_weight + columns4 + safe4.y],
                    weight[from_weight + 2u * columns4 + safe4.x],
                    weight[from_weight + 2u * columns4 + safe4.y],
                    weight[from_weight + 3u * columns4 + safe4.x],
                    weight[from_weight + 3u * columns4 + safe4.y],
                );
                from_weight += 4u * columns4;
                outer_8x4(&acc0, a0, b);
                outer_8x4(&acc1, a1, b);
                outer_8x4(&acc2, a2, b);
                outer_8x4(&acc3, a3, b);
            }
        }
    }
    let shift = array(bias[safe4.x], bias[safe4.y]);
    store_8(first_row, column4, acc0, shift);
    store_8(first_row + 8u, column4, acc1, shift);
    store_8(first_row + 16u, column4, acc2, shift);
    store_8(first_row + 24u, column4, acc3, shift);
    leave_moments(first_row, column4.x);
    leave_moments(first_row, column4.y);
}
