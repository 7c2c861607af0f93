// conv2d_moments.fwd.tiled: y[n,oh,ow,co] = bias[co] + sum over kh,kw,ci of x[n,ih,iw,ci] * weight[kh,kw,ci,co],
// clipped at 0 if relu; moments = mean, M2 of every 32 pixels of a channel
//
// Idea versus naive: the convolution is a matrix product, never written out ("implicit GEMM"):
// rows are output pixels (n,oh,ow), columns output channels, and the depth runs over (kh,kw,ci).
// A workgroup stages a tile of each factor in workgroup memory (shared/gemm_tile.wgsl), gathering
// the pixels that its rows read, and every loaded number is used BN or BM times.
// As conv2d.fwd.tiled; what is stored stands in workgroup memory, too, where an invocation merges 32
// pixels of a column as batch_norm.fwd.tiled does. BM is a multiple of 32.
// Writes: y =, moments =.
// Dispatch: ceil(n*h_out*w_out / BM) * ceil(c_out / BN) workgroups; an invocation owns 4 x 4 outputs.
// Shared memory: 4*BK*(BM + BN) + 4*BM*BN bytes. Barriers: two for each BK of depth, one before the
// merge.

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

const PIXELS: u32 = 32;

// What was stored: pixels by columns.
var<workgroup> y_tile: array<f32, BM * BN>;

// x at row `row` (an output pixel) and depth `k`; 0 in the padding and past the ends.
fn gather(row: u32, k: u32) -> f32 {
    let ci = k % params.c_in;
    let kernel = k / params.c_in;
    let kw = kernel % params.k_w;
    let kh = kernel / params.k_w;
    let ow = row % params.w_out;
    let oh = row / params.w_out % params.h_out;
    let n = row / params.w_out / params.h_out;
    let ih = oh * params.stride_h + kh * params.dilation_h - params.pad_h;
    let iw = ow * params.stride_w + kw * params.dilation_w - params.pad_w;
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

@compute @workgroup_size(BM * BN / 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.n * params.h_out * params.w_out;
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
    for (var r = 0u; r < TILE; r++) {
        for (var c = 0u; c < TILE; c++) {
            let row = first_row + row4 * TILE + r;
            let column = first_column + column4 * TILE + c;
            if row < rows && column < columns {
                let value = bias[column] + acc[r][c];
                // Not max(): it may turn a NaN into 0, and divergence must be seen.
                let clipped = select(value, 0.0, params.relu != 0u && value < 0.0);
                y[row * columns + column] = clipped;
                y_tile[(row4 * TILE + r) * BN + column4 * TILE + c] = stored(clipped);
            }
        }
    }
    workgroupBarrier();
    for (var i = lane; i < BM / PIXELS * BN; i += threads) {
        let first = first_row + i / BN * PIXELS;
        let column = first_column + i % BN;
        if first < rows && column < columns {
            let end = min(first + PIXELS, rows);
            var all = Moments(0.0, 0.0, 0.0);
            var at = (first - first_row) * BN + i % BN;
            var row = first;
            for (; row + 4u <= end; row += 4u) {
                let four = moments_of_four(y_tile[at], y_tile[at + BN], y_tile[at + 2u * BN], y_tile[at + 3u * BN]);
                all = merge_moments(all, four);
                at += 4u * BN;
            }
            for (; row < end; row++) {
                all = merge_moments(all, Moments(1.0, y_tile[at], 0.0));
                at += BN;
            }
            let to = first / PIXELS * 2u * columns + column;
            moments[to] = all.mean;
            moments[to + columns] = all.m2;
        }
    }
}
