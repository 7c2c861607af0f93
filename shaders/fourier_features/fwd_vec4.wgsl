// fourier_features.fwd.vec4: y = scale * cos(x)
//
// Idea versus naive: four neighbouring elements to an invocation, moved by one 16-byte load and
// store. Accepts lengths that are a multiple of 4.
// Writes: y =.
// Dispatch: ceil(len / 4 / WORKGROUP) workgroups; an invocation owns one vec4.
// Shared memory: none. Barriers: none.

struct Params {
    len: u32,
    scale: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

fn feature(x: f32) -> f32 {
    return cosine(within_half_turn(x));
}

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
    let v = x[i];
    y[i] = params.scale * vec4<f32>(feature(v.x), feature(v.y), feature(v.z), feature(v.w));
}
