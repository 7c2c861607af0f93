// conv2d_relu_max_pool2d.bwd_weight.tiled_split_k: dweight[kh,kw,ci,co] = sum over n,oh,ow of d[n,oh,ow,co] * x[n,ih,iw,ci],
// dbias[co] = sum over n,oh,ow of d[n,oh,ow,co], where d = dy where the window's argmax is this element and its y > 0, else 0
//
// Idea versus conv2d_weight_bias.bwd_weight.tiled_split_k, which reads d at full size: it is looked up in its window as it is
// loaded, so that it is never written. For convolutions whose input needs no gradient. The splits and the order within
// them are those of that kernel. Needs windows that do not overlap.
// Writes: dweight =, dbias =.
// Dispatch: `partial` ceil(k_h*k_w*c_in / BM) * ceil(c_out / BN) workgroups in each of `splits`
// layers, an invocation owns 4 x 4 weights of one split; `reduce` one invocation per weight, and
// behind them per bias.
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

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> argmax: array<u32>;
@group(0) @binding(4) var<storage, read> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(6) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(7) var<storage, read_write> partials: array<f32>;
@group(0) @binding(8) var<storage, read_write> bias_partials: array<f32>;

// x as weight (kh,kw,ci) = `row` meets it at output pixel `k`; 0 in the padding and past the ends.
fn gather(row: u32, k: u32) -> f32 {
    let ci = row % params.c_in;
    let kernel = row / params.c_in;
    let kw = kernel % params.k_w;
    let kh = kernel / params.k_w;
    let ow = k % params.w_mid;
    let oh = k / params.w_mid % params.h_mid;
    let n = k / params.w_mid / params.h_mid;
    let ih = oh * params.stride_h + kh * params.dilation_h - params.pad_h;
    let iw = ow * params.stride_w + kw * params.dilation_w - params.pad_w;
    if n >= params.n || kh >= params.k_h || ih >= params.h_in || iw >= params.w_in {
        return 0.0;
    }
    return x[((n * params.h_in + ih) * params.w_in + iw) * params.c_in + ci];
}

// d of output pixel `k`: windows that do not overlap have at most one at each place, and where none is it is 0.
fn d_at(k: u32, column: u32) -> f32 {
    let plane = params.h_mid * params.w_mid;
    let n = k / plane;
    let place = k - n * plane;
    let padded_h = place / params.w_mid + params.pool_pad_h;
    let padded_w = place % params.w_mid + params.pool_pad_w;
    let oh = padded_h / params.pool_stride_h;
    let ow = padded_w / params.pool_stride_w;
    let gap = padded_h % params.pool_stride_h > (params.pool_k_h - 1u) * params.pool_dilation_h ||
        padded_w % params.pool_stride_w > (params.pool_k_w - 1u) * params.pool_dilation_w;
    if gap || n >= params.n || column >= params.c_out || oh >= params.h_out || ow >= params.w_out {
        return 0.0;
    }
    let o = ((n * params.h_out + oh) * params.w_out + ow) * params.c_out + column;
    return select(0.0, dy[o], y[o] > 0.0 && argmax[o] == place);
}

@compute @workgroup_size(BM * BN / 16)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.k_h * params.k_w * params.c_in;
    let columns = params.c_out;
    let depth = params.n * params.h_mid * params.w_mid;
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
    var bias_sum = vec4<f32>();
    let sums_bias = first_row == 0u && row4 == 0u;
    // Whole multiples of BK, so that a split never starts inside a step.
    let per_split = ((depth + params.splits - 1u) / params.splits + BK - 1u) / BK * BK;
    let end = min(depth, (group.z + 1u) * per_split);
    for (var start = group.z * per_split; start < end; start += BK) {
        for (var i = lane; i < BK * BM / TILE; i += threads) {
            let k = start + i / (BM / TILE);
            let row = i % (BM / TILE) * TILE;
            let first = first_row + row;
            a_tile[i] = vec4(gather(first, k), gather(first + 1u, k), gather(first + 2u, k), gather(first + 3u, k));
        }
        for (var i = lane; i < BK * BN / TILE; i += threads) {
            let k = start + i / (BN / TILE);
            let column = first_column + i % (BN / TILE) * TILE;
            b_tile[i] = vec4(d_at(k, column), d_at(k, column + 1u), d_at(k, column + 2u), d_at(k, column + 3u));
        }
        workgroupBarrier();
        multiply_tiles(&acc, row4, column4);
        if sums_bias {
            for (var k = 0u; k < BK; k++) {
                bias_sum += b_tile[k * (BN / TILE) + column4];
            }
        }
        workgroupBarrier();
    }
    for (var c = 0u; c < TILE; c++) {
        let column = first_column + column4 * TILE + c;
        if sums_bias && column < columns {
            bias_partials[group.z * columns + column] = bias_sum[c];
        }
    }
    for (var r = 0u; r < TILE; r++) {
        for (var c = 0u; c < TILE; c++) {
            let row = first_row + row4 * TILE + r;
            let column = first_column + column4 * TILE + c;
            if row < rows && column < columns {
                partials[(group.z * rows + row) * columns + column] = acc[r][c];
            }
        }
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
