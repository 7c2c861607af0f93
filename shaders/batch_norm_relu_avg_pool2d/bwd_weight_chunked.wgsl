// batch_norm_relu_avg_pool2d.bwd_weight.chunked: dweight = sum of dy * (x - mean) * rstd, dbias = sum of dy,
// over the elements that the ReLU let pass; dy / (k_h*k_w) of the windows that read an element
//
// Idea versus naive: the rows are cut into chunks, and an invocation adds up one chunk of one
// channel; lanes are neighbouring channels. A second stage adds the chunks in order. How many there
// are depends on the shape only. rstd is the same for all of a channel and comes in at the end.
// As batch_norm_relu.bwd_weight.chunked; the rows of a chunk are walked by windows, whose gradient
// is read once for a line. Accepts windows that do not overlap.
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
    let end = min(first + params.chunk_rows, params.rows);
    let center = mean[channel];
    let scale = rstd[channel] * weight[channel];
    let shift = bias[channel];
    var weight_sum = 0.0;
    var bias_sum = 0.0;
    var at = first * params.c + channel;
    var row = first;
    while row < end {
        // What is left of a line of x.
        let line = divide(row, params.w_in);
        let line_end = min((line + 1u) * params.w_in, end);
        let n = divide(line, params.h_in);
        let top = line - n * params.h_in + params.pad_h;
        let left = row - line * params.w_in + params.pad_w;
        let oh = divide(top, params.stride_h);
        var ow = divide(left, params.stride_w);
        let inside_h = top - oh * params.stride_h < params.k_h && oh < params.h_out;
        let windows = (n * params.h_out + oh) * params.w_out;
        var kw = left - ow * params.stride_w;
        while row < line_end {
            // A window, and the gap that a larger stride leaves behind it.
            let inside = inside_h && ow < params.w_out;
            let window = select(0u, (windows + ow) * params.c + channel, inside);
            let share = select(0.0, stored(dy[window] * params.scale), inside);
            let cell_end = min(row + params.stride_w - kw, line_end);
            for (; row < cell_end; row++) {
                let distance = x[at] - center;
                let here = select(0.0, share, kw < params.k_w);
                let upstream = passed(here, distance * scale + shift);
                weight_sum += upstream * distance;
                bias_sum += upstream;
                at += params.c;
                kw++;
            }
            kw = 0u;
            ow++;
        }
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
