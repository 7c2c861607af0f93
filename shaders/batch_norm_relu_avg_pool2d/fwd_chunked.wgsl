// batch_norm_relu_avg_pool2d.fwd.chunked: y = sum of max(0, (x - mean) * rstd * weight + bias) over the window / (k_h*k_w),
// rstd = 1/sqrt(var + eps)
//
// Idea versus naive: the statistics as in batch_norm.fwd.chunked. What is normalised is never written:
// an invocation of the last stage normalises, clips and adds up what one window holds.
// Writes: mean, rstd, y =; running_mean, running_var changed in place, in training only.
// Dispatch: statistics: ceil(chunks * c / WORKGROUP) workgroups, an invocation owns one channel of
// one chunk (in inference one workgroup, which returns at once); merge: ceil(c / WORKGROUP)
// workgroups, an invocation owns one channel;
// pool: ceil(n*h_out*w_out*c / WORKGROUP) workgroups, an invocation owns one output element.
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
    // Of the pooling.
    n: u32,
    h_in: u32,
    w_in: u32,
    h_out: u32,
    w_out: u32,
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    // 1 / (k_h*k_w)
    scale: f32,
    // Cells of stride_h by stride_w that cover the image and the padding before it.
    cells_h: u32,
    cells_w: u32,
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
fn pool(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.n * params.h_out * params.w_out * params.c {
        return;
    }
    let pixel = divide(i, params.c);
    let channel = i - pixel * params.c;
    let row = divide(pixel, params.w_out);
    let ow = pixel - row * params.w_out;
    let n = divide(row, params.h_out);
    let oh = row - n * params.h_out;
    let center = mean[channel];
    let scale = rstd[channel] * weight[channel];
    let shift = bias[channel];

    // Outside of the image wraps to a huge number: one comparison guards both sides. Zeros are added there.
    let top = oh * params.stride_h - params.pad_h;
    let left = ow * params.stride_w - params.pad_w;
    var sum = 0.0;
    for (var kh = 0u; kh < params.k_h; kh++) {
        let ih = top + kh * params.dilation_h;
        let line = (n * params.h_in + ih) * params.w_in;
        for (var kw = 0u; kw < params.k_w; kw++) {
            let iw = left + kw * params.dilation_w;
            let inside = ih < params.h_in && iw < params.w_in;
            let at = select(0u, (line + iw) * params.c + channel, inside);
            let v = (x[at] - center) * scale + shift;
            // Not max(): it may turn a NaN into 0, and divergence must be seen.
            let positive = stored(select(v, 0.0, v < 0.0));
            sum += select(0.0, positive, inside);
        }
    }
    y[i] = sum * params.scale;
}
