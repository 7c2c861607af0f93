// dense_weight_bias.bwd_weight.tiled: dweight[i,o] = sum over n of dy[n,o] * x[n,i], dbias[o] = sum over n of dy[n,o]
//
// Idea versus naive: a matrix product by tiles in workgroup memory (shared/gemm_tile.wgsl), rows for
// the features in, columns for the features out. The depth is the batch: short enough not to split.
// The bias gradient sums the dy that the product loads anyway, in the workgroups of the first rows alone.
// Writes: dweight =, dbias =.
// Dispatch: ceil(features_in / BM) * ceil(features_out / BN) workgroups; an invocation owns 4 x 4
// weights.
// Shared memory: 4*BK*(BM + BN) bytes. Barriers: two for each BK of depth.

struct Params {
    n: u32,
    features_in: u32,
    features_out: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(4) var<storage, read_write> dbias: array<f32>;

fn x_at(row: u32, k: u32) -> f32 {
    if row >= params.features_in || k >= params.n {
        return 0.0;
    }
    return x[k * params.features_in + row];
}

fn dy_at(k: u32, column: u32) -> f32 {
    if k >= params.n || column >= params.features_out {
        return 0.0;
    }
    return dy[k * params.features_out + column];
}

@compute @workgroup_size(BM * BN / 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.features_in;
    let columns = params.features_out;
    let depth = params.n;
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
    for (var start = 0u; start < depth; start += BK) {
        for (var i = lane; i < BK * BM / TILE; i += threads) {
            let k = start + i / (BM / TILE);
            let row = i % (BM / TILE) * TILE;
            let first = first_row + row;
            a_tile[i] = vec4(x_at(first, k), x_at(first + 1u, k), x_at(first + 2u, k), x_at(first + 3u, k));
        }
        for (var i = lane; i < BK * BN / TILE; i += threads) {
            let k = start + i / (BN / TILE);
            let column = first_column + i % (BN / TILE) * TILE;
            b_tile[i] = vec4(dy_at(k, column), dy_at(k, column + 1u), dy_at(k, column + 2u), dy_at(k, column + 3u));
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
            dbias[column] = bias_sum[c];
        }
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
