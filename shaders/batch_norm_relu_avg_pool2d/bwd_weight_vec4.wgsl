// batch_norm_relu_avg_pool2d.bwd_weight.vec4: dweight = sum of dy * (x - mean) * rstd, dbias = sum of dy,
// over the elements that the ReLU let pass; dy / (k_h*k_w) of the windows that read an element
//
// Idea versus chunked: four neighbouring channels to an invocation, moved by 16-byte loads. Accepts
// channels that are a multiple of 4.
// As batch_norm_relu.bwd_weight.vec4; the rows of a chunk are walked by windows, whose gradient
// is read once for a line. Accepts windows that do not overlap.
// Writes: dweight, dbias =.
// Dispatch: partial: ceil(chunks * c / 4 / WORKGROUP) workgroups, an invocation owns four
// neighbouring channels of one chunk; sum: ceil(c / 4 / WORKGROUP) workgroups, an invocation owns
// four neighbouring channels.
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
@group(0) @binding(4) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> mean: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> rstd: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dweight: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dbias: array<vec4<f32>>;
// [chunk][sum of dy * (x - mean), sum of dy][c / 4]
@group(0) @binding(9) var<storage, read_write> chunk_sums: array<vec4<f32>>;

// What arrives from above where the ReLU let pass, else 0: where what was stored of its argument is above 0.
fn passed(upstream: vec4<f32>, v: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), upstream, stored4(v) > vec4<f32>());
}

@compute @workgroup_size(WORKGROUP)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = params.c / 4u;
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.chunks * quads {
        return;
    }
    let chunk = i / quads;
    let q = i - chunk * quads;
    let first = chunk * params.chunk_rows;
    let end = min(first + params.chunk_rows, params.rows);
    let center = mean[q];
    let scale = rstd[q] * weight[q];
    let shift = bias[q];
    var weight_sum = vec4<f32>();
    var bias_sum = vec4<f32>();
    var at = first * quads + q;
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
            let window = select(0u, (windows + ow) * quads + q, inside);
            let share = select(vec4<f32>(), stored4(dy[window] * params.scale), vec4<bool>(inside));
            let cell_end = min(row + params.stride_w - kw, line_end);
            for (; row < cell_end; row++) {
                let distance = x[at] - center;
                let here = select(vec4<f32>(), share, vec4<bool>(kw < params.k_w));
                let upstream = passed(here, distance * scale + shift);
                weight_sum += upstream * distance;
                bias_sum += upstream;
                at += quads;
                kw++;
            }
            kw = 0u;
            ow++;
        }
    }
    let to = chunk * 2u * quads + q;
    chunk_sums[to] = weight_sum;
    chunk_sums[to + quads] = bias_sum;
}

@compute @workgroup_size(WORKGROUP)
fn sum(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = params.c / 4u;
    let q = group_index(group, groups) * WORKGROUP + lane;
    if q >= quads {
        return;
    }
    var weight_sum = vec4<f32>();
    var bias_sum = vec4<f32>();
    for (var chunk = 0u; chunk < params.chunks; chunk++) {
        let at = chunk * 2u * quads + q;
        weight_sum += chunk_sums[at];
        bias_sum += chunk_sums[at + quads];
    }
    dweight[q] = weight_sum * rstd[q];
    dbias[q] = bias_sum;
}
