// batch_norm_relu.fwd.chunked: y = max(0, (x - mean) * rstd * weight + bias), rstd = 1/sqrt(var + eps)
//
// Idea versus naive: the rows are cut into chunks, so that an invocation walks one chunk of one
// channel, reads it once, four rows at a time, and merges mean and M2 as it goes; lanes are
// neighbouring channels. A second stage merges the chunks in order. In the third an invocation
// normalises ROWS elements of one channel, a whole grid apart, so that it takes the remainder and
// loads the channel's constants once. A chunk has 32 rows, as a tile of a convolution has, unless there
// are more than a million.
// ReLU is applied to what is about to be written.
// Writes: mean, rstd, y =; running_mean, running_var changed in place, in training only.
// Dispatch: statistics: ceil(chunks * c / WORKGROUP) workgroups, an invocation owns one channel of
// one chunk (in inference one workgroup, which returns at once); merge: ceil(c / WORKGROUP)
// workgroups, an invocation owns one channel; normalise: ceil(ceil(rows / ROWS) * c / WORKGROUP)
// workgroups.
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
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(0) @binding(7) var<storage, read_write> mean: array<f32>;
@group(0) @binding(8) var<storage, read_write> rstd: array<f32>;
// [chunk][mean, M2][c]
@group(0) @binding(9) var<storage, read_write> chunk_moments: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn statistics(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    if params.training == 0u {
        return;
    }
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.moment_chunks * params.c {
        return;
    }
    let chunk = i / params.c;
    let channel = i - chunk * params.c;
    let first = chunk * params.moment_rows;
    let end = min(first + params.moment_rows, params.rows);
    var all = Moments(0.0, 0.0, 0.0);
    var at = first * params.c + channel;
    var row = first;
    for (; row + 4u <= end; row += 4u) {
        let four = moments_of_four(x[at], x[at + params.c], x[at + 2u * params.c], x[at + 3u * params.c]);
        all = merge_moments(all, four);
        at += 4u * params.c;
    }
    for (; row < end; row++) {
        all = merge_moments(all, Moments(1.0, x[at], 0.0));
        at += params.c;
    }
    let to = chunk * 2u * params.c + channel;
    chunk_moments[to] = all.mean;
    chunk_moments[to + params.c] = all.m2;
}

@compute @workgroup_size(WORKGROUP)
fn merge(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = group_index(group, groups) * WORKGROUP + lane;
    if channel >= params.c {
        return;
    }
    if params.training == 0u {
        mean[channel] = running_mean[channel];
        rstd[channel] = inverseSqrt(running_var[channel] + params.eps);
        return;
    }
    var batch = Moments(0.0, 0.0, 0.0);
    for (var chunk = 0u; chunk < params.moment_chunks; chunk++) {
        let count = min(params.moment_rows, params.rows - chunk * params.moment_rows);
        let at = chunk * 2u * params.c + channel;
        batch = merge_moments(batch, Moments(f32(count), chunk_moments[at], chunk_moments[at + params.c]));
    }
    mean[channel] = batch.mean;
    rstd[channel] = inverseSqrt(batch.m2 / f32(params.rows) + params.eps);
    let old = 1.0 - params.momentum;
    running_mean[channel] = old * running_mean[channel] + params.momentum * batch.mean;
    // The running variance is the unbiased one.
    running_var[channel] = old * running_var[channel] + params.momentum * (batch.m2 / f32(params.rows - 1u));
}

@compute @workgroup_size(WORKGROUP)
fn normalise(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // Invocations in use, a multiple of the channels: elements this far apart share theirs.
    let stride = (params.rows + ROWS - 1u) / ROWS * params.c;
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= stride {
        return;
    }
    let channel = i % params.c;
    let center = mean[channel];
    let scale = rstd[channel] * weight[channel];
    let shift = bias[channel];
    for (var at = i; at < params.rows * params.c; at += stride) {
        let v = (x[at] - center) * scale + shift;
        // Not max(): it may turn a NaN into 0, and divergence must be seen.
        y[at] = select(v, 0.0, v < 0.0);
    }
}
