// conv2d.bwd_bias.split: dbias[co] = sum over n,oh,ow of dy[n,oh,ow,co]
//
// Idea versus naive: the lines are split into `splits` parts, so that there are `splits` times as
// many invocations; a second dispatch adds the parts in order. The number of parts depends on the
// problem alone, hence so does the order of summation: the one of the weights' gradient.
// Writes: dbias =.
// Dispatch: `partial` ceil(splits*c_out / WORKGROUP) workgroups, an invocation owns one part of one
// channel; `reduce` ceil(c_out / WORKGROUP) workgroups, an invocation owns one channel.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    c_in: u32,
    h_in: u32,
    w_in: u32,
    c_out: u32,
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
    splits: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.splits * params.c_out {
        return;
    }
    let co = i % params.c_out;
    let split = i / params.c_out;
    let lines = params.n * params.h_out;
    let per_split = (lines + params.splits - 1u) / params.splits;
    let end = min(lines, (split + 1u) * per_split) * params.w_out;
    var sum = 0.0;
    for (var row = split * per_split * params.w_out; row < end; row++) {
        sum += dy[row * params.c_out + co];
    }
    partials[i] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn reduce(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let co = group_index(group, groups) * WORKGROUP + lane;
    if co >= params.c_out {
        return;
    }
    var sum = 0.0;
    for (var split = 0u; split < params.splits; split++) {
        sum += partials[split * params.c_out + co];
    }
    dbias[co] = sum;
}
