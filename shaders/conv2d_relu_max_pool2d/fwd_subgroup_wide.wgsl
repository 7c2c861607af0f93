// conv2d_relu_max_pool2d.fwd.subgroup_wide: y = max over the window of max(bias[co] + sum over kh,kw,ci of x[n,ih,iw,ci] * weight[kh,kw,ci,co], 0),
// argmax = its place mh*w_mid + mw in the plane of the sums
//
// Idea versus subgroup_vec4: twice the columns to a tile (shared/gemm_subgroup_wide.wgsl).
// Needs windows of 2 x 2, next to each other and without padding, c_in and c_out in multiples of 4.
// Writes: y =, argmax =.
// Dispatch: ceil(n*h_out*w_out / 8) * ceil(c_out / 64) workgroups of 8; a lane owns 8 windows of 8 channels.
// Shared memory: none. Barriers: none. Needs subgroups of at least 8 lanes.

struct Params {
    n: u32,
    c_in: u32,
    h_in: u32,
    w_in: u32,
    c_out: u32,
    // What the convolution gives and the pooling takes.
    h_mid: u32,
    w_mid: u32,
    h_out: u32,
    w_out: u32,
    // Of the convolution.
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    // Of the pooling.
    pool_k_h: u32,
    pool_k_w: u32,
    pool_stride_h: u32,
    pool_stride_w: u32,
    pool_pad_h: u32,
    pool_pad_w: u32,
    pool_dilation_h: u32,
    pool_dilation_w: u32,
    // Parts of the sums over what the convolution gives.
    splits: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> argmax: array<vec4<u32>>;

fn divide4(a: vec4<u32>, b: u32) -> vec4<u32> {
    return vec4(divide(a.x, b), divide(a.y, b), divide(a.z, b), divide(a.w, b));
}

// By its bits: a compiler may take `v != v` for false.
fn is_nan(v: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

// Not max(): it may drop a NaN. What the convolution would store: sums that are equal then must be so here.
fn relu(sum: vec4<f32>) -> vec4<f32> {
    let v = stored4(sum);
    return select(v, vec4<f32>(), v < vec4<f32>());
}

struct Best {
    value: vec4<f32>,
    at: vec4<u32>,
}

// Strictly above, so that the first of equals stays; a NaN beats every number.
fn better(best: Best, v: vec4<f32>, at: u32) -> Best {
    let take = (v > best.value) | is_nan(v);
    return Best(select(best.value, v, take), select(best.at, vec4<u32>(at), take));
}

// The maximum of a window's four sums, of which the first stands at `first`.
fn pool(first: u32, s0: vec4<f32>, s1: vec4<f32>, s2: vec4<f32>, s3: vec4<f32>) -> Best {
    let left = better(Best(relu(s0), vec4<u32>(first)), relu(s1), first + 1u);
    return better(better(left, relu(s2), first + params.w_mid), relu(s3), first + params.w_mid + 1u);
}

fn store(window: u32, column4: u32, best: Best) {
    if window < params.n * params.h_out * params.w_out && column4 < params.c_out / 4u {
        y[window * (params.c_out / 4u) + column4] = best.value;
        argmax[window * (params.c_out / 4u) + column4] = best.at;
    }
}

// The two windows of eight rows, of which the first pixels stand at `first`.
fn store_2(window: u32, column4: vec2<u32>, first: vec2<u32>, acc: Rows8, s: array<vec4<f32>, 2>) {
    store(window, column4.x, pool(first.x, acc[0] + s[0], acc[2] + s[0], acc[4] + s[0], acc[6] + s[0]));
    store(window, column4.y, pool(first.x, acc[1] + s[1], acc[3] + s[1], acc[5] + s[1], acc[7] + s[1]));
    store(window + 1u, column4.x, pool(first.y, acc[8] + s[0], acc[10] + s[0], acc[12] + s[0], acc[14] + s[0]));
    store(window + 1u, column4.y, pool(first.y, acc[9] + s[1], acc[11] + s[1], acc[13] + s[1], acc[15] + s[1]));
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let windows = params.n * params.h_out * params.w_out;
    let columns4 = params.c_out / 4u;
    let tiles_n = (columns4 + COLUMNS4 - 1u) / COLUMNS4;
    let tile = group_index(group, groups);
    let first_window = tile / tiles_n * (ROWS / 4u);
    let first_column4 = tile % tiles_n * COLUMNS4;
    if first_window >= windows {
        return;
    }
    // Columns past the end load the last ones and are not stored.
    let column4 = first_column4 + vec2(lane, lane + LANES);
    let safe4 = min(column4, vec2(columns4 - 1u));
    // The four pixels whose x this lane loads, each of another window; past the end it loads those of the last.
    let window = min(first_window + lane / 4u + vec4(0u, 2u, 4u, 6u), vec4(windows - 1u));
    let line = divide4(window, params.w_out);
    let n = divide4(line, params.h_out);
    let mh = (line - n * params.h_out) * 2u + lane % 4u / 2u;
    let mw = (window - line * params.w_out) * 2u + lane % 2u;
    let first_h = mh * params.stride_h - params.pad_h;
    let first_w = mw * params.stride_w - params.pad_w;
    // Lanes 0 and 4 have the first pixels of their windows.
    let place = mh * params.w_mid + mw;
    let first0 = subgroupBroadcast(place, 0u);
    let first4 = subgroupBroadcast(place, 4u);
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
    store_2(first_window, column4, vec2(first0.x, first4.x), acc0, shift);
    store_2(first_window + 2u, column4, vec2(first0.y, first4.y), acc1, shift);
    store_2(first_window + 4u, column4, vec2(first0.z, first4.z), acc2, shift);
    store_2(first_window + 6u, column4, vec2(first0.w, first4.w), acc3, shift);
}
