// dense.bwd_bias.naive: dbias[o] = sum over n of dy[n,o]
//
// Idea: the baseline, one invocation per feature.
// Writes: dbias =.
// Dispatch: ceil(features_out / WORKGROUP) workgroups; an invocation owns one feature.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    features_in: u32,
    features_out: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let o = group_index(group, groups) * WORKGROUP + lane;
    if o >= params.features_out {
        return;
    }
    var sum = 0.0;
    for (var n = 0u; n < params.n; n++) {
        sum += dy[n * params.features_out + o];
    }
    dbias[o] = sum;
}
