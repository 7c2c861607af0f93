// batch_norm.bwd_weight.vec4: dweight = sum of dy * (x - mean) * rstd, dbias = sum of dy
//
// Idea versus chunked: four neighbouring channels to an invocation, moved by 16-byte loads. Accepts
// channels that are a multiple of 4.
// Writes: dweight, dbias =.
// Dispatch: partial: ceil(chunks * c / 4 / WORKGROUP) workgroups, an invocation owns four
// neighbouring channels of one chunk; sum: ceil(c / 4 / WORKGROUP) workgroups, an invocation owns
// four neighbouring channels.
// Shared memory: none. Barriers: none.

struct Params {
    // Values per channel, n * h * w: the rows of x seen as a matrix of c columns.
    rows: u32,
    c: u32,
    // 1 in training, 0 in inference.
    training: u32,
    // Rows of a chunk of the gradients; the last may have fewer.
    chunk_rows: u32,
    chunks: u32,
    // Those of the statistics.
    moment_rows: u32,
    moment_chunks: u32,
    eps: f32,
    momentum: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> mean: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> rstd: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> dweight: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> dbias: array<vec4<f32>>;
// [chunk][sum of dy * (x - mean), sum of dy][c / 4]
@group(0) @binding(7) var<storage, read_write> chunk_sums: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = params.c / 4u;
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.chunks * quads {
        return;
    }
    let chunk = i / quads;
    let q = i - chunk * quads;
    let first = chunk * params.chunk_rows;
    let end = min(first + params.chunk_rows, params.rows) * quads;
    let center = mean[q];
    var weight_sum = vec4<f32>();
    var bias_sum = vec4<f32>();
    for (var at = first * quads + q; at < end; at += quads) {
        let upstream = dy[at];
        weight_sum += upstream * (x[at] - center);
        bias_sum += upstream;
    }
    let to = chunk * 2u * quads + q;
    chunk_sums[to] = weight_sum;
    chunk_sums[to + quads] = bias_sum;
}

@compute @workgroup_size(WORKGROUP)
fn sum(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = params.c / 4u;
    let q = group_index(group, groups) * WORKGROUP + lane;
    if q >= quads {
        return;
    }
    var weight_sum = vec4<f32>();
    var bias_sum = vec4<f32>();
    for (var chunk = 0u; chunk < params.chunks; chunk++) {
        let at = chunk * 2u * quads + q;
        weight_sum += chunk_sums[at];
        bias_sum += chunk_sums[at + quads];
    }
    dweight[q] = weight_sum * rstd[q];
    dbias[q] = bias_sum;
}
