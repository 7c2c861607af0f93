// conv2d.bwd_input.subgroup_vec4: dx[n,ih,iw,ci] = sum over kh,kw,co of dy[n,oh,ow,co] * weight[kh,kw,ci,co]
//
// Idea versus subgroup: the vec4 tile (shared/gemm_subgroup_vec4.wgsl): four k at a time.
// Here the weights lie along k, so that a lane loads a vec4 for each of its columns and transposes
// in registers, which costs nothing. Needs c_in and c_out to be multiples of 4.
// Writes: dx =.
// Dispatch: ceil(n*h_in*w_in / 32) * ceil(c_in / 32) workgroups of 8; a lane owns 32 x 4 inputs.
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

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

fn divide4(a: vec4<u32>, b: u32) -> vec4<u32> {
    return vec4(divide(a.x, b), divide(a.y, b), divide(a.z, b), divide(a.w, b));
}

fn store(row: u32, column4: u32, value: vec4<f32>) {
    if row < params.n * params.h_in * params.w_in && column4 < params.c_in / 4u {
        dx[row * (params.c_in / 4u) + column4] = value;
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
    let rows = params.n * params.h_in * params.w_in;
    let columns4 = params.c_in / 4u;
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
    // The four pixels whose dy this lane loads; past the end it loads those of the last.
    let row = min(first_row + lane + vec4(0u, 8u, 16u, 24u), vec4(rows - 1u));
    let line = divide4(row, params.w_in);
    let n = divide4(line, params.h_in);
    let last_h = line - n * params.h_in + params.pad_h;
    let last_w = row - line * params.w_in + params.pad_w;
    let image = n * params.h_out;
    let c_out4 = params.c_out / 4u;
    var acc0 = Rows8();
    var acc1 = Rows8();
    var acc2 = Rows8();
    var acc3 = Rows8();
    for (var kh = 0u; kh < params.k_h; kh++) {
        // Clamped at 0 before the division, which takes no negative number.
        let offset_h = kh * params.dilation_h;
        let from_h = max(last_h, vec4(offset_h)) - offset_h;
        let oh = divide4(from_h, params.stride_h);
        let inside_h = (last_h >= vec4(offset_h)) & (oh < vec4(params.h_out)) & (oh * params.stride_h == from_h);
        for (var kw = 0u; kw < params.k_w; kw++) {
            let offset_w = kw * params.dilation_w;
            let from_w = max(last_w, vec4(offset_w)) - offset_w;
            let ow = divide4(from_w, params.stride_w);
            let inside = inside_h & (last_w >= vec4(offset_w)) & (ow < vec4(params.w_out)) & (ow * params.stride_w == from_w);
            let from_dy = select(vec4<u32>(), ((image + oh) * params.w_out + ow) * c_out4, inside);
            let first_weight = (kh * params.k_w + kw) * params.c_in;
            let from_weight = (first_weight + 4u * safe4 + vec4(0u, 1u, 2u, 3u)) * c_out4;
            for (var co4 = 0u; co4 < c_out4; co4++) {
                let at = from_dy + co4;
                let a0 = select(vec4<f32>(), dy[at.x], inside.x);
                let a1 = select(vec4<f32>(), dy[at.y], inside.y);
                let a2 = select(vec4<f32>(), dy[at.z], inside.z);
                let a3 = select(vec4<f32>(), dy[at.w], inside.w);
                let w0 = weight[from_weight.x + co4];
                let w1 = weight[from_weight.y + co4];
                let w2 = weight[from_weight.z + co4];
                let w3 = weight[from_weight.w + co4];
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
        }
    }
    store_8(first_row, column4, acc0);
    store_8(first_row + 8u, column4, acc1);
    store_8(first_row + 16u, column4, acc2);
    store_8(first_row + 24u, column4, acc3);
}
