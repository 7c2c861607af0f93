// batch_norm_relu_avg_pool2d.bwd_weight.naive: dweight = sum of dy * (x - mean) * rstd, dbias = sum of dy,
// over the elements that the ReLU let pass; dy / (k_h*k_w) of the windows that read an element
//
// Idea: the baseline, one invocation per channel walks all rows.
// As batch_norm_relu.bwd_weight.naive; the gradient of what is pooled is read where it is small.
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
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read> mean: array<f32>;
@group(0) @binding(6) var<storage, read> rstd: array<f32>;
@group(0) @binding(7) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(8) var<storage, read_write> dbias: array<f32>;

// What a row of x gets of the windows that read it, as the pooling would store it.
fn share(row: u32, channel: u32) -> f32 {
    let top = row / params.w_in % params.h_in + params.pad_h;
    let left = row % params.w_in + params.pad_w;
    let n = row / params.w_in / params.h_in;
    var sum = 0.0;
    for (var kh = 0u; kh < params.k_h; kh++) {
        // Above the first window wraps to a huge number.
        let down = top - kh * params.dilation_h;
        if down % params.stride_h != 0u || down / params.stride_h >= params.h_out {
            continue;
        }
        for (var kw = 0u; kw < params.k_w; kw++) {
            let across = left - kw * params.dilation_w;
            if across % params.stride_w != 0u || across / params.stride_w >= params.w_out {
                continue;
            }
            let line = n * params.h_out + down / params.stride_h;
            sum += dy[(line * params.w_out + across / params.stride_w) * params.c + channel];
        }
    }
    return stored(sum * params.scale);
}

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
        let upstream = passed(share((at - i) / params.c, i), (x[at] - mean[i]) * (rstd[i] * weight[i]) + bias[i]);
        weight_sum += upstream * (x[at] - mean[i]) * rstd[i];
        bias_sum += upstream;
    }
    dweight[i] = weight_sum;
    dbias[i] = bias_sum;
}
