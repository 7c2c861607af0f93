// conv2d.bwd_input.tiled: dx[n,ih,iw,ci] = sum over kh,kw,co of dy[n,oh,ow,co] * weight[kh,kw,ci,co]
//
// Idea versus naive: the same implicit matrix product as conv2d.fwd.tiled, with rows for input
// pixels (n,ih,iw), columns for input channels, and a depth of (kh,kw,co).
// Writes: dx =.
// Dispatch: ceil(n*h_in*w_in / BM) * ceil(c_in / BN) workgroups; an invocation owns 4 x 4 inputs.
// Shared memory: 4*BK*(BM + BN) bytes. Barriers: two for each BK of depth.

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
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

// dy of the output that reads input pixel `row` through depth `k`'s kernel element, if there is one.
fn gather(row: u32, k: u32) -> f32 {
    let co = k % params.c_out;
    let kernel = k / params.c_out;
    let kw = kernel % params.k_w;
    let kh = kernel / params.k_w;
    let iw = row % params.w_in;
    let ih = row / params.w_in % params.h_in;
    let n = row / params.w_in / params.h_in;
    let from_h = ih + params.pad_h - kh * params.dilation_h;
    let from_w = iw + params.pad_w - kw * params.dilation_w;
    let oh = from_h / params.stride_h;
    let ow = from_w / params.stride_w;
    if n >= params.n || kh >= params.k_h || oh >= params.h_out || ow >= params.w_out
        || oh * params.stride_h != from_h || ow * params.stride_w != from_w {
        return 0.0;
    }
    return dy[((n * params.h_out + oh) * params.w_out + ow) * params.c_out + co];
}

fn weight_at(k: u32, column: u32) -> f32 {
    let kernel = k / params.c_out;
    if kernel >= params.k_h * params.k_w || column >= params.c_in {
        return 0.0;
    }
    return weight[(kernel * params.c_in + column) * params.c_out + k % params.c_out];
}

@compute @workgroup_size(BM * BN / 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.n * params.h_in * params.w_in;
    let columns = params.c_in;
    let depth = params.k_h * params.k_w * params.c_out;
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
    for (var r = 0u; r < TILE; r++) {
        for (var c = 0u; c < TILE; c++) {
            let row = first_row + row4 * TILE + r;
            let column = first_column + column4 * TILE + c;
            if row < rows && column < columns {
                dx[row * columns + column] = acc[r][c];
            }
        }
    }
}
