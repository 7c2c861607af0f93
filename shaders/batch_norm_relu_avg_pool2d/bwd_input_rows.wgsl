// batch_norm_relu_avg_pool2d.bwd_input.rows: dx = weight * rstd * (dy - (dbias + xhat * dweight) / rows) in training,
// dx = weight * rstd * dy in inference; xhat = (x - mean) * rstd;
// dy / (k_h*k_w) of the windows that read an element, 0 where the ReLU did not let pass
//
// Idea versus naive: windows that do not overlap cut the padded image into cells of stride_h by
// stride_w, one window in each, or none past the last. A cell's owner reads dy and the channel's
// constants once. Accepts strides of at least the kernel and a dilation of 1.
// What a channel has in common is worked out once, by a stage of its own, since one stage with all
// arguments would bind more buffers than every device has.
// Writes: dx =.
// Dispatch: prepare: ceil(c / WORKGROUP) workgroups, an invocation owns one channel;
// main: ceil(n*cells_h*cells_w*c / WORKGROUP) workgroups, an invocation owns one channel of one cell.
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
@group(0) @binding(7) var<storage, read> dweight: array<f32>;
@group(0) @binding(8) var<storage, read> dbias: array<f32>;
@group(0) @binding(9) var<storage, read_write> dx: array<f32>;
// [center, scale, shift, share of the mean, share of the spread][c]
@group(0) @binding(10) var<storage, read_write> constants: array<f32>;

// What arrives from above where the ReLU let pass, else 0: where what was stored of its argument is above 0.
fn passed(upstream: f32, v: f32) -> f32 {
    return select(0.0, upstream, stored(v) > 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn prepare(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = group_index(group, groups) * WORKGROUP + lane;
    if channel >= params.c {
        return;
    }
    constants[channel] = mean[channel];
    constants[params.c + channel] = rstd[channel] * weight[channel];
    constants[2u * params.c + channel] = bias[channel];
    // Used in training alone: in inference nothing goes through the statistics.
    constants[3u * params.c + channel] = dbias[channel] / f32(params.rows);
    constants[4u * params.c + channel] = dweight[channel] * rstd[channel] / f32(params.rows);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.n * params.cells_h * params.cells_w * params.c {
        return;
    }
    let cell = divide(i, params.c);
    let channel = i - cell * params.c;
    let row = divide(cell, params.cells_w);
    let ow = cell - row * params.cells_w;
    let n = divide(row, params.cells_h);
    let oh = row - n * params.cells_h;
    let inside = oh < params.h_out && ow < params.w_out;
    let window = select(0u, ((n * params.h_out + oh) * params.w_out + ow) * params.c + channel, inside);
    let share = select(0.0, stored(dy[window] * params.scale), inside);
    let center = constants[channel];
    let scale = constants[params.c + channel];
    let shift = constants[2u * params.c + channel];
    let training = params.training != 0u;
    let through_mean = select(0.0, constants[3u * params.c + channel], training);
    let through_spread = select(0.0, constants[4u * params.c + channel], training);

    // The cell's elements inside the image. Those past the window, which a larger stride leaves between
    // windows, get nothing of dy.
    let top = oh * params.stride_h;
    let left = ow * params.stride_w;
    let end_h = min(top + params.stride_h, params.pad_h + params.h_in);
    let end_w = min(left + params.stride_w, params.pad_w + params.w_in);
    for (var padded_h = max(top, params.pad_h); padded_h < end_h; padded_h++) {
        let line = (n * params.h_in + padded_h - params.pad_h) * params.w_in;
        for (var padded_w = max(left, params.pad_w); padded_w < end_w; padded_w++) {
            let at = (line + padded_w - params.pad_w) * params.c + channel;
            let reads = padded_h - top < params.k_h && padded_w - left < params.k_w;
            let distance = x[at] - center;
            let upstream = passed(select(0.0, share, reads), distance * scale + shift);
            let through_statistics = select(0.0, through_mean + distance * through_spread, training);
            dx[at] = scale * (upstream - through_statistics);
        }
    }
}
