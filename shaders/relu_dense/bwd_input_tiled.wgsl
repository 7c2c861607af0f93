// relu_dense.bwd_input.tiled: dx[n,i] = sum over o of dy[n,o] * weight[i,o] where x[n,i] > 0, else 0
//
// Idea versus naive: a matrix product by tiles in workgroup memory (shared/gemm_tile.wgsl), rows for
// the batch, columns for the features in.
// As dense.bwd_input.tiled, with the gradient of the ReLU that gave x before the store.
// Writes: dx =.
// Dispatch: ceil(n / BM) * ceil(features_in / BN) workgroups; an invocation owns 4 x 4 inputs.
// Shared memory: 4*BK*(BM + BN) bytes. Barriers: two for each BK of depth.

struct Params {
    n: u32,
    features_in: u32,
    features_out: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

fn dy_at(row: u32, k: u32) -> f32 {
    if row >= params.n || k >= params.features_out {
        return 0.0;
    }
    return dy[row * params.features_out + k];
}

fn weight_at(k: u32, column: u32) -> f32 {
    if k >= params.features_out || column >= params.features_in {
        return 0.0;
    }
    return weight[column * params.features_out + k];
}

@compute @workgroup_size(BM * BN / 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.n;
    let columns = params.features_in;
    let depth = params.features_out;
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
            a_tile[i] = vec4(dy_at(first, k), dy_at(first + 1u, k), dy_at(first + 2u, k), dy_at(first + 3u, k));
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
                dx[row * columns + column] = select(0.0, acc[r][c], x[row * columns + column] > 0.0);
            }
        }
    }
}
