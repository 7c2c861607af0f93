// batch_norm.bwd_input.naive: dx = weight * rstd * (dy - (dbias + xhat * dweight) / rows) in training,
// dx = weight * rstd * dy in inference; xhat = (x - mean) * rstd
//
// Idea: the baseline, one invocation per element.
// Writes: dx =.
// Dispatch: ceil(rows * c / WORKGROUP) workgroups; an invocation owns one element.
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
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read> mean: array<f32>;
@group(0) @binding(5) var<storage, read> rstd: array<f32>;
@group(0) @binding(6) var<storage, read> dweight: array<f32>;
@group(0) @binding(7) var<storage, read> dbias: array<f32>;
@group(0) @binding(8) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.rows * params.c {
        return;
    }
    let channel = i % params.c;
    var through_statistics = 0.0;
    if params.training != 0u {
        let xhat = (x[i] - mean[channel]) * rstd[channel];
        through_statistics = (dbias[channel] + xhat * dweight[channel]) / f32(params.rows);
    }
    dx[i] = weight[channel] * rstd[channel] * (dy[i] - through_statistics);
}
