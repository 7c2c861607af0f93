// clip_value.update.vec4: grad = max(-limit, min(limit, grad))
//
// Idea versus naive: four neighbouring elements to an invocation, moved by 16-byte loads and one
// 16-byte store. Accepts lengths that are a multiple of 4.
// Writes: grad, in place.
// Dispatch: ceil(len / 4 / WORKGROUP) workgroups; an invocation owns one vec4.
// Shared memory: none. Barriers: none.

struct Params {
    len: u32,
    limit: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> grad: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.len / 4u {
        return;
    }
    let g = grad[i];
    // Not clamp(): it may turn a NaN into the limit, and divergence must be seen.
    let low = select(g, vec4<f32>(-params.limit), g < vec4<f32>(-params.limit));
    grad[i] = select(low, vec4<f32>(params.limit), low > vec4<f32>(params.limit));
}
