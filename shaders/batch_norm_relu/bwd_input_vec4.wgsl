// batch_norm_relu.bwd_input.vec4: dx = weight * rstd * (dy - (dbias + xhat * dweight) / rows) in training,
// dx = weight * rstd * dy in inference; xhat = (x - mean) * rstd;
// dy counts as 0 where the ReLU did not let pass
//
// Idea versus rows: four neighbouring channels to an invocation, moved by 16-byte loads and stores.
// Accepts channels that are a multiple of 4.
// As batch_norm.bwd_input.vec4; what the ReLU let pass is worked out as in the forward pass, not read.
// What a channel has in common is worked out once, by a stage of its own, since one stage with all
// arguments would bind more buffers than every device has.
// Writes: dx =.
// Dispatch: prepare: ceil(c / 4 / WORKGROUP) workgroups, an invocation owns four channels;
// main: ceil(ceil(rows / ROWS) * c / 4 / WORKGROUP) workgroups.
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
@group(0) @binding(4) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> mean: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> rstd: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> dweight: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read> dbias: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> dx: array<vec4<f32>>;
// [center, scale, shift, share of the mean, share of the spread][c / 4]
@group(0) @binding(10) var<storage, read_write> constants: array<vec4<f32>>;

// What arrives from above where the ReLU let pass, else 0: where what was stored of its argument is above 0.
fn passed(upstream: vec4<f32>, v: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), upstream, stored4(v) > vec4<f32>());
}

@compute @workgroup_size(WORKGROUP)
fn prepare(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = params.c / 4u;
    let q = group_index(group, groups) * WORKGROUP + lane;
    if q >= quads {
        return;
    }
    constants[q] = mean[q];
    constants[quads + q] = rstd[q] * weight[q];
    constants[2u * quads + q] = bias[q];
    // Used in training alone: in inference nothing goes through the statistics.
    constants[3u * quads + q] = dbias[q] / f32(params.rows);
    constants[4u * quads + q] = dweight[q] * rstd[q] / f32(params.rows);
}

@compute @workgroup_size(WORKGROUP)
fn main(
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
    let center = constants[q];
    let scale = constants[quads + q];
    let shift = constants[2u * quads + q];
    let end = params.rows * quads;
    if params.training == 0u {
        for (var at = i; at < end; at += stride) {
            dx[at] = scale * passed(dy[at], (x[at] - center) * scale + shift);
        }
        return;
    }
    let through_mean = constants[3u * quads + q];
    let through_spread = constants[4u * quads + q];
    for (var at = i; at < end; at += stride) {
        let distance = x[at] - center;
        let upstream = passed(dy[at], distance * scale + shift);
        dx[at] = scale * (upstream - (through_mean + distance * through_spread));
    }
}
