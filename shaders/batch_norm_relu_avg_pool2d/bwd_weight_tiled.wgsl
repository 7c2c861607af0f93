// batch_norm_relu_avg_pool2d.bwd_weight.tiled: dweight = sum of dy * (x - mean) * rstd, dbias = sum of dy,
// over the elements that the ReLU let pass; dy / (k_h*k_w) of the windows that read an element
//
// Idea versus vec4: a whole workgroup takes a chunk of LANES * 4 channels. Its invocations stand in
// WORKGROUP / LANES rows of LANES, walk the chunk that many rows apart and add up what they found
// as a tree in workgroup memory; so do those that add up the chunks. Accepts channels that are a
// multiple of 4.
// As batch_norm_relu.bwd_weight.tiled; the gradient of what is pooled is read where it is small.
// Accepts windows that do not overlap.
// Writes: dweight, dbias =.
// Dispatch: partial: chunks * ceil(c / 4 / LANES) workgroups; sum: ceil(c / 4 / LANES) workgroups.
// Shared memory: 32 * WORKGROUP bytes. Barriers: log2(WORKGROUP / LANES) in each stage, one before
// each level of the tree.

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
// Neighbouring groups of four channels to a workgroup; a power of 2, as is WORKGROUP.
override LANES: u32 = 8;

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

// What a row of x gets of the window that reads it, as the pooling would store it.
fn share(row: u32, q: u32) -> vec4<f32> {
    let line = divide(row, params.w_in);
    let n = divide(line, params.h_in);
    let top = line - n * params.h_in + params.pad_h;
    let left = row - line * params.w_in + params.pad_w;
    let oh = divide(top, params.stride_h);
    let ow = divide(left, params.stride_w);
    let inside_h = top - oh * params.stride_h < params.k_h && oh < params.h_out;
    let inside_w = left - ow * params.stride_w < params.k_w && ow < params.w_out;
    let inside = inside_h && inside_w;
    let window = select(0u, ((n * params.h_out + oh) * params.w_out + ow) * (params.c / 4u) + q, inside);
    return select(vec4<f32>(), stored4(dy[window] * params.scale), vec4<bool>(inside));
}

// What arrives from above where the ReLU let pass, else 0: where what was stored of its argument is above 0.
fn passed(upstream: vec4<f32>, v: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), upstream, stored4(v) > vec4<f32>());
}

var<workgroup> weight_sums: array<vec4<f32>, WORKGROUP>;
var<workgroup> bias_sums: array<vec4<f32>, WORKGROUP>;

// Adds up what the invocations of the same channels hold. The sums are at lane < LANES, which is
// also who wrote them last.
fn add_rows(lane: u32, weight_sum: vec4<f32>, bias_sum: vec4<f32>) {
    weight_sums[lane] = weight_sum;
    bias_sums[lane] = bias_sum;
    for (var half = WORKGROUP / 2u; half >= LANES; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            weight_sums[lane] += weight_sums[lane + half];
            bias_sums[lane] += bias_sums[lane + half];
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = params.c / 4u;
    let blocks = (quads + LANES - 1u) / LANES;
    let i = group_index(group, groups);
    let chunk = i / blocks;
    if chunk >= params.chunks {
        return;
    }
    let q = (i - chunk * blocks) * LANES + lane % LANES;
    var weight_sum = vec4<f32>();
    var bias_sum = vec4<f32>();
    if q < quads {
        let first = chunk * params.chunk_rows + lane / LANES;
        let end = min((chunk + 1u) * params.chunk_rows, params.rows) * quads;
        let center = mean[q];
        let scale = rstd[q] * weight[q];
        let shift = bias[q];
        var row = first;
        for (var at = first * quads + q; at < end; at += WORKGROUP / LANES * quads) {
            let distance = x[at] - center;
            let upstream = passed(share(row, q), distance * scale + shift);
            weight_sum += upstream * distance;
            bias_sum += upstream;
            row += WORKGROUP / LANES;
        }
    }
    add_rows(lane, weight_sum, bias_sum);
    if lane < LANES && q < quads {
        let to = chunk * 2u * quads + q;
        chunk_sums[to] = weight_sums[lane];
        chunk_sums[to + quads] = bias_sums[lane];
    }
}

@compute @workgroup_size(WORKGROUP)
fn sum(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = params.c / 4u;
    let q = group_index(group, groups) * LANES + lane % LANES;
    var weight_sum = vec4<f32>();
    var bias_sum = vec4<f32>();
    if q < quads {
        for (var chunk = lane / LANES; chunk < params.chunks; chunk += WORKGROUP / LANES) {
            let at = chunk * 2u * quads + q;
            weight_sum += chunk_sums[at];
            bias_sum += chunk_sums[at + quads];
        }
    }
    add_rows(lane, weight_sum, bias_sum);
    if lane < LANES && q < quads {
        dweight[q] = weight_sums[lane] * rstd[q];
        dbias[q] = bias_sums[lane];
    }
}
