// batch_norm_relu.bwd_weight.naive: dweight = sum of dy * (x - mean) * rstd, dbias = sum of dy,
// over the elements that the ReLU let pass
//
// Idea: the baseline, one invocation per channel walks all rows.
// As batch_norm.bwd_weight.naive; what the ReLU let pass is worked out as in the forward pass, not read.
// Writes: dweight, dbias =.
// Dispatch: ceil(c / WORKGROUP) workgroups; an invocation owns one channel.
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
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read> mean: array<f32>;
@group(0) @binding(6) var<storage, read> rstd: array<f32>;
@group(0) @binding(7) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(8) var<storage, read_write> dbias: array<f32>;

// What arrives from above where the ReLU let pass, else 0: where what was stored of its argument is above 0.
fn passed(upstream: f32, v: f32) -> f32 {
    return select(0.0, upstream, stored(v) > 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.c {
        return;
    }
    var weight_sum = 0.0;
    var bias_sum = 0.0;
    for (var at = i; at < params.rows * params.c; at += params.c) {
        let upstream = passed(dy[at], (x[at] - mean[i]) * (rstd[i] * weight[i]) + bias[i]);
        weight_sum += upstream * (x[at] - mean[i]) * rstd[i];
        bias_sum += upstream;
    }
    dweight[i] = weight_sum;
    dbias[i] = bias_sum;
}
