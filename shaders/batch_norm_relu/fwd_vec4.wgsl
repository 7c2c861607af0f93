// batch_norm_relu.fwd.vec4: y = max(0, (x - mean) * rstd * weight + bias), rstd = 1/sqrt(var + eps)
//
// Idea versus chunked: four neighbouring channels to an invocation, moved by 16-byte loads and
// stores. Accepts channels that are a multiple of 4.
// ReLU is applied to what is about to be written.
// Writes: mean, rstd, y =; running_mean, running_var changed in place, in training only.
// Dispatch: statistics: ceil(chunks * c / 4 / WORKGROUP) workgroups, an invocation owns four
// neighbouring channels of one chunk (in inference one workgroup, which returns at once); merge:
// ceil(c / 4 / WORKGROUP) workgroups, an invocation owns four neighbouring channels; normalise:
// ceil(ceil(rows / ROWS) * c / 4 / WORKGROUP) workgroups.
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
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> running_mean: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> running_var: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> mean: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> rstd: array<vec4<f32>>;
// [chunk][mean, M2][c / 4]
@group(0) @binding(9) var<storage, read_write> chunk_moments: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn statistics(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    if params.training == 0u {
        return;
    }
    let quads = params.c / 4u;
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.moment_chunks * quads {
        return;
    }
    let chunk = i / quads;
    let q = i - chunk * quads;
    let first = chunk * params.moment_rows;
    let end = min(first + params.moment_rows, params.rows);
    var all = Moments4(0.0, vec4<f32>(), vec4<f32>());
    var at = first * quads + q;
    var row = first;
    for (; row + 4u <= end; row += 4u) {
        let four = moments_of_four4(x[at], x[at + quads], x[at + 2u * quads], x[at + 3u * quads]);
        all = merge_moments4(all, four);
        at += 4u * quads;
    }
    for (; row < end; row++) {
        all = merge_moments4(all, Moments4(1.0, x[at], vec4<f32>()));
        at += quads;
    }
    let to = chunk * 2u * quads + q;
    chunk_moments[to] = all.mean;
    chunk_moments[to + quads] = all.m2;
}

@compute @workgroup_size(WORKGROUP)
fn merge(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = params.c / 4u;
    let q = group_index(group, groups) * WORKGROUP + lane;
    if q >= quads {
        return;
    }
    if params.training == 0u {
        mean[q] = running_mean[q];
        rstd[q] = inverseSqrt(running_var[q] + params.eps);
        return;
    }
    var batch = Moments4(0.0, vec4<f32>(), vec4<f32>());
    for (var chunk = 0u; chunk < params.moment_chunks; chunk++) {
        let count = min(params.moment_rows, params.rows - chunk * params.moment_rows);
        let at = chunk * 2u * quads + q;
        batch = merge_moments4(batch, Moments4(f32(count), chunk_moments[at], chunk_moments[at + quads]));
    }
    mean[q] = batch.mean;
    rstd[q] = inverseSqrt(batch.m2 / f32(params.rows) + params.eps);
    let old = 1.0 - params.momentum;
    running_mean[q] = old * running_mean[q] + params.momentum * batch.mean;
    // The running variance is the unbiased one.
    running_var[q] = old * running_var[q] + params.momentum * (batch.m2 / f32(params.rows - 1u));
}

@compute @workgroup_size(WORKGROUP)
fn normalise(
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
    let center = mean[q];
    let scale = rstd[q] * weight[q];
    let shift = bias[q];
    for (var at = i; at < params.rows * quads; at += stride) {
        let v = (x[at] - center) * scale + shift;
        // Not max(): it may turn a NaN into 0, and divergence must be seen.
        y[at] = select(v, vec4<f32>(), v < vec4<f32>());
    }
}
