// dropout.fwd.vec4: y = x * scale where word >= threshold, else 0
//
// Idea versus naive: four neighbouring elements to an invocation, so that one call of Philox serves
// all four, and 16-byte loads and stores. Accepts lengths that are a multiple of 4.
// Writes: y =.
// Dispatch: ceil(len / 4 / WORKGROUP) workgroups; an invocation owns one vec4.
// Shared memory: none. Barriers: none.

struct Params {
    len: u32,
    layer: u32,
    threshold: u32,
    scale: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
// step, position, seed_lo, seed_hi
@group(0) @binding(2) var<storage, read> counter: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

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
    let key = vec2<u32>(counter[2], counter[3]);
    let words = philox4x32(vec4<u32>(i, params.layer, counter[0], 0u), key);
    y[i] = select(vec4<f32>(), x[i] * params.scale, words >= vec4<u32>(params.threshold));
}
