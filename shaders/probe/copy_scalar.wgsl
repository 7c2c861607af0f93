// probe.copy_scalar: y = x
//
// Idea versus `copy_vec4`: eight 4-byte loads and stores to an invocation, each next to those of its neighbours. Where
// lanes are those of a CPU's vector unit, they then move whole vectors.
// Writes: y =. Accepts lengths that are a multiple of 8 * WORKGROUP.
// Dispatch: len / 8 / WORKGROUP workgroups; a workgroup owns 8 * WORKGROUP neighbouring elements.
// Shared memory: none. Barriers: none.

struct Params {
    len: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * 8u * WORKGROUP + lane;
    if i >= params.len {
        return;
    }
    y[i + 0u * WORKGROUP] = x[i + 0u * WORKGROUP];
    y[i + 1u * WORKGROUP] = x[i + 1u * WORKGROUP];
    y[i + 2u * WORKGROUP] = x[i + 2u * WORKGROUP];
    y[i + 3u * WORKGROUP] = x[i + 3u * WORKGROUP];
    y[i + 4u * WORKGROUP] = x[i + 4u * WORKGROUP];
    y[i + 5u * WORKGROUP] = x[i + 5u * WORKGROUP];
    y[i + 6u * WORKGROUP] = x[i + 6u * WORKGROUP];
    y[i + 7u * WORKGROUP] = x[i + 7u * WORKGROUP];
}
