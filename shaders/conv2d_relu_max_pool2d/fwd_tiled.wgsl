// conv2d_relu_max_pool2d.fwd.tiled: y = max over the window of max(bias[co] + sum over kh,kw,ci of x[n,ih,iw,ci] * weight[kh,kw,ci,co], 0),
// argmax = its place mh*w_mid + mw in the plane of the sums
//
// Idea versus naive: the implicit matrix product of conv2d.fwd.tiled (shared/gemm_tile.wgsl). Its rows are ordered
// window by window, so that the four rows of an invocation are the four pixels of one window, and ReLU, maximum and
// argmax need nobody else. Needs windows of 2 x 2, next to each other and without padding.
// Writes: y =, argmax =.
// Dispatch: ceil(4*n*h_out*w_out / BM) * ceil(c_out / BN) workgroups; an invocation owns one window of 4 channels.
// Shared memory: 4*BK*(BM + BN) bytes. Barriers: two for each BK of depth.

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
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> argmax: array<u32>;

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

// x at row `row` (one of the four pixels of a window) and depth `k`; 0 in the padding and past the ends.
fn gather(row: u32, k: u32) -> f32 {
    let ci = k % params.c_in;
    let kernel = k / params.c_in;
    let kw = kernel % params.k_w;
    let kh = kernel / params.k_w;
    let window = row / 4u;
    let mh = window / params.w_out % params.h_out * 2u + row % 4u / 2u;
    let mw = window % params.w_out * 2u + row % 2u;
    let n = window / params.w_out / params.h_out;
    let ih = mh * params.stride_h + kh * params.dilation_h - params.pad_h;
    let iw = mw * params.stride_w + kw * params.dilation_w - params.pad_w;
    if n >= params.n || kh >= params.k_h || ih >= params.h_in || iw >= params.w_in {
        return 0.0;
    }
    return x[((n * params.h_in + ih) * params.w_in + iw) * params.c_in + ci];
}

fn weight_at(k: u32, column: u32) -> f32 {
    if k >= params.k_h * params.k_w * params.c_in || column >= params.c_out {
        return 0.0;
    }
    return weight[k * params.c_out + column];
}

fn bias_at(column: u32) -> f32 {
    return bias[min(column, params.c_out - 1u)];
}

@compute @workgroup_size(BM * BN / 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = 4u * params.n * params.h_out * params.w_out;
    let columns = params.c_out;
    let depth = params.k_h * params.k_w * params.c_in;
    let tiles_n = (columns + BN - 1u) / BN;
    let tile = group_index(group, groups);
    let first_row = tile / tiles_n * BM;
    let first_column = tile % tiles_n * BN;
    // The same for the whole workgroup, so that none of it waits at a barrier in vain.
    if first_row >= rows {
        return;
    }
    let threads = BM * BN / (TILE * TILE);
    let row4 = lane / (BN / TILE);
    let column4 = lane % (BN / TILE);
    var acc = Accumulators();
    for (var start = 0u; start < depth; start += BK) {
        for (var i = lane; i < BK * BM / TILE; i += threads) {
            let k = start + i / (BM / TILE);
            let row = i % (BM / TILE) * TILE;
            let pixel = first_row + row;
            a_tile[i] = vec4(gather(pixel, k), gather(pixel + 1u, k), gather(pixel + 2u, k), gather(pixel + 3u, k));
        }
        for (var i = lane; i < BK * BN / TILE; i += threads) {
            let k = start + i / (BN / TILE);
            let column = first_column + i % (BN / TILE) * TILE;
            b_tile[i] = vec4(weight_at(k, column), weight_at(k, column + 1u), weight_at(k, column + 2u), weight_at(k, column + 3u));
        }
        workgroupBarrier();
        multiply_tiles(&acc, row4, column4);
        workgroupBarrier();
    }
    let window = first_row / 4u + row4;
    if 4u * window >= rows {
        return;
    }
    let oh = window / params.w_out % params.h_out;
    let first = 2u * oh * params.w_mid + 2u * (window % params.w_out);
    let column = first_column + column4 * TILE;
    let shift = vec4(bias_at(column), bias_at(column + 1u), bias_at(column + 2u), bias_at(column + 3u));
    let best = pool(first, shift + acc[0], shift + acc[1], shift + acc[2], shift + acc[3]);
    for (var c = 0u; c < TILE; c++) {
        if column + c < columns {
            y[window * columns + column + c] = best.value[c];
            argmax[window * columns + column + c] = best.at[c];
        }
    }
}
