// rescale.update.vec4: grad = grad * factor
//
// Idea versus naive: four neighbouring elements to an invocation, moved by 16-byte loads and one
// 16-byte store. Accepts lengths that are a multiple of 4.
// Writes: grad, in place.
// Dispatch: ceil(len / 4 / WORKGROUP) workgroups; an invocation owns one vec4.
// Shared memory: none. Barriers: none.

struct Params {
    len: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> grad: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> factor: array<f32>;

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
    grad[i] *= factor[0];
}
