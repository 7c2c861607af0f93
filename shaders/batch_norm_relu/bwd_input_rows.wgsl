// batch_norm_relu.bwd_input.rows: dx = weight * rstd * (dy - (dbias + xhat * dweight) / rows) in training,
// dx = weight * rstd * dy in inference; xhat = (x - mean) * rstd;
// dy counts as 0 where the ReLU did not let pass
//
// Idea versus naive: an invocation owns ROWS elements of one channel, a whole grid apart, so that
// it takes the remainder and loads the channel's constants once. Lanes still touch neighbouring
// elements.
// As batch_norm.bwd_input.rows; what the ReLU let pass is worked out as in the forward pass, not read.
// What a channel has in common is worked out once, by a stage of its own, since one stage with all
// arguments would bind more buffers than every device has.
// Writes: dx =.
// Dispatch: prepare: ceil(c / WORKGROUP) workgroups, an invocation owns one channel;
// main: ceil(ceil(rows / ROWS) * c / WORKGROUP) workgroups.
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
    // Invocations in use, a multiple of the channels: elements this far apart share theirs.
    let stride = (params.rows + ROWS - 1u) / ROWS * params.c;
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= stride {
        return;
    }
    let channel = i % params.c;
    let center = constants[channel];
    let scale = constants[params.c + channel];
    let shift = constants[2u * params.c + channel];
    let end = params.rows * params.c;
    if params.training == 0u {
        for (var at = i; at < end; at += stride) {
            dx[at] = scale * passed(dy[at], (x[at] - center) * scale + shift);
        }
        return;
    }
    let through_mean = constants[3u * params.c + channel];
    let through_spread = constants[4u * params.c + channel];
    for (var at = i; at < end; at += stride) {
        let distance = x[at] - center;
        let upstream = passed(dy[at], distance * scale + shift);
        dx[at] = scale * (upstream - (through_mean + distance * through_spread));
    }
}
