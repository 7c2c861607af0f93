// batch_norm_of_moments.fwd.naive: y = (x - mean) * rstd * weight + bias, rstd = 1/sqrt(var + eps),
// clipped at 0 if relu; mean and var are those of all moments together
//
// Idea: the baseline. One invocation per channel walks the moments, once for the mean and once for the
// squared distances from it; then one invocation per element normalises.
// Writes: mean, rstd, y =; running_mean, running_var changed in place.
// Dispatch: merge: ceil(c / WORKGROUP) workgroups, an invocation owns one channel; normalise:
// ceil(rows * c / WORKGROUP) workgroups, an invocation owns one element.
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
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.c {
        return;
    }
    var sum = 0.0;
    for (var chunk = 0u; chunk < params.chunks; chunk++) {
        let count = min(CHUNK_ROWS, params.rows - chunk * CHUNK_ROWS);
        sum += f32(count) * moments[chunk * 2u * params.c + i];
    }
    let center = sum / f32(params.rows);
    var m2 = 0.0;
    for (var chunk = 0u; chunk < params.chunks; chunk++) {
        let count = min(CHUNK_ROWS, params.rows - chunk * CHUNK_ROWS);
        let distance = moments[chunk * 2u * params.c + i] - center;
        m2 += moments[(chunk * 2u + 1u) * params.c + i] + f32(count) * (distance * distance);
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
    let v = (x[i] - mean[channel]) * rstd[channel] * weight[channel] + bias[channel];
    // Not max(): it may turn a NaN into 0, and divergence must be seen.
    y[i] = select(v, 0.0, v < 0.0 && params.relu != 0u);
}
