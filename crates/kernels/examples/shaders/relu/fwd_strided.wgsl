// relu.fwd.strided: y = max(x, 0)
//
// Idea versus naive: a fixed number of workgroups, whose invocations stride through the tensor, so
// that each is set up once for many elements.
// Writes: y =.
// Dispatch: GROUPS workgroups; an invocation owns every (GROUPS * WORKGROUP)-th element.
// Shared memory: none. Barriers: none.

struct Params {
    len: u32,
}

override WORKGROUP: u32 = 64;
override GROUPS: u32 = 32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = group_index(group, groups) * WORKGROUP + lane;
    for (var i = first; i < params.len; i += GROUPS * WORKGROUP) {
        // Not max(): it may turn a NaN into 0, and divergence must be seen.
        y[i] = select(x[i], 0.0, x[i] < 0.0);
    }
}
