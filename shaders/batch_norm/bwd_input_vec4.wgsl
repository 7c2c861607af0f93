// batch_norm.bwd_input.vec4: dx = weight * rstd * (dy - (dbias + xhat * dweight) / rows) in training,
// dx = weight * rstd * dy in inference; xhat = (x - mean) * rstd
//
// Idea versus rows: four neighbouring channels to an invocation, moved by 16-byte loads and stores.
// Accepts channels that are a multiple of 4.
// Writes: dx =.
// Dispatch: ceil(ceil(rows / ROWS) * c / 4 / WORKGROUP) workgroups.
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
override ROWS: u32 = 4;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> mean: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> rstd: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> dweight: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> dbias: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dx: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = params.c / 4u;
    // Invocations in use, a multiple of the channels: elements this far apart share theirs.
    let stride = (params.rows + ROWS - 1u) / ROWS * quads;
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= stride {
        return;
    }
    let q = i % quads;
    let scale = weight[q] * rstd[q];
    let end = params.rows * quads;
    if params.training == 0u {
        for (var at = i; at < end; at += stride) {
            dx[at] = scale * dy[at];
        }
        return;
    }
    let center = mean[q];
    let through_mean = dbias[q] / f32(params.rows);
    let through_spread = dweight[q] * rstd[q] / f32(params.rows);
    for (var at = i; at < end; at += stride) {
        dx[at] = scale * (dy[at] - (through_mean + (x[at] - center) * through_spread));
    }
}
