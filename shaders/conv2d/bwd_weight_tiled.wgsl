// conv2d.bwd_weight.tiled: dweight[kh,kw,ci,co] = sum over n,oh,ow of dy[n,oh,ow,co] * x[n,ih,iw,ci]
//
// Idea versus naive: an implicit matrix product as in conv2d.fwd.tiled, with rows for (kh,kw,ci),
// columns for output channels and a depth of (n,oh,ow). The result is small: there are few tiles, and
// each has a long way to go. See tiled_split_k for the remedy.
// Writes: dweight =.
// Dispatch: ceil(k_h*k_w*c_in / BM) * ceil(c_out / BN) workgroups; an invocation owns 4 x 4 weights.
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
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dweight: array<f32>;

// x as weight (kh,kw,ci) = `row` meets it at output pixel `k`; 0 in the padding and past the ends.
fn gather(row: u32, k: u32) -> f32 {
    let ci = row % params.c_in;
    let kernel = row / params.c_in;
    let kw = kernel % params.k_w;
    let kh = kernel / params.k_w;
    let ow = k % params.w_out;
    let oh = k / params.w_out % params.h_out;
    let n = k / params.w_out / params.h_out;
    let ih = oh * params.stride_h + kh * params.dilation_h - params.pad_h;
    let iw = ow * params.stride_w + kw * params.dilation_w - params.pad_w;
    if n >= params.n || kh >= params.k_h || ih >= params.h_in || iw >= params.w_in {
        return 0.0;
    }
    return x[((n * params.h_in + ih) * params.w_in + iw) * params.c_in + ci];
}

fn dy_at(k: u32, column: u32) -> f32 {
    if k >= params.n * params.h_out * params.w_out || column >= params.c_out {
        return 0.0;
    }
    return dy[k * params.c_out + column];
}

@compute @workgroup_size(BM * BN / 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.k_h * params.k_w * params.c_in;
    let columns = params.c_out;
    let depth = params.n * params.h_out * params.w_out;
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
            let first = first_row + row;
            a_tile[i] = vec4(gather(first, k), gather(first + 1u, k), gather(first + 2u, k), gather(first + 3u, k));
        }
        for (var i = lane; i < BK * BN / TILE; i += threads) {
            let k = start + i / (BN / TILE);
            let column = first_column + i % (BN / TILE) * TILE;
            b_tile[i] = vec4(dy_at(k, column), dy_at(k, column + 1u), dy_at(k, column + 2u), dy_at(k, column + 3u));
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
                dweight[row * columns + column] = acc[r][c];
            }
        }
    }
}
