// batch_norm_of_moments.fwd.chunked: y = (x - mean) * rstd * weight + bias, rstd = 1/sqrt(var + eps),
// clipped at 0 if relu; mean and var are those of all moments together
//
// Idea versus naive: as batch_norm.fwd.chunked without its first stage, so in its order. An invocation
// merges the moments of a channel one after the other; then one normalises ROWS elements of a channel,
// a whole grid apart, so that it takes the remainder and loads the channel's constants once.
// Writes: mean, rstd, y =; running_mean, running_var changed in place.
// Dispatch: merge: ceil(c / WORKGROUP) workgroups, an invocation owns one channel; normalise:
// ceil(ceil(rows / ROWS) * c / WORKGROUP) workgroups.
// Shared memory: none. Barriers: none.

struct Params {
    // Values per channel, n * h * w: the rows of x seen as a matrix of c columns.
    rows: u32,
    c: u32,
    // Chunks of 32 rows; the last may have fewer.
    chunks: u32,
    eps: f32,
    momentum: f32,
    // 1 if y is clipped.
    relu: u32,
}

const CHUNK_ROWS: u32 = 32;

override WORKGROUP: u32 = 64;
override ROWS: u32 = 4;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
// [chunk][mean, M2][c]
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;
@group(0) @binding(8) var<storage, read_write> mean: array<f32>;
@group(0) @binding(9) var<storage, read_write> rstd: array<f32>;

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
    var batch = Moments(0.0, 0.0, 0.0);
    for (var chunk = 0u; chunk < params.chunks; chunk++) {
        let count = min(CHUNK_ROWS, params.rows - chunk * CHUNK_ROWS);
        let at = chunk * 2u * params.c + channel;
        batch = merge_moments(batch, Moments(f32(count), moments[at], moments[at + params.c]));
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
    let clips = params.relu != 0u;
    for (var at = i; at < params.rows * params.c; at += stride) {
        let v = (x[at] - center) * scale + shift;
        // Not max(): it may turn a NaN into 0, and divergence must be seen.
        y[at] = select(v, 0.0, v < 0.0 && clips);
    }
}
