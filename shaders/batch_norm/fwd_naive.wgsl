// batch_norm.fwd.naive: y = (x - mean) * rstd * weight + bias, rstd = 1/sqrt(var + eps)
//
// Idea: the baseline. One invocation per channel walks all rows, once for the mean and once for the
// squared distances from it; then one invocation per element normalises.
// Writes: mean, rstd, y =; running_mean, running_var changed in place, in training only.
// Dispatch: statistics: ceil(c / WORKGROUP) workgroups, an invocation owns one channel; normalise:
// ceil(rows * c / WORKGROUP) workgroups, an invocation owns one element.
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
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(0) @binding(7) var<storage, read_write> mean: array<f32>;
@group(0) @binding(8) var<storage, read_write> rstd: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn statistics(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.c {
        return;
    }
    if params.training == 0u {
        mean[i] = running_mean[i];
        rstd[i] = inverseSqrt(running_var[i] + params.eps);
        return;
    }
    let end = params.rows * params.c;
    var sum = 0.0;
    for (var at = i; at < end; at += params.c) {
        sum += x[at];
    }
    let center = sum / f32(params.rows);
    var m2 = 0.0;
    for (var at = i; at < end; at += params.c) {
        let distance = x[at] - center;
        m2 += distance * distance;
    }
    mean[i] = center;
    rstd[i] = inverseSqrt(m2 / f32(params.rows) + params.eps);
    let old = 1.0 - params.momentum;
    running_mean[i] = old * running_mean[i] + params.momentum * center;
    // The running variance is the unbiased one.
    running_var[i] = old * running_var[i] + params.momentum * (m2 / f32(params.rows - 1u));
}

@compute @workgroup_size(WORKGROUP)
fn normalise(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.rows * params.c {
        return;
    }
    let channel = i % params.c;
    y[i] = (x[i] - mean[channel]) * rstd[channel] * weight[channel] + bias[channel];
}
