// batch_norm_relu_avg_pool2d.fwd.vec4: y = sum of max(0, (x - mean) * rstd * weight + bias) over the window / (k_h*k_w),
// rstd = 1/sqrt(var + eps)
//
// Idea versus chunked: four neighbouring channels to an invocation, moved by 16-byte loads and stores,
// as in batch_norm.fwd.vec4. Accepts channels that are a multiple of 4.
// Writes: mean, rstd, y =; running_mean, running_var changed in place, in training only.
// Dispatch: statistics: ceil(chunks * c / 4 / WORKGROUP) workgroups, an invocation owns four
// neighbouring channels of one chunk (in inference one workgroup, which returns at once); merge:
// ceil(c / 4 / WORKGROUP) workgroups, an invocation owns four neighbouring channels;
// pool: ceil(n*h_out*w_out*c/4 / WORKGROUP) workgroups, an invocation owns four channels of one output pixel.
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
fn pool(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    let quads = params.c / 4u;
    if i >= params.n * params.h_out * params.w_out * quads {
        return;
    }
    let pixel = divide(i, quads);
    let q = i - pixel * quads;
    let row = divide(pixel, params.w_out);
    let ow = pixel - row * params.w_out;
    let n = divide(row, params.h_out);
    let oh = row - n * params.h_out;
    let center = mean[q];
    let scale = rstd[q] * weight[q];
    let shift = bias[q];

    // Outside of the image wraps to a huge number: one comparison guards both sides. Zeros are added there.
    let top = oh * params.stride_h - params.pad_h;
    let left = ow * params.stride_w - params.pad_w;
    var sum = vec4<f32>();
    for (var kh = 0u; kh < params.k_h; kh++) {
        let ih = top + kh * params.dilation_h;
        let line = (n * params.h_in + ih) * params.w_in;
        for (var kw = 0u; kw < params.k_w; kw++) {
            let iw = left + kw * params.dilation_w;
            let inside = ih < params.h_in && iw < params.w_in;
            let at = select(0u, (line + iw) * quads + q, inside);
            let v = (x[at] - center) * scale + shift;
            // Not max(): it may turn a NaN into 0, and divergence must be seen.
            let positive = stored4(select(v, vec4<f32>(), v < vec4<f32>()));
            sum += select(vec4<f32>(), positive, vec4<bool>(inside));
        }
    }
    y[i] = sum * params.scale;
}
