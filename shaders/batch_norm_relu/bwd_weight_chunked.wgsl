// batch_norm_relu.bwd_weight.chunked: dweight = sum of dy * (x - mean) * rstd, dbias = sum of dy,
// over the elements that the ReLU let pass
//
// Idea versus naive: the rows are cut into chunks, and an invocation adds up one chunk of one
// channel; lanes are neighbouring channels. A second stage adds the chunks in order. How many there
// are depends on the shape only. rstd is the same for all of a channel and comes in at the end.
// As batch_norm.bwd_weight.chunked; what the ReLU let pass is worked out as in the forward pass, not read.
// Writes: dweight, dbias =.
// Dispatch: partial: ceil(chunks * c / WORKGROUP) workgroups, an invocation owns one channel of one
// chunk; sum: ceil(c / WORKGROUP) workgroups, an invocation owns one channel.
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
// [chunk][sum of dy * (x - mean), sum of dy][c]
@group(0) @binding(9) var<storage, read_write> chunk_sums: array<f32>;

// What arrives from above where the ReLU let pass, else 0: where what was stored of its argument is above 0.
fn passed(upstream: f32, v: f32) -> f32 {
    return select(0.0, upstream, stored(v) > 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.chunks * params.c {
        return;
    }
    let chunk = i / params.c;
    let channel = i - chunk * params.c;
    let first = chunk * params.chunk_rows;
    let end = min(first + params.chunk_rows, params.rows) * params.c;
    let center = mean[channel];
    let scale = rstd[channel] * weight[channel];
    let shift = bias[channel];
    var weight_sum = 0.0;
    var bias_sum = 0.0;
    for (var at = first * params.c + channel; at < end; at += params.c) {
        let distance = x[at] - center;
        let upstream = passed(dy[at], distance * scale + shift);
        weight_sum += upstream * distance;
        bias_sum += upstream;
    }
    let to = chunk * 2u * params.c + channel;
    chunk_sums[to] = weight_sum;
    chunk_sums[to + params.c] = bias_sum;
}

@compute @workgroup_size(WORKGROUP)
fn sum(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = group_index(group, groups) * WORKGROUP + lane;
    if channel >= params.c {
        return;
    }
    var weight_sum = 0.0;
    var bias_sum = 0.0;
    for (var chunk = 0u; chunk < params.chunks; chunk++) {
        let at = chunk * 2u * params.c + channel;
        weight_sum += chunk_sums[at];
        bias_sum += chunk_sums[at + params.c];
    }
    dweight[channel] = weight_sum * rstd[channel];
    dbias[channel] = bias_sum;
}
