// dense.bwd_bias.vec4: dbias[o] = sum over n of dy[n,o]
//
// Idea versus naive: four neighbouring features to an invocation, loaded 16 bytes at a time.
// Accepts features_out that are a multiple of 4.
// Writes: dbias =.
// Dispatch: ceil(features_out / 4 / WORKGROUP) workgroups; an invocation owns four features.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    features_in: u32,
    features_out: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dbias: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let o4 = group_index(group, groups) * WORKGROUP + lane;
    let features4 = params.features_out / 4u;
    if o4 >= features4 {
        return;
    }
    var sum = vec4<f32>();
    for (var n = 0u; n < params.n; n++) {
        sum += dy[n * features4 + o4];
    }
    dbias[o4] = sum;
}
